//! The judge's network: its layers, how it is trained, and the scale of its features.

use std::fmt;

use candle_core::Tensor;
use candle_nn::loss::cross_entropy;
use serde::Serialize;

use crate::data::Digits;
use crate::nn::{Layer, Network, Sequential};
use crate::optim::{Adam, MovingAverage, Schedule};
use crate::rng::Rng;
use crate::{Error, Result};

/// The total variance of the features of real digits. Classifiers of this kind have a few hundred by themselves, and no
/// two the same: with it fixed, figures of two judges are of the same size.
pub(super) const VARIANCE: f64 = 800.;
/// Images that the network sees at a time: bounds the memory of the layers in between.
pub(super) const CHUNK: usize = 1000;

/// How a [`Judge`](super::Judge) is trained. The default trains in half a minute, to more than 99% of MNIST's test
/// digits right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JudgeRecipe {
    /// The seed of the weights, the batches and dropout: all who open a judge of the same digits have the same one.
    pub seed: u64,
    /// Passes over the digits.
    pub epochs: usize,
    /// The least number of images to train on: few digits are passed over more often.
    pub least_images: usize,
    /// Images in a step.
    pub batch_size: usize,
    /// Adam's learning rate at the start; it falls to 0 along half a cosine.
    pub learning_rate: f64,
}

impl Default for JudgeRecipe {
    fn default() -> Self {
        JudgeRecipe {
            seed: 1998,
            epochs: 10,
            least_images: 100_000,
            batch_size: 128,
            learning_rate: 2e-3,
        }
    }
}

impl JudgeRecipe {
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |name: &str, value: &dyn fmt::Display, wanted: &str| {
            Err(Error::Value(format!(
                "judge: {name} is {value}, it must be {wanted}"
            )))
        };
        if self.batch_size < 2 {
            let wanted = "at least 2: batch normalisation compares images with each other";
            return refuse("batch_size", &self.batch_size, wanted);
        }
        if !(self.learning_rate > 0. && self.learning_rate.is_finite()) {
            return refuse("learning_rate", &self.learning_rate, "positive and finite");
        }
        Ok(())
    }
}

/// A network trained by this recipe: Adam on the cross-entropy, and the moving average of the weights in the end.
pub(super) fn trained(recipe: &JudgeRecipe, train: &Digits) -> Result<Network> {
    let rng = Rng::seed(recipe.seed);
    let network = description(train).build(&rng)?;
    let mut adam = Adam::new(network.parameters(), recipe.learning_rate, 0.9)?;
    let images = recipe
        .epochs
        .saturating_mul(train.len())
        .max(recipe.least_images)
        .max(recipe.batch_size);
    let mut average = MovingAverage::new(&network, images as f64 / 50.)?;
    let schedule = Schedule::Cosine { to: 0. };
    let steps = images / recipe.batch_size;
    let mut step = 0;
    while step < steps {
        for batch in train.batches(recipe.batch_size, &rng).take(steps - step) {
            let (images, labels) = batch?;
            let progress = step as f64 / steps as f64;
            adam.learning_rate = recipe.learning_rate * schedule.factor(progress);
            adam.step(&cross_entropy(&network.forward_t(&images, true)?, &labels)?)?;
            average.update(recipe.batch_size)?;
            step += 1;
        }
    }
    let network = average.network().clone();
    rescale(&network, train)?;
    Ok(network)
}

/// The layers for these digits.
pub(super) fn description(digits: &Digits) -> Sequential {
    let rectified = |network: Sequential| network.no_bias().batch_norm(0.9).leaky_relu(0.);
    let network = Sequential::new("judge", digits.image_shape());
    let network = rectified(network.conv2d(32, 4, 2));
    let network = rectified(network.conv2d(64, 4, 2)).flatten();
    let network = rectified(network.dropout(0.4).dense(128));
    network.dropout(0.4).dense(digits.class_count())
}

/// Scales the features to [`VARIANCE`] by the normalisation before them, and the last layer's weights back: a rectifier
/// lets a positive factor through, so that the probabilities stay.
fn rescale(network: &Network, digits: &Digits) -> Result<()> {
    let factor = (VARIANCE / total_variance(&body(network)?, digits)?).sqrt();
    let layers = network.config().layers();
    let normalisation = layers
        .iter()
        .rposition(|layer| matches!(layer, Layer::BatchNorm { .. }));
    let of_layer = |name: &str, layer: Option<usize>| {
        layer.is_some_and(|layer| name.starts_with(&format!("{layer}.")))
    };
    for (name, values) in network.named_parameters()? {
        let factor = if of_layer(&name, normalisation) {
            factor // of the scale and of the shift
        } else if of_layer(&name, layers.len().checked_sub(1)) && name.ends_with(".weight") {
            1. / factor
        } else {
            continue;
        };
        network.set(&name, &(values * factor)?)?;
    }
    Ok(())
}

/// The sum of the variances of all features.
fn total_variance(body: &Network, digits: &Digits) -> Result<f64> {
    let dim = body.output()[0];
    let (mut sums, mut squares) = (vec![0f64; dim], 0f64);
    let all: Vec<usize> = (0..digits.len()).collect();
    for indices in all.chunks(CHUNK) {
        for row in flat(&body.forward(&digits.tensors(indices)?.0)?)?.chunks(dim) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += f64::from(value);
                squares += f64::from(value).powi(2);
            }
        }
    }
    let count = digits.len() as f64;
    let means: f64 = sums.iter().map(|sum| (sum / count).powi(2)).sum();
    Ok(squares / count - means)
}

/// The layers up to the features: all but the last two, dropout and the layer that names the classes.
pub(super) fn body(network: &Network) -> Result<Network> {
    network.first(network.config().layers().len().saturating_sub(2))
}

pub(super) fn flat(values: &Tensor) -> Result<Vec<f32>> {
    Ok(values.flatten_all()?.to_vec1()?)
}
