//! Which recipes make sense.

use std::fmt;

use super::{AdamSettings, InstanceNoise, Recipe};
use crate::loss::GanLoss;
use crate::nn::{Layer, Sequential};
use crate::{Error, Result};

/// The most images in a step, updates of the discriminator, and numbers of noise: memory is bounded by it.
const MAX_COUNT: usize = 1 << 16;

impl Recipe {
    /// Refuses what cannot be trained, or makes no sense together; the message says why, and what to do.
    ///
    /// # Errors
    /// [`Error::Shape`] where networks fit neither each other nor the images, [`Error::Value`] for all else.
    pub fn check(&self) -> Result<()> {
        self.check_shapes()?;
        self.check_game()?;
        self.check_numbers()
    }

    fn check_shapes(&self) -> Result<()> {
        let classes = self.classes.unwrap_or(0);
        let inputs = self.latent_dim.saturating_add(classes);
        let judged = match self.classes {
            None => "[1], the logit".to_string(),
            Some(n) => format!("[{}], 1 + {n} classes, for projection", n.saturating_add(1)),
        };
        let logits = match self.classes {
            None => 1,
            Some(n) => n.saturating_add(1),
        };
        let fits =
            |network: &Sequential, end: &str, found: &[usize], wanted: &[usize], why: &str| {
                if found == wanted {
                    return Ok(());
                }
                let name = network.name();
                Err(Error::Shape(format!(
                    "the {name}'s {end} is {found:?}, it must be {why}"
                )))
            };
        let (g, d) = (&self.generator, &self.discriminator);
        let of_class = match self.classes {
            None => format!("[{inputs}], latent_dim"),
            Some(n) => format!("[{inputs}], latent_dim + {n} classes"),
        };
        fits(g, "input", g.input(), &[inputs], &of_class)?;
        let image = d.input();
        if image.len() != 3 {
            fits(
                d,
                "input",
                image,
                &[],
                "[channels, height, width], an image",
            )?;
        }
        let as_image = format!("{image:?}, an image as the {} takes it", d.name());
        fits(g, "output", &output(g)?, image, &as_image)?;
        fits(d, "output", &output(d)?, &[logits], &judged)
    }

    fn check_game(&self) -> Result<()> {
        let refuse = |reason: &str| Err(Error::Value(reason.into()));
        let has =
            |network: &Sequential, wanted: fn(&Layer) -> bool| network.layers().iter().any(wanted);
        let normalised = |layer: &Layer| matches!(layer, Layer::BatchNorm { .. });
        self.loss.check_target(self.real_target)?;
        if let Some(penalty) = self.penalty {
            penalty.check(&self.discriminator)?;
        } else if self.loss == GanLoss::Wasserstein {
            return refuse(
                "Wasserstein's loss has no bound without a penalty on the discriminator's slope: set penalty, usually \
                 to {\"wasserstein\": {\"weight\": 10}}",
            );
        }
        if matches!(self.discriminator.layers().last(), Some(Layer::Tanh)) {
            return refuse(
                "the discriminator ends in tanh, but the losses take logits, which have no bound: drop the last layer",
            );
        }
        if self.batch_size == 1
            && [&self.generator, &self.discriminator]
                .iter()
                .any(|n| has(n, normalised))
        {
            return refuse(
                "batch normalisation needs other images to compare with: batch_size 1 is too small",
            );
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        let counts = format!("from 1 to {MAX_COUNT}");
        let updates = format!("{counts}: without updates, a discriminator teaches nothing");
        for (name, count, wanted) in [
            ("batch_size", self.batch_size, &counts),
            ("latent_dim", self.latent_dim, &counts),
            ("d_steps", self.d_steps, &updates),
        ] {
            require((1..=MAX_COUNT).contains(&count), name, count, wanted)?;
        }
        if let Some(classes) = self.classes {
            let wanted = format!("{counts}, or null for none");
            require(
                (1..=MAX_COUNT).contains(&classes),
                "classes",
                classes,
                &wanted,
            )?;
        }
        let (images, step) = (self.total_images, self.images_per_step());
        let wanted = format!("at least the {step} of one step");
        require(images >= step, "total_images", images, &wanted)?;
        for (name, steps) in [
            ("penalty_every", self.penalty_every),
            ("log_every", self.log_every),
            ("grid_every", self.grid_every),
            ("checkpoint_every", self.checkpoint_every),
        ] {
            require(steps > 0, name, steps, "at least 1 step")?;
        }
        let kept = self.keep_checkpoints;
        let wanted = "at least 1: without a checkpoint no run can be resumed";
        require(kept > 0, "keep_checkpoints", kept, wanted)?;
        self.g_adam.check("g_adam")?;
        self.d_adam.check("d_adam")?;
        if let Some(half_life) = self.ema_half_life {
            let wanted = "a positive number of images, or null for none";
            require(positive(half_life), "ema_half_life", half_life, wanted)?;
        }
        if let Some(InstanceNoise { std, fraction }) = self.instance_noise {
            let wanted = "positive and finite; instance_noise null is none";
            require(positive(std), "instance_noise.std", std, wanted)?;
            let (name, wanted) = ("instance_noise.fraction", "above 0 and at most 1");
            require(fraction > 0. && fraction <= 1., name, fraction, wanted)?;
        }
        if let Some(augment) = self.augment {
            augment.check()?;
        }
        self.schedule.check()
    }

    /// Real images that a step shows to the discriminator.
    pub(crate) fn images_per_step(&self) -> u64 {
        self.batch_size as u64 * self.d_steps as u64
    }
}

impl AdamSettings {
    fn check(&self, name: &str) -> Result<()> {
        let (field, rate) = (format!("{name}.learning_rate"), self.learning_rate);
        require(positive(rate), &field, rate, "positive and finite")?;
        for (beta, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            let (field, fits) = (format!("{name}.{beta}"), (0. ..1.).contains(&value));
            require(fits, &field, value, "at least 0 and below 1")?;
        }
        Ok(())
    }
}

fn positive(value: f64) -> bool {
    value > 0. && value.is_finite()
}

/// Refuses a value that does not fit, in the words of what is wanted.
fn require(fits: bool, name: &str, value: impl fmt::Display, wanted: &str) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::Value(format!(
        "{name} is {value}, it must be {wanted}"
    )))
}

fn output(network: &Sequential) -> Result<Vec<usize>> {
    let outputs = network.outputs()?;
    Ok(outputs.last().map_or(network.input().to_vec(), Vec::clone))
}
