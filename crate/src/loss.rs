//! Losses on logits.

use candle_core::Tensor;
use candle_nn::ops::sigmoid;

use crate::{Error, Result};

/// Binary cross-entropy of `logits` (any shape) against one target probability for all of them, averaged: a
/// scalar.
///
/// With `target` 1 it asks "how far are these from real", with 0 "how far from fake". It is computed as
/// max(x, 0) - x·target + ln(1 + e^-|x|), which stays exact and finite for any finite logit, where
/// ln(sigmoid(x)) is infinite from about 90 on.
///
/// Errors if `target` is outside [0, 1].
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
