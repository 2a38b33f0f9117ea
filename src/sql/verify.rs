//! The independent verifier. Shares no code with the rewriter.
