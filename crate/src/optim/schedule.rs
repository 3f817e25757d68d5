//! How the learning rate changes over a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What the learning rate is multiplied by, over a run.
///
/// ```
/// use digit_gan::optim::Schedule;
/// let schedule = Schedule::Cosine { to: 0.1 }.after_warm_up(0.2);
/// assert_eq!([0., 0.1, 0.2, 1.].map(|progress| schedule.factor(progress)), [0., 0.5, 1., 0.1]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// 1 throughout.
    Constant,
    /// From 1 to `to` in a straight line.
    Linear { to: f64 },
    /// From 1 to `to` along half a cosine: slowly at both ends (Loshchilov and Hutter 2016,
    /// <https://arxiv.org/abs/1608.03983>).
    Cosine { to: f64 },
    /// From 0 to 1 in the first `share` of the run; the rest of it is all of `then`.
    WarmUp { share: f64, then: Box<Schedule> },
}

impl Schedule {
    /// This schedule, after a warm-up in the first `share` of the run.
    pub fn after_warm_up(self, share: f64) -> Schedule {
        let then = Box::new(self);
        Schedule::WarmUp { share, then }
    }

    /// The factor at `progress`, the share of the run that is done; outside of 0 to 1 that of the nearer end.
    pub fn factor(&self, progress: f64) -> f64 {
        let progress = progress.clamp(0., 1.);
        // Written so that the end is met exactly.
        match self {
            Schedule::Constant => 1.,
            Schedule::Linear { to } => (1. - progress) + to * progress,
            Schedule::Cosine { to } => {
                let kept = 0.5 + 0.5 * (PI * progress).cos();
                kept + to * (1. - kept)
            }
            Schedule::WarmUp { share, .. } if progress < *share => progress / share,
            Schedule::WarmUp { share, then } => then.factor((progress - share) / (1. - share)),
        }
    }

    /// Errors if `to` is not a finite number of at least 0 or a warm-up's share is outside [0, 1).
    pub fn check(&self) -> Result<()> {
        match self {
            Schedule::Constant => Ok(()),
            Schedule::Linear { to } | Schedule::Cosine { to } if *to >= 0. && to.is_finite() => {
                Ok(())
            }
            Schedule::Linear { to } | Schedule::Cosine { to } => Err(Error::Value(format!(
                "a schedule goes to a factor of the learning rate of at least 0, not {to}"
            ))),
            Schedule::WarmUp { share, then } if (0. ..1.).contains(share) => then.check(),
            Schedule::WarmUp { share, .. } => Err(Error::Value(format!(
                "the share {share} of a run that is warm-up must be at least 0 and below 1"
            ))),
        }
    }
}
