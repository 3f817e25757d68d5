//! The figures of finished runs, side by side.

use std::path::PathBuf;

use clap::Args;
use digit_gan::Result;
use digit_gan::prelude::*;

use crate::data::Data;
use crate::run::{name, sampler};
use crate::say;

/// Measures runs on the test digits: their distance from real digits, what they have forgotten, whether they copy
#[derive(Args)]
#[command(after_help = "Example:\n  digit-gan evaluate runs/lean-7 runs/lean-8")]
pub struct Evaluate {
    /// Folders of runs
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The newest checkpoint of each run, also where a judged run has kept its best one
    #[arg(long)]
    newest: bool,
    /// Also train a classifier on as many digits of each conditional generator as there are training digits, and one on
    /// these, and test both on the real test digits: minutes for each
    #[arg(long)]
    tstr: bool,
    #[command(flatten)]
    protocol: Protocol,
}

/// How generators are measured.
#[derive(Args)]
pub struct Protocol {
    /// Where the judge is kept, or trained if it is not there yet
    #[arg(long, value_name = "FOLDER", default_value = "out/judge")]
    judge: PathBuf,
    /// How many samples of each generator, and real digits for the floor
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    samples: usize,
    /// The training digits, the last ones, that the runs were not trained on: 10000 for judged runs, 0 for others. Of a
    /// folder of images, which has no test digits, they are what is reported on
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    hold_out: usize,
    /// Measure on these held-out digits instead of the test digits: to choose by, not to report
    #[arg(long)]
    on_held_out: bool,
    #[command(flatten)]
    data: Data,
}

/// A judge, and real digits.
pub struct Measuring {
    train: Digits,
    test: Digits,
    judge: Judge,
    evaluation: Evaluation,
    samples: usize,
}

impl Evaluate {
    pub fn run(self) -> Result<()> {
        let samplers = self.runs.iter().map(|run| sampler(run, self.newest));
        let samplers = samplers.collect::<Result<Vec<_>>>()?;
        let mut measuring = self.protocol.begin()?;
        if self.tstr {
            measuring.evaluation = measuring.evaluation.with_tstr()?;
        }
        let Measuring {
            train,
            test,
            judge,
            evaluation,
            ..
        } = &measuring;
        say(format!("{train}\n{test}\n{judge}\n{evaluation}\n"));
        let mut reports = Vec::new();
        for (run, sampler) in self.runs.iter().zip(&samplers) {
            let mut report = measuring.report(&name(run), sampler)?;
            if self.tstr && sampler.recipe().classes.is_some() {
                let digits = sampler.digits(train.len(), &Rng::seed(1))?;
                report = report.with_tstr(evaluation.tstr(&digits)?);
            }
            reports.push(report);
        }
        say(Report::compare(&reports)?);
        Ok(())
    }
}

impl Protocol {
    pub fn begin(&self) -> Result<Measuring> {
        let (train, held_out) = self.training_digits()?;
        let test = match self.on_held_out {
            true => None,
            false => self.data.test()?,
        };
        let test = test.or(held_out).ok_or_else(|| {
            digit_gan::Error::Value(
                "--hold-out 0: without test digits, which a folder of images has none of, some have to be held out".into(),
            )
        })?;
        let judge = Judge::open(&self.judge, &train, &test)?;
        Ok(Measuring {
            evaluation: Evaluation::new(&judge, &train, &test, self.samples)?,
            train,
            test,
            judge,
            samples: self.samples,
        })
    }

    /// What the judge is trained on, and copies are looked for in; and what was held out of it.
    fn training_digits(&self) -> Result<(Digits, Option<Digits>)> {
        let all = self.data.train()?;
        match self.hold_out {
            0 => Ok((all, None)),
            count => all
                .hold_out(count)
                .map(|(train, held_out)| (train, Some(held_out))),
        }
    }

    /// The digits that a run was trained on, if they are these, all of them or less those that are held out.
    pub fn training_digits_of(&self, sampler: &Sampler) -> Result<Option<Digits>> {
        let all = self.data.train()?;
        let part = all.hold_out(self.hold_out).ok().map(|(train, _)| train);
        let mut candidates = part.into_iter().chain([all]);
        Ok(candidates.find(|digits| sampler.was_trained_on(digits)))
    }
}

impl Measuring {
    pub fn report(&self, name: &str, sampler: &Sampler) -> Result<Report> {
        let samples = sampler.samples(self.samples, &Rng::seed(0))?; // (n, 1, 28, 28)
        let labels = sampler.labels(self.samples);
        self.evaluation.report(name, &samples, labels.as_deref())
    }
}
