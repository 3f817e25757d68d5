//! How a discriminator does in a game, and when a training has diverged.

use candle_core::Tensor;
use candle_nn::ops::sigmoid;

use crate::loss::GanLoss;
use crate::{Error, Result};

/// The mean score of a batch of logits; see [`StepStats::d_real`](super::StepStats::d_real).
pub(crate) fn score(game: GanLoss, logits: &Tensor) -> Result<f32> {
    let logits = logits.detach();
    let scores = match are_probabilities(game) {
        true => sigmoid(&logits)?,
        false => logits,
    };
    Ok(scores.mean_all()?.to_scalar()?)
}

/// Whether a game's logits stand for probabilities, which its scores then are.
pub(crate) fn are_probabilities(game: GanLoss) -> bool {
    match game {
        GanLoss::NonSaturating | GanLoss::Minimax => true,
        GanLoss::LeastSquares | GanLoss::Hinge | GanLoss::Wasserstein | GanLoss::Relativistic => {
            false
        }
    }
}

/// See [`StepStats::d_accuracy`](super::StepStats::d_accuracy).
pub(crate) fn accuracy(game: GanLoss, on_real: &Tensor, on_fake: &Tensor) -> Result<Option<f32>> {
    let logits = |logits: &Tensor| logits.detach().flatten_all()?.to_vec1::<f32>();
    let (real, fake) = (logits(on_real)?, logits(on_fake)?);
    let pairs = real.iter().zip(&fake);
    let divided_at = |middle: f32| {
        pairs
            .clone()
            .map(|(&real, &fake)| usize::from(real > middle) + usize::from(fake < middle))
            .sum::<usize>()
    };
    let right = match game {
        GanLoss::NonSaturating | GanLoss::Minimax | GanLoss::Hinge => divided_at(0.),
        GanLoss::LeastSquares => divided_at(0.5),
        GanLoss::Relativistic => 2 * pairs.filter(|(real, fake)| real > fake).count(),
        GanLoss::Wasserstein => return Ok(None),
    };
    Ok(Some(right as f32 / (2 * real.len()) as f32))
}

/// The error of a training that cannot continue. `what` is the sign of it, `advice` whole sentences.
pub(crate) fn diverged(what: &str, advice: &str) -> Error {
    Error::Training(format!("{what}: the training has diverged. {advice}"))
}
