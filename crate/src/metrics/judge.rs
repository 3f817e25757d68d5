//! The judge: a digit classifier that the crate trains itself, and in whose features the metrics compare images.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs};

use candle_core::Tensor;
use candle_nn::ops::softmax_last_dim;

use super::classifier::{CHUNK, JudgeRecipe, VARIANCE, body, description, flat, trained};
use super::{Features, class_accuracy};
use crate::data::Digits;
use crate::display::{Content, Show, evcxr_display};
use crate::nn::Network;
use crate::rng::Rng;
use crate::{Error, Result, interrupt};

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
        let network = trained(recipe, train)?;
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
