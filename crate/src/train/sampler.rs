//! Drawing from a generator: of a run that trains, or of one that has left its checkpoints.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::checkpoint::{Checkpoint, Checkpoints};
use super::folder::check_run;
use super::state::{AVERAGE, GENERATOR};
use crate::data::{Digits, to_byte};
use crate::nn::{Network, Python, with_class};
use crate::recipe::Recipe;
use crate::record::Judgement;
use crate::rng::Rng;
use crate::{Error, Result, interrupt};

/// Samples that are drawn at once: bounds the memory of the layers in between.
const CHUNK: usize = 500;
/// Columns of the grids, and their rows where there are no classes.
pub(super) const COLUMNS: usize = 10;
const ROWS: usize = 5;
/// Digits that are drawn before they are rounded to bytes.
const DIGITS: usize = 10_000;

/// A generator with what it takes to draw from it: how much noise, and which classes.
///
/// ```no_run
/// use digit_gan::prelude::*;
/// let sampler = Sampler::best("runs/lean-conditional")?;
/// let digits = sampler.samples_of(&[2, 0, 2, 6], &Rng::seed(1))?; // (4, 1, 28, 28)
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone)]
pub struct Sampler {
    network: Network,
    recipe: Recipe,
    past: Past,
}

/// What a generator has behind it.
#[derive(Clone, Copy)]
pub(super) struct Past {
    /// Real images that its discriminator had seen.
    pub images: u64,
    /// [`Digits::checksum`] of what it was trained on.
    pub digits: u32,
    /// Of this very generator.
    pub judged: Option<Judgement>,
}

impl Sampler {
    pub(super) fn new(network: Network, recipe: &Recipe, past: Past) -> Self {
        let recipe = recipe.clone();
        Sampler {
            network,
            recipe,
            past,
        }
    }

    /// The generator of a run's best checkpoint, [`Trainer::best`](super::Trainer::best): the moving average if the
    /// recipe has one. The run may still be training, here or in another program.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no run or it has never been judged, [`Error::Format`] if the file is damaged.
    pub fn best(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        check_run(folder)?;
        let none = || {
            Error::NotFound(format!(
                "{0} has no best checkpoint, as the run was never judged: train it with trainer.judged_by(), or take \
                 Sampler::newest(\"{0}\")?",
                folder.display()
            ))
        };
        let path = Checkpoints::of_run(folder).best_path();
        Self::load(&path.ok_or_else(none)?)
    }

    /// The same of the newest checkpoint.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no run or it has no checkpoint yet, [`Error::Format`] if the file is damaged.
    pub fn newest(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        check_run(folder)?;
        let none = || {
            Error::NotFound(format!(
                "{} has no checkpoint yet: train on, or call trainer.checkpoint()?",
                folder.display()
            ))
        };
        let path = Checkpoints::of_run(folder).newest_path()?;
        Self::load(&path.ok_or_else(none)?)
    }

    fn load(path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::read(path)?;
        let past = checkpoint.past()?;
        let (recipe, mut file) = (checkpoint.recipe, checkpoint.contents);
        // The seed of weights that the file replaces, and of dropout that drawing leaves out.
        let network = recipe.generator.build(&Rng::seed(recipe.seed))?;
        let prefix = match recipe.ema_half_life {
            Some(_) => AVERAGE,
            None => GENERATOR,
        };
        network.take(&mut file, path, prefix)?;
        Ok(Self::new(network, &recipe, past))
    }

    /// The generator.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What it was trained by.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Real images that its discriminator had seen.
    pub fn images(&self) -> u64 {
        self.past.images
    }

    /// What a judge has said of it; none if this very generator was never judged.
    pub fn judged(&self) -> Option<Judgement> {
        self.past.judged
    }

    /// Whether these are the digits that it was trained on.
    pub fn was_trained_on(&self, digits: &Digits) -> bool {
        digits.checksum() == self.past.digits
    }

    /// `n` samples (n, channels, height, width), of noise from `rng`. A class-conditional generator draws all classes in a
    /// cycle: 0, 1, 2, and so on.
    pub fn samples(&self, n: usize, rng: &Rng) -> Result<Tensor> {
        let labels = self.labels(n).unwrap_or_else(|| vec![0; n]);
        self.draw(&labels, rng)
    }

    /// The classes that [`Sampler::samples`] asks for; none if the recipe has none.
    pub fn labels(&self, n: usize) -> Option<Vec<u32>> {
        let cycle = |classes| (0..n).map(|i| (i % classes) as u32).collect();
        self.recipe.classes.map(cycle)
    }

