//! Everything that decides a run, in one place: a file beside the run, and a few lines in a cell.
//!
//! ```
//! use digit_gan::{loss::GanLoss, penalty::Penalty, recipe::Recipe};
//! let recipe = Recipe {
//!     loss: GanLoss::Relativistic,
//!     penalty: Some(Penalty::R1R2 { gamma: 0.5 }),
//!     seed: 7,
//!     ..Recipe::dense().conditional()
//! };
//! recipe.check()?;
//! assert_eq!(recipe.generator.input(), [100 + 10]); // the noise, and which of ten digits
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod check;
mod named;
mod table;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::augment::Augment;
use crate::data::CLASSES;
use crate::files::write_atomically;
use crate::format::Format;
use crate::loss::GanLoss;
use crate::nn::{Layer, Precision, Sequential};
use crate::optim::Schedule;
use crate::penalty::Penalty;
use crate::{Error, Result};

/// A generator, a discriminator, and how they are trained. Two runs of one recipe on the same digits are equal, bit
/// for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The version of its file; nothing to set.
    #[serde(default)]
    pub format: Format,
    /// What the run is called in messages and figures.
    pub name: String,
    /// All randomness follows from it: weights, noise, the order of the digits, dropout.
    pub seed: u64,
    /// From noise (and a class) to images (channels, height, width) in [-1, 1].
    pub generator: Sequential,
    /// From images to a logit, high for real ones.
    pub discriminator: Sequential,
    /// Numbers of noise behind an image. 100 has been the custom since the first GANs; digits need fewer, and more do
    /// no harm.
    pub latent_dim: usize,
    /// How many classes of images can be asked for; none if they cannot. The generator then takes as many more inputs
    /// ([`with_class`](crate::nn::with_class)), the discriminator gives as many more outputs
    /// ([`class_logit`](crate::nn::class_logit)).
    pub classes: Option<usize>,
    /// The length of the run: real images shown to the discriminator, so that runs with different batches compare.
    #[serde(alias = "images")]
    pub total_images: u64,
    /// Real images in a step, and as many generated ones. Small batches make more steps of the same images, and their
    /// noise keeps the discriminator from being sure; 64 also fills a CPU's vector units.
    pub batch_size: usize,
    /// The game.
    pub loss: GanLoss,
    /// A penalty on the discriminator's slope; Wasserstein cannot do without.
    pub penalty: Option<Penalty>,
    /// Steps from one with the penalty to the next, where it counts as many times as much: 1 is every step. Most of its
    /// effect is left at 4 to 16, for a fraction of its time ("lazy regularization", Karras et al. 2019,
    /// <https://arxiv.org/abs/1912.04958>).
    #[serde(default = "every_step")]
    pub penalty_every: u64,
    /// The discriminator's target for real images: 1, or 0.9 to keep it from being too sure.
    pub real_target: f64,
    /// Noise on all images that the discriminator sees, while generated ones are still easily told from real ones.
    pub instance_noise: Option<InstanceNoise>,
    /// Random shifts and rotations of all images that the discriminator sees, for training with few images.
    #[serde(default)]
    pub augment: Option<Augment>,
    /// Updates of the discriminator for each of the generator: 1, or 5 for Wasserstein, whose generator needs a
    /// discriminator that has nearly converged.
    pub d_steps: usize,
    /// The generator's optimizer.
    pub g_adam: AdamSettings,
    /// The discriminator's optimizer.
    pub d_adam: AdamSettings,
    /// What both learning rates are multiplied by over the run.
    pub schedule: Schedule,
    /// The half-life, in images, of the moving average of the generator's weights that samples are drawn from. It
    /// smooths what single steps do; training is unaffected. None: samples come from the generator itself.
    #[serde(alias = "average")]
    pub ema_half_life: Option<f64>,
    /// What a step's matrix products are computed in, on a CPU. With [`Precision::Mixed`] or [`Precision::Bf16`] a step takes
    /// less time on one with AMX, and the digits are a little worse.
    #[serde(default)]
    pub precision: Precision,
    /// Steps from one line of statistics to the next.
    #[serde(alias = "tick")]
    pub log_every: u64,
    /// Steps from one grid of samples to the next.
    #[serde(alias = "grid")]
    pub grid_every: u64,
    /// Steps from one checkpoint to the next: what a killed run loses at most.
    #[serde(alias = "checkpoint")]
    pub checkpoint_every: u64,
    /// How many checkpoints are kept: the last one may be damaged, or of a training that has gone wrong.
    #[serde(alias = "keep")]
    pub keep_checkpoints: usize,
}

