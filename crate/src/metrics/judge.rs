//! The judge: a digit classifier that the crate trains itself, and in whose features the metrics compare images.

use std::path::Path;
use std::{fmt, fs};

use candle_core::Tensor;
use candle_nn::loss::cross_entropy;
use candle_nn::ops::softmax_last_dim;

use super::Features;
use crate::data::{CLASSES, Digits, SIDE};
use crate::nn::{Network, Sequential};
use crate::optim::{Adam, MovingAverage, Schedule};
use crate::rng::Rng;
use crate::{Error, Result};

/// The seed of the judge that [`Judge::open`] trains: all who open one on the same digits have the same judge.
const SEED: u64 = 1998;
/// Passes over the digits, and how many images that is at least: few digits are looked at more often.
const EPOCHS: usize = 10;
const LEAST_IMAGES: usize = 100_000;
const BATCH: usize = 128;
const LEARNING_RATE: f64 = 2e-3;
/// The layers up to the penultimate activations.
const BODY: usize = 11;
/// The total variance of the features of real digits. Classifiers of this kind have a few hundred by themselves, and no
/// two the same: with it fixed, figures of two judges are of the same size.
const VARIANCE: f64 = 800.;
/// Images that are looked at in one go: bounds the memory of the layers in between.
const CHUNK: usize = 1000;

/// A small convolutional classifier of digits, trained in half a minute, to more than 99% of MNIST's test digits right.
///
/// Its 128 penultimate activations are the features in which [`metrics`](crate::metrics) compares images: they lie near
/// each other for digits that look alike. Networks trained on photographs, which other data sets are judged by, see
/// little in digits.
#[derive(Clone)]
pub struct Judge {
    network: Network,
    body: Network,
    accuracy: f64,
}

impl Judge {
    /// The judge of these digits from a folder, or where it holds none, a new one, which is saved there. Prints its
    /// accuracy on `test`, the share of digits that it names right.
    ///
    /// # Errors
    /// As [`Judge::train`]; [`Error::Format`] if its file is damaged, [`Error::Io`] if it cannot be read or written.
    pub fn open(folder: impl AsRef<Path>, train: &Digits, test: &Digits) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let path = folder.join(format!("judge-{:08x}.safetensors", train.checksum()));
        if path.exists() {
            let network = Network::load(&path, &Rng::seed(SEED))?;
            if network.config() != &description() {
                let message =
                    "expected a judge of this version: delete it, and a new one will be trained";
                return Err(Error::format(path, message));
            }
            return Judge::of(network, test).inspect(|judge| println!("{judge}"));
        }
        let judge = Judge::train(train, test, SEED)?;
        judge.network.save(&path)?;
        println!("{judge}");
        Ok(judge)
    }

    /// Trains a judge: Adam on the cross-entropy, its rate falling along a cosine, the moving average of the weights in
    /// the end.
    ///
    /// # Errors
    /// [`Error::Value`] if there are fewer than 128 digits to train on, or none to test on.
    pub fn train(train: &Digits, test: &Digits, seed: u64) -> Result<Self> {
        let rng = Rng::seed(seed);
        let network = description().build(&rng)?;
        let mut adam = Adam::new(&network, LEARNING_RATE, 0.9)?;
        let images = (EPOCHS * train.len()).max(LEAST_IMAGES);
        let mut average = MovingAverage::new(&network, images as f64 / 50.)?;
        let (schedule, steps) = (Schedule::Cosine { to: 0. }, images / BATCH);
        let mut step = 0;
        while step < steps {
            for batch in train.batches(BATCH, &rng).take(steps - step) {
                let (images, labels) = batch?;
                adam.learning_rate = LEARNING_RATE * schedule.factor(step as f64 / steps as f64);
                adam.step(&cross_entropy(&network.train(&images)?, &labels)?)?;
                average.update(BATCH)?;
                step += 1;
            }
        }
        let network = average.network().clone();
        rescale(&network, train)?;
        Judge::of(network, test)
    }

    fn of(network: Network, test: &Digits) -> Result<Self> {
        if test.is_empty() {
            let message = "a judge needs digits to be tested on, got none";
            return Err(Error::Value(message.into()));
        }
        let mut judge = Judge {
            body: network.first(BODY)?,
            network,
            accuracy: 0.,
        };
        let seen = judge.features_of(test)?;
        let right = seen
            .classes()
            .zip(test.labels())
            .filter(|(class, label)| class == *label);
        judge.accuracy = right.count() as f64 / test.len() as f64;
        Ok(judge)
    }

    /// The share of test digits that it names right.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// What it sees in images (n, 1, 28, 28) in [-1, 1].
    pub fn features(&self, images: &Tensor) -> Result<Features> {
        let count = images.dims().first().copied().unwrap_or(0);
        self.look(count, |start, len| Ok(images.narrow(0, start, len)?))
    }

    /// What it sees in all of these digits.
    pub fn features_of(&self, digits: &Digits) -> Result<Features> {
        self.look(digits.len(), |start, len| {
            let indices: Vec<usize> = (start..start + len).collect();
            Ok(digits.tensors(&indices)?.0)
        })
    }

    fn look(
        &self,
        count: usize,
        images: impl Fn(usize, usize) -> Result<Tensor>,
    ) -> Result<Features> {
        let (mut rows, mut probabilities) = (Vec::new(), Vec::new());
        for start in (0..count).step_by(CHUNK) {
            let images = images(start, CHUNK.min(count - start))?;
            rows.extend(self.body.eval(&images)?.flatten_all()?.to_vec1::<f32>()?);
            let logits = self.network.eval(&images)?;
            for row in softmax_last_dim(&logits)?.to_vec2::<f32>()? {
                probabilities.push(row.try_into().expect("the judge knows ten digits"));
            }
        }
        Features::new(rows, self.body.output()[0], probabilities)
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "a judge that names {:.2}% of the test digits right",
            100. * self.accuracy
        )
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Scales the features to [`VARIANCE`] by the normalisation before them, and the last layer's weights back: a rectifier
/// lets a positive factor through, so that the opinions stay.
fn rescale(network: &Network, digits: &Digits) -> Result<()> {
    let judge = Judge {
        body: network.first(BODY)?,
        network: network.clone(),
        accuracy: 0.,
    };
    let seen = judge.features_of(digits)?;
    let rows = seen.rows().chunks(seen.dim());
    let (mut sums, mut squares) = (vec![0f64; seen.dim()], 0f64);
    for row in rows {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
            squares += f64::from(value).powi(2);
        }
    }
    let count = seen.len() as f64;
    let means: f64 = sums.iter().map(|sum| (sum / count).powi(2)).sum();
    let factor = (VARIANCE / (squares / count - means)).sqrt();
    for (name, values) in network.parameters()? {
        let factor = match name.as_str() {
            "9.batch_norm.gamma" | "9.batch_norm.beta" => factor,
            "12.dense.weight" => 1. / factor,
            _ => continue,
        };
        network.set(&name, &(values * factor)?)?;
    }
    Ok(())
}

fn description() -> Sequential {
    let conv = |network: Sequential, channels, stride| {
        network
            .conv2d(channels, 4, stride)
            .no_bias()
            .batch_norm(0.9)
            .leaky_relu(0.)
    };
    let body = Sequential::new("judge", [1, SIDE, SIDE]);
    let body = conv(conv(body, 32, 2), 64, 2).flatten();
    let body = body
        .dropout(0.4)
        .dense(128)
        .no_bias()
        .batch_norm(0.9)
        .leaky_relu(0.);
    body.dropout(0.4).dense(CLASSES)
}
