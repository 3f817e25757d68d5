//! From an image back to the noise that it might have been drawn from.

use candle_core::{DType, Device, Tensor, Var};

use super::{lengths, rows};
use crate::nn::{Network, with_class};
use crate::optim::{Adam, Schedule};
use crate::{Error, Result, interrupt};

/// Adam's step at the start, in units of the noise's standard deviation; it falls to 0 along half a cosine.
const RATE: f64 = 0.1;
/// Steps that a search may take: far more than make any difference.
const MAX_STEPS: usize = 100_000;

/// The nearest image that a generator was found to draw; see [`project`].
#[derive(Clone, Debug)]
pub struct Projection {
    /// The noise that it is drawn from: (1, latent).
    pub noise: Tensor,
    /// The image, in the shape (1, ...) of one output.
    pub image: Tensor,
    /// Which of the starts led there, counted from 0.
    pub start: usize,
    /// The mean squared difference of its pixels from the target's at the start and after each step: steps + 1 values.
    pub losses: Vec<f32>,
    /// The noise at the start and after each step: (steps + 1, latent).
    pub path: Tensor,
    /// The last loss of every start.
    pub last_losses: Vec<f32>,
}

/// Looks for the noise from which the generator draws `target`, an image in the shape of one output: follows the gradient
/// of the mean squared difference of pixels through the generator to the noise, with Adam (Creswell and Bharath 2016,
/// <https://arxiv.org/abs/1611.05644>), from all the points of `start` (n, latent) at once, and gives the one that came
/// nearest. A class-conditional generator gets a class for each start, `labels` (n,).
///
/// Points keep the length that they had at the start (Menon et al. 2020, <https://arxiv.org/abs/2003.03808>): off the
/// shell a generator draws more than it has learned.
///
/// ```
/// use digit_gan::{latent::project, nn::Sequential, rng::Rng};
/// let rng = Rng::seed(1);
/// let generator = Sequential::new("generator", [8]).dense(20).tanh().build(&rng)?;
/// let image = generator.forward(&rng.normal((1, 8))?)?;
/// let found = project(&generator, &image, &rng.normal((4, 8))?, None, 100)?;
/// assert!(found.losses[100] < 0.1 * found.losses[0]);
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] when target, start or labels don't fit the generator; [`Error::Value`] for values that are not finite,
/// a start at the origin, or more than 100,000 steps.
pub fn project(
    generator: &Network,
    target: &Tensor,
    start: &Tensor,
    labels: Option<&Tensor>,
    steps: usize,
) -> Result<Projection> {
    let target = checked_target(generator, target)?;
    let (values, latent) = rows(start, "project")?;
    let shell = lengths(&values, latent, "project")?;
    if steps > MAX_STEPS {
        return Err(Error::Value(format!(
            "project: {steps} steps asked for, expected at most {MAX_STEPS}; a few hundred will do"
        )));
    }
    let classes = classes(generator, latent, labels)?;
    let noise = Var::from_tensor(&start.to_dtype(DType::F32)?.contiguous()?)?;
    let mut adam = Adam::new(vec![noise.clone()], RATE, 0.9)?;
    let (mut path, mut losses) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        interrupt::check()?;
        let image = match labels {
            Some(labels) => generator.forward(&with_class(&noise, labels, classes)?)?,
            None => generator.forward(&noise)?,
        };
        let difference = image.broadcast_sub(&target)?.flatten_from(1)?;
        let loss = difference.sqr()?.mean(1)?; // (n,)
        path.push(noise.as_detached_tensor().copy()?);
        losses.push(loss.to_vec1::<f32>()?);
        if step < steps {
            let progress = step as f64 / steps as f64;
            adam.learning_rate = RATE * Schedule::Cosine { to: 0. }.factor(progress);
            // Of a sum each start gets its own gradient, as if it were alone.
            adam.step(&loss.sum_all()?)?;
            noise.set(&of_lengths(&noise, &shell)?)?;
        }
    }
    nearest(generator, labels, classes, &path, &losses)
}

/// The best start's part of what was noted in each step.
fn nearest(
    generator: &Network,
    labels: Option<&Tensor>,
    classes: usize,
    path: &[Tensor],
    losses: &[Vec<f32>],
) -> Result<Projection> {
    let last_losses = losses[losses.len() - 1].clone();
    let start = (0..last_losses.len())
        .filter(|&i| last_losses[i].is_finite())
        .min_by(|&i, &j| last_losses[i].total_cmp(&last_losses[j]))
        .ok_or_else(|| {
            Error::Value(format!(
                "project: the {} draws pixels that are not finite: it has diverged",
                generator.name()
            ))
        })?;
    let own: Vec<Tensor> = path
        .iter()
        .map(|noise| noise.narrow(0, start, 1))
        .collect::<candle_core::Result<_>>()?;
    let noise = own[own.len() - 1].copy()?;
    let image = match labels {
        Some(labels) => {
            generator.forward(&with_class(&noise, &labels.narrow(0, start, 1)?, classes)?)?
        }
        None => generator.forward(&noise)?,
    };
    Ok(Projection {
        noise,
        image,
        start,
        losses: losses.iter().map(|losses| losses[start]).collect(),
        path: Tensor::cat(&own, 0)?,
        last_losses,
    })
}

/// The target as a batch of one, where the generator's images are, if it can draw such an image.
fn checked_target(generator: &Network, target: &Tensor) -> Result<Tensor> {
    let output = generator.output();
    let batch = [&[1], output].concat();
    if target.dims() != output && target.dims() != batch {
        return Err(Error::Shape(format!(
            "project: the {} draws images of shape {output:?}, the target has {:?}",
            generator.name(),
            target.dims()
        )));
    }
    let target = target.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    let values: Vec<f32> = target.flatten_all()?.to_vec1()?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::Value(
            "project: the target holds values that are not finite".into(),
        ));
    }
    Ok(target.reshape(batch)?.to_device(generator.device())?)
}

/// How many classes the generator takes beside `latent` numbers of noise; 0 without labels.
fn classes(generator: &Network, latent: usize, labels: Option<&Tensor>) -> Result<usize> {
    let inputs = match generator.config().input() {
        &[inputs] => inputs,
        _ => 0,
    };
    match (inputs.checked_sub(latent), labels) {
        (Some(0), None) => Ok(0),
        (Some(classes), Some(_)) if classes > 0 => Ok(classes),
        _ => Err(Error::Shape(format!(
            "project: the {} takes {:?}, which {latent} numbers of noise {} don't make",
            generator.name(),
            generator.config().input(),
            match labels {
                Some(_) => "and a class",
                None => "without a class",
            }
        ))),
    }
}

/// The points, each brought to its length.
fn of_lengths(noise: &Tensor, lengths: &[f64]) -> Result<Tensor> {
    let noise = noise.detach();
    let now = noise.sqr()?.sum_keepdim(1)?.sqrt()?;
    let lengths = Tensor::new(lengths, noise.device())?.to_dtype(DType::F32)?;
    Ok(noise.broadcast_mul(&(lengths.unsqueeze(1)? / now)?)?)
}
