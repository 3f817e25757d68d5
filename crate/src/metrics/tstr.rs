//! Train on generated digits, test on real ones: what a classifier can learn from a generator.

use std::fmt;

use candle_core::{D, Tensor};
use candle_nn::loss::cross_entropy;

use super::features::at_least;
use crate::data::Digits;
use crate::display::{Content, Show, evcxr_display};
use crate::nn::{Conv2d, Network, Padding, Precision, Sequential};
use crate::optim::Adam;
use crate::rng::Rng;
use crate::{Error, Result, interrupt};

/// Digits, of those that the classifier is given, that choose its epoch and are not trained on.
const VALIDATION: usize = 5000;
const EPOCHS: usize = 10;
const BATCH: usize = 64;
const LEARNING_RATE: f64 = 1e-3;
/// Images that are classified at a time: bounds the memory of the layers in between.
const CHUNK: usize = 500;

/// How well a classifier does on real digits that has seen generated ones only. Shows itself in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Tstr {
    /// The fraction of real test digits that it names right, after the epoch that was chosen.
    pub accuracy: f64,
    /// The fraction of generated digits, held out of its training, that it names right after each epoch. The first best
    /// one is the epoch that was chosen: real digits have no say in it.
    pub validation: Vec<f64>,
}

/// Trains a classifier on `train` and tests it on `test`. With a generator's digits as `train`
/// ([`Sampler::digits`](crate::train::Sampler::digits)) and as many as there are real ones, this is TSTR (Esteban et al.
/// 2017, <https://arxiv.org/abs/1706.02633>): it is low where the generator draws digits that are not those asked for, and
/// where it leaves out ways of writing that real people have. With real digits as `train` it is the ceiling.
///
/// The protocol is that of Bie et al. 2023 (<https://arxiv.org/abs/2302.02936>), so that the figures compare:
/// convolutions of 32 and 64 channels (3x3, no padding), a max-pool, dropout 0.25, 128 units, dropout 0.5; Adam with a
/// learning rate of 0.001, batches of 64, 10 epochs, of which the best on the last 5,000 digits of `train` counts (the
/// last twelfth, if there are fewer than 60,000). Weights start as all of this crate's do. It trains in
/// [`Precision::Bf16`] where the CPU has instructions for that, which more than halves the time, and in f32 elsewhere.
///
/// # Errors
/// [`Error::Value`] for fewer than 120 digits to train on or none to test on; [`Error::Shape`] if `test` has images or
/// classes other than `train`, or they are smaller than 6x6; [`Error::Interrupted`] when the user stops the cell.
pub fn tstr(train: &Digits, test: &Digits, rng: &Rng) -> Result<Tstr> {
    at_least(120, train.len(), "tstr, digits to train on")?;
    at_least(1, test.len(), "tstr, digits to test on")?;
    if (train.image_shape(), train.class_count()) != (test.image_shape(), test.class_count()) {
        return Err(Error::Shape(format!(
            "tstr: expected digits to test on like those to train on, images {:?} of {} classes, but found images {:?} of \
             {} classes",
            train.image_shape(),
            train.class_count(),
            test.image_shape(),
            test.class_count()
        )));
    }
    let (train, held_out) = train.hold_out(VALIDATION.min(train.len() / 12))?;
    let precision = match Precision::Bf16.is_native() {
        true => Precision::Bf16,
        false => Precision::F32,
    };
    let classifier = classifier(&train).build(rng)?.with_precision(precision);
    let mut adam = Adam::new(classifier.parameters(), LEARNING_RATE, 0.9)?;
    let mut found = Tstr {
        accuracy: 0.,
        validation: Vec::new(),
    };
    let batch = BATCH.min(train.len());
    for _ in 0..EPOCHS {
        for batch in train.batches(batch, rng) {
            let (images, labels) = batch?;
            adam.step(&cross_entropy(
                &classifier.forward_t(&images, true)?,
                &labels,
            )?)?;
        }
        let accuracy = accuracy(&classifier, &held_out)?;
        if found.validation.iter().all(|&before| before < accuracy) {
            found.accuracy = self::accuracy(&classifier, test)?;
        }
        found.validation.push(accuracy);
    }
    Ok(found)
}

impl Tstr {
    /// The epoch that was chosen, counted from 1.
    pub fn epoch(&self) -> usize {
        let best = self.validation.iter().copied().fold(0., f64::max);
        let epoch = self.validation.iter().position(|&value| value == best);
        epoch.map_or(0, |epoch| epoch + 1)
    }
}

fn classifier(digits: &Digits) -> Sequential {
    let conv = |channels| Conv2d {
        channels,
        kernel: 3,
        stride: 1,
        padding: Padding::from(0),
        bias: true,
    };
    Sequential::new("classifier", digits.image_shape())
        .layer(conv(32))
        .relu()
        .layer(conv(64))
        .relu()
        .max_pool2d(2)
        .dropout(0.25)
        .flatten()
        .dense(128)
        .relu()
        .dropout(0.5)
        .dense(digits.class_count())
}

/// The fraction of digits that a classifier names right.
fn accuracy(classifier: &Network, digits: &Digits) -> Result<f64> {
    let all: Vec<usize> = (0..digits.len()).collect();
    let mut right = 0.;
    for indices in all.chunks(CHUNK) {
        interrupt::check()?;
        let (images, labels) = digits.tensors(indices)?;
        let named: Tensor = classifier.forward(&images)?.argmax(D::Minus1)?;
        right += f64::from(
            named
                .eq(&labels)?
                .to_dtype(candle_core::DType::F32)?
                .sum_all()?
                .to_scalar::<f32>()?,
        );
    }
    Ok(right / digits.len() as f64)
}

impl fmt::Display for Tstr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "a classifier names {:.2}% of the test digits right after epoch {} of {EPOCHS}",
            100. * self.accuracy,
            self.epoch()
        )
    }
}

impl Show for Tstr {
    fn content(&self) -> Content {
        Content::text(self.to_string())
    }
}

evcxr_display!(Tstr);
