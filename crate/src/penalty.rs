//! What keeps a discriminator from winning at once: penalties on the gradient of its logit, and noise on the images that
//! it sees.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::nn::{Network, Sequential, class_seed};
use crate::rng::Rng;
use crate::{Error, Result};

/// A penalty on the gradient of the discriminator's logit with respect to its image, exact, added to its loss.
///
/// ```
/// use digit_gan::{loss::GanLoss, nn::Sequential, optim::Adam, penalty::Penalty, rng::Rng};
/// let rng = Rng::seed(1);
/// let discriminator = Sequential::new("d", [2]).dense(8).leaky_relu(0.2).dense(1).build(&rng)?;
/// let mut adam = Adam::new(discriminator.parameters(), 1e-3, 0.)?;
/// let (real, fake) = (rng.normal((16, 2))?, rng.normal((16, 2))?);
/// let (on_real, on_fake) = (discriminator.forward_t(&real, true)?, discriminator.forward_t(&fake, true)?);
/// let loss = GanLoss::Relativistic.discriminator(&on_real, &on_fake, 1.)?;
/// let penalty = Penalty::R1R2 { gamma: 0.1 }.compute(&discriminator, &real, &fake, None, &rng)?;
/// adam.step(&(loss + penalty)?)?;
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Penalty {
    /// `weight` * mean (|gradient| - 1)^2 at a random point between a real and a generated image: WGAN-GP (Gulrajani
    /// et al. 2017, <https://arxiv.org/abs/1704.00028>), where the weight is 10.
    Wasserstein {
        /// At least 0.
        weight: f64,
    },
    /// `gamma` / 2 * mean |gradient|^2 at the real images (Mescheder et al. 2018, <https://arxiv.org/abs/1801.04406>).
    R1 {
        /// At least 0.
        gamma: f64,
    },
    /// The same at the real and at the generated images: R1 + R2, as R3GAN has it (Huang et al. 2024,
    /// <https://arxiv.org/abs/2501.05441>).
    R1R2 {
        /// At least 0.
        gamma: f64,
    },
}

impl Penalty {
    /// The penalty of a batch of real and one of generated images, of one shape (batch, image...): a scalar whose
    /// gradients reach the discriminator's parameters and nothing else. `rng` draws the points of
    /// [`Penalty::Wasserstein`].
    ///
    /// `labels` (batch,), u32, for a class-conditional discriminator (see [`crate::nn::class_logit`]): each image is judged
    /// as one of its class, and a real and a generated image of one row share it.
    ///
    /// # Errors
    /// [`Error::Shape`] if a shape or the number of labels does not fit; [`Error::Value`] if a label or the weight is out
    /// of range, or if the discriminator has a layer that allows no exact penalty (batch normalisation, tanh), with the
    /// reason.
    pub fn compute(
        self,
        discriminator: &Network,
        real: &Tensor,
        fake: &Tensor,
        labels: Option<&Tensor>,
        rng: &Rng,
    ) -> Result<Tensor> {
        self.check(discriminator.config())?;
        if real.dims() != fake.dims() || real.rank() == 0 {
            return Err(Error::Shape(format!(
                "a gradient penalty takes as many generated images as real ones: {:?} and {:?}",
                fake.dims(),
                real.dims()
            )));
        }
        let squares = |images: &Tensor| squared_gradients(discriminator, images, labels);
        match self {
            Penalty::Wasserstein { weight } => {
                // The root has no gradient at 0; elsewhere f32 rounds this sum away.
                let norms = (squares(&between(real, fake, rng)?)? + 1e-12)?.sqrt()?;
                Ok(((norms - 1.)?.sqr()?.mean_all()? * weight)?)
            }
            Penalty::R1 { gamma } => Ok((squares(real)?.mean_all()? * (gamma / 2.))?),
            Penalty::R1R2 { gamma } => {
                let both = (squares(real)? + squares(fake)?)?;
                Ok((both.mean_all()? * (gamma / 2.))?)
            }
        }
    }

    /// Refuses a weight that is not a finite number of at least 0, and a discriminator with a layer that allows no
    /// exact penalty, with the reason.
    pub(crate) fn check(self, discriminator: &Sequential) -> Result<()> {
        let (name, value) = match self {
            Penalty::Wasserstein { weight } => ("weight", weight),
            Penalty::R1 { gamma } | Penalty::R1R2 { gamma } => ("gamma", gamma),
        };
        if !(value >= 0. && value.is_finite()) {
            return Err(Error::Value(format!(
                "the {name} {value} of a gradient penalty must be at least 0 and finite"
            )));
        }
        discriminator.check_piecewise_linear()
    }
}

/// For each image the squared length of the gradient of its logit: (batch,).
fn squared_gradients(
    discriminator: &Network,
    images: &Tensor,
    labels: Option<&Tensor>,
) -> Result<Tensor> {
    let output = [&images.dims()[..1], discriminator.output()].concat();
    let seed = match labels {
        Some(labels) => class_seed(&output, labels, images.device())?,
        None if discriminator.output().iter().product::<usize>() == 1 => {
            Tensor::ones(output, images.dtype(), images.device())?
        }
        None => {
            return Err(Error::Shape(format!(
                "a gradient penalty takes the one logit of each image, but the {} gives {:?}: pass \
                 the labels, if it is class-conditional",
                discriminator.name(),
                discriminator.output()
            )));
        }
    };
    let gradient = discriminator.input_gradient(images, &seed)?;
    Ok(gradient.sqr()?.flatten_from(1)?.sum(1)?)
}

/// For each pair of images a random point on the line between them.
fn between(real: &Tensor, fake: &Tensor, rng: &Rng) -> Result<Tensor> {
    let mut shape = vec![1; real.rank()];
    shape[0] = real.dim(0)?;
    let fraction = rng.uniform(shape, 0., 1.)?.to_device(real.device())?;
    let (real, fake) = (real.detach(), fake.detach());
    Ok((&fake + (&real - &fake)?.broadcast_mul(&fraction)?)?)
}

/// The images with normal noise of this standard deviation on every pixel, as the discriminator may see both kinds
/// while the generated ones are still far from the real ones (Sønderby et al. 2016, <https://arxiv.org/abs/1610.04490>).
/// Gradients pass through to the images.
///
/// # Errors
/// [`Error::Value`] if it is negative or not finite.
pub fn instance_noise(images: &Tensor, std: f64, rng: &Rng) -> Result<Tensor> {
    if !(std >= 0. && std.is_finite()) {
        return Err(Error::Value(format!(
            "the standard deviation {std} of instance noise must be at least 0 and finite"
        )));
    }
    if std == 0. {
        return Ok(images.clone());
    }
    let noise = rng.normal(images.shape())?.to_device(images.device())?;
    Ok((images + (noise * std)?)?)
}
