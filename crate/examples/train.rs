//! Trains a recipe without a notebook: `cargo run --release --example train -- --help`.
//!
//! The run's folder is its state: the same command resumes where a killed one stopped, and the exit status is 0
//! only once the recipe is finished, so that any scheduler can run and requeue it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use digit_gan::Result;
use digit_gan::prelude::*;

/// Trains a GAN; called again with the same arguments, resumes where it stopped.
#[derive(Parser)]
struct Arguments {
    /// dense, dcgan, compact, lean, or one of them with -conditional behind it
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    recipe: Option<String>,
    /// A recipe as JSON, such as another run's recipe.json
    #[arg(long)]
    config: Option<PathBuf>,
    /// The seed of all randomness
    #[arg(long)]
    seed: Option<u64>,
    /// The length of the run: real images shown to the discriminator
    #[arg(long)]
    images: Option<u64>,
    /// Any other value of the recipe: loss=hinge, g_adam.learning_rate=1e-4, 'penalty={"r1":{"gamma":1}}'
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The run's folder
    #[arg(long)]
    out: PathBuf,
    /// Train on CUDA or Metal, if built for it (--features cuda)
    #[arg(long)]
    best_device: bool,
    /// Take this many built-in digits instead of MNIST
    #[arg(long, value_name = "COUNT")]
    builtin: Option<usize>,
    /// Judge the run: the Fréchet distance to held-out digits, and the best checkpoint. The judge is kept in this
    /// folder, and trained where it is not there yet. The test digits stay unseen, for the example evaluate to report on
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

fn main() -> ExitCode {
    match train(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn train(arguments: Arguments) -> Result<()> {
    let recipe = arguments.recipe()?;
    recipe.check()?;
    let digits = arguments.digits()?;
    let Some(folder) = &arguments.judge else {
        println!("{digits}");
        return finish(arguments.open(recipe, &digits)?);
    };
    let (digits, held_out) = digits.hold_out(arguments.hold_out)?;
    println!("{digits}");
    let judge = Judge::open(folder, &digits, &held_out)?;
    println!("{judge}");
    let trainer = arguments.open(recipe, &digits)?;
    finish(trainer.judged_by(&judge, &held_out, arguments.judge_every)?)
}

fn finish(mut trainer: Trainer) -> Result<()> {
    trainer.run()?;
    let (images, folder) = (trainer.images(), trainer.folder());
    println!("finished: {images} images, {}", folder.display());
    Ok(())
}

impl Arguments {
    fn open(&self, recipe: Recipe, digits: &Digits) -> Result<Trainer> {
        let trainer = Trainer::open(recipe, digits, &self.out)?;
        match self.best_device {
            true => trainer.on(&Device::best()),
            false => Ok(trainer),
        }
    }

    fn digits(&self) -> Result<Digits> {
        match self.builtin {
            None => Digits::load(Split::Train),
            Some(count) => Ok(Digits::builtin(count, &Rng::seed(0))),
        }
    }

    fn recipe(&self) -> Result<Recipe> {
        let mut recipe = match (&self.config, &self.recipe) {
            (Some(path), _) => Recipe::load(path)?,
            (None, name) => Recipe::named(name.as_deref().unwrap_or_default())?,
        };
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        recipe.total_images = self.images.unwrap_or(recipe.total_images);
        for setting in &self.set {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                let message = format!("--set {setting}: expected KEY=VALUE, such as loss=hinge");
                digit_gan::Error::Value(message)
            })?;
            recipe.set(key, value)?;
        }
        Ok(recipe)
    }
}
