//! Training on a thread of its own, so that cells can look at it meanwhile.
//!
//! Interrupting a kernel loses every variable; asking this thread to stop loses nothing. The thread owns the trainer
//! ([`Worker`]), and all calls are commands to it, answered between two steps. No caller waits for a lock, and if the
//! thread ends with an error or a panic, a caller that waits for an answer gets that error.

use std::mem::take;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::message::Message;
use super::status::Status;
use super::trainer::Trainer;
use super::worker::{Command, Ended, Worker, timed_status};
use crate::live::Live;
use crate::record::StepStats;
use crate::team::lock;
use crate::{Error, Result, interrupt};

/// How often a cell that waits for the run checks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(20);

/// A run that trains in the background; started by [`Trainer::in_background`].
///
/// Dropping it stops the run after its step and writes a checkpoint.
pub struct BackgroundRun {
    commands: Sender<Command>,
    /// What the trainer has said.
    messages: Arc<Mutex<Vec<Message>>>,
    worker: Mutex<Worker>,
}

impl Trainer {
    /// Trains to the end of the recipe on a thread of its own, with statistics, grids and checkpoints as
    /// [`Trainer::run`].
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// # let digits = Digits::load(Split::Train)?;
    /// let training = Trainer::new(Recipe::compact(), &digits, "runs/compact")?.in_background();
    /// println!("{}", training.status()?); // as often as you like; as a cell's last expression it shows samples
    /// let trainer = training.wait()?; // or stop()?, which does not wait for the end
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    pub fn in_background(self) -> BackgroundRun {
        BackgroundRun::spawn(self, Trainer::advance)
    }
}

impl BackgroundRun {
    fn spawn(
        trainer: Trainer,
        advance: impl Fn(&mut Trainer) -> Result<StepStats> + Send + 'static,
    ) -> Self {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let collected = messages.clone();
        let (commands, inbox) = channel();
        let collect = Box::new(move |message| lock(&collected).push(message));
        BackgroundRun {
            commands,
            messages,
            worker: Mutex::new(Worker::spawn(trainer, inbox, collect, advance)),
        }
    }

    /// Where the run stands, after the step that is under way; shows itself in a cell.
    ///
    /// # Errors
    /// When the training has ended in an error or a panic: with its message.
    pub fn status(&self) -> Result<Status> {
        Ok(self.timed_status()?.0)
    }

    fn timed_status(&self) -> Result<(Status, Duration)> {
        let (mut status, made) = match self.ask(Command::Status)? {
            Some(status) => status?,
            None => self.ended(|trainer| timed_status(trainer))?,
        };
        status.warnings = self.warnings();
        Ok((status, made))
    }

