//! One step of training: the discriminator, the generator, the moving average.

use std::time::Instant;

use candle_core::Tensor;

use super::sampler::input;
use super::trainer::{Last, Trainer};
use crate::loss::GanLoss;
use crate::nn::{Network, class_logit};
use crate::penalty::instance_noise;
use crate::record::{StepStats, accuracy, diverged, score};
use crate::{Error, Result, interrupt};

/// What an update of the discriminator hands on to the generator's.
struct Round {
    real: Tensor,
    fake: Tensor,
    labels: Tensor,
    on_real: Tensor,
    on_fake: Tensor,
    d_loss: f32,
    d_penalty: f32,
}

impl Trainer {
    /// Trains one step: the discriminator as often as the recipe says, then the generator, then the moving average.
    /// Nothing is written; see [`Trainer::advance`].
    ///
    /// # Errors
    /// [`Error::Training`] when a loss is not finite: the run has diverged, and the message names the last checkpoint.
    /// [`Error::Interrupted`] before the step when the user has stopped the cell.
    pub fn step(&mut self) -> Result<StepStats> {
        interrupt::check()?;
        interrupt::defer(|| self.whole_step())
    }

    fn whole_step(&mut self) -> Result<StepStats> {
        self.check_unbroken()?;
        self.broken = true;
        let began = Instant::now();
        let (game, progress) = (self.recipe.loss, self.fraction());
        let factor = self.recipe.schedule.factor(progress);
        self.state.g_adam.learning_rate = self.state.rates[0] * factor;
        self.state.d_adam.learning_rate = self.state.rates[1] * factor;
        let std = self
            .recipe
            .instance_noise
            .map_or(0., |noise| noise.at(progress));

        let mut round = self.update_discriminator(std)?;
        for _ in 1..self.recipe.d_steps {
            round = self.update_discriminator(std)?;
        }
        let g_loss = self.update_generator(&round, std)?;

        let images = self.recipe.images_per_step();
        if let Some(average) = &mut self.state.average {
            average.update(images as usize)?;
        }
        self.state.step += 1;
        let stats = StepStats {
            step: self.state.step,
            images: self.images(),
            d_loss: round.d_loss,
            d_penalty: round.d_penalty,
            g_loss,
            d_real: score(game, &round.on_real)?,
            d_fake: score(game, &round.on_fake)?,
            d_accuracy: accuracy(game, &round.on_real, &round.on_fake)?,
        };
        let seconds = began.elapsed().as_secs_f64();
        self.state.seconds += seconds;
        self.state.window.add(&stats, images, seconds);
        let (real, fake) = (round.real, round.fake.detach());
        self.last = Some(Last { stats, real, fake });
        self.losses[0].push(stats.d_loss);
        self.losses[1].push(stats.g_loss);
        self.broken = false;
        Ok(stats)
    }

    fn update_discriminator(&mut self, std: f64) -> Result<Round> {
        let (real, labels) = self.state.epochs.next(&self.state.rng)?; // (batch, channels, height, width), (batch,)
        let (real, rng) = (real.to_device(&self.device)?, &self.state.rng);
        let noise = rng.normal((self.recipe.batch_size, self.recipe.latent_dim))?;
        let fake = self
            .state
            .generator
            .forward_t(&input(&self.recipe, &noise, &labels)?, true)?; // (batch, channels, height, width)
        let seen_real = self.seen(&real, std)?;
        let seen_fake = self.seen(&fake.detach(), std)?;
        let discriminator = &self.state.discriminator;
        let on_real = self.logits(discriminator, &seen_real, &labels)?; // (batch, 1)
        let on_fake = self.logits(discriminator, &seen_fake, &labels)?;
        let game = self.recipe.loss;
        let mut loss = game.discriminator(&on_real, &on_fake, self.recipe.real_target)?;
        let d_loss = self.finite("the discriminator's loss", &loss)?;
        let mut d_penalty = 0.;
        let every = self.recipe.penalty_every;
        if let Some(penalty) = self
            .recipe
            .penalty
            .filter(|_| self.state.step.is_multiple_of(every))
        {
            let classes = self.recipe.classes.map(|_| &labels);
            let penalty = penalty.compute(discriminator, &seen_real, &seen_fake, classes, rng)?;
            let penalty = (penalty * every as f64)?;
            d_penalty = self.finite("the penalty on the discriminator", &penalty)?;
            loss = (loss + penalty)?;
        }
        self.state.d_adam.step(&loss)?;
        Ok(Round {
            real,
            fake,
            labels,
            on_real: on_real.detach(),
            on_fake: on_fake.detach(),
            d_loss,
            d_penalty,
        })
    }

    /// The generator learns through the discriminator as it now is, from images that it has drawn already.
    fn update_generator(&mut self, round: &Round, std: f64) -> Result<f32> {
        let judge = self.state.discriminator.frozen();
        let on_fake = self.logits(&judge, &self.seen(&round.fake, std)?, &round.labels)?;
        let on_real = match self.recipe.loss {
            GanLoss::Relativistic => {
                self.logits(&judge, &self.seen(&round.real, std)?, &round.labels)?
            }
            // Their generator's loss does not depend on it.
            GanLoss::NonSaturating
            | GanLoss::Minimax
            | GanLoss::LeastSquares
            | GanLoss::Hinge
            | GanLoss::Wasserstein => round.on_real.detach(),
        };
        let loss = self.recipe.loss.generator(&on_real, &on_fake)?;
        let value = self.finite("the generator's loss", &loss)?;
        self.state.g_adam.step(&loss)?;
        Ok(value)
    }

    /// A logit for each image (batch, 1), of its class where there are any.
    fn logits(&self, discriminator: &Network, images: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let output = discriminator.forward_t(images, true)?;
        match self.recipe.classes {
            Some(_) => class_logit(&output, labels),
            None => Ok(output),
        }
    }

    /// The images as the discriminator sees them.
    fn seen(&self, images: &Tensor, std: f64) -> Result<Tensor> {
        let rng = &self.state.rng;
        let moved = match self.recipe.augment {
            Some(augment) => augment.apply(images, rng)?,
            None => images.clone(),
        };
        match self.recipe.instance_noise {
            Some(_) => instance_noise(&moved, std, rng),
            None => Ok(moved),
        }
    }

    fn finite(&self, what: &str, loss: &Tensor) -> Result<f32> {
        let value = loss.to_scalar::<f32>()?;
        if value.is_finite() {
            return Ok(value);
        }
        let step = self.state.step + 1;
        Err(self.diverged(&format!("{what} is {value} at step {step}")))
    }

    pub(super) fn check_weights(&self) -> Result<()> {
        let Some(name) = self.state.diverged()? else {
            return Ok(());
        };
        let step = self.state.step;
        Err(self.diverged(&format!(
            "the {name} has weights that are not finite after step {step}"
        )))
    }

    fn diverged(&self, what: &str) -> Error {
        let advice = format!(
            "{}. Try lower learning rates (set_learning_rate, after resuming), another seed, or a penalty",
            self.last_checkpoint()
        );
        diverged(what, &advice)
    }
}
