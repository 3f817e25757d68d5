//! One trainer for all recipes.

use std::mem::replace;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, Tensor};

use super::checkpoint::{self, State};
use super::folder::{Folder, holds_run};
use super::stats::{StepStats, Tick, right, score};
use super::status::{self, Status};
use super::watch::Watch;
use crate::data::{Batches, Digits};
use crate::loss::GanLoss;
use crate::nn::{Contents, Network, of_class, with_class};
use crate::optim::{Adam, MovingAverage};
use crate::penalty::instance_noise;
use crate::plot::{self, Figure};
use crate::recipe::{AdamSettings, Recipe};
use crate::rng::{self, Rng};
use crate::{Error, Result};

/// Columns of the grids, and their rows where there are no classes.
const COLUMNS: usize = 10;
const ROWS: usize = 5;

/// A GAN in training: a [`Recipe`] that is carried out in a folder.
///
/// Prints a line of progress a tick, warnings and notices to stdout; [`Trainer::in_background`] keeps them for whoever
/// asks.
pub struct Trainer {
    pub(super) recipe: Recipe,
    pub(super) folder: Folder,
    digits: Digits,
    digits_checksum: u32,
    device: Device,
    rng: Rng,
    /// The stream at the start of the epoch, and what is left of the epoch.
    epoch: rng::State,
    batches: Batches,
    generator: Network,
    discriminator: Network,
    g_adam: Adam,
    d_adam: Adam,
    average: Option<MovingAverage>,
    /// Learning rates of generator and discriminator, before the schedule.
    rates: [f64; 2],
    /// The generator's input for the grids.
    fixed: Tensor,
    step: u64,
    pub(super) seconds: f64,
    pub(super) tick: Tick,
    watch: Watch,
    pub(super) last: Option<Last>,
    /// Whether a step was begun and not ended, by an error: the run can only go on from a checkpoint.
    torn: bool,
    /// The step of the last checkpoint, 0 where there is none.
    saved: u64,
    headed: bool,
    say: Box<dyn FnMut(String) + Send>,
}

/// What the last step has left: figures and both batches.
pub(super) struct Last {
    pub stats: StepStats,
    real: Tensor,
    fake: Tensor,
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

// Starting, saving, resuming.
impl Trainer {
    /// A new run in a new or empty folder, on the CPU; see [`Trainer::on`].
    ///
    /// # Errors
    /// When the recipe makes no sense ([`Recipe::check`]), the digits don't do for it, or the folder holds a run
    /// already ([`Trainer::resume`] goes on with it) or anything else.
    pub fn new(recipe: Recipe, digits: &Digits, folder: impl AsRef<Path>) -> Result<Self> {
        check(&recipe, digits)?;
        let folder = Folder::create(folder.as_ref(), &recipe)?;
        let trainer = Self::assemble(recipe, digits, folder)?;
        trainer.folder.save_grid(0, &trainer.grid()?)?;
        Ok(trainer)
    }

    /// Goes on with the run in a folder, from its newest checkpoint: as if it had never stopped, bit for bit. A
    /// checkpoint that is damaged is named and put aside, and the one before it is taken; a run that was stopped before
    /// its first checkpoint starts anew.
    ///
    /// # Errors
    /// When there is no run or another program trains it, when all its checkpoints are damaged, or when these are not
    /// the digits that it was trained on.
    pub fn resume(folder: impl AsRef<Path>, digits: &Digits) -> Result<Self> {
        let folder = Folder::open(folder.as_ref())?;
        let recipe = folder.recipe()?;
        Self::go_on(recipe, digits, folder)
    }

    /// [`Trainer::resume`], for a run of this very recipe. Another one is refused, and the differences are listed.
    pub fn resume_with(recipe: &Recipe, digits: &Digits, folder: impl AsRef<Path>) -> Result<Self> {
        let folder = Folder::open(folder.as_ref())?;
        let differences = recipe.differences(&folder.recipe()?)?;
        if !differences.is_empty() {
            return Err(Error::Value(format!(
                "{}: a run goes on with the recipe that it was started with; start another one in a new folder, or \
                 mend the differences:\n  {}",
                folder.path().display(),
                differences.join("\n  ")
            )));
        }
        Self::go_on(recipe.clone(), digits, folder)
    }