    /// A sample of each of these digits: (n, channels, height, width). Errors if the recipe is not class-conditional.
    pub fn samples_of(&self, digits: &[u32], rng: &Rng) -> Result<Tensor> {
        if self.recipe.classes.is_none() {
            return Err(self.unconditional());
        }
        self.draw(digits, rng)
    }

    /// `n` samples as labelled digits, their classes in turn: to train a classifier on
    /// ([`tstr`](crate::metrics::tstr())), or to write to files. They are made in parts, so that 60,000 of them take the
    /// memory of 60,000 bytes each.
    ///
    /// # Errors
    /// If the recipe is not class-conditional: nobody could tell the labels.
    pub fn digits(&self, n: usize, rng: &Rng) -> Result<Digits> {
        let Some(labels) = self.labels(n) else {
            return Err(self.unconditional());
        };
        let [_, height, width] = self.recipe.discriminator.input() else {
            unreachable!("a recipe that was trained draws images")
        };
        let (mut pixels, size) = (Vec::with_capacity(n * height * width), [*height, *width]);
        for labels in labels.chunks(DIGITS) {
            let samples = self.draw(labels, rng)?.flatten_all()?.to_vec1::<f32>()?;
            pixels.extend(samples.into_iter().map(to_byte));
        }
        let labels = labels.into_iter().map(|label| label as u8).collect();
        let classes = self.recipe.classes.unwrap_or_default();
        Digits::new(
            pixels,
            size,
            labels,
            (0..classes).map(|class| class.to_string()),
        )
    }

    /// [`Network::export_pytorch`] of the generator; the lines ask it for classes if it has any.
    ///
    /// # Errors
    /// As that.
    pub fn export_pytorch(&self, path: impl AsRef<Path>) -> Result<Python> {
        self.asking(self.network.export_pytorch(path)?)
    }

    /// [`Network::export_onnx`] of the generator; the lines ask it for classes if it has any.
    ///
    /// # Errors
    /// As that.
    #[cfg(feature = "onnx")]
    pub fn export_onnx(&self, path: impl AsRef<Path>) -> Result<Python> {
        self.asking(self.network.export_onnx(path)?)
    }

    fn asking(&self, python: Python) -> Result<Python> {
        match self.recipe.classes {
            Some(classes) => python.with_classes(classes),
            None => Ok(python),
        }
    }

    fn unconditional(&self) -> Error {
        Error::Value(format!(
            "the recipe {} draws digits as they come: train {0}-conditional to ask for one",
            self.recipe.name
        ))
    }

    /// All noise is drawn at once: the samples do not depend on [`CHUNK`].
    fn draw(&self, labels: &[u32], rng: &Rng) -> Result<Tensor> {
        let noise = rng.normal((labels.len(), self.recipe.latent_dim))?;
        let mut samples = Vec::new();
        for (i, labels) in labels.chunks(CHUNK).enumerate() {
            interrupt::check()?;
            let noise = noise.narrow(0, i * CHUNK, labels.len())?;
            let labels = Tensor::new(labels, &Device::Cpu)?;
            let input = input(&self.recipe, &noise, &labels)?;
            samples.push(self.network.forward(&input)?);
        }
        match samples.is_empty() {
            true => Ok(noise.reshape([&[0], self.recipe.discriminator.input()].concat())?),
            false => Ok(Tensor::cat(&samples, 0)?),
        }
    }
}

/// The generator's input from noise (batch, latent) and, where there are classes, labels (batch,).
pub(super) fn input(recipe: &Recipe, noise: &Tensor, labels: &Tensor) -> Result<Tensor> {
    match recipe.classes {
        Some(classes) => with_class(noise, labels, classes),
        None => Ok(noise.clone()),
    }
}

/// The input of the grids. The rows of a class-conditional one share their noise: they differ in the class alone.
pub(super) fn fixed_input(recipe: &Recipe, rng: &Rng) -> Result<Tensor> {
    let Some(classes) = recipe.classes else {
        return rng.normal((ROWS * COLUMNS, recipe.latent_dim));
    };
    let noise = rng
        .normal((COLUMNS, recipe.latent_dim))?
        .repeat((classes, 1))?;
    let labels: Vec<u32> = (0..classes * COLUMNS)
        .map(|i| (i / COLUMNS) as u32)
        .collect();
    with_class(&noise, &Tensor::new(labels, &Device::Cpu)?, classes)
}
