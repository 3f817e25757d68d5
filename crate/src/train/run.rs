//! What is due after a step: statistics, judgements, grids, checkpoints.

use super::trainer::Trainer;
use super::warnings::Warnings;
use crate::live::Live;
use crate::record::{Judgement, StepStats, Window, are_probabilities};
use crate::{Error, Result, interrupt};

impl Trainer {
    /// [`Trainer::step`], and what is due after it: statistics, a grid, a checkpoint.
    ///
    /// # Errors
    /// As [`Trainer::step`]; when weights are not finite, or a file cannot be written.
    pub fn advance(&mut self) -> Result<StepStats> {
        let stats = self.step()?;
        interrupt::defer(|| self.write_what_is_due(stats))?;
        Ok(stats)
    }

    fn write_what_is_due(&mut self, stats: StepStats) -> Result<()> {
        let finished = self.is_finished();
        let due = |every: u64| stats.step.is_multiple_of(every) || finished;
        let (line, grid) = (due(self.recipe.log_every), due(self.recipe.grid_every));
        if line || grid {
            self.check_weights()?;
        }
        if line {
            self.log()?;
        }
        if grid {
            self.folder.save_grid(stats.step, &self.grid()?)?;
        }
        if due(self.recipe.checkpoint_every) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Trains to the end of the recipe, and shows how it is doing: live in the notebooks' kernel, in lines of progress
    /// elsewhere. After an error on the way, such as a full disk, or after the cell was stopped, it can be called again.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn run(&mut self) -> Result<()> {
        let mut live = Live::new();
        while !self.is_finished() {
            self.advance()?;
            live.run(self)?;
        }
        interrupt::defer(|| self.finish())
    }

    /// Writes the last statistics and the last checkpoint if an error has kept them from being written.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.state.window.steps > 0 {
            self.log()?;
        }
        match self.is_unsaved() {
            true => self.checkpoint().map(drop),
            false => Ok(()),
        }
    }

    /// Writes a line of statistics, with a judgement if one is due, and reports progress and warnings.
    fn log(&mut self) -> Result<()> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let state = &self.state;
        let norms = [state.d_adam.gradient_norm()?, state.g_adam.gradient_norm()?];
        let rate = state.g_adam.learning_rate;
        let mut stats = state.window.stats(&last.stats, state.seconds, norms, rate);
        stats.epoch = Some(stats.images as f64 / state.epochs.images() as f64);
        let mut warnings = state.warnings.clone();
        let texts = warnings.look(state.window.steps, &last.real, &last.fake, stats.d_accuracy)?;
        // An error up to the line leaves the window open: the next line makes up for it, with a judgement of its own.
        let judgement = self.judge_if_due()?;
        if let Some(judgement) = judgement {
            stats.frechet = Some(judgement.frechet);
            stats.frechet_floor = Some(judgement.floor);
            stats.class_accuracy = judgement.class_accuracy;
            self.keep_if_best(judgement, &warnings)?;
        }
        self.folder.stats.append(&stats)?;
        self.judged = judgement.or(self.judged);
        self.state.warnings = warnings;
        self.state.window = Window::default();
        let logits = !are_probabilities(self.recipe.loss);
        let mut progress = stats.progress(self.recipe.total_images, logits);
        progress.judged = self.judging.is_some();
        self.reporter.progress(progress);
        for text in texts {
            self.reporter.warning(text);
        }
        Ok(())
    }

    /// A judgement at the first line of statistics after every n images, and at the end of the run.
    fn judge_if_due(&self) -> Result<Option<Judgement>> {
        let Some(judging) = &self.judging else {
            return Ok(None);
        };
        let now = self.images();
        let due = judging.is_due(now - self.state.window.images, now) || self.is_finished();
        due.then(|| judging.judge(&self.sampler(), self.state.step, now))
            .transpose()
    }

    /// Writes the best checkpoint if this is it: of the run right after the line of statistics, with these warnings.
    fn keep_if_best(&mut self, judgement: Judgement, warnings: &Warnings) -> Result<()> {
        let Some(judging) = &self.judging else {
            return Ok(());
        };
        if self
            .best()
            .is_some_and(|best| best.frechet <= judgement.frechet)
        {
            return Ok(());
        }
        let best = judging.best(judgement);
        let header = self.state.header().after_line(warnings.clone());
        let tensors = self.state.tensors()?;
        let checkpoints = &self.folder.checkpoints;
        checkpoints.write_best(&self.recipe, &header, &tensors, &best)?;
        self.best = Some(best);
        Ok(())
    }

    /// The Fréchet distance of the generator as it is now, measured as [`Trainer::judged_by`] says.
    ///
    /// # Errors
    /// [`Error::Value`] if the run has no judge.
    pub fn frechet(&self) -> Result<f64> {
        let judging = self.judging.as_ref().ok_or_else(|| {
            let message = "frechet: this run has no judge: call trainer.judged_by(&judge, &held_out, 60_000)? first";
            Error::Value(message.into())
        })?;
        judging.frechet(&self.sampler())
    }

    /// The last judgement; none if the run has never been judged.
    pub fn judged(&self) -> Option<Judgement> {
        self.judged
    }

    /// The best judgement so far, by the checkpoint that was kept for it, `checkpoints/best.safetensors`.
    pub fn best(&self) -> Option<Judgement> {
        self.best.map(|best| best.judgement)
    }
}
