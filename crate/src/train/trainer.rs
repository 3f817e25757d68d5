//! A trainer: starting a run, resuming it, saving it.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::checkpoint::{Best, Checkpoint};
use super::folder::{Folder, holds_run};
use super::judging::{Judging, last_judgement};
use super::message::{Message, Reporter};
use super::sampler::{Sampler, fixed_input};
use super::state::State;
use crate::data::Digits;
use crate::metrics::Judge;
use crate::nn::Precision;
use crate::recipe::Recipe;
use crate::record::{Judgement, StepStats};
use crate::rng::Rng;
use crate::{Error, Result};

/// A GAN in training: carries out a [`Recipe`] in a folder.
///
/// Prints a line of progress every [`log_every`](Recipe::log_every) steps, warnings and notices to stdout, unless
/// [`Trainer::on_message`] sends them elsewhere.
pub struct Trainer {
    pub(super) recipe: Recipe,
    pub(super) folder: Folder,
    pub(super) device: Device,
    pub(super) state: State,
    /// The generator's input for the grids.
    pub(super) fixed: Tensor,
    pub(super) last: Option<Last>,
    /// Of discriminator and generator, of every step since the run was started or resumed.
    pub(super) losses: [Vec<f32>; 2],
    /// Whether an error has interrupted a step: the run can only resume from a checkpoint.
    pub(super) broken: bool,
    /// The step of the last checkpoint, 0 where there is none.
    saved: u64,
    pub(super) judging: Option<Judging>,
    /// The last judgement, and that of the best checkpoint.
    pub(super) judged: Option<Judgement>,
    pub(super) best: Option<Best>,
    pub(super) reporter: Reporter,
}

/// What the last step leaves: figures and both batches.
pub(super) struct Last {
    pub stats: StepStats,
    pub real: Tensor,
    pub fake: Tensor,
}

impl Trainer {
    /// A new run in a new or empty folder, on the CPU; see [`Trainer::on`].
    ///
    /// # Errors
    /// When the recipe makes no sense ([`Recipe::check`]), the digits don't do for it, or the folder holds a run
    /// already ([`Trainer::resume`] continues it) or anything else.
    pub fn new(recipe: Recipe, digits: &Digits, folder: impl AsRef<Path>) -> Result<Self> {
        check(&recipe, digits)?;
        let folder = Folder::create(folder.as_ref(), &recipe)?;
        let trainer = Self::assemble(recipe, digits, folder)?;
        trainer.folder.save_grid(0, &trainer.grid()?)?;
        Ok(trainer)
    }

    /// Resumes the run in a folder from its newest checkpoint, as if it had never stopped, bit for bit. A checkpoint
    /// that is damaged is named and renamed, and the one before it is taken; a run that was stopped before its first
    /// checkpoint starts anew.
    ///
    /// # Errors
    /// When there is no run or another program trains it, when all its checkpoints are damaged, or when these are not
    /// the digits that it was trained on.
    pub fn resume(folder: impl AsRef<Path>, digits: &Digits) -> Result<Self> {
        let folder = Folder::open(folder.as_ref())?;
        let recipe = folder.recipe()?;
        Self::restored(recipe, digits, folder)
    }

    /// [`Trainer::resume`], for a run of this very recipe, or to prolong it: with more
    /// [`total_images`](Recipe::total_images) than before, a run goes on from where it is, finished or not, and takes the same
    /// steps as one that had that length from the start. What was written at the earlier end stays: a line of statistics, a
    /// checkpoint and a grid.
    ///
    /// # Errors
    /// As [`Trainer::resume`]; and a run of another recipe is refused, with a list of the differences. A run cannot be
    /// prolonged whose [`schedule`](Recipe::schedule) or [`instance_noise`](Recipe::instance_noise) depends on its length.
    pub fn resume_with(recipe: &Recipe, digits: &Digits, folder: impl AsRef<Path>) -> Result<Self> {
        let folder = Folder::open(folder.as_ref())?;
        let before = folder.recipe()?;
        let differences = recipe.at_length_of(&before).differences(&before)?;
        if !differences.is_empty() {
            check_length(recipe, &before, folder.path())?;
            return Err(Error::Value(format!(
                "{}: a run resumes with the recipe that it was started with; start another one in a new folder, or fix \
                 the differences:\n  {}",
                folder.path().display(),
                differences.join("\n  ")
            )));
        }
        if before.total_images < recipe.total_images {
            check(recipe, digits)?;
            folder.prolong(recipe)?;
        }
        Self::restored(recipe.clone(), digits, folder)
    }

