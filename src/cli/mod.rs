//! The command line; one file a command. Exit 0 good, 1 findings, 2 usage.

mod check;
mod demo;
mod explain;
mod paint;
mod plan;
mod serve;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A wall between the tenants of one PostgreSQL: every statement is rewritten for its tenant, or refused.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the wall; SIGHUP reloads policies, SIGTERM drains
    Serve(serve::Serve),
    /// Show every problem of the files, and with --live of the servers behind
    Check(check::Check),
    /// Show the text that a statement becomes, and why
    Explain(explain::Explain),
    /// Show the SQL that makes the upstream's schema hold the policy
    Plan(plan::Plan),
    /// Show everything at once on this machine, with throwaway servers
    Demo(demo::Demo),
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Demo(command) => command.run(),
    }
}
