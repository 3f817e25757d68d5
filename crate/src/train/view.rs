//! Looking at a run, which does not change it.

use std::path::Path;

use candle_core::Tensor;

use super::Sampler;
use super::sampler::{COLUMNS, Past};
use super::trainer::Trainer;
use crate::Result;
use crate::nn::Network;
use crate::plot::{self, Figure};
use crate::recipe::Recipe;
use crate::record::{Means, Position, Progress, are_probabilities, seconds};
use crate::rng::Rng;

impl Trainer {
    /// Whether the recipe's images have been seen.
    pub fn is_finished(&self) -> bool {
        self.images() >= self.recipe.total_images
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// Real images that the discriminator has seen so far.
    pub fn images(&self) -> u64 {
        self.state.images()
    }

    /// The fraction of the run that is done.
    pub(super) fn fraction(&self) -> f64 {
        self.images() as f64 / self.recipe.total_images as f64
    }

    /// How far the run is, with means over the steps since the last line of statistics (right behind a line: over the
    /// last step). Costs nothing.
    pub fn progress(&self) -> Progress {
        let state = &self.state;
        let last = self.last.as_ref().map(|last| Means {
            d_loss: last.stats.d_loss.into(),
            g_loss: last.stats.g_loss.into(),
            d_real: last.stats.d_real.into(),
            d_fake: last.stats.d_fake.into(),
        });
        Progress {
            position: Position::Step {
                step: state.step,
                images: self.images(),
                of: self.recipe.total_images,
            },
            fraction: self.fraction().min(1.),
            means: state.window.means().or(last),
            images_per_second: match state.window.images_per_second() {
                0. if self.images() > 0 => self.images() as f64 / state.seconds,
                speed => speed,
            },
            elapsed: seconds(state.seconds),
            judged: self.judging.is_some(),
            logits: !are_probabilities(self.recipe.loss),
            ..Progress::default()
        }
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
        self.state.sampled_generator()
    }

    /// The generator that training changes.
    pub fn trained_generator(&self) -> &Network {
        &self.state.generator
    }

    /// The discriminator.
    pub fn discriminator(&self) -> &Network {
        &self.state.discriminator
    }

    /// The generator of [`Trainer::generator`] with what it takes to draw from it. It shares the weights: training
    /// changes them.
    pub fn sampler(&self) -> Sampler {
        let past = Past {
            images: self.images(),
            digits: self.state.epochs.checksum,
            judged: self.judged.filter(|judged| judged.step == self.steps()),
        };
        Sampler::new(self.generator().clone(), &self.recipe, past)
    }

    /// See [`Sampler::samples`]. Noise comes from `rng`, so that looking does not change the run.
    ///
    /// # Errors
    /// When the device has no room for them.
    pub fn samples(&self, n: usize, rng: &Rng) -> Result<Tensor> {
        self.sampler().samples(n, rng)
    }

    /// See [`Sampler::samples_of`].
    ///
    /// # Errors
    /// If the recipe is not class-conditional, or has no such class.
    pub fn samples_of(&self, digits: &[u32], rng: &Rng) -> Result<Tensor> {
        self.sampler().samples_of(digits, rng)
    }

    /// What the generator draws now from the noise that is the same throughout the run; of classes a row each.
    ///
    /// # Errors
    /// When weights are not finite.
    pub fn grid(&self) -> Result<Figure> {
        self.fixed_grid(false)
    }

    /// [`Trainer::grid`]; smaller and made faster for a display that is soon replaced (`live`).
    pub(super) fn fixed_grid(&self, live: bool) -> Result<Figure> {
        let samples = self.generator().forward(&self.fixed)?;
        match (self.recipe.classes, live) {
            (Some(classes), _) => {
                let names = self.state.epochs.digits.class_names();
                let other = |class: usize| class.to_string();
                let name = |class| names.get(class).cloned().unwrap_or_else(|| other(class));
                let names: Vec<String> = (0..classes).map(name).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                plot::class_grid(&samples, &names, live)
            }
            (None, true) => plot::live_grid(&samples, COLUMNS),
            (None, false) => plot::sample_grid(&samples, COLUMNS),
        }
    }
}