    /// [`Trainer::resume_with`] if the folder holds a run, else [`Trainer::new`]: the same call starts a run and, after
    /// whatever has stopped it, goes on with it.
    pub fn open(recipe: Recipe, digits: &Digits, folder: impl AsRef<Path>) -> Result<Self> {
        match holds_run(folder.as_ref()) {
            true => Self::resume_with(&recipe, digits, folder),
            false => Self::new(recipe, digits, folder),
        }
    }

    fn go_on(recipe: Recipe, digits: &Digits, folder: Folder) -> Result<Self> {
        check(&recipe, digits)?;
        let mut trainer = Self::assemble(recipe, digits, folder)?;
        let say = &mut trainer.say;
        match checkpoint::newest(&trainer.folder, &trainer.recipe, say)? {
            Some((path, state, contents)) => trainer.restore(&path, state, contents)?,
            None => trainer.folder.save_grid(0, &trainer.grid()?)?,
        }
        trainer.folder.cut_stats(trainer.step)?;
        Ok(trainer)
    }

    /// The run at its very beginning: everything in it follows from the seed.
    fn assemble(recipe: Recipe, digits: &Digits, folder: Folder) -> Result<Self> {
        let rng = Rng::seed(recipe.seed);
        let fixed = fixed_input(&recipe, &rng)?;
        let generator = recipe.generator.build(&rng)?;
        let discriminator = recipe.discriminator.build(&rng)?;
        let adam = |network: &Network, settings: AdamSettings| {
            Adam::new(network, settings.learning_rate, settings.beta1)?.beta2(settings.beta2)
        };
        let average = recipe
            .average
            .map(|half_life| MovingAverage::new(&generator, half_life));
        Ok(Trainer {
            g_adam: adam(&generator, recipe.g_adam)?,
            d_adam: adam(&discriminator, recipe.d_adam)?,
            average: average.transpose()?,
            rates: [recipe.g_adam.learning_rate, recipe.d_adam.learning_rate],
            epoch: rng.state(),
            batches: digits.batches(recipe.batch_size, &rng),
            digits: digits.clone(),
            digits_checksum: digits.checksum(),
            device: Device::Cpu,
            rng,
            generator,
            discriminator,
            recipe,
            folder,
            fixed,
            step: 0,
            seconds: 0.,
            tick: Tick::default(),
            watch: Watch::default(),
            last: None,
            torn: false,
            saved: 0,
            headed: false,
            say: Box::new(|line| println!("{line}")),
        })
    }

    /// Moves the run to another device. The CPU is what runs are repeatable on, bit for bit; a GPU starts from the same
    /// weights and sees the same noise and digits.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// # let digits = Digits::load(Split::Train)?;
    /// let trainer = Trainer::new(Recipe::compact(), &digits, "runs/gpu")?.on(&Device::best())?;
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    pub fn on(mut self, device: &Device) -> Result<Self> {
        self.generator = self.generator.to_device(device)?;
        self.discriminator = self.discriminator.to_device(device)?;
        self.g_adam = self.g_adam.moved_to(&self.generator)?;
        self.d_adam = self.d_adam.moved_to(&self.discriminator)?;
        self.average = match self.average {
            Some(average) => Some(average.moved_to(&self.generator)?),
            None => None,
        };
        self.device = device.clone();
        Ok(self)
    }

