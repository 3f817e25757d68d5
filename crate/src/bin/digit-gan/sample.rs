//! Drawing from a run: a picture, or files that MNIST's loaders read.

use std::path::PathBuf;

use clap::Args;
use digit_gan::prelude::*;
use digit_gan::{Error, Result};

use crate::run::Run;
use crate::say;

/// Draws digits: a picture, or as many as a data set has
#[derive(Args)]
#[command(after_help = AFTER)]
pub struct Sample {
    #[command(flatten)]
    run: Run,
    /// How many; a class-conditional generator draws its classes in turn
    #[arg(short, value_name = "COUNT", default_value_t = 100)]
    n: usize,
    /// These digits, from a class-conditional generator
    #[arg(long, value_name = "NUMBER", conflicts_with = "n")]
    digits: Option<String>,
    /// A picture, name.png, or a folder for IDX files
    #[arg(long)]
    out: PathBuf,
    /// The seed of the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Columns of the picture [default: 10, a class each, or as many as there are --digits]
    #[arg(long)]
    columns: Option<usize>,
}

const AFTER: &str = "\
Examples:
  digit-gan sample --run runs/lean-7 --out digits.png
  digit-gan sample --run runs/lean-conditional-7 --digits 2026 --out year.png
  digit-gan sample --run runs/lean-conditional-7 -n 60000 --out idx/     # train-images-idx3-ubyte and the labels";

impl Sample {
    pub fn run(self) -> Result<()> {
        let (_, sampler) = self.run.open()?;
        let written = match self.out.extension() {
            None => self.as_files(&sampler)?,
            Some(_) => self.as_picture(&sampler)?,
        };
        say(written);
        Ok(())
    }

    fn as_picture(&self, sampler: &Sampler) -> Result<String> {
        let rng = Rng::seed(self.seed);
        let (samples, columns) = match self.asked_for()? {
            Some(digits) => (sampler.samples_of(&digits, &rng)?, digits.len()),
            None => {
                let columns = sampler.recipe().classes.unwrap_or(10).min(self.n);
                (sampler.samples(self.n, &rng)?, columns)
            }
        };
        let picture = plot::sample_grid(&samples, self.columns.unwrap_or(columns))?;
        picture.save(&self.out)?;
        Ok(format!("{}: {}", self.out.display(), picture.alt()))
    }

    fn as_files(&self, sampler: &Sampler) -> Result<String> {
        let rng = Rng::seed(self.seed);
        let digits = match self.asked_for()? {
            Some(labels) => {
                let samples = sampler.samples_of(&labels, &rng)?;
                let classes = sampler.recipe().classes.unwrap_or_default();
                let names = (0..classes).map(|class| class.to_string());
                Digits::from_tensor(&samples, &labels, names)?
            }
            None => sampler.digits(self.n, &rng)?,
        };
        let files = digits.save_idx(&self.out)?;
        let files = files.map(|file| file.display().to_string());
        Ok(format!("{} digits: {}", digits.len(), files.join(", ")))
    }

    fn asked_for(&self) -> Result<Option<Vec<u32>>> {
        let Some(number) = &self.digits else {
            return Ok(None);
        };
        let digits: Option<Vec<u32>> = number.chars().map(|digit| digit.to_digit(10)).collect();
        match digits.filter(|digits| !digits.is_empty()) {
            Some(digits) => Ok(Some(digits)),
            None => Err(Error::Value(format!(
                "--digits \"{number}\": expected a number, such as 2026"
            ))),
        }
    }
}
