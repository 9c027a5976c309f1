//! The `exegesis` command.
//!
//! What lives here: the command line, what is printed, exit statuses. Everything that is computed comes from the
//! `exegesis` crate.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod args;
mod commands;
mod console;
mod memory;
mod net;

use std::process::ExitCode;

use clap::Parser;
use exegesis::Result;

use args::{Cli, Command};
use console::Console;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.quiet, cli.verbose);
    net::spread(&cli);
    match net::caught(&cli.command, || run(&cli.command, &console)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(if net::is_stopped() { net::INTERRUPTED } else { error.exit_code() })
        }
    }
}

fn run(command: &Command, console: &Console) -> Result<()> {
    match command {
        Command::Explain(args) => commands::explain::run(args, console),
        Command::Compile(args) => commands::compile::run(args, console),
        Command::Inspect(args) => commands::inspect::run(args, console),
        Command::Methods(args) => commands::methods::run(args, console),
        Command::Compare(args) => commands::compare::run(args, console),
        Command::Evaluate(args) => commands::evaluate::run(args, console),
        Command::Metrics(args) => commands::metrics::run(args, console),
        Command::Truth(args) => commands::truth::run(args, console),
        Command::TrainLax(_) => commands::not_built("train-lax"),
    }
}
