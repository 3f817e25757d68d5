//! `digit-gan`: training, measuring, drawing and exporting from a terminal, a file for each subcommand.

mod completions;
mod data;
mod evaluate;
mod export;
mod fetch;
mod page;
mod pages;
mod run;
mod runs;
mod sample;
mod stop;
mod train;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use digit_gan::Result;

/// Trains GANs that draw digits, measures them against real digits, draws from them, and exports them.
#[derive(Parser)]
#[command(name = "digit-gan", version, after_help = AFTER, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
A first run, five minutes on two cores:
  digit-gan train --recipe lean-conditional --images 600000 --out runs/lean --judge out/judge
  digit-gan sample --run runs/lean --digits 2026 --out year.png

Exit codes: 0 done; 1 an error, which stderr names; 2 arguments that are not understood; 75 a training that was stopped by
SIGTERM or Ctrl-C: its checkpoint is written, and the same command resumes it.";

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
    Runs(runs::Runs),
    Evaluate(evaluate::Evaluate),
    Sample(sample::Sample),
    Export(export::Export),
    Page(page::Page),
    Fetch(fetch::Fetch),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Train(command) => command.run(),
        Command::Runs(command) => success(command.run()),
        Command::Evaluate(command) => success(command.run()),
        Command::Sample(command) => success(command.run()),
        Command::Export(command) => success(command.run()),
        Command::Page(command) => success(command.run()),
        Command::Fetch(command) => success(command.run()),
        Command::Completions(command) => success(command.run()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn success(done: Result<()>) -> Result<ExitCode> {
    done.map(|()| ExitCode::SUCCESS)
}

/// Prints a line. A reader that has gone, such as `head`, is no error.
fn say(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}
