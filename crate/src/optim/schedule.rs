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
#[non_exhaustive]
pub enum Schedule {
    /// 1 throughout.
    Constant,
    /// From 1 to `to` in a straight line.
    Linear {
        /// The factor at the end, at least 0.
        to: f64,
    },
    /// From 1 to `to` along half a cosine: slowly at both ends (Loshchilov and Hutter 2016,
    /// <https://arxiv.org/abs/1608.03983>).
    Cosine {
        /// The factor at the end, at least 0.
        to: f64,
    },
    /// From 0 to 1 in the first `fraction` of the run; the rest of it is all of `then`.
    WarmUp {
        /// At least 0 and below 1.
        #[serde(alias = "share")]
        fraction: f64,
        /// The schedule after it.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// This schedule, after a warm-up in the first `fraction` of the run.
    pub fn after_warm_up(self, fraction: f64) -> Schedule {
        let then = Box::new(self);
        Schedule::WarmUp { fraction, then }
    }

    /// The factor at `progress`, the fraction of the run that is done; outside of 0 to 1 that of the nearer end.
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
            Schedule::WarmUp { fraction, .. } if progress < *fraction => progress / fraction,
            Schedule::WarmUp { fraction, then } => {
                then.factor((progress - fraction) / (1. - fraction))
            }
        }
    }

    /// # Errors
    /// [`Error::Value`] if `to` is not a finite number of at least 0 or a warm-up's fraction is outside [0, 1).
    pub fn check(&self) -> Result<()> {
        match self {
            Schedule::Constant => Ok(()),
            Schedule::Linear { to } | Schedule::Cosine { to } if *to >= 0. && to.is_finite() => {
                Ok(())
            }
            Schedule::Linear { to } | Schedule::Cosine { to } => Err(Error::Value(format!(
                "a schedule goes to a factor of the learning rate of at least 0, not {to}"
            ))),
            Schedule::WarmUp { fraction, then } if (0. ..1.).contains(fraction) => then.check(),
            Schedule::WarmUp { fraction, .. } => Err(Error::Value(format!(
                "the fraction {fraction} of a run that is warm-up must be at least 0 and below 1"
            ))),
        }
    }
}
