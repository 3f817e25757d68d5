//! The judge: a digit classifier that the crate trains itself, and in whose features the metrics compare images.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs};

use candle_core::Tensor;
use candle_nn::loss::cross_entropy;
use candle_nn::ops::softmax_last_dim;
use serde::Serialize;

use super::{Features, class_accuracy};
use crate::data::Digits;
use crate::display::{Content, Show, evcxr_display};
use crate::nn::{Layer, Network, Sequential};
use crate::optim::{Adam, MovingAverage, Schedule};
use crate::rng::Rng;
use crate::{Error, Result, interrupt};

/// The total variance of the features of real digits. Classifiers of this kind have a few hundred by themselves, and no
/// two the same: with it fixed, figures of two judges are of the same size.
const VARIANCE: f64 = 800.;
/// Images that the judge sees at a time: bounds the memory of the layers in between.
const CHUNK: usize = 1000;

/// How a [`Judge`] is trained. The default trains in half a minute, to more than 99% of MNIST's test digits right.
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

/// A small convolutional classifier of digits. Shows itself in a cell: how many test digits it names right, and where it
/// came from.
///
/// Its 128 penultimate activations are the features in which [`metrics`](crate::metrics) compares images: they lie near
/// each other for digits that look alike. Networks trained on photographs, which other data sets are judged by, see
/// little in digits.
#[derive(Clone)]
pub struct Judge {
    network: Network,
    /// The layers up to the features.
    body: Network,
    class_names: Arc<[String]>,
    accuracy: f64,
    /// "10000 test digits".
    tested_on: String,
    origin: Origin,
}

/// Where a judge came from.
#[derive(Clone)]
enum Origin {
    Trained,
    Saved(PathBuf),
    Read(PathBuf),
}

impl Judge {
    /// The judge of these digits from a folder, or where it holds none, a new one, which is saved there. Its accuracy is
    /// the fraction of `test` that it names right.
    ///
    /// # Errors
    /// As [`Judge::train`]; [`Error::Format`] if its file is damaged, [`Error::Io`] if it cannot be read or written.
    pub fn open(folder: impl AsRef<Path>, train: &Digits, test: &Digits) -> Result<Self> {
        Judge::open_with(&JudgeRecipe::default(), folder, train, test)
    }

    /// The same by another recipe. The file is named after the digits and the recipe: each combination has its own.
    ///
    /// # Errors
    /// As [`Judge::open`].
    pub fn open_with(
        recipe: &JudgeRecipe,
        folder: impl AsRef<Path>,
        train: &Digits,
        test: &Digits,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let path = folder.join(file_name(recipe, train)?);
        if !path.exists() {
            let judge = Judge::train(recipe, train, test)?;
            judge.network.save(&path)?;
            let origin = Origin::Saved(path);
            return Ok(Judge { origin, ..judge });
        }
        let network = Network::load(&path, &Rng::seed(recipe.seed))?;
        if network.config() != &description(train) {
            let message =
                "expected a judge of these digits: delete it, and a new one will be trained";
            return Err(Error::format(path, message));
        }
        Judge::new(network, train, test, Origin::Read(path))
    }

    /// Trains a judge: Adam on the cross-entropy, and the moving average of the weights in the end.
    ///
    /// # Errors
    /// [`Error::Value`] if there are fewer digits to train on than a batch holds, none to test on, `test` is not of the
    /// same size and classes as `train`, or the recipe makes no sense.
    pub fn train(recipe: &JudgeRecipe, train: &Digits, test: &Digits) -> Result<Self> {
        recipe.check()?;
        check_same_kind(train, test)?;
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
        Judge::new(network, train, test, Origin::Trained)
    }

    fn new(network: Network, train: &Digits, test: &Digits, origin: Origin) -> Result<Self> {
        check_same_kind(train, test)?;
        let mut judge = Judge {
            body: body(&network)?,
            network,
            class_names: train.class_names().clone(),
            accuracy: 0.,
            tested_on: test.count_and_part(),
            origin,
        };
        let labels: Vec<u32> = test.labels().iter().map(|&label| label.into()).collect();
        judge.accuracy = class_accuracy(&judge.features_of(test)?, &labels)?;
        Ok(judge)
    }

    /// The fraction of test digits that it names right.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// What it sees in images (n, 1, height, width) in [-1, 1].
    ///
    /// # Errors
    /// [`Error::Shape`] for no images, or images of another size than it was trained on; [`Error::Value`] for images that
    /// are not finite.
    pub fn features(&self, images: &Tensor) -> Result<Features> {
        let count = images.dims().first().copied().unwrap_or(0);
        self.look(count, |start, len| Ok(images.narrow(0, start, len)?))
    }

    /// What it sees in all of these digits.
    ///
    /// # Errors
    /// As [`Judge::features`].
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
            interrupt::check()?;
            let images = images(start, CHUNK.min(count - start))?;
            rows.extend(flat(&self.body.forward(&images)?)?);
            probabilities.extend(flat(&softmax_last_dim(&self.network.forward(&images)?)?)?);
        }
        Features::new(rows, self.body.output()[0])?
            .with_probabilities(probabilities, &self.class_names)
    }
}

impl JudgeRecipe {
    fn check(&self) -> Result<()> {
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

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (percent, tested_on) = (100. * self.accuracy, &self.tested_on);
        write!(f, "a judge that names {percent:.2}% of {tested_on} right, ")?;
        match &self.origin {
            Origin::Trained => f.write_str("newly trained"),
            Origin::Saved(path) => write!(f, "newly trained and saved as {}", path.display()),
            Origin::Read(path) => write!(f, "read from {}", path.display()),
        }
    }
}

impl Show for Judge {
    fn content(&self) -> Content {
        Content::text(self.to_string())
    }
}

evcxr_display!(Judge);

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn check_same_kind(train: &Digits, test: &Digits) -> Result<()> {
    if test.is_empty() {
        let message = "a judge needs digits to be tested on, got none";
        return Err(Error::Value(message.into()));
    }
    if (train.image_shape(), train.class_names()) != (test.image_shape(), test.class_names()) {
        return Err(Error::Value(format!(
            "a judge is tested on digits like those that it is trained on: images {:?} of {} classes, but found images \
             {:?} of {} classes, or classes of other names",
            train.image_shape(),
            train.class_count(),
            test.image_shape(),
            test.class_count()
        )));
    }
    Ok(())
}

/// Tells apart judges of other digits, another recipe or another description.
fn file_name(recipe: &JudgeRecipe, digits: &Digits) -> Result<String> {
    let all = serde_json::to_vec(&(recipe, description(digits), VARIANCE))
        .map_err(|error| Error::Value(format!("judge: {error}")))?;
    let (digits, all) = (digits.checksum(), crc32fast::hash(&all));
    Ok(format!("judge-{digits:08x}-{all:08x}.safetensors"))
}

fn flat(values: &Tensor) -> Result<Vec<f32>> {
    Ok(values.flatten_all()?.to_vec1()?)
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
fn body(network: &Network) -> Result<Network> {
    network.first(network.config().layers().len().saturating_sub(2))
}

fn description(digits: &Digits) -> Sequential {
    let rectified = |network: Sequential| network.no_bias().batch_norm(0.9).leaky_relu(0.);
    let network = Sequential::new("judge", digits.image_shape());
    let network = rectified(network.conv2d(32, 4, 2));
    let network = rectified(network.conv2d(64, 4, 2)).flatten();
    let network = rectified(network.dropout(0.4).dense(128));
    network.dropout(0.4).dense(digits.class_count())
}
