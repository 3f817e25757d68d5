//! One trainer for all recipes, and its step.

use std::time::Instant;

use candle_core::{Device, Tensor};

use super::checkpoint;
use super::folder::Folder;
use super::judged::{Best, Judgement, Jury};
use super::sampler::input;
use super::stats::{StepStats, Tick, right, score};
use super::watch::Watch;
use crate::data::{Batches, Digits};
use crate::loss::GanLoss;
use crate::nn::{Network, of_class};
use crate::optim::{Adam, MovingAverage};
use crate::penalty::instance_noise;
use crate::recipe::Recipe;
use crate::rng::{self, Rng};
use crate::{Error, Result};

/// A GAN in training: a [`Recipe`] that is carried out in a folder.
///
/// Prints a line of progress a tick, warnings and notices to stdout; [`Trainer::in_background`] keeps them for whoever
/// asks.
pub struct Trainer {
    pub(super) recipe: Recipe,
    pub(super) folder: Folder,
    pub(super) digits: Digits,
    pub(super) digits_checksum: u32,
    pub(super) device: Device,
    pub(super) rng: Rng,
    /// The stream at the start of the epoch, and what is left of the epoch.
    pub(super) epoch: rng::State,
    pub(super) batches: Batches,
    pub(super) generator: Network,
    pub(super) discriminator: Network,
    pub(super) g_adam: Adam,
    pub(super) d_adam: Adam,
    pub(super) average: Option<MovingAverage>,
    /// Learning rates of generator and discriminator, before the schedule.
    pub(super) rates: [f64; 2],
    /// The generator's input for the grids.
    pub(super) fixed: Tensor,
    pub(super) step: u64,
    pub(super) seconds: f64,
    pub(super) tick: Tick,
    pub(super) watch: Watch,
    pub(super) last: Option<Last>,
    /// Whether a step was begun and not ended, by an error: the run can only go on from a checkpoint.
    pub(super) torn: bool,
    /// The step of the last checkpoint, 0 where there is none.
    pub(super) saved: u64,
    pub(super) headed: bool,
    /// Who judges the run, the last judgement, and that of the best checkpoint.
    pub(super) jury: Option<Jury>,
    pub(super) judged: Option<Judgement>,
    pub(super) best: Option<Best>,
    pub(super) say: Box<dyn FnMut(String) + Send>,
}

