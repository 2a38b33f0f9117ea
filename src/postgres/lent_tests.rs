//! Names of statements on a lent connection, and what a session leaves there.
