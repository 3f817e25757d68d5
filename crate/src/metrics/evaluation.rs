//! All metrics of a generator in one go.

use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;

use super::copies::nearest_in_pixels;
use super::features::shuffled;
use super::{
    Classes, Copies, Features, Gaussian, Judge, Neighbourhoods, Neighbours, Report, Tstr,
    class_accuracy, kid, nearest, tstr,
};
use crate::data::Digits;
use crate::display::{Content, Show, evcxr_display};
use crate::rng::Rng;
use crate::{Error, Result};

/// Samples looked up among all training digits: a median needs no more.
const LOOKED_UP: usize = 2000;

/// A protocol that makes figures comparable: one judge, one number of samples, and one set of real digits that
/// neither the judge nor the generators were trained on, measured once. Shows itself in a cell: the protocol, and what
/// real digits reach.
///
/// It reports: what is chosen by its figures (a recipe, a checkpoint) is chosen on
/// [held-out](crate::data::Digits::hold_out) digits, and then reported on the test digits.
pub struct Evaluation {
    judge: Judge,
    train: Digits,
    /// What the judge sees in `train`.
    seen: Features,
    reference: Reference,
    held_out: Neighbours,
    floor: Arc<Report>,
    /// "10000 test digits".
    against: String,
}

/// The test digits, as each metric needs them.
struct Reference {
    gaussian: Gaussian,
    neighbourhoods: Neighbourhoods,
    classes: Classes,
    digits: Digits,
}

impl Evaluation {
    /// Measures the reference, which is all of `test`, and the floor: the figures of `samples` real digits, taken from
    /// `train` by a fixed seed. 10,000 is the usual number: with fewer, the Fréchet distance is larger and coverage
    /// smaller, of the floor too.
    ///
    /// # Errors
    /// [`Error::Value`] if `train` holds fewer digits than `samples`, or there are too few to measure: 20 at least,
    /// with every class in `test`; [`Error::Shape`] for images or classes other than the judge's.
    pub fn new(judge: &Judge, train: &Digits, test: &Digits, samples: usize) -> Result<Self> {
        if samples > train.len() {
            return Err(Error::Value(format!(
                "Evaluation: the floor of {samples} samples takes as many training digits, but there are {}; evaluate \
                 fewer samples",
                train.len()
            )));
        }
        let (seen, real) = (judge.features_of(train)?, judge.features_of(test)?);
        let reference = Reference::fit(&real, test)?;
        let some_real = some(test.len());
        let pixels = Features::from_pixels(&test.tensors(&some_real)?.0)?;
        let held_out = find(train, &seen, &real.select(&some_real), &pixels)?;
        let chosen = &shuffled(train.len())[..samples];
        let labels: Vec<u32> = chosen.iter().map(|&i| train.label(i).into()).collect();
        let chosen = seen.select(chosen);
        let mut floor = reference.measure("real digits", &chosen, [&held_out; 2])?;
        floor.judge_accuracy = judge.accuracy();
        floor.class_accuracy = Some(class_accuracy(&chosen, &labels)?);
        Ok(Evaluation {
            judge: judge.clone(),
            train: train.clone(),
            seen,
            reference,
            held_out,
            floor: Arc::new(floor),
            against: test.count_and_part(),
        })
    }

    /// All metrics of a generator's samples (n, 1, height, width) in [-1, 1], as many as [`Evaluation::new`] was given.
    /// `labels` are the classes that a conditional generator was asked for.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, number of samples or number of labels; [`Error::Value`] for a pixel that is
    /// not finite, or a label of no class.
    pub fn report(&self, name: &str, samples: &Tensor, labels: Option<&[u32]>) -> Result<Report> {
        let pixels = Features::from_pixels(samples)?;
        if pixels.len() != self.floor.samples {
            return Err(Error::Shape(format!(
                "report of {name}: expected {} samples, as many as the floor was measured with, but found {}",
                self.floor.samples,
                pixels.len()
            )));
        }
        let seen = self.judge.features(samples)?;
        let class_accuracy = labels
            .map(|labels| class_accuracy(&seen, labels))
            .transpose()?;
        let some = some(pixels.len());
        let (few, pixels) = (seen.select(&some), pixels.select(&some));
        let found = find(&self.train, &self.seen, &few, &pixels)?;
        let report = self
            .reference
            .measure(name, &seen, [&found, &self.held_out])?;
        Ok(Report {
            judge_accuracy: self.judge.accuracy(),
            class_accuracy,
            floor: Some(self.floor.clone()),
            ..report
        })
    }