/// What the last step has left: figures and both batches.
pub(super) struct Last {
    pub stats: StepStats,
    pub real: Tensor,
    pub fake: Tensor,
}

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
    pub fn step(&mut self) -> Result<StepStats> {
        self.check_whole()?;
        self.torn = true;
        let began = Instant::now();
        let (game, progress) = (self.recipe.loss, self.progress());
        let factor = self.recipe.schedule.factor(progress);
        self.g_adam.learning_rate = self.rates[0] * factor;
        self.d_adam.learning_rate = self.rates[1] * factor;
        let deviation = self
            .recipe
            .instance_noise
            .map_or(0., |noise| noise.at(progress));

        let mut round = self.update_discriminator(deviation)?;
        for _ in 1..self.recipe.d_steps {
            round = self.update_discriminator(deviation)?;
        }

        // The generator learns through the discriminator as it now is, from images that it has drawn already.
        let judge = self.discriminator.frozen();
        let on_fake = self.verdict(&judge, &self.noisy(&round.fake, deviation)?, &round.labels)?;
        let on_real = match game {
            GanLoss::Relativistic => {
                self.verdict(&judge, &self.noisy(&round.real, deviation)?, &round.labels)?
            }
            _ => round.on_real.detach(),
        };
        let g_loss = game.generator(&on_real, &on_fake)?;
        let g_loss_value = self.finite("the generator's loss", &g_loss)?;
        self.g_adam.step(&g_loss)?;

        let images = self.recipe.images_per_step();
        if let Some(average) = &mut self.average {
            average.update(images as usize)?;
        }
        self.step += 1;
        let stats = StepStats {
            step: self.step,
            images: self.images(),
            d_loss: round.d_loss,
            d_penalty: round.d_penalty,
            g_loss: g_loss_value,
            d_real: score(game, &round.on_real)?,
            d_fake: score(game, &round.on_fake)?,
            d_right: right(game, &round.on_real, &round.on_fake)?,
        };
        let seconds = began.elapsed().as_secs_f64();
        self.seconds += seconds;
        self.tick.add(&stats, images, seconds);
        let (real, fake) = (round.real, round.fake.detach());
        self.last = Some(Last { stats, real, fake });
        self.torn = false;
        Ok(stats)
    }

    fn update_discriminator(&mut self, deviation: f64) -> Result<Round> {
        let (real, labels) = self.next_batch()?; // (batch, 1, 28, 28), (batch,)
        let real = real.to_device(&self.device)?;
        let noise = self
            .rng
            .normal((self.recipe.batch_size, self.recipe.latent_dim))?;
        let fake = self
            .generator
            .train(&input(&self.recipe, &noise, &labels)?)?; // (batch, 1, 28, 28)
        let seen_real = self.noisy(&real, deviation)?;
        let seen_fake = self.noisy(&fake.detach(), deviation)?;
        let on_real = self.verdict(&self.discriminator, &seen_real, &labels)?; // (batch, 1)
        let on_fake = self.verdict(&self.discriminator, &seen_fake, &labels)?;
        let mut loss =
            self.recipe
                .loss
                .discriminator(&on_real, &on_fake, self.recipe.real_target)?;
        let d_loss = self.finite("the discriminator's loss", &loss)?;
        let mut d_penalty = 0.;
        if let Some(penalty) = self.recipe.penalty {
            let classes = self.recipe.classes.map(|_| &labels);
            let penalty = penalty.of(
                &self.discriminator,
                &seen_real,
                &seen_fake,
                classes,
                &self.rng,
            )?;
            d_penalty = self.finite("the penalty on the discriminator", &penalty)?;
            loss = (loss + penalty)?;
        }
        self.d_adam.step(&loss)?;
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

    /// The next real images and their labels, epoch after epoch.
    fn next_batch(&mut self) -> Result<(Tensor, Tensor)> {
        if let Some(batch) = self.batches.next() {
            return batch;
        }
        self.epoch = self.rng.state();
        self.batches = self.digits.batches(self.recipe.batch_size, &self.rng);
        let too_few = || Error::Value(format!("{} digits do not make a batch", self.digits.len()));
        self.batches.next().unwrap_or_else(|| Err(too_few()))
    }

    /// A logit for each image (batch, 1), of its class where there are any.
    fn verdict(&self, judge: &Network, images: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let output = judge.train(images)?;
        match self.recipe.classes {
            Some(_) => of_class(&output, labels),
            None => Ok(output),
        }
    }

    fn noisy(&self, images: &Tensor, deviation: f64) -> Result<Tensor> {
        match self.recipe.instance_noise {
            Some(_) => instance_noise(images, deviation, &self.rng),
            None => Ok(images.clone()),
        }
    }

    /// Sets the learning rates of generator and discriminator, before the schedule. They belong to the run: checkpoints
    /// keep them.
    ///
    /// Errors unless both are positive and finite.
    pub fn set_learning_rate(&mut self, generator: f64, discriminator: f64) -> Result<()> {
        let rates = [generator, discriminator];
        if !rates.iter().all(|rate| *rate > 0. && rate.is_finite()) {
            return Err(Error::Value(format!(
                "learning rates must be positive and finite, not {generator} and {discriminator}"
            )));
        }
        self.rates = rates;
        Ok(())
    }

    fn finite(&self, what: &str, loss: &Tensor) -> Result<f32> {
        let value = loss.to_scalar::<f32>()?;
        if value.is_finite() {
            return Ok(value);
        }
        Err(self.diverged(&format!("{what} is {value} at step {}", self.step + 1)))
    }

    pub(super) fn check_weights(&self) -> Result<()> {
        let networks = [&self.generator, &self.discriminator];
        for network in networks.into_iter().chain([self.generator()]) {
            if !network.is_finite()? {
                let name = network.name();
                return Err(self.diverged(&format!(
                    "the {name} has weights that are not finite after step {}",
                    self.step
                )));
            }
        }
        Ok(())
    }

    fn diverged(&self, what: &str) -> Error {
        Error::Training(format!(
            "{what}: the training has diverged. {}. Try lower learning rates (set_learning_rate, after resuming), \
             another seed, or a penalty",
            self.last_checkpoint()
        ))
    }

    /// A sentence that names it.
    pub(super) fn last_checkpoint(&self) -> String {
        match checkpoint::last(self.folder.path()) {
            Ok(path) => format!("The last good checkpoint is {}", path.display()),
            Err(_) => "There is no checkpoint yet".into(),
        }
    }

    pub(super) fn check_whole(&self) -> Result<()> {
        match self.torn {
            false => Ok(()),
            true => Err(Error::Training(format!(
                "a step of this run was broken off by an error. {}; Trainer::resume goes on from there",
                self.last_checkpoint()
            ))),
        }
    }
}
