//! Training on a thread of its own, so that cells can look at it meanwhile.
//!
//! Interrupting a kernel loses every variable; asking this thread to stop loses nothing. The thread owns the trainer,
//! and everything else is a message to it, answered between two steps: nobody waits for a lock, and if the thread ends,
//! by an error or a panic, whoever waits for an answer learns it.

use std::any::Any;
use std::mem::replace;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::message::Message;
use super::{Status, Trainer};
use crate::live::Live;
use crate::record::StepStats;
use crate::{Error, Result, interrupt};

/// Whoever waits for the run looks this often whether the cell is to stop.
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

enum Command {
    /// With the time that it took to make it.
    Status(Sender<Result<(Status, Duration)>>),
    Pause(Sender<()>),
    PauseAt(u64, Sender<()>),
    Resume,
    SetLearningRate([f64; 2], Sender<Result<()>>),
    Stop,
}

enum Worker {
    Running(JoinHandle<Ended>),
    Ended(Ended),
}

/// What a thread leaves: the trainer unless it has panicked, and the error that ended it, if any.
struct Ended {
    trainer: Option<Box<Trainer>>,
    error: Option<String>,
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
        mut trainer: Trainer,
        advance: impl Fn(&mut Trainer) -> Result<StepStats> + Send + 'static,
    ) -> Self {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let collected = messages.clone();
        let (commands, inbox) = channel();
        let worker = thread::spawn(move || {
            let collect = move |message| locked(&collected).push(message);
            let listener = trainer.reporter.tell(Box::new(collect));
            // Stop ends the cell that waits for the run, and not the run.
            let error = interrupt::defer(|| serve(&mut trainer, &inbox, advance)).err();
            drop(trainer.reporter.tell(listener));
            Ended {
                trainer: Some(Box::new(trainer)),
                error: error.map(|error| error.to_string()),
            }
        });
        BackgroundRun {
            commands,
            messages,
            worker: Mutex::new(Worker::Running(worker)),
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
        let messages = locked(&self.messages)[first..].to_vec();
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
        let Ended { trainer, error } = self.end();
        let Some(mut trainer) = trainer else {
            return Err(failed(error));
        };
        for text in self.warnings() {
            trainer.reporter.warning(text);
        }
        if let Some(error) = error {
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
            ended => Err(failed(ended.error)),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let text = |message: &Message| match message {
            Message::Warning(text) => Some(text.clone()),
            Message::Progress(_) | Message::Notice(_) => None,
        };
        locked(&self.messages).iter().filter_map(text).collect()
    }

    /// Whether the thread still trains, or is paused.
    pub fn is_running(&self) -> bool {
        match &*locked(&self.worker) {
            Worker::Running(thread) => !thread.is_finished(),
            Worker::Ended(_) => false,
        }
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
        let mut worker = locked(&self.worker);
        match join(&mut worker) {
            Ended {
                trainer: Some(trainer),
                error: None,
            } => f(trainer),
            ended => Err(failed(ended.error.clone())),
        }
    }

    /// Stops the thread, and takes what it leaves.
    fn end(&self) -> Ended {
        // It may have ended by itself.
        let _ = self.commands.send(Command::Stop);
        let nothing = Ended {
            trainer: None,
            error: None,
        };
        replace(join(&mut locked(&self.worker)), nothing)
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

/// Trains, and answers between two steps, until the end of the recipe or until told to stop.
fn serve(
    trainer: &mut Trainer,
    inbox: &Receiver<Command>,
    advance: impl Fn(&mut Trainer) -> Result<StepStats>,
) -> Result<()> {
    let mut paused = false;
    let mut arrivals: Vec<(u64, Sender<()>)> = Vec::new();
    while !trainer.finished() {
        for (_, answer) in arrivals.extract_if(.., |(step, _)| trainer.steps() >= *step) {
            paused = true;
            let _ = answer.send(());
        }
        let command = match paused {
            true => inbox.recv().map_err(|_| TryRecvError::Disconnected),
            false => inbox.try_recv(),
        };
        // Whoever asked may have gone: an answer that nobody takes does no harm.
        match command {
            Ok(Command::Status(answer)) => {
                let status = timed_status(trainer);
                let _ =
                    answer.send(status.map(|(status, made)| (Status { paused, ..status }, made)));
            }
            Ok(Command::Pause(answer)) => {
                paused = true;
                let _ = answer.send(());
            }
            Ok(Command::PauseAt(step, answer)) => {
                paused = false;
                arrivals.push((step, answer));
            }
            Ok(Command::Resume) => paused = false,
            Ok(Command::SetLearningRate([generator, discriminator], answer)) => {
                let _ = answer.send(trainer.set_learning_rate(generator, discriminator));
            }
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                advance(trainer)?;
            }
        }
    }
    trainer.finish()
}

fn timed_status(trainer: &Trainer) -> Result<(Status, Duration)> {
    let began = Instant::now();
    Ok((trainer.status()?, began.elapsed()))
}

/// What the thread leaves, once it has ended.
fn join(worker: &mut Worker) -> &mut Ended {
    if let Worker::Running(_) = worker {
        let nothing = Worker::Ended(Ended {
            trainer: None,
            error: None,
        });
        let Worker::Running(thread) = replace(worker, nothing) else {
            unreachable!("it was just seen to run")
        };
        *worker = Worker::Ended(thread.join().unwrap_or_else(|panic| Ended {
            trainer: None,
            error: Some(format!(
                "the training has panicked: {}. Trainer::resume continues from its last checkpoint",
                message(&*panic)
            )),
        }));
    }
    match worker {
        Worker::Ended(ended) => ended,
        Worker::Running(_) => unreachable!("it was just joined"),
    }
}

/// What `panic!` was called with.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

fn failed(error: Option<String>) -> Error {
    Error::Training(error.unwrap_or_else(|| "the training was stopped before".into()))
}

/// What the mutexes hold stays whole if a holder panics.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
