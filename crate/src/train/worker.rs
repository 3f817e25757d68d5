//! The thread behind a run in the background: it owns the trainer, and answers commands between two steps.

use std::any::Any;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::message::Listener;
use super::status::Status;
use super::trainer::Trainer;
use crate::record::StepStats;
use crate::{Error, Result, interrupt};

/// What a caller asks of the thread, with the sender of the answer.
pub(super) enum Command {
    /// With the time that it took to make it.
    Status(Sender<Result<(Status, Duration)>>),
    Pause(Sender<()>),
    PauseAt(u64, Sender<()>),
    Resume,
    SetLearningRate([f64; 2], Sender<Result<()>>),
    Stop,
}

/// The thread, until it is joined, and what it leaves.
pub(super) struct Worker {
    thread: Option<JoinHandle<Ended>>,
    left: Ended,
}

/// What a thread leaves: the trainer unless it has panicked, and the error that ended it, if any.
#[derive(Default)]
pub(super) struct Ended {
    pub trainer: Option<Box<Trainer>>,
    pub error: Option<String>,
}

impl Worker {
    /// Trains by calls of `advance`, and sends what the trainer has to say to `listener` meanwhile.
    pub fn spawn(
        mut trainer: Trainer,
        inbox: Receiver<Command>,
        listener: Listener,
        advance: impl Fn(&mut Trainer) -> Result<StepStats> + Send + 'static,
    ) -> Self {
        let thread = thread::spawn(move || {
            let before = trainer.reporter.replace_listener(listener);
            // Stop ends the cell that waits for the run, and not the run.
            let error = interrupt::defer(|| serve(&mut trainer, &inbox, advance)).err();
            drop(trainer.reporter.replace_listener(before));
            Ended {
                trainer: Some(Box::new(trainer)),
                error: error.map(|error| error.to_string()),
            }
        });
        Worker {
            thread: Some(thread),
            left: Ended::default(),
        }
    }

    pub fn is_running(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| !thread.is_finished())
    }

    /// What the thread leaves, once it has ended.
    pub fn join(&mut self) -> &mut Ended {
        if let Some(thread) = self.thread.take() {
            self.left = thread.join().unwrap_or_else(|panic| Ended {
                trainer: None,
                error: Some(format!(
                    "the training has panicked: {}. Trainer::resume continues from its last checkpoint",
                    message(&*panic)
                )),
            });
        }
        &mut self.left
    }
}

impl Ended {
    /// As an error, if there is no trainer to continue with.
    pub fn failed(&self) -> Error {
        let error = self.error.clone();
        Error::Training(error.unwrap_or_else(|| "the training was stopped before".into()))
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
    while !trainer.is_finished() {
        for (_, answer) in arrivals.extract_if(.., |(step, _)| trainer.steps() >= *step) {
            paused = true;
            let _ = answer.send(());
        }
        let command = match paused {
            true => inbox.recv().map_err(|_| TryRecvError::Disconnected),
            false => inbox.try_recv(),
        };
        // A caller whose cell was stopped no longer waits: its answer is dropped.
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

/// The status, and the time that it took to make it.
pub(super) fn timed_status(trainer: &Trainer) -> Result<(Status, Duration)> {
    let began = Instant::now();
    Ok((trainer.status()?, began.elapsed()))
}

/// What `panic!` was called with.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