/// The settings of an [`Adam`](crate::optim::Adam).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamSettings {
    /// The learning rate; GANs usually take 1e-4 or 2e-4.
    pub learning_rate: f64,
    /// The decay of the running mean of the gradient. Lower than Adam's own 0.9, as the opponent moves and old
    /// gradients mislead.
    pub beta1: f64,
    /// The decay of the running mean of the squared gradient.
    pub beta2: f64,
}

/// Normal noise that fades over the run (Sønderby et al. 2016, <https://arxiv.org/abs/1610.04490>).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceNoise {
    /// The standard deviation at the start; images lie in [-1, 1].
    #[serde(alias = "deviation")]
    pub std: f64,
    /// The fraction of the run after which it is 0.
    #[serde(alias = "share")]
    pub fraction: f64,
}

impl InstanceNoise {
    /// The standard deviation at `progress`, the fraction of the run that is done: linear from `std` to 0.
    pub fn at(self, progress: f64) -> f64 {
        self.std * (1. - progress / self.fraction).max(0.)
    }
}

/// [`Recipe::penalty_every`] of recipes from before there was one.
fn every_step() -> u64 {
    1
}

/// Behind the name of a class-conditional variant.
const CONDITIONAL: &str = "-conditional";

impl Recipe {
    /// The name of a recipe's file in a run's folder.
    pub(crate) const FILE: &str = "recipe.json";

    /// The same, but a digit can be asked for by name: [`with_classes`](Recipe::with_classes), ten of them. Changes nothing
    /// in a recipe that has classes already.
    ///
    /// A discriminator with batch normalisation ([`lean`](Recipe::lean), [`compact`](Recipe::compact)) gives it up for
    /// biases and an R1 penalty at every eighth step. The learning rates then begin at twice the recipe's and fall in a
    /// straight line to a fiftieth, and Adam has no momentum. All of it was chosen on MNIST: `bench/QUALITY.md`. For 26
    /// letters: `Recipe::lean().conditional().with_classes(26)`.
    pub fn conditional(self) -> Self {
        if self.classes.is_some() {
            return self;
        }
        let recipe = self.with_classes(CLASSES);
        let discriminator = recipe.discriminator.without_batch_norm();
        if discriminator == recipe.discriminator {
            return recipe;
        }
        let adam = |adam: AdamSettings| AdamSettings {
            learning_rate: 2. * adam.learning_rate,
            beta1: 0.,
            ..adam
        };
        Recipe {
            discriminator,
            penalty: Some(Penalty::R1 { gamma: 0.1 }),
            penalty_every: 8,
            g_adam: adam(recipe.g_adam),
            d_adam: adam(recipe.d_adam),
            schedule: Schedule::Linear { to: 0.02 },
            ..recipe
        }
    }

    /// The same, but one of `classes` can be asked for: the class goes into the generator beside the noise, and the
    /// discriminator judges by projection (Miyato and Koyama 2018, <https://arxiv.org/abs/1802.05637>).
    ///
    /// ```
    /// # use digit_gan::prelude::*;
    /// let letters = Recipe::lean().with_classes(26);
    /// assert_eq!((letters.classes, letters.generator.input()), (Some(26), &[100 + 26][..]));
    /// ```
    pub fn with_classes(mut self, classes: usize) -> Self {
        let mut layers = self.discriminator.layers().to_vec();
        if let Some(Layer::Dense(last)) = layers.last_mut() {
            last.units = classes.saturating_add(1);
        }
        self.discriminator = rebuilt(&self.discriminator, self.discriminator.input(), layers);
        let inputs = [self.latent_dim.saturating_add(classes)];
        self.generator = rebuilt(&self.generator, &inputs, self.generator.layers().to_vec());
        if !self.name.ends_with(CONDITIONAL) {
            self.name += CONDITIONAL;
        }
        self.classes = Some(classes);
        self
    }

