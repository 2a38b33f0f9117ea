//! The command line: everything is in `partywall::cli`.

fn main() {}
