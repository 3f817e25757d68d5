//! Training on a thread of its own, so that a cell can look at it while it goes on.
//!
//! Interrupting a kernel loses every variable; asking this thread to stop loses nothing. The thread owns the trainer,
//! and everything else is a message to it, answered between two steps: nobody waits for a lock, and if the thread ends,
//! by an error or a panic, whoever waits for an answer learns it.

use std::any::Any;
use std::mem::replace;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Status, StepStats, Trainer};
use crate::{Error, Result};

/// A run that trains in the background; made by [`Trainer::in_background`].
///
/// Dropping it stops the run after its step and writes a checkpoint.
pub struct Training {
    commands: Sender<Command>,
    /// Lines of progress, warnings and notices.
    lines: Arc<Mutex<Vec<String>>>,
    worker: Mutex<Worker>,
}

enum Command {
    Status(Sender<Result<Status>>),
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
    pub fn in_background(self) -> Training {
        Training::spawn(self, Trainer::advance)
    }
}

impl Training {
    fn spawn(
        mut trainer: Trainer,
        advance: impl Fn(&mut Trainer) -> Result<StepStats> + Send + 'static,
    ) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let collected = lines.clone();
        let (commands, inbox) = channel();
        let worker = thread::spawn(move || {
            let stdout = trainer.say_to(Box::new(move |line| locked(&collected).push(line)));
            let error = serve(&mut trainer, &inbox, advance).err();
            drop(trainer.say_to(stdout));
            Ended {
                trainer: Some(Box::new(trainer)),
                error: error.map(|error| error.to_string()),
            }
        });
        Training {
            commands,
            lines,
            worker: Mutex::new(Worker::Running(worker)),
        }
    }

    /// Where the run stands, after the step that is under way; shows itself in a cell.
    ///
    /// # Errors
    /// When the training has ended in an error or a panic: with its message.
    pub fn status(&self) -> Result<Status> {
        let mut status = match self.ask(Command::Status) {
            Some(status) => status?,
            None => self.ended(|trainer| trainer.status())?,
        };
        let lines = locked(&self.lines);
        status.warnings = lines
            .iter()
            .filter(|line| is_warning(line))
            .cloned()
            .collect();
        Ok(status)
    }

    /// Makes the training wait after the step that is under way, and returns when it does.
    ///
    /// # Errors
    /// As [`Training::status`].
    pub fn pause(&self) -> Result<()> {
        match self.ask(Command::Pause) {
            Some(()) => Ok(()),
            None => self.ended(|_| Ok(())),
        }
    }

    /// Trains on until `step`, or not at all if it is past, and waits there; returns when it does, or when the recipe has
    /// ended before.
    ///
    /// # Errors
    /// As [`Training::status`].
    pub fn pause_at(&self, step: u64) -> Result<()> {
        match self.ask(|answer| Command::PauseAt(step, answer)) {
            Some(()) => Ok(()),
            None => self.ended(|_| Ok(())),
        }
    }

    /// Lets a paused training go on.
    ///
    /// # Errors
    /// As [`Training::status`].
    pub fn resume(&self) -> Result<()> {
        match self.commands.send(Command::Resume) {
            Ok(()) => Ok(()),
            Err(_) => self.ended(|_| Ok(())),
        }
    }

    /// Sets both learning rates from the next step on; see [`Trainer::set_learning_rate`].
    ///
    /// # Errors
    /// For rates that are not positive, and as [`Training::status`].
    pub fn set_learning_rate(&self, generator: f64, discriminator: f64) -> Result<()> {
        let rates = [generator, discriminator];
        match self.ask(|answer| Command::SetLearningRate(rates, answer)) {
            Some(result) => result,
            None => self.ended(|trainer| trainer.set_learning_rate(generator, discriminator)),
        }
    }

    /// Stops after the step that is under way and gives the trainer back, nothing lost. An error that has ended the
    /// training before is printed.
    ///
    /// # Errors
    /// When the training has panicked: with its message.
    pub fn stop(self) -> Result<Trainer> {
        let Ended { trainer, error } = self.end();
        for line in locked(&self.lines).iter().filter(|line| is_warning(line)) {
            println!("{line}");
        }
        match (trainer, error) {
            (Some(trainer), error) => {
                error.into_iter().for_each(|error| println!("{error}"));
                Ok(*trainer)
            }
            (None, error) => Err(failed(error)),
        }
    }

    /// Waits for the end of the recipe, printing the lines of progress, and gives the trainer back. A paused training
    /// goes on.
    ///
    /// # Errors
    /// When the training has ended in an error or a panic: with its message.
    pub fn wait(self) -> Result<Trainer> {
        self.resume()?;
        let mut printed = 0;
        loop {
            let running = self.is_running();
            let lines = locked(&self.lines).clone();
            lines[printed..].iter().for_each(|line| println!("{line}"));
            printed = lines.len();
            if !running {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let ended = self.end();
        match ended.error {
            None => ended
                .trainer
                .map(|trainer| *trainer)
                .ok_or_else(|| failed(None)),
            error => Err(failed(error)),
        }
    }

    /// Whether the thread still trains, or is paused.
    pub fn is_running(&self) -> bool {
        match &*locked(&self.worker) {
            Worker::Running(thread) => !thread.is_finished(),
            Worker::Ended(_) => false,
        }
    }

    /// The thread's answer; none if it has ended.
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Option<T> {
        let (answer, inbox) = channel();
        self.commands.send(command(answer)).ok()?;
        inbox.recv().ok()
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

impl Drop for Training {
    fn drop(&mut self) {
        let Some(mut trainer) = self.end().trainer else {
            return;
        };
        if trainer.is_unsaved()
            && let Err(error) = trainer.checkpoint()
        {
            println!(
                "no checkpoint of step {} was written: {error}",
                trainer.steps()
            );
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
    let mut arrival: Option<(u64, Sender<()>)> = None;
    while !trainer.finished() {
        if let Some((_, answer)) = arrival.take_if(|(step, _)| trainer.steps() >= *step) {
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
                let status = trainer.status().map(|status| Status { paused, ..status });
                let _ = answer.send(status);
            }
            Ok(Command::Pause(answer)) => {
                paused = true;
                let _ = answer.send(());
            }
            Ok(Command::PauseAt(step, answer)) => {
                paused = false;
                arrival = Some((step, answer));
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
                "the training has panicked: {}. Trainer::resume goes on from its last checkpoint",
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

fn is_warning(line: &str) -> bool {
    line.starts_with("warning")
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
            |training: Training| training.status().map(drop),
            |training: Training| training.pause(),
            |training: Training| training.wait().map(drop),
            |training: Training| training.stop().map(drop),
        ] {
            let training = Training::spawn(start()?, |trainer| match trainer.steps() {
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
