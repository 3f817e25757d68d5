//! The state of a run: all that its next step depends on, and so all that a checkpoint holds.

use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::epochs::Epochs;
use super::warnings::Warnings;
use crate::data::Digits;
use crate::nn::{Contents, Network, Sequential};
use crate::optim::{Adam, MovingAverage};
use crate::recipe::{AdamSettings, Recipe};
use crate::record::Window;
use crate::rng::{self, Rng};
use crate::{Error, Result};

/// What tensors are called in a checkpoint, before the names of the variables.
pub(super) const GENERATOR: &str = "generator.";
pub(super) const AVERAGE: &str = "average.";
const DISCRIMINATOR: &str = "discriminator.";
const G_ADAM: &str = "g_adam.";
const D_ADAM: &str = "d_adam.";

/// A run between two steps.
pub(super) struct State {
    pub generator: Network,
    pub discriminator: Network,
    pub g_adam: Adam,
    pub d_adam: Adam,
    pub average: Option<MovingAverage>,
    /// Learning rates of generator and discriminator, before the schedule.
    pub rates: [f64; 2],
    pub rng: Rng,
    pub epochs: Epochs,
    /// Steps so far.
    pub step: u64,
    /// Time spent in steps; all else here is the same in every run of the recipe.
    pub seconds: f64,
    /// Sums since the last line of statistics.
    pub window: Window,
    pub warnings: Warnings,
    /// What a step adds to the optimizers' counts and to the images seen.
    d_steps: u64,
    images_per_step: u64,
}

/// What a checkpoint holds beside tensors, as JSON in its header. The names of version 1 are aliases.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub step: u64,
    seconds: f64,
    rates: [f64; 2],
    rng: rng::State,
    /// The stream at the start of the epoch, and the batches taken of it.
    epoch: rng::State,
    batches: usize,
    /// [`Digits::checksum`].
    pub digits: u32,
    #[serde(alias = "tick")]
    window: Window,
    #[serde(alias = "watch")]
    warnings: Warnings,
}

impl State {
    /// A run at its very beginning. Weights, and then the order of the digits, are drawn from `rng`.
    pub fn new(recipe: &Recipe, digits: &Digits, rng: Rng) -> Result<Self> {
        let build = |network: &Sequential| {
            let network = network.build(&rng)?;
            Ok::<_, Error>(network.with_precision(recipe.precision))
        };
        let generator = build(&recipe.generator)?;
        let discriminator = build(&recipe.discriminator)?;
        let adam = |network: &Network, settings: AdamSettings| {
            Adam::new(network.parameters(), settings.learning_rate, settings.beta1)?
                .beta2(settings.beta2)
        };
        let average = recipe
            .ema_half_life
            .map(|half_life| MovingAverage::new(&generator, half_life));
        Ok(State {
            g_adam: adam(&generator, recipe.g_adam)?,
            d_adam: adam(&discriminator, recipe.d_adam)?,
            average: average.transpose()?,
            rates: [recipe.g_adam.learning_rate, recipe.d_adam.learning_rate],
            epochs: Epochs::new(digits, recipe.batch_size, &rng),
            rng,
            generator,
            discriminator,
            step: 0,
            seconds: 0.,
            window: Window::default(),
            warnings: Warnings::default(),
            d_steps: recipe.d_steps as u64,
            images_per_step: recipe.images_per_step(),
        })
    }

    /// The same on another device.
    pub fn moved_to(mut self, device: &Device) -> Result<Self> {
        self.generator = self.generator.to_device(device)?;
        self.discriminator = self.discriminator.to_device(device)?;
        self.g_adam = self.g_adam.moved_to(self.generator.parameters())?;
        self.d_adam = self.d_adam.moved_to(self.discriminator.parameters())?;
        let average = self
            .average
            .map(|average| average.moved_to(&self.generator));
        self.average = average.transpose()?;
        Ok(self)
    }

    /// Real images that the discriminator has seen so far.
    pub fn images(&self) -> u64 {
        self.step.saturating_mul(self.images_per_step)
    }

    /// The generator to draw samples from: the moving average if there is one.
    pub fn sampled_generator(&self) -> &Network {
        self.average
            .as_ref()
            .map_or(&self.generator, MovingAverage::network)
    }

    /// The name of a network with weights that are not finite, if any.
    pub fn diverged(&self) -> Result<Option<&str>> {
        for network in [
            &self.generator,
            &self.discriminator,
            self.sampled_generator(),
        ] {
            if !network.is_finite()? {
                return Ok(Some(network.name()));
            }
        }
        Ok(None)
    }

    pub fn header(&self) -> Header {
        let (epoch, batches) = self.epochs.position();
        Header {
            step: self.step,
            seconds: self.seconds,
            rates: self.rates,
            rng: self.rng.state(),
            epoch,
            batches,
            digits: self.epochs.checksum,
            window: self.window.clone(),
            warnings: self.warnings.clone(),
        }
    }

    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = self.generator.tensors(GENERATOR)?;
        tensors.extend(self.discriminator.tensors(DISCRIMINATOR)?);
        tensors.extend(self.g_adam.tensors(G_ADAM)?);
        tensors.extend(self.d_adam.tensors(D_ADAM)?);
        if let Some(average) = &self.average {
            tensors.extend(average.network().tensors(AVERAGE)?);
        }
        Ok(tensors)
    }

    /// Takes up what the checkpoint at `path` holds.
    ///
    /// # Errors
    /// [`Error::Format`] for other digits or another network; the state is then of no use.
    pub fn restore(&mut self, path: &Path, header: Header, mut file: Contents) -> Result<()> {
        if header.digits != self.epochs.checksum {
            let count = self.epochs.digits.len();
            return Err(Error::format(
                path,
                format!(
                    "was trained on other digits than these {count}: load the digits that the run began with"
                ),
            ));
        }
        let file = &mut file;
        self.step = header.step;
        self.generator.take(file, path, GENERATOR)?;
        self.discriminator.take(file, path, DISCRIMINATOR)?;
        self.g_adam.take(file, path, G_ADAM, self.step)?;
        let d_updates = self.step.saturating_mul(self.d_steps);
        self.d_adam.take(file, path, D_ADAM, d_updates)?;
        let images = self.images();
        if let Some(average) = &mut self.average {
            average.network().take(file, path, AVERAGE)?;
            average.images = images;
        }
        file.all_taken(path)?;
        self.epochs.go_to((header.epoch, header.batches));
        self.rng.go_to(&header.rng);
        self.rates = header.rates;
        self.seconds = header.seconds;
        self.window = header.window;
        self.warnings = header.warnings;
        Ok(())
    }
}

impl Header {
    /// The same right after a line of statistics, with these warnings.
    pub fn after_line(self, warnings: Warnings) -> Self {
        Header {
            window: Window::default(),
            warnings,
            ..self
        }
    }
}