    /// Shows how the run is doing until it has ended: live in the notebooks' kernel, in its lines of progress
    /// elsewhere. A paused run is resumed. Stopping the cell does not stop the run.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// # let digits = Digits::load(Split::Train)?;
    /// let training = Trainer::new(Recipe::compact(), &digits, "runs/compact")?.in_background();
    /// training.watch()?; // as often as you like
    /// let trainer = training.stop()?;
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`BackgroundRun::status`], and [`Error::Interrupted`] when the user has stopped the cell.
    pub fn watch(&self) -> Result<()> {
        self.resume()?;
        let (mut live, mut printed) = (Live::new(), 0);
        loop {
            let running = self.is_running();
            printed += self.print_from(printed);
            match (Live::is_possible(), running) {
                (true, true) => live.update_measured(|| self.timed_status())?,
                (true, false) => live.show(&self.status()?),
                (false, true) => interrupt::check()?,
                (false, false) => self.ended(|_| Ok(()))?,
            }
            if !running {
                return Ok(());
            }
            thread::sleep(GLANCE);
        }
    }

    /// Prints what the trainer has said, without what a live display shows; returns how many messages these are.
    fn print_from(&self, first: usize) -> usize {
        let messages = lock(&self.messages)[first..].to_vec();
        for message in &messages {
            match message {
                Message::Progress(_) | Message::Warning(_) if Live::is_possible() => (),
                message => message.print(),
            }
        }
        messages.len()
    }

    /// Makes the training wait after the step that is under way, and returns when it does.
    ///
    /// # Errors
    /// As [`BackgroundRun::status`].
    pub fn pause(&self) -> Result<()> {
        match self.ask(Command::Pause)? {
            Some(()) => Ok(()),
            None => self.ended(|_| Ok(())),
        }
    }

    /// Trains until `step`, or not at all if it is past, and pauses there; returns when it does, or when the recipe has
    /// ended before. Where several callers wait, each is answered at its own step; [`BackgroundRun::resume`] continues to
    /// the next.
    ///
    /// # Errors
    /// As [`BackgroundRun::status`].
    pub fn pause_at(&self, step: u64) -> Result<()> {
        match self.ask(|answer| Command::PauseAt(step, answer))? {
            Some(()) => Ok(()),
            None => self.ended(|_| Ok(())),
        }
    }

    /// Continues a paused training.
    ///
    /// # Errors
    /// As [`BackgroundRun::status`].
    pub fn resume(&self) -> Result<()> {
        match self.commands.send(Command::Resume) {
            Ok(()) => Ok(()),
            Err(_) => self.ended(|_| Ok(())),
        }
    }

    /// Sets both learning rates from the next step on; see [`Trainer::set_learning_rate`].
    ///
    /// # Errors
    /// For rates that are not positive, and as [`BackgroundRun::status`].
    pub fn set_learning_rate(&self, generator: f64, discriminator: f64) -> Result<()> {
        let rates = [generator, discriminator];
        match self.ask(|answer| Command::SetLearningRate(rates, answer))? {
            Some(result) => result,
            None => self.ended(|trainer| trainer.set_learning_rate(generator, discriminator)),
        }
    }

    /// Stops after the step that is under way and gives the trainer back, nothing lost. What went wrong before goes to
    /// the trainer's listener: warnings, and an error that has ended the training.
    ///
    /// # Errors
    /// When the training has panicked: with its message.
    pub fn stop(self) -> Result<Trainer> {
        let mut ended = self.end();
        let Some(mut trainer) = ended.trainer.take() else {
            return Err(ended.failed());
        };
        for text in self.warnings() {
            trainer.reporter.warning(text);
        }
        if let Some(error) = ended.error {
            trainer.reporter.notice(error);
        }
        Ok(*trainer)
    }

    /// [`BackgroundRun::watch`] to the end of the recipe, and gives the trainer back. Stopping the cell stops neither the
    /// run nor loses it: wait again.
    ///
    /// # Errors
    /// As [`BackgroundRun::watch`]; when the training has ended in an error or a panic: with its message.
    pub fn wait(&self) -> Result<Trainer> {
        if let Err(Error::Interrupted) = self.watch() {
            return Err(Error::Interrupted);
        }
        // Also of a run that has failed: its folder is free then.
        match self.end() {
            Ended {
                trainer: Some(trainer),
                error: None,
            } => Ok(*trainer),
            ended => Err(ended.failed()),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let text = |message: &Message| match message {
            Message::Warning(text) => Some(text.clone()),
            Message::Progress(_) | Message::Notice(_) => None,
        };
        lock(&self.messages).iter().filter_map(text).collect()
    }

    /// Whether the thread still trains, or is paused.
    pub fn is_running(&self) -> bool {
        lock(&self.worker).is_running()
    }

    /// The thread's answer; none if it has ended.
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<Option<T>> {
        let (answer, inbox) = channel();
        if self.commands.send(command(answer)).is_err() {
            return Ok(None);
        }
        loop {
            match inbox.recv_timeout(GLANCE) {
                Ok(answer) => return Ok(Some(answer)),
                Err(RecvTimeoutError::Timeout) => interrupt::check()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Asks the trainer of a thread that has ended, or says what has ended it.
    fn ended<T>(&self, f: impl FnOnce(&mut Trainer) -> Result<T>) -> Result<T> {
        match lock(&self.worker).join() {
            Ended {
                trainer: Some(trainer),
                error: None,
            } => f(trainer),
            ended => Err(ended.failed()),
        }
    }

    /// Stops the thread, and takes what it leaves.
    fn end(&self) -> Ended {
        // It may have ended by itself.
        let _ = self.commands.send(Command::Stop);
        take(lock(&self.worker).join())
    }
}

impl Drop for BackgroundRun {
    fn drop(&mut self) {
        let Some(mut trainer) = self.end().trainer else {
            return;
        };
        if trainer.is_unsaved()
            && let Err(error) = trainer.checkpoint()
        {
            let step = trainer.steps();
            let text = format!("no checkpoint of step {step} was written: {error}");
            trainer.reporter.notice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Digits;
    use crate::nn::Sequential;
    use crate::recipe::Recipe;
    use crate::rng::Rng;

    #[test]
    fn a_panic_is_told_in_its_own_words_and_loses_no_checkpoint() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let digits = Digits::builtin(8, &Rng::seed(1));
        let generator = Sequential::new("generator", [4]).dense(784);
        let discriminator = Sequential::new("discriminator", [1, 28, 28]).flatten();
        let recipe = Recipe {
            generator: generator.reshape([1, 28, 28]),
            discriminator: discriminator.dense(1),
            latent_dim: 4,
            batch_size: 4,
            ..Recipe::dense()
        };
        let start = || Trainer::open(recipe.clone(), &digits, &run);
        start()?.checkpoint()?;
        for ask in [
            |training: BackgroundRun| training.status().map(drop),
            |training: BackgroundRun| training.pause(),
            |training: BackgroundRun| training.wait().map(drop),
            |training: BackgroundRun| training.stop().map(drop),
        ] {
            let training = BackgroundRun::spawn(start()?, |trainer| match trainer.steps() {
                3 => panic!("the {} is on fire", "kernel"),
                _ => trainer.advance(),
            });
            while training.is_running() {
                thread::yield_now();
            }
            let error = ask(training).unwrap_err();
            assert!(matches!(error, Error::Training(_)));
            let message = error.to_string();
            assert!(
                message.contains("panicked: the kernel is on fire. Trainer::resume"),
                "{message}"
            );
            assert_eq!(
                start()?.steps(),
                0,
                "the checkpoint is there, and the folder is free"
            );
        }
        Ok(())
    }
}