    /// Writes a checkpoint of the run as it is now, syncs it to the disk, and returns its path. The recipe's number of
    /// them stays, older ones go.
    ///
    /// # Errors
    /// When the file cannot be written (the checkpoints that are there stay), or weights are not finite.
    pub fn checkpoint(&mut self) -> Result<PathBuf> {
        self.check_whole()?;
        self.check_weights()?;
        let state = State {
            step: self.step,
            seconds: self.seconds,
            rates: self.rates,
            rng: self.rng.state(),
            epoch: self.epoch.clone(),
            batches: self.batches.taken(),
            digits: self.digits_checksum,
            tick: self.tick.clone(),
            watch: self.watch.clone(),
        };
        let mut tensors = self.generator.tensors(GENERATOR)?;
        tensors.extend(self.discriminator.tensors(DISCRIMINATOR)?);
        tensors.extend(self.g_adam.tensors(G_ADAM)?);
        tensors.extend(self.d_adam.tensors(D_ADAM)?);
        if let Some(average) = &self.average {
            tensors.extend(average.network().tensors(AVERAGE)?);
        }
        let path = checkpoint::write(&self.folder, &self.recipe, &state, &tensors)?;
        self.saved = self.step;
        Ok(path)
    }

    /// Whether there is anything that a checkpoint would add.
    pub(super) fn is_unsaved(&self) -> bool {
        self.step > self.saved && !self.torn
    }

    fn restore(&mut self, path: &Path, state: State, mut file: Contents) -> Result<()> {
        if state.digits != self.digits_checksum {
            return Err(Error::format(
                path,
                format!(
                    "was trained on other digits than these {}: load the digits that the run began with",
                    self.digits.len()
                ),
            ));
        }
        let file = &mut file;
        self.generator.take(file, path, GENERATOR)?;
        self.discriminator.take(file, path, DISCRIMINATOR)?;
        self.g_adam.take(file, path, G_ADAM, state.step)?;
        let d_updates = state.step.saturating_mul(self.recipe.d_steps as u64);
        self.d_adam.take(file, path, D_ADAM, d_updates)?;
        self.step = state.step;
        self.saved = state.step;
        let images = self.images();
        if let Some(average) = &mut self.average {
            average.network().take(file, path, AVERAGE)?;
            average.images = images;
        }
        file.all_taken(path)?;
        self.batches = self
            .digits
            .batches(self.recipe.batch_size, &Rng::from_state(&state.epoch));
        self.batches.skip_batches(state.batches);
        self.rng.go_to(&state.rng);
        self.epoch = state.epoch;
        self.rates = state.rates;
        self.seconds = state.seconds;
        self.tick = state.tick;
        self.watch = state.watch;
        (self.say)(format!(
            "resumed at step {} from {}",
            self.step,
            path.display()
        ));
        Ok(())
    }
}

// Training.
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

    /// [`Trainer::step`], and what is due after it: statistics, a grid, a checkpoint.
    pub fn advance(&mut self) -> Result<StepStats> {
        let stats = self.step()?;
        let finished = self.finished();
        let due = |every: u64| stats.step.is_multiple_of(every) || finished;
        let (tick, grid) = (due(self.recipe.tick), due(self.recipe.grid));
        let checkpoint = due(self.recipe.checkpoint);
        if tick || grid {
            self.check_weights()?;
        }
        if tick {
            self.report()?;
        }
        if grid {
            self.folder.save_grid(self.step, &self.grid()?)?;
        }
        if checkpoint {
            self.checkpoint()?;
        }
        Ok(stats)
    }

    /// Trains to the end of the recipe. After an error on the way, such as a full disk, it can be called again.
    pub fn run(&mut self) -> Result<()> {
        while !self.finished() {
            self.advance()?;
        }
        self.finish()
    }

    /// Writes the last statistics and the last checkpoint if an error has kept them from being written.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.tick.steps > 0 {
            self.report()?;
        }
        match self.is_unsaved() {
            true => self.checkpoint().map(drop),
            false => Ok(()),
        }
    }

    /// Ends a tick: a line of statistics, a line of progress, and the warnings that are due.
    fn report(&mut self) -> Result<()> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let norms = [self.d_adam.gradient_norm()?, self.g_adam.gradient_norm()?];
        let tick = &self.tick;
        let stats = tick.stats(&last.stats, self.seconds, norms, self.g_adam.learning_rate);
        self.folder.append(&stats)?;
        let warnings = self
            .watch
            .look(tick.steps, &last.real, &last.fake, stats.d_right)?;
        self.tick = Tick::default();
        if !replace(&mut self.headed, true) {
            (self.say)(status::HEADER.into());
        }
        (self.say)(status::line(&stats, self.recipe.images));
        warnings.into_iter().for_each(&mut self.say);
        Ok(())
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

    fn check_weights(&self) -> Result<()> {
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
        match checkpoint::last(&self.folder) {
            Some(path) => format!("The last good checkpoint is {}", path.display()),
            None => "There is no checkpoint yet".into(),
        }
    }

    fn check_whole(&self) -> Result<()> {
        match self.torn {
            false => Ok(()),
            true => Err(Error::Training(format!(
                "a step of this run was broken off by an error. {}; Trainer::resume goes on from there",
                self.last_checkpoint()
            ))),
        }
    }
}

