//! Where a run stands, in lines and at a glance.

use std::fmt;
use std::time::Duration;

use super::history::clock;
use super::stats::{Stats, StepStats};
use super::{Judgement, Trainer};
use crate::Result;
use crate::plot::Figure;

/// A run at a glance: shows itself in a cell, with samples, and prints as text.
#[derive(Clone, Debug)]
pub struct Status {
    /// The recipe's name.
    pub name: String,
    /// Steps so far.
    pub step: u64,
    /// Real images seen so far.
    pub images: u64,
    /// Real images that the recipe asks for.
    pub of: u64,
    /// The last step's figures; none before the first step of a session.
    pub last: Option<StepStats>,
    /// Real images per second of training since the last tick, or of the whole run right behind a tick.
    pub images_per_second: f64,
    /// Time spent in training steps, over all sessions of the run.
    pub elapsed: Duration,
    /// Time that the rest will take at the speed so far.
    pub left: Duration,
    /// The last judgement and the best one, of a run that is judged.
    pub judged: Option<Judgement>,
    pub best: Option<Judgement>,
    /// Whether it waits for [`Training::resume`](super::Training::resume).
    pub paused: bool,
    /// What the generator draws now, from the same noise each time.
    pub samples: Figure,
    /// Warnings so far.
    pub warnings: Vec<String>,
}

impl Status {
    pub(super) fn of(trainer: &Trainer) -> Result<Self> {
        let (images, of) = (trainer.images(), trainer.recipe.images);
        let per_image = trainer.seconds / images.max(1) as f64;
        let left = of.saturating_sub(images) as f64 * per_image;
        let seconds = |value| Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX);
        Ok(Status {
            name: trainer.recipe.name.clone(),
            step: trainer.steps(),
            images,
            of,
            last: trainer.last.as_ref().map(|last| last.stats),
            images_per_second: match trainer.tick.images_per_second() {
                0. if per_image > 0. => 1. / per_image,
                speed => speed,
            },
            elapsed: seconds(trainer.seconds),
            left: seconds(left),
            judged: trainer.judged(),
            best: trainer.best(),
            paused: false,
            samples: trainer.grid()?,
            warnings: Vec::new(),
        })
    }

    /// Whether the recipe's images have been seen.
    pub fn finished(&self) -> bool {
        self.images >= self.of
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let state = match (self.finished(), self.paused) {
            (true, _) => "finished",
            (_, true) => "paused",
            _ => "training",
        };
        write!(
            f,
            "{}: {state}, step {}, {} of {} images ({:.0}%)",
            self.name,
            self.step,
            self.images,
            self.of,
            100. * self.images as f64 / self.of as f64
        )?;
        if let Some(last) = &self.last {
            write!(
                f,
                "\nD loss {:.3}, G loss {:.3}, D(real) {:.2}, D(fake) {:.2}",
                last.d_loss, last.g_loss, last.d_real, last.d_fake
            )?;
        }
        let speed = self.images_per_second;
        write!(f, "\n{speed:.0} images/s, {} elapsed", clock(self.elapsed))?;
        if !self.finished() {
            write!(f, ", {} left", clock(self.left))?;
        }
        if let Some(last) = &self.judged {
            let (frechet, images, floor) = (last.frechet, last.images, last.floor);
            write!(f, "\nFréchet distance {frechet:.2} after {images} images")?;
            if let Some(best) = &self.best {
                write!(f, ", best {:.2} after {}", best.frechet, best.images)?;
            }
            write!(f, "; real digits have {floor:.2}")?;
        }
        self.warnings
            .iter()
            .try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// Over the lines of progress.
pub(super) fn header(judged: bool) -> String {
    let frechet = if judged { "   Fréchet" } else { "" };
    format!(
        "    step     images   D loss   G loss  D(real)  D(fake)  images/s   elapsed      left{frechet}"
    )
}

/// A line of progress, of a run of so many images; where the run is judged, with a column for what the judge says.
pub(super) fn line(stats: &Stats, images: u64, judged: bool) -> String {
    let seconds = |value| Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX);
    let left = images.saturating_sub(stats.images) as f64 / stats.images.max(1) as f64;
    let frechet = match stats.frechet {
        Some(frechet) => format!("  {frechet:>8.2}"),
        None if judged => " ".repeat(10),
        None => String::new(),
    };
    format!(
        "{:>8}  {:>9}  {:>7.3}  {:>7.3}  {:>7.2}  {:>7.2}  {:>8.0}  {:>8}  {:>8}{frechet}",
        stats.step,
        stats.images,
        stats.d_loss,
        stats.g_loss,
        stats.d_real,
        stats.d_fake,
        stats.images_per_second,
        clock(seconds(stats.seconds)),
        clock(seconds(stats.seconds * left)),
    )
}
