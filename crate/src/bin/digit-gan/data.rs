//! Which images: a data set by its name, a folder, or the built-in digits.

use std::path::Path;

use clap::Args;
use digit_gan::prelude::*;
use digit_gan::{Error, Result};

#[derive(Args)]
pub struct Data {
    /// A folder of images with a subfolder for each class, or the name of a data set: mnist, fashion-mnist, kmnist,
    /// emnist-digits, emnist-letters, emnist-balanced, qmnist [default: MNIST where it is found, else built-in digits]
    #[arg(long, value_name = "FOLDER|NAME")]
    data: Option<String>,
    /// This many built-in digits
    #[arg(long, value_name = "COUNT", conflicts_with = "data")]
    builtin: Option<usize>,
}

impl Data {
    /// All images to learn from.
    pub fn train(&self) -> Result<Digits> {
        match (self.builtin, &self.data) {
            (Some(count), _) => Ok(Digits::builtin(count, &Rng::seed(0))),
            (None, None) => Digits::load(Split::Train),
            (None, Some(name)) => match named(name) {
                Some(dataset) => dataset.load(Split::Train),
                None => folder(name),
            },
        }
    }

    /// Images to report on; none for a folder, which has no such part.
    pub fn test(&self) -> Result<Option<Digits>> {
        let test = match (self.builtin, &self.data) {
            (Some(count), _) => Digits::builtin(count, &Rng::seed(1)),
            (None, None) => Digits::load(Split::Test)?,
            (None, Some(name)) => match named(name) {
                Some(dataset) => dataset.load(Split::Test)?,
                None => return Ok(None),
            },
        };
        Ok(Some(test))
    }
}

fn named(name: &str) -> Option<Dataset> {
    let as_argument = |dataset: &Dataset| dataset.name().to_lowercase().replace(' ', "-");
    Dataset::ALL
        .into_iter()
        .find(|dataset| as_argument(dataset) == name)
}

fn folder(name: &str) -> Result<Digits> {
    match Path::new(name).is_dir() {
        true => Digits::from_folder(name),
        false => Err(Error::NotFound(format!(
            "--data {name}: expected a folder of images, or the name of a data set, which --help lists"
        ))),
    }
}