    /// The same evaluation, which also knows what a classifier reaches on the test digits that was trained on real ones:
    /// the ceiling of [`Evaluation::tstr`], in the column of real digits. Takes minutes.
    ///
    /// # Errors
    /// Those of [`tstr`](super::tstr()).
    pub fn with_tstr(mut self) -> Result<Self> {
        let tstr = Some(self.tstr(&self.train)?);
        let floor = Report {
            tstr,
            ..(*self.floor).clone()
        };
        self.floor = Arc::new(floor);
        Ok(self)
    }

    /// Trains a classifier on a conditional generator's digits, and tests it on the real test digits; see
    /// [`tstr`](super::tstr()). [`Report::with_tstr`] puts the figure into a report. Takes minutes.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// # fn show(evaluation: Evaluation, sampler: Sampler, samples: Tensor) -> digit_gan::Result<()> {
    /// let digits = sampler.digits(60_000, &Rng::seed(1))?;
    /// let labels = sampler.labels(10_000);
    /// let report = evaluation.report("lean", &samples, labels.as_deref())?;
    /// println!("{}", report.with_tstr(evaluation.tstr(&digits)?));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`tstr`](super::tstr()).
    pub fn tstr(&self, generated: &Digits) -> Result<Tstr> {
        tstr(generated, &self.reference.digits, &Rng::seed(0))
    }

    /// The report of real digits: the floor.
    pub fn floor(&self) -> &Report {
        &self.floor
    }

    /// Which classes the reference is of.
    pub fn classes(&self) -> &Classes {
        &self.reference.classes
    }

    /// The training digits nearest to samples (n, 1, height, width), for
    /// [`plot::nearest_neighbours`](crate::plot::nearest_neighbours).
    ///
    /// # Errors
    /// As [`Evaluation::report`], for any number of samples.
    pub fn neighbours(&self, samples: &Tensor) -> Result<Neighbours> {
        let pixels = Features::from_pixels(samples)?;
        find(
            &self.train,
            &self.seen,
            &self.judge.features(samples)?,
            &pixels,
        )
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{} samples at a time against {}; as many other real digits are at a Fréchet distance of {:.2}",
            self.floor.samples, self.against, self.floor.frechet
        )
    }
}

impl Show for Evaluation {
    fn content(&self) -> Content {
        Content::text(self.to_string())
    }
}

evcxr_display!(Evaluation);

impl Reference {
    fn fit(features: &Features, digits: &Digits) -> Result<Self> {
        Ok(Reference {
            gaussian: Gaussian::fit(features)?,
            neighbourhoods: Neighbourhoods::fit(features)?,
            classes: Classes::from_features(features)?,
            digits: digits.clone(),
        })
    }

    /// The fraction of each class's digits that are covered.
    fn by_class(&self, covered: &[bool]) -> Vec<f64> {
        let (labels, classes) = (self.digits.labels(), self.digits.class_count());
        let of_class = |class: usize| {
            let labels = labels.iter().zip(covered);
            let own = labels.filter(|&(&label, _)| usize::from(label) == class);
            let own: Vec<bool> = own.map(|(_, &covered)| covered).collect();
            own.iter().filter(|&&covered| covered).count() as f64 / own.len() as f64
        };
        (0..classes).map(of_class).collect()
    }

    /// `found` near the samples, and near held-out digits.
    fn measure(&self, name: &str, seen: &Features, found: [&Neighbours; 2]) -> Result<Report> {
        let classes = Classes::from_features(seen)?;
        let [near, held_out] = found;
        let (prdc, covered) = self.neighbourhoods.measure(seen)?;
        Ok(Report {
            name: name.into(),
            samples: seen.len(),
            judge_accuracy: 0.,
            frechet: Gaussian::fit(seen)?.distance(&self.gaussian)?,
            kid: kid(seen, self.neighbourhoods.reference())?,
            prdc,
            coverage_by_class: self.by_class(&covered),
            divergence: classes.divergence(&self.classes)?,
            classes,
            class_accuracy: None,
            tstr: None,
            in_features: Copies::from_neighbours(&near.in_features, &held_out.in_features)?,
            in_pixels: Copies::from_neighbours(&near.in_pixels, &held_out.in_pixels)?,
            floor: None,
        })
    }
}

/// The indices of up to [`LOOKED_UP`] of `count` images.
fn some(count: usize) -> Vec<usize> {
    let mut chosen = shuffled(count);
    chosen.truncate(LOOKED_UP);
    chosen
}

fn find(
    train: &Digits,
    seen: &Features,
    features: &Features,
    pixels: &Features,
) -> Result<Neighbours> {
    Ok(Neighbours {
        in_features: nearest(features, seen)?,
        in_pixels: nearest_in_pixels(pixels, train)?,
    })
}
