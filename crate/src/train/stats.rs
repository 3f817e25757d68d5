//! The figures of a run: of each step, and of each tick as a line of `stats.jsonl`.

use std::path::Path;

use candle_core::Tensor;
use candle_nn::ops::sigmoid;
use serde::{Deserialize, Serialize};

use super::folder::STATS;
use crate::loss::GanLoss;
use crate::{Error, Result};

/// What a step of a [`Trainer`](super::Trainer) tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepStats {
    /// Counted from 1.
    pub step: u64,
    /// Real images that the discriminator has seen so far.
    pub images: u64,
    /// The discriminator's loss without its penalty.
    pub d_loss: f32,
    /// The penalty on the discriminator's slope; 0 where the recipe has none.
    pub d_penalty: f32,
    /// The generator's loss.
    pub g_loss: f32,
    /// What the discriminator says of the real batch, on average: the probability of being real where logits are that
    /// (non-saturating, minimax), else the logit itself.
    pub d_real: f32,
    /// The same of the generated batch.
    pub d_fake: f32,
    /// The share of images (for the relativistic loss: of pairs) on whose kind the discriminator is right. None for
    /// Wasserstein, whose scores have no zero.
    pub d_right: Option<f32>,
}

/// A line of `stats.jsonl`: means over the steps since the line before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The last step that the line tells of.
    pub step: u64,
    /// Real images that the discriminator had seen by then.
    pub images: u64,
    /// Time spent in training steps, over all sessions of the run.
    pub seconds: f64,
    /// See [`StepStats`], as for the next four.
    pub d_loss: f64,
    pub d_penalty: f64,
    pub g_loss: f64,
    pub d_real: f64,
    pub d_fake: f64,
    pub d_right: Option<f64>,
    /// The length of the discriminator's gradient at the last step.
    pub d_gradient_norm: f64,
    /// The length of the generator's gradient at the last step.
    pub g_gradient_norm: f64,
    pub images_per_second: f64,
    /// The generator's at the last step.
    pub learning_rate: f64,
    /// Where the run was judged after the last step; see [`Judgement`](super::Judgement), as for the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frechet: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frechet_floor: Option<f64>,
}

/// The mean score of a batch of logits; see [`StepStats::d_real`].
pub(super) fn score(game: GanLoss, logits: &Tensor) -> Result<f32> {
    let scores = match game {
        GanLoss::NonSaturating | GanLoss::Minimax => sigmoid(&logits.detach())?,
        _ => logits.detach(),
    };
    Ok(scores.mean_all()?.to_scalar()?)
}

/// See [`StepStats::d_right`].
pub(super) fn right(game: GanLoss, on_real: &Tensor, on_fake: &Tensor) -> Result<Option<f32>> {
    let logits = |logits: &Tensor| logits.detach().flatten_all()?.to_vec1::<f32>();
    let (real, fake) = (logits(on_real)?, logits(on_fake)?);
    let middle = match game {
        GanLoss::Wasserstein => return Ok(None),
        GanLoss::LeastSquares => 0.5,
        _ => 0.,
    };
    let pairs = real.iter().zip(&fake);
    let right: usize = match game {
        GanLoss::Relativistic => pairs.map(|(real, fake)| 2 * usize::from(real > fake)).sum(),
        _ => pairs
            .map(|(&real, &fake)| usize::from(real > middle) + usize::from(fake < middle))
            .sum(),
    };
    Ok(Some(right as f32 / (2 * real.len()) as f32))
}

/// Sums over the steps of a tick; saved with a run, so that its lines do not tell where it was interrupted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tick {
    pub steps: u64,
    pub seconds: f64,
    pub images: u64,
    d_loss: f64,
    d_penalty: f64,
    g_loss: f64,
    d_real: f64,
    d_fake: f64,
    d_right: Option<f64>,
}

impl Tick {
    pub fn add(&mut self, step: &StepStats, images: u64, seconds: f64) {
        self.steps += 1;
        self.seconds += seconds;
        self.images += images;
        self.d_loss += f64::from(step.d_loss);
        self.d_penalty += f64::from(step.d_penalty);
        self.g_loss += f64::from(step.g_loss);
        self.d_real += f64::from(step.d_real);
        self.d_fake += f64::from(step.d_fake);
        if let Some(right) = step.d_right {
            *self.d_right.get_or_insert_default() += f64::from(right);
        }
    }

    pub fn images_per_second(&self) -> f64 {
        self.images as f64 / self.seconds.max(1e-9)
    }

    /// The line of this tick; the arguments are what sums don't tell.
    pub fn stats(&self, at: &StepStats, seconds: f64, norms: [f64; 2], rate: f64) -> Stats {
        let mean = |sum: f64| sum / self.steps.max(1) as f64;
        let [d_gradient_norm, g_gradient_norm] = norms;
        Stats {
            step: at.step,
            images: at.images,
            seconds,
            d_loss: mean(self.d_loss),
            d_penalty: mean(self.d_penalty),
            g_loss: mean(self.g_loss),
            d_real: mean(self.d_real),
            d_fake: mean(self.d_fake),
            d_right: self.d_right.map(mean),
            d_gradient_norm,
            g_gradient_norm,
            images_per_second: self.images_per_second(),
            learning_rate: rate,
            frechet: None,
            frechet_floor: None,
        }
    }
}

/// The statistics of the run in a folder, a line a tick. A last line that a kill has cut short is left out.
///
/// # Errors
/// [`Error::Io`] where there is no run, [`Error::Format`] for a line that is no statistics.
pub fn read_stats(folder: impl AsRef<Path>) -> Result<Vec<Stats>> {
    let path = folder.as_ref().join(STATS);
    let text = std::fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
    parse(&path, &text)
}

/// The complete lines of a `stats.jsonl`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Stats>> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let expected = "expected a line of statistics";
            Error::format(path, format!("line {}: {expected}: {error}", number + 1))
        })
    };
    complete.lines().enumerate().map(line).collect()
}
