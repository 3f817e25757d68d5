//! Training a recipe.
//!
//! The run's folder is its state: the same command resumes where a killed one stopped, and the exit status is 0
//! only once the recipe is finished, so that any scheduler can run and requeue it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use clap::Args;
use digit_gan::prelude::*;
use digit_gan::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::Data;
use crate::{pages, say, stop};

/// Trains a GAN; called again with the same arguments, resumes where it stopped
///
/// SIGTERM and Ctrl-C write a checkpoint and end it with exit code 75: a scheduler that queues such a job again loses
/// nothing. The exit code is 0 only once the run is finished.
#[derive(Args)]
#[command(after_help = AFTER)]
pub struct Train {
    /// dense, dcgan, compact, lean, or one of them with -conditional behind it
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    recipe: Option<String>,
    /// A recipe as JSON, such as another run's recipe.json
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The seed of all randomness
    #[arg(long)]
    seed: Option<u64>,
    /// The length of the run: real images shown to the discriminator. A larger one than before prolongs the run, finished
    /// or not
    #[arg(long)]
    images: Option<u64>,
    /// Any other value of the recipe: loss=hinge, g_adam.learning_rate=1e-4, 'penalty={"r1":{"gamma":1}}'
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The run's folder
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Train on CUDA or Metal, if built for it (--features cuda)
    #[arg(long)]
    best_device: bool,
    #[command(flatten)]
    data: Data,
    /// Judge the run: the Fréchet distance to held-out digits, and the best checkpoint. The judge is kept in this
    /// folder, and trained where it is not there yet. The test digits stay unseen, for `evaluate` to report on
    #[arg(long, value_name = "FOLDER")]
    judge: Option<PathBuf>,
    /// The training digits, the last ones, that neither the run nor its judge is trained on
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 10_000,
        requires = "judge"
    )]
    hold_out: usize,
    /// Judge it every this many images
    #[arg(
        long,
        value_name = "IMAGES",
        default_value_t = 60_000,
        requires = "judge"
    )]
    judge_every: u64,
}

const AFTER: &str = "\
Examples:
  digit-gan train --recipe lean --seed 7 --out runs/lean-7 --judge out/judge
  digit-gan train --recipe lean-conditional --data my-digits --out runs/mine";

impl Train {
    pub fn run(self) -> Result<ExitCode> {
        pages::prefer_large();
        let digits = self.data.train()?;
        let recipe = self.recipe(&digits)?;
        recipe.check()?;
        let Some(folder) = &self.judge else {
            say(&digits);
            return finish(self.open(recipe, &digits)?);
        };
        let (digits, held_out) = digits.hold_out(self.hold_out)?;
        say(&digits);
        let judge = Judge::open(folder, &digits, &held_out)?;
        say(&judge);
        let trainer = self.open(recipe, &digits)?;
        finish(trainer.judged_by(&judge, &held_out, self.judge_every)?)
    }

    fn open(&self, recipe: Recipe, digits: &Digits) -> Result<Trainer> {
        let trainer = Trainer::open(recipe, digits, &self.out)?;
        match self.best_device {
            true => trainer.on(&Device::best()),
            false => Ok(trainer),
        }
    }

    /// A conditional recipe of a name has the classes of the digits.
    fn recipe(&self, digits: &Digits) -> Result<Recipe> {
        let mut recipe = match (&self.config, &self.recipe) {
            (Some(path), _) => Recipe::load(path)?,
            (None, name) => match Recipe::named(name.as_deref().unwrap_or_default())? {
                recipe if recipe.classes.is_some() => recipe.with_classes(digits.class_count()),
                recipe => recipe,
            },
        };
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        recipe.total_images = self.images.unwrap_or(recipe.total_images);
        for setting in &self.set {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                let message = format!("--set {setting}: expected KEY=VALUE, such as loss=hinge");
                Error::Value(message)
            })?;
            recipe.set(key, value)?;
        }
        Ok(recipe)
    }
}

/// Trains to the end, or until a signal.
fn finish(trainer: Trainer) -> Result<ExitCode> {
    let stop = stop::flag()?;
    let bar = bar(&trainer);
    let lines = bar.clone();
    let mut trainer = trainer.on_message(move |message| lines.suspend(|| say(message)));
    while !trainer.is_finished() {
        if stop.load(Relaxed) {
            let checkpoint = trainer.checkpoint()?;
            bar.finish_and_clear();
            say(format!(
                "stopped after {} images; the same command resumes from {}",
                trainer.images(),
                checkpoint.display()
            ));
            return Ok(ExitCode::from(stop::STOPPED));
        }
        trainer.advance()?;
        bar.set_position(trainer.images());
    }
    trainer.run()?; // what an error has kept from being written
    bar.finish_and_clear();
    let (images, folder) = (trainer.images(), trainer.folder());
    say(format!("finished: {images} images, {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// On a terminal; nothing elsewhere.
fn bar(trainer: &Trainer) -> ProgressBar {
    let template = "{bar:40} {percent}% of {human_len} images, {eta} left";
    let style = ProgressStyle::with_template(template).expect("it is one");
    let bar = ProgressBar::new(trainer.recipe().total_images).with_style(style);
    bar.set_position(trainer.images());
    bar.reset_eta();
    bar
}
