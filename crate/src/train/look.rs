//! Looking at a run, which does not change it.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::trainer::Trainer;
use super::{Sampler, Status};
use crate::Result;
use crate::nn::{Network, with_class};
use crate::optim::MovingAverage;
use crate::plot::{self, Figure};
use crate::recipe::Recipe;
use crate::rng::Rng;

/// Columns of the grids, and their rows where there are no classes.
const COLUMNS: usize = 10;
const ROWS: usize = 5;

impl Trainer {
    /// Whether the recipe's images have been seen.
    pub fn finished(&self) -> bool {
        self.images() >= self.recipe.images
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Real images that the discriminator has seen so far.
    pub fn images(&self) -> u64 {
        self.step.saturating_mul(self.recipe.images_per_step())
    }

    pub(super) fn progress(&self) -> f64 {
        self.images() as f64 / self.recipe.images as f64
    }

    /// What is being trained.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The generator to draw samples from: the moving average if the recipe has one.
    pub fn generator(&self) -> &Network {
        self.average
            .as_ref()
            .map_or(&self.generator, MovingAverage::network)
    }

    /// The generator that training moves.
    pub fn trained_generator(&self) -> &Network {
        &self.generator
    }

    /// The discriminator.
    pub fn discriminator(&self) -> &Network {
        &self.discriminator
    }

    /// The generator of [`Trainer::generator`] with what it takes to draw from it. It shares the weights: training
    /// moves them.
    pub fn sampler(&self) -> Sampler {
        Sampler::new(self.generator().clone(), &self.recipe)
    }

    /// See [`Sampler::samples`]. Noise comes from `rng`, so that looking does not change the run.
    pub fn samples(&self, n: usize, rng: &Rng) -> Result<Tensor> {
        self.sampler().samples(n, rng)
    }

    /// See [`Sampler::samples_of`].
    pub fn samples_of(&self, digits: &[u32], rng: &Rng) -> Result<Tensor> {
        self.sampler().samples_of(digits, rng)
    }

    /// What the generator draws now from the noise that is the same throughout the run; of classes a row each.
    pub fn grid(&self) -> Result<Figure> {
        plot::sample_grid(&self.generator().eval(&self.fixed)?, COLUMNS)
    }

    /// Where the run stands; shows itself in a cell.
    pub fn status(&self) -> Result<Status> {
        Status::of(self)
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
