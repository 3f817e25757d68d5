//! A moving average of a network's weights.

use crate::nn::Network;
use crate::profile::{Part, timed};
use crate::{Error, Result};

/// The exponential moving average of a generator's weights and running statistics: samples of it are better than the
/// generator's own, which circle around it (Yazıcı et al. 2019, <https://arxiv.org/abs/1806.04498>).
///
/// ```
/// use digit_gan::{nn::Sequential, optim::MovingAverage, rng::Rng};
/// let rng = Rng::seed(1);
/// let generator = Sequential::new("generator", [100]).dense(784).tanh().build(&rng)?;
/// let mut average = MovingAverage::new(&generator, 10_000.)?;
/// average.update(64)?; // after each step of the optimizer
/// let samples = average.network().forward(&rng.normal((16, 100))?)?;
/// # Ok::<(), digit_gan::Error>(())
/// ```
pub struct MovingAverage {
    /// Images that training had seen at the last update, which sets the pace of the warm-up. A run that resumes
    /// from a file restores this and the weights of [`MovingAverage::network`].
    pub images: u64,
    half_life: f64,
    source: Network,
    average: Network,
}

/// The half-life is at most this fraction of the images seen, so that the initial weights are soon forgotten:
/// `ema_rampup` of StyleGAN2-ADA (Karras et al. 2020, <https://arxiv.org/abs/2006.06676>).
const RAMP_UP: f64 = 0.05;

impl MovingAverage {
    /// An average of `network`, as it is now. `half_life`: the number of images after which what the weights are now counts half.
    ///
    /// # Errors
    /// [`Error::Value`] if it is not positive and finite.
    pub fn new(network: &Network, half_life: f64) -> Result<Self> {
        if !(half_life > 0. && half_life.is_finite()) {
            return Err(Error::Value(format!(
                "the half-life {half_life} of a moving average must be a positive number of images"
            )));
        }
        Ok(MovingAverage {
            images: 0,
            half_life,
            source: network.clone(),
            average: network.copy()?,
        })
    }

    /// Takes in the network's weights after a step that has seen `images`.
    pub fn update(&mut self, images: usize) -> Result<()> {
        let half_life = self.half_life.min(RAMP_UP * self.images as f64);
        // At the first update nothing has been seen: all of the old is forgotten.
        let kept = 0.5f64.powf(images as f64 / half_life.max(1e-8));
        timed(Part::Optimizer, || {
            self.average.move_towards(&self.source, 1. - kept)
        })?;
        self.images += images as u64;
        Ok(())
    }

    /// The average of a copy of the network on another device.
    pub(crate) fn moved_to(self, network: &Network) -> Result<Self> {
        Ok(MovingAverage {
            average: self.average.to_device(network.device())?,
            source: network.clone(),
            ..self
        })
    }

    /// The averaged network: made to be evaluated, frozen for whatever trains through it.
    pub fn network(&self) -> &Network {
        &self.average
    }
}