    /// [`Trainer::resume_with`] if the folder holds a run, else [`Trainer::new`]: the same call starts a run and, after
    /// whatever has stopped it, resumes it.
    ///
    /// # Errors
    /// As those two.
    pub fn open(recipe: Recipe, digits: &Digits, folder: impl AsRef<Path>) -> Result<Self> {
        match holds_run(folder.as_ref()) {
            true => Self::resume_with(&recipe, digits, folder),
            false => Self::new(recipe, digits, folder),
        }
    }

    /// The run at its very beginning: everything in it follows from the seed.
    fn assemble(recipe: Recipe, digits: &Digits, folder: Folder) -> Result<Self> {
        let mut reporter = Reporter::default();
        if folder.lock.is_none() {
            reporter.notice(format!(
                "{}: this file system cannot lock files, so nothing keeps a second program from training here",
                folder.path().display()
            ));
        }
        if !recipe.precision.is_native() {
            reporter.notice(
                "this CPU has no instructions for bfloat16: the run computes the same numbers without, which takes several \
                 times as long as with precision f32"
                    .into(),
            );
        }
        let rng = Rng::seed(recipe.seed);
        let fixed = fixed_input(&recipe, &rng)?;
        Ok(Trainer {
            state: State::new(&recipe, digits, rng)?,
            device: Device::Cpu,
            recipe,
            folder,
            fixed,
            last: None,
            losses: Default::default(),
            broken: false,
            saved: 0,
            judging: None,
            judged: None,
            best: None,
            reporter,
        })
    }

    fn restored(recipe: Recipe, digits: &Digits, folder: Folder) -> Result<Self> {
        check(&recipe, digits)?;
        let mut trainer = Self::assemble(recipe, digits, folder)?;
        let checkpoints = &trainer.folder.checkpoints;
        match checkpoints.newest(&trainer.recipe, &mut trainer.reporter)? {
            Some(checkpoint) => trainer.restore(checkpoint)?,
            None => trainer.folder.save_grid(0, &trainer.grid()?)?,
        }
        let lines = trainer.folder.stats.cut_after(trainer.state.step)?;
        trainer.judged = last_judgement(&lines);
        // It may be of a step that a kill has made the run forget: the run will come to it again.
        let checkpoints = &trainer.folder.checkpoints;
        trainer.best = checkpoints.best_so_far(&mut trainer.reporter)?;
        Ok(trainer)
    }

    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let path = &checkpoint.path;
        self.state
            .restore(path, checkpoint.header, checkpoint.contents)?;
        let step = self.state.step;
        self.saved = step;
        self.reporter
            .notice(format!("resumed at step {step} from {}", path.display()));
        Ok(())
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
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn on(mut self, device: &Device) -> Result<Self> {
        if !device.is_cpu() && self.recipe.precision != Precision::F32 {
            return Err(Error::Value(
                "a precision other than f32 is for runs on a CPU: set precision to f32, or leave the run there"
                    .into(),
            ));
        }
        self.state = self.state.moved_to(device)?;
        self.device = device.clone();
        Ok(self)
    }