    /// Writes the recipe as JSON, as a run keeps it: `recipe.json`.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| Error::format(path, error.to_string()))?;
        write_atomically(path, |file| writeln!(file, "{json}"))
    }

    /// Reads a recipe from a JSON file, of this version or an older one.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] if a value is missing, unknown or of another kind,
    /// [`Error::Newer`] if a newer version wrote it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Format::check_json(path, &text)?;
        serde_json::from_str(&text).map_err(|error| {
            Error::format(
                path,
                format!("expected a recipe as Recipe::save() writes it: {error}"),
            )
        })
    }

    /// Sets one value by its path, as the command line does: `set("g_adam.learning_rate", "1e-4")`. The value is JSON,
    /// or else taken as text: `hinge`, `null`, `{"r1":{"gamma":1}}`.
    ///
    /// # Errors
    /// [`Error::Value`] if there is no such value, or it cannot be this one; the recipe is then as it was.
    pub fn set(&mut self, path: &str, value: &str) -> Result<()> {
        let mut json = self.json()?;
        let pointer = format!("/{}", path.replace('.', "/"));
        let fields = json
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys())
            .filter(|key| *key != "format");
        let fields = fields.cloned().collect::<Vec<_>>().join(", ");
        let place = json.pointer_mut(&pointer).ok_or_else(|| {
            Error::Value(format!(
                "a recipe has no value \"{path}\"; it has {fields}, and what lies in them behind a dot"
            ))
        })?;
        *place = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        let text = json.to_string();
        *self = serde_json::from_str(&text)
            .map_err(|error| Error::Value(format!("{path} cannot be {value}: {error}")))?;
        Ok(())
    }

    /// Where this recipe differs from that of a run, a line for each value.
    pub(crate) fn differences(&self, run: &Recipe) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        differences("", &run.json()?, &self.json()?, &mut lines);
        Ok(lines)
    }

    /// Why a run of this recipe cannot be prolonged, if so. Where a step depends on how much of the run is done, a longer
    /// run is another one from its first step on.
    pub(crate) fn bound_to_its_length(&self) -> Option<&'static str> {
        match (&self.schedule, self.instance_noise) {
            (Schedule::Constant, None) => None,
            (Schedule::Constant, Some(_)) => Some("its instance_noise fades over the whole run"),
            _ => Some("its schedule spreads the learning rate over the whole run"),
        }
    }

    /// The recipe of the same run at an earlier length, where this one is that run prolonged.
    pub(crate) fn at_length_of(&self, earlier: &Recipe) -> Recipe {
        let mut recipe = self.clone();
        if self.bound_to_its_length().is_none() && earlier.total_images < self.total_images {
            recipe.total_images = earlier.total_images;
        }
        recipe
    }

    fn json(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::Value(format!("recipe: {error}")))
    }
}

fn rebuilt(network: &Sequential, input: &[usize], layers: Vec<Layer>) -> Sequential {
    let empty = Sequential::new(network.name(), input);
    layers.into_iter().fold(empty, Sequential::layer)
}

fn differences(path: &str, run: &Value, here: &Value, lines: &mut Vec<String>) {
    let below = |key: &dyn std::fmt::Display| match path {
        "" => key.to_string(),
        path => format!("{path}.{key}"),
    };
    match (run, here) {
        (Value::Object(run), Value::Object(here)) if run.keys().eq(here.keys()) => {
            for (key, value) in run {
                differences(&below(key), value, &here[key], lines);
            }
        }
        (Value::Array(run), Value::Array(here)) if run.len() == here.len() => {
            for (i, (run, here)) in run.iter().zip(here).enumerate() {
                differences(&below(&i), run, here, lines);
            }
        }
        _ if run != here => lines.push(format!("{path}: the run has {run}, not {here}")),
        _ => {}
    }
}
