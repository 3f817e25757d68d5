//! The figures of finished runs, side by side: `cargo run --release --example evaluate -- runs/lean-1 runs/lean-2`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use digit_gan::prelude::*;
use digit_gan::{Error, Result};

/// Measures generators on the test digits: their distances from real digits, what they have forgotten, whether they copy.
#[derive(Parser)]
struct Arguments {
    /// Folders of runs
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where the judge is kept, or trained if it is not there yet
    #[arg(long, default_value = "out/judge")]
    judge: PathBuf,
    /// How many samples of each generator, and real digits for the floor
    #[arg(long, default_value_t = 10_000)]
    samples: usize,
    /// The training digits, the last ones, that the runs were not trained on: 10000 for judged runs of the example train,
    /// 0 for others
    #[arg(long, default_value_t = 10_000)]
    hold_out: usize,
    /// The newest checkpoint of each run, also where a judged run has kept its best one
    #[arg(long)]
    newest: bool,
    /// Also train a classifier on as many digits of each conditional generator as there are training digits, and one on
    /// these, and test both on the real test digits: minutes for each
    #[arg(long)]
    tstr: bool,
}

fn main() -> ExitCode {
    match evaluate(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn evaluate(arguments: Arguments) -> Result<()> {
    let samplers = arguments.runs.iter().map(|run| arguments.sampler(run));
    let samplers = samplers.collect::<Result<Vec<_>>>()?;
    let (train, test) = (arguments.training_digits()?, Digits::load(Split::Test)?);
    let judge = Judge::open(&arguments.judge, &train, &test)?;
    let mut evaluation = Evaluation::new(&judge, &train, &test, arguments.samples)?;
    if arguments.tstr {
        evaluation = evaluation.with_tstr()?;
    }
    println!("{train}\n{test}\n{judge}\n{evaluation}\n");
    let mut reports = Vec::new();
    for (run, sampler) in arguments.runs.iter().zip(&samplers) {
        let samples = sampler.samples(arguments.samples, &Rng::seed(0))?; // (n, 1, 28, 28)
        let labels = sampler.labels(arguments.samples);
        let name = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy();
        let mut report = evaluation.report(&name, &samples, labels.as_deref())?;
        if arguments.tstr && labels.is_some() {
            let digits = sampler.digits(train.len(), &Rng::seed(1))?;
            report = report.with_tstr(evaluation.tstr(&digits)?);
        }
        reports.push(report);
    }
    println!("{}", Report::compare(&reports)?);
    Ok(())
}

impl Arguments {
    /// What the judge is trained on, and copies are looked for in.
    fn training_digits(&self) -> Result<Digits> {
        let all = Digits::load(Split::Train)?;
        match self.hold_out {
            0 => Ok(all),
            count => Ok(all.hold_out(count)?.0),
        }
    }

    fn sampler(&self, run: &Path) -> Result<Sampler> {
        match Sampler::best(run) {
            Err(Error::NotFound(_)) => Sampler::newest(run),
            _ if self.newest => Sampler::newest(run),
            best => best,
        }
    }
}
