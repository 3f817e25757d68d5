//! Starting a run, saving it, resuming it.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::checkpoint::{self, AVERAGE, D_ADAM, DISCRIMINATOR, G_ADAM, GENERATOR, State};
use super::folder::{Folder, holds_run};
use super::look::fixed_input;
use super::stats::Tick;
use super::trainer::Trainer;
use super::watch::Watch;
use crate::data::Digits;
use crate::nn::{Contents, Network};
use crate::optim::{Adam, MovingAverage};
use crate::recipe::{AdamSettings, Recipe};
use crate::rng::Rng;
use crate::{Error, Result};

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
        let lines = trainer.folder.cut_stats(trainer.step)?;
        trainer.remember_judgements(&lines)?;
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
            jury: None,
            judged: None,
            best: None,
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
        let (state, tensors) = (self.state(&self.tick, &self.watch), self.tensors()?);
        let path = checkpoint::write(&self.folder, &self.recipe, &state, &tensors)?;
        self.saved = self.step;
        Ok(path)
    }

    pub(super) fn state(&self, tick: &Tick, watch: &Watch) -> State {
        State {
            step: self.step,
            seconds: self.seconds,
            rates: self.rates,
            rng: self.rng.state(),
            epoch: self.epoch.clone(),
            batches: self.batches.taken(),
            digits: self.digits_checksum,
            tick: tick.clone(),
            watch: watch.clone(),
        }
    }

    pub(super) fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = self.generator.tensors(GENERATOR)?;
        tensors.extend(self.discriminator.tensors(DISCRIMINATOR)?);
        tensors.extend(self.g_adam.tensors(G_ADAM)?);
        tensors.extend(self.d_adam.tensors(D_ADAM)?);
        if let Some(average) = &self.average {
            tensors.extend(average.network().tensors(AVERAGE)?);
        }
        Ok(tensors)
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
