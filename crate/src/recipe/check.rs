//! Which recipes make sense.

use super::Recipe;
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
        let refuse = |name: &str, value: &dyn std::fmt::Display, wanted: &str| {
            Err(Error::Value(format!(
                "{name} is {value}, it must be {wanted}"
            )))
        };
        if !(1..=MAX_COUNT).contains(&self.batch_size) {
            return refuse(
                "batch_size",
                &self.batch_size,
                &format!("from 1 to {MAX_COUNT}"),
            );
        }
        if !(1..=MAX_COUNT).contains(&self.latent_dim) {
            return refuse(
                "latent_dim",
                &self.latent_dim,
                &format!("from 1 to {MAX_COUNT}"),
            );
        }
        if !(1..=MAX_COUNT).contains(&self.d_steps) {
            let wanted =
                format!("from 1 to {MAX_COUNT}: without updates, a discriminator teaches nothing");
            return refuse("d_steps", &self.d_steps, &wanted);
        }
        if self.total_images < self.images_per_step() {
            let wanted = format!("at least the {} of one step", self.images_per_step());
            return refuse("total_images", &self.total_images, &wanted);
        }
        for (name, steps) in [
            ("log_every", self.log_every),
            ("grid_every", self.grid_every),
            ("checkpoint_every", self.checkpoint_every),
        ] {
            if steps == 0 {
                return refuse(name, &steps, "at least 1 step");
            }
        }
        if self.keep_checkpoints == 0 {
            return refuse(
                "keep_checkpoints",
                &self.keep_checkpoints,
                "at least 1: without a checkpoint no run can be resumed",
            );
        }
        for (name, adam) in [("g_adam", self.g_adam), ("d_adam", self.d_adam)] {
            let rate = adam.learning_rate;
            if !(rate > 0. && rate.is_finite()) {
                return refuse(
                    &format!("{name}.learning_rate"),
                    &rate,
                    "positive and finite",
                );
            }
            for (beta, value) in [("beta1", adam.beta1), ("beta2", adam.beta2)] {
                if !(0. ..1.).contains(&value) {
                    return refuse(&format!("{name}.{beta}"), &value, "at least 0 and below 1");
                }
            }
        }
        if let Some(half_life) = self.ema_half_life.filter(|h| !(*h > 0. && h.is_finite())) {
            return refuse(
                "ema_half_life",
                &half_life,
                "a positive number of images, or null for none",
            );
        }
        if let Some(noise) = self.instance_noise {
            if !(noise.std > 0. && noise.std.is_finite()) {
                let wanted = "positive and finite; instance_noise null is none";
                return refuse("instance_noise.std", &noise.std, wanted);
            }
            if !(noise.fraction > 0. && noise.fraction <= 1.) {
                return refuse(
                    "instance_noise.fraction",
                    &noise.fraction,
                    "above 0 and at most 1",
                );
            }
        }
        self.schedule.check()
    }

    /// Real images that a step shows to the discriminator.
    pub(crate) fn images_per_step(&self) -> u64 {
        self.batch_size as u64 * self.d_steps as u64
    }
}

fn output(network: &Sequential) -> Result<Vec<usize>> {
    let outputs = network.outputs()?;
    Ok(outputs.last().map_or(network.input().to_vec(), Vec::clone))
}
