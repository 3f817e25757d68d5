//! Noise without its rare values.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

use super::rows;
use crate::rng::Rng;
use crate::{Error, Result};

/// The truncation trick (Brock et al. 2018, <https://arxiv.org/abs/1809.11096>): every value of the standard normal
/// `noise` (n, latent) that lies outside [-`threshold`, `threshold`] is drawn again until it lies inside. The others
/// are kept, so that two thresholds can be compared on the same digits.
///
/// # Errors
/// [`Error::Shape`] for another shape, [`Error::Value`] for noise that is not finite or a threshold that is not positive.
pub fn truncate(noise: &Tensor, threshold: f64, rng: &Rng) -> Result<Tensor> {
    // Below this, single precision has hardly any numbers between the bounds.
    if threshold.is_nan() || threshold < f64::from(f32::MIN_POSITIVE) {
        return Err(Error::Value(format!(
            "truncate: the threshold is {threshold}, expected a positive number: 2 cuts off 5% of the values, 0.5 cuts 62%"
        )));
    }
    let (mut values, _) = rows(noise, "truncate")?;
    let threshold = threshold as f32;
    let mut rng = rng.own();
    for value in values.iter_mut().filter(|value| value.abs() > threshold) {
        *value = normal_within(threshold, &mut rng)?;
    }
    Ok(Tensor::from_vec(values, noise.shape(), &Device::Cpu)?)
}

/// A standard normal value from [-bound, bound].
fn normal_within(bound: f32, rng: &mut ChaCha8Rng) -> Result<f32> {
    if bound > 1. {
        // At least two in three values are inside.
        let mut values = StandardNormal.sample_iter(rng);
        return Ok(values
            .find(|value: &f32| value.abs() <= bound)
            .unwrap_or(0.));
    }
    // Few normal values are inside narrow bounds. Rejection from uniform values instead accepts at least three in five.
    let uniform = |low: f32, high: f32| {
        Uniform::new_inclusive(low, high)
            .map_err(|error| Error::Value(format!("truncate: {error}")))
    };
    let (within, height) = (uniform(-bound, bound)?, uniform(0., 1.)?);
    loop {
        let value = within.sample(rng);
        if height.sample(rng) <= (-0.5 * value * value).exp() {
            return Ok(value);
        }
    }
}