    /// Has the run judged at the first line of statistics after every `every` images, and at its end: the Fréchet
    /// distance of 10,000 samples (as many as there are digits in `reference`, if those are fewer) to `reference`, in
    /// the features of `judge`. It goes into `stats.jsonl`, and [`plot::compare_runs`](crate::plot::compare_runs) draws
    /// it. The checkpoint with the least distance is kept as `checkpoints/best.safetensors`; see [`Sampler::best`].
    ///
    /// The samples are those of [`Trainer::samples`] from `Rng::seed(0)`: [`Evaluation`](crate::metrics::Evaluation)
    /// measures the same distance of them. Training is unaffected, and the time is counted in no figure. A resumed run
    /// is judged only if this is called again.
    ///
    /// What is chosen by these figures fits `reference`: give it digits that were [held out](Digits::hold_out) of
    /// training, so that the test digits stay unseen until [`Evaluation`](crate::metrics::Evaluation) reports on them.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// let (digits, held_out) = Digits::load(Split::Train)?.hold_out(10_000)?;
    /// let judge = Judge::open("out", &digits, &held_out)?;
    /// let trainer = Trainer::new(Recipe::lean(), &digits, "runs/lean")?;
    /// let mut trainer = trainer.judged_by(&judge, &held_out, 60_000)?;
    /// trainer.run()?;
    /// let digits = Sampler::best("runs/lean")?.samples(100, &Rng::seed(1))?;
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] if `every` is 0 or `reference` has fewer than two digits.
    pub fn judged_by(mut self, judge: &Judge, reference: &Digits, every: u64) -> Result<Self> {
        let judging = Judging::new(judge, reference, &self.state.epochs.digits, every)?;
        self.reporter.notice(judging.notice());
        if let Some(best) = &mut self.best
            && !judging.compares_with(best)
        {
            let Judgement { step, images, .. } = best.judgement;
            let sampler = Sampler::best(self.folder.path())?;
            *best = judging.best(judging.judge(&sampler, step, images)?);
            self.reporter.notice(format!(
                "the best checkpoint, of step {step}, had another judge or other digits; its distance is now {:.2}",
                best.judgement.frechet
            ));
        }
        self.judging = Some(judging);
        self.reporter.begin_table();
        Ok(self)
    }

    /// Sends all that the trainer has to say to `listener`, rather than to stdout.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// use digit_gan::train::Message;
    /// # let digits = Digits::load(Split::Train)?;
    /// let trainer = Trainer::new(Recipe::dense(), &digits, "runs/quiet")?;
    /// let mut trainer = trainer.on_message(|message| {
    ///     if let Message::Warning(_) = message {
    ///         eprintln!("{message}");
    ///     }
    /// });
    /// trainer.run()?;
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    pub fn on_message(mut self, listener: impl FnMut(Message) + Send + 'static) -> Self {
        drop(self.reporter.replace_listener(Box::new(listener)));
        self
    }

    /// Sets the learning rates of generator and discriminator, before the schedule. They belong to the run: checkpoints
    /// keep them.
    ///
    /// # Errors
    /// [`Error::Value`] unless both are positive and finite.
    pub fn set_learning_rate(&mut self, generator: f64, discriminator: f64) -> Result<()> {
        let rates = [generator, discriminator];
        if !rates.iter().all(|rate| *rate > 0. && rate.is_finite()) {
            return Err(Error::Value(format!(
                "learning rates must be positive and finite, not {generator} and {discriminator}"
            )));
        }
        self.state.rates = rates;
        Ok(())
    }

    /// Writes a checkpoint of the run as it is now, syncs it to the disk, and returns its path. The newest ones are
    /// kept, as many as the recipe says; older ones are removed.
    ///
    /// # Errors
    /// When the file cannot be written (the checkpoints that are there stay), or weights are not finite.
    pub fn checkpoint(&mut self) -> Result<PathBuf> {
        self.check_unbroken()?;
        self.check_weights()?;
        // It counts on the lines so far.
        self.folder.stats.sync()?;
        let (header, tensors) = (self.state.header(), self.state.tensors()?);
        let path = self
            .folder
            .checkpoints
            .write(&self.recipe, &header, &tensors)?;
        self.saved = self.state.step;
        Ok(path)
    }

    /// Whether there is anything that a checkpoint would add.
    pub(super) fn is_unsaved(&self) -> bool {
        self.state.step > self.saved && !self.broken
    }

    /// A sentence that names the last checkpoint.
    pub(super) fn last_checkpoint(&self) -> String {
        match self.folder.checkpoints.newest_path() {
            Ok(Some(path)) => format!("The last good checkpoint is {}", path.display()),
            _ => "There is no checkpoint yet".into(),
        }
    }

    pub(super) fn check_unbroken(&self) -> Result<()> {
        match self.broken {
            false => Ok(()),
            true => Err(Error::Training(format!(
                "an error has interrupted a step of this run. {}; Trainer::resume continues from there",
                self.last_checkpoint()
            ))),
        }
    }
}

/// Says why a run that differs in its length alone cannot have that length.
fn check_length(recipe: &Recipe, before: &Recipe, folder: &Path) -> Result<()> {
    let (asked, has) = (recipe.total_images, before.total_images);
    let same_length = Recipe {
        total_images: has,
        ..recipe.clone()
    };
    if asked == has || same_length != *before {
        return Ok(());
    }
    let reason = match recipe.bound_to_its_length() {
        Some(reason) if asked > has => format!(
            "cannot be prolonged to {asked}: {reason}, so a longer one is another run from its first step on. Start that in \
             a new folder"
        ),
        _ => format!(
            "cannot be shortened to {asked}: a run can only be prolonged. Start another one in a new folder"
        ),
    };
    Err(Error::Value(format!(
        "{}: this run of {has} images {reason}",
        folder.display()
    )))
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
    let (shape, image) = (digits.image_shape(), recipe.discriminator.input());
    if shape[..] != *image {
        return Err(Error::Shape(format!(
            "the recipe {} is for images of shape {image:?}, but these digits have {shape:?}: take a recipe whose \
             networks have that shape, or other digits",
            recipe.name
        )));
    }
    let most = digits
        .labels()
        .iter()
        .max()
        .map_or(0, |&label| usize::from(label));
    match recipe.classes {
        Some(classes) if classes <= most => Err(Error::Value(format!(
            "the recipe has {classes} classes, but there is a digit labelled {most}: take .with_classes({})",
            digits.class_count()
        ))),
        _ => Ok(()),
    }
}