// Looking at it.
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

    fn progress(&self) -> f64 {
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

    /// `n` samples (n, 1, 28, 28), their classes in turn where there are any. Noise comes from `rng`, so that looking
    /// does not change the run.
    pub fn samples(&self, n: usize, rng: &Rng) -> Result<Tensor> {
        let classes = self.recipe.classes.unwrap_or(1);
        let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
        self.draw(&labels, rng)
    }

    /// A sample (n, 1, 28, 28) for each of these digits. Errors if the recipe is not class-conditional.
    pub fn samples_of(&self, digits: &[u32], rng: &Rng) -> Result<Tensor> {
        if self.recipe.classes.is_none() {
            return Err(Error::Value(format!(
                "the recipe {} draws digits as they come: train {0}-conditional to ask for one",
                self.recipe.name
            )));
        }
        self.draw(digits, rng)
    }

    fn draw(&self, labels: &[u32], rng: &Rng) -> Result<Tensor> {
        let noise = rng.normal((labels.len(), self.recipe.latent_dim))?;
        let labels = Tensor::new(labels, &Device::Cpu)?;
        self.generator()
            .eval(&input(&self.recipe, &noise, &labels)?)
    }

    /// What the generator draws now from the noise that is the same throughout the run; of classes a row each.
    pub fn grid(&self) -> Result<Figure> {
        plot::sample_grid(&self.generator().eval(&self.fixed)?, COLUMNS)
    }

    /// Where the run stands; shows itself in a cell.
    pub fn status(&self) -> Result<Status> {
        Status::of(self)
    }

    /// Sends lines of progress and warnings elsewhere; returns where they went before.
    pub(super) fn say_to(
        &mut self,
        say: Box<dyn FnMut(String) + Send>,
    ) -> Box<dyn FnMut(String) + Send> {
        replace(&mut self.say, say)
    }
}

/// What tensors are called in a checkpoint, before the names of the variables.
const GENERATOR: &str = "generator.";
const DISCRIMINATOR: &str = "discriminator.";
const AVERAGE: &str = "average.";
const G_ADAM: &str = "g_adam.";
const D_ADAM: &str = "d_adam.";

fn check(recipe: &Recipe, digits: &Digits) -> Result<()> {
    recipe.check()?;
    if digits.len() < recipe.batch_size {
        return Err(Error::Value(format!(
            "{} digits do not make a batch of {}: load more, or lower batch_size",
            digits.len(),
            recipe.batch_size
        )));
    }
    let most = digits
        .labels()
        .iter()
        .max()
        .map_or(0, |&label| usize::from(label));
    match recipe.classes {
        Some(classes) if classes <= most => Err(Error::Value(format!(
            "the recipe has {classes} classes, but there is a digit labelled {most}: set classes to {}",
            most + 1
        ))),
        _ => Ok(()),
    }
}

/// The generator's input from noise (batch, latent) and, where there are classes, labels (batch,).
fn input(recipe: &Recipe, noise: &Tensor, labels: &Tensor) -> Result<Tensor> {
    match recipe.classes {
        Some(classes) => with_class(noise, labels, classes),
        None => Ok(noise.clone()),
    }
}

/// The input of the grids. The rows of a class-conditional one share their noise: they differ in the class alone.
fn fixed_input(recipe: &Recipe, rng: &Rng) -> Result<Tensor> {
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
