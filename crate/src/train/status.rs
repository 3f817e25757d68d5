//! Where a run is, at a glance.

use std::fmt;

use super::trainer::Trainer;
use crate::display::{Content, Show, evcxr_display};
use crate::live::Live;
use crate::plot::{self, Figure};
use crate::record::{Judgement, Position, Progress, clock};
use crate::{Result, interrupt};

/// A run at a glance: shows itself in a cell, with samples, and prints as text.
#[derive(Clone, Debug)]
pub struct Status {
    /// The recipe's name.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
    /// The last judgement of a run that is judged.
    pub judged: Option<Judgement>,
    /// The best judgement of a run that is judged.
    pub best: Option<Judgement>,
    /// Whether it waits for [`BackgroundRun::resume`](super::BackgroundRun::resume).
    pub paused: bool,
    /// What the generator draws now, from the same noise each time.
    pub samples: Figure,
    /// The losses since the run was started or resumed; none before the first step.
    pub curves: Option<Figure>,
    /// Warnings so far.
    pub warnings: Vec<String>,
}

impl Trainer {
    /// Where the run is; shows itself in a cell.
    ///
    /// # Errors
    /// As [`Trainer::grid`].
    pub fn status(&self) -> Result<Status> {
        Ok(Status {
            name: self.recipe.name.clone(),
            progress: self.progress(),
            judged: self.judged(),
            best: self.best(),
            paused: false,
            samples: self.fixed_grid(true)?,
            curves: plot::live_loss_curves(&self.losses[0], &self.losses[1])?,
            warnings: Vec::new(),
        })
    }
}

impl Status {
    /// Steps so far.
    pub fn steps(&self) -> u64 {
        match self.progress.position {
            Position::Step { step, .. } => step,
            Position::Epoch { .. } => 0,
        }
    }

    /// Whether the recipe's images have been seen.
    pub fn is_finished(&self) -> bool {
        self.progress.fraction >= 1.
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let state = match (self.is_finished(), self.paused) {
            (true, _) => "finished",
            (_, true) => "paused",
            _ => "training",
        };
        let progress = &self.progress;
        write!(f, "{}: {state}", self.name)?;
        if let Position::Step { step, images, of } = progress.position {
            let percent = 100. * progress.fraction;
            write!(f, ", step {step}, {images} of {of} images ({percent:.0}%)")?;
        }
        if let Some(words) = progress.words() {
            write!(f, "\n{words}")?;
        }
        let (speed, elapsed) = (progress.images_per_second, clock(progress.elapsed));
        write!(f, "\n{speed:.0} images/s, {elapsed} elapsed")?;
        if let (Some(left), false) = (progress.left(), self.is_finished()) {
            write!(f, ", {} left", clock(left))?;
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
            .try_for_each(|text| write!(f, "\nwarning: {text}"))
    }
}

impl Show for Status {
    fn content(&self) -> Content {
        let text = self.to_string();
        let lines: Vec<&str> = text.lines().collect();
        let figures = self.curves.iter().chain([&self.samples]);
        let html = plot::progress_html(&self.progress, &lines, figures);
        Content::text(text).with_html(html)
    }
}

evcxr_display!(Status);

impl Live {
    /// Shows the status of a run in the notebooks' kernel, if a frame is due; for a loop of your own around
    /// [`Trainer::advance`]. The last step is always shown. Elsewhere the trainer prints lines of progress.
    ///
    /// # Errors
    /// Those of [`Trainer::status`], and [`Error::Interrupted`](crate::Error::Interrupted) when the user has stopped the
    /// cell.
    pub fn run(&mut self, trainer: &Trainer) -> Result<()> {
        match (Live::is_possible(), trainer.is_finished()) {
            (false, _) => interrupt::check(),
            (true, false) => self.update(|| trainer.status()),
            (true, true) => {
                self.show(&trainer.status()?);
                Ok(())
            }
        }
    }
}
