//! What is due after a step: statistics, judgements, grids, checkpoints.

use std::mem::replace;

use super::stats::{StepStats, Tick};
use super::status;
use super::trainer::Trainer;
use crate::Result;

impl Trainer {
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

    /// Ends a tick: a judgement if one is due, a line of statistics, a line of progress, and the warnings that are due.
    fn report(&mut self) -> Result<()> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let norms = [self.d_adam.gradient_norm()?, self.g_adam.gradient_norm()?];
        let tick = &self.tick;
        let mut stats = tick.stats(&last.stats, self.seconds, norms, self.g_adam.learning_rate);
        let mut watch = self.watch.clone();
        let warnings = watch.look(tick.steps, &last.real, &last.fake, stats.d_right)?;
        // An error up to the line leaves the tick open: the next one makes up for it, with a judgement of its own.
        let judgement = self.judge_if_due()?;
        if let Some(judgement) = judgement {
            stats.frechet = Some(judgement.frechet);
            stats.frechet_floor = Some(judgement.floor);
            self.keep_if_best(judgement, &watch)?;
        }
        self.folder.append(&stats)?;
        self.judged = judgement.or(self.judged);
        self.watch = watch;
        self.tick = Tick::default();
        let judged = self.jury.is_some();
        if !replace(&mut self.headed, true) {
            (self.say)(status::header(judged));
        }
        (self.say)(status::line(&stats, self.recipe.images, judged));
        warnings.into_iter().for_each(&mut self.say);
        Ok(())
    }

    /// Sends lines of progress and warnings elsewhere; returns where they went before.
    pub(super) fn say_to(
        &mut self,
        say: Box<dyn FnMut(String) + Send>,
    ) -> Box<dyn FnMut(String) + Send> {
        replace(&mut self.say, say)
    }
}
