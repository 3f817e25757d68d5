//! Losses on logits: cross-entropy, and those of GANs.

use candle_core::Tensor;
use candle_nn::ops::sigmoid;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Binary cross-entropy of `logits` (any shape) against one target probability for all of them, averaged: a
/// scalar.
///
/// With `target` 1 it asks "how far are these from real", with 0 "how far from fake". It is computed as
/// max(x, 0) - x·target + ln(1 + e^-|x|), which stays exact and finite for any finite logit, where
/// ln(sigmoid(x)) is infinite from about 90 on.
///
/// # Errors
/// [`Error::Value`] if `target` is outside [0, 1].
///
/// ```
/// use digit_gan::{candle::{Device, Tensor}, loss::bce};
/// let logits = Tensor::new(&[0f32, 2., -300.], &Device::Cpu)?;
/// let loss = bce(&logits, 1.0)?.to_scalar::<f32>()?;
/// assert!((loss - (0.693147 + 0.126928 + 300.) / 3.).abs() < 1e-4);
/// # Ok::<(), digit_gan::Error>(())
/// ```
pub fn bce(logits: &Tensor, target: f64) -> Result<Tensor> {
    if !(0. ..=1.).contains(&target) {
        return Err(Error::Value(format!(
            "bce: the target is a probability from 0 to 1, not {target}"
        )));
    }
    let x = logits.detach();
    let softplus = ((x.abs()?.neg()?.exp()? + 1.)?.log()? + x.relu()?)?;
    let value = (softplus - (&x * target)?)?.mean_all()?;
    // The gradient is sigmoid(x) - target. Written as a product with the logits instead of differentiated from
    // the value, whose abs and relu have no derivative at 0, where an untrained discriminator may well stand.
    let slope = (sigmoid(&x)? - target)?;
    let linear = (logits * slope)?.mean_all()?;
    Ok((value + (&linear - linear.detach())?)?)
}

/// What discriminator and generator minimise, from the discriminator's logits: D(real) and D(fake).
///
/// Every loss is an average over the batch, a scalar, and finite with the right gradient for logits of any size that
/// training meets. [`GanLoss::Wasserstein`] and [`GanLoss::Relativistic`] need a gradient penalty to be of use, see
/// [`crate::penalty::Penalty`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GanLoss {
    /// Cross-entropy; the generator maximises ln sigmoid(D(fake)), which has a gradient where the discriminator is
    /// sure (Goodfellow et al. 2014, <https://arxiv.org/abs/1406.2661>).
    NonSaturating,
    /// Cross-entropy as one game: the generator minimises ln(1 - sigmoid(D(fake))), whose gradient vanishes where the
    /// discriminator is sure (the same paper).
    Minimax,
    /// Half the squared distance of logits from 1 and 0 (Mao et al. 2017, <https://arxiv.org/abs/1611.04076>).
    LeastSquares,
    /// max(0, 1 - D(real)) + max(0, 1 + D(fake)); the generator raises D(fake) (Lim and Ye 2017,
    /// <https://arxiv.org/abs/1705.02894>).
    Hinge,
    /// D(fake) - D(real), the Wasserstein distance if D is 1-Lipschitz (Arjovsky et al. 2017,
    /// <https://arxiv.org/abs/1701.07875>).
    Wasserstein,
    /// Cross-entropy on D(real) - D(fake) of random pairs (Jolicoeur-Martineau 2018; with R1 and R2 it is the loss of
    /// R3GAN, Huang et al. 2024, <https://arxiv.org/abs/2501.05441>).
    Relativistic,
}

impl GanLoss {
    /// The discriminator's loss, from its logits on a real and on a generated batch of one shape.
    ///
    /// `real_target` is the target for the real batch: 1.0, or less for one-sided label smoothing (0.9; Salimans et al.
    /// 2016, <https://arxiv.org/abs/1606.03498>).
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ; [`Error::Value`] if `real_target` is not in (0.5, 1], or not 1 for a loss
    /// that has no target.
    pub fn discriminator(
        self,
        on_real: &Tensor,
        on_fake: &Tensor,
        real_target: f64,
    ) -> Result<Tensor> {
        self.check_target(real_target)?;
        check_pairs(on_real, on_fake)?;
        match self {
            GanLoss::NonSaturating | GanLoss::Minimax => {
                Ok((bce(on_real, real_target)? + bce(on_fake, 0.)?)?)
            }
            GanLoss::LeastSquares => {
                Ok((half_square(on_real, real_target)? + half_square(on_fake, 0.)?)?)
            }
            GanLoss::Hinge => Ok((hinge(&on_real.neg()?)? + hinge(on_fake)?)?),
            GanLoss::Wasserstein => Ok((on_fake.mean_all()? - on_real.mean_all()?)?),
            GanLoss::Relativistic => bce(&(on_real - on_fake)?, 1.),
        }
    }

    /// The generator's loss. [`GanLoss::Relativistic`] compares with `on_real`, which is a constant in it; the others
    /// ignore it.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes of such a pair differ.
    pub fn generator(self, on_real: &Tensor, on_fake: &Tensor) -> Result<Tensor> {
        match self {
            GanLoss::NonSaturating => bce(on_fake, 1.),
            GanLoss::Minimax => Ok(bce(on_fake, 0.)?.neg()?),
            GanLoss::LeastSquares => half_square(on_fake, 1.),
            GanLoss::Hinge | GanLoss::Wasserstein => Ok(on_fake.mean_all()?.neg()?),
            GanLoss::Relativistic => {
                check_pairs(on_real, on_fake)?;
                bce(&(on_fake - on_real.detach())?, 1.)
            }
        }
    }

    /// Refuses a target for the real batch that this loss cannot have, with the reason.
    pub(crate) fn check_target(self, real_target: f64) -> Result<()> {
        let reason = match self {
            _ if real_target == 1. => return Ok(()),
            _ if !(real_target > 0.5 && real_target < 1.) => {
                "it must be above 0.5 and at most 1: 1 is no label smoothing, 0.9 the usual one"
            }
            GanLoss::NonSaturating | GanLoss::Minimax | GanLoss::LeastSquares => return Ok(()),
            GanLoss::Hinge => {
                "hinge asks only that real logits exceed 1, there is no target to smooth: use 1, \
                 or another loss"
            }
            GanLoss::Wasserstein => {
                "Wasserstein compares averages, there is no target to smooth: use 1, or another loss"
            }
            GanLoss::Relativistic => {
                "the relativistic loss compares pairs, there is no target to smooth: use 1, or \
                 another loss"
            }
        };
        Err(Error::Value(format!("real_target {real_target}: {reason}")))
    }
}

/// The mean of (x - target)^2 / 2.
fn half_square(x: &Tensor, target: f64) -> Result<Tensor> {
    Ok(((x - target)?.sqr()?.mean_all()? * 0.5)?)
}

/// The mean of max(0, 1 + x). A product with a constant, because candle's relu has the slope 1 at its kink, where a
/// logit on the margin belongs to those that are left alone.
fn hinge(x: &Tensor) -> Result<Tensor> {
    let active = x.detach().gt(-1.)?.to_dtype(x.dtype())?;
    Ok(((x + 1.)? * active)?.mean_all()?)
}

fn check_pairs(on_real: &Tensor, on_fake: &Tensor) -> Result<()> {
    if on_real.dims() == on_fake.dims() {
        return Ok(());
    }
    Err(Error::Shape(format!(
        "the logits of the real batch, {:?}, and of the generated one, {:?}, must have one shape: \
         draw as many samples as there are digits in the batch",
        on_real.dims(),
        on_fake.dims()
    )))
}
