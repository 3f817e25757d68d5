//! Which digits there are, how often, and how sure the judge is of them.

use super::Features;
use crate::data::CLASSES;
use crate::{Error, Result};

/// What a judge takes images for.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// The share of each digit among the images, by its most probable name.
    pub histogram: [f64; CLASSES],
    /// The mean probability of the most probable digit: low for images that are no digits.
    pub confidence: f64,
}

impl Classes {
    /// Counts the digits.
    ///
    /// # Errors
    /// [`Error::Value`] for features without probabilities, such as pixels.
    pub fn of(features: &Features) -> Result<Self> {
        let probabilities = judged(features)?;
        let count = probabilities.len() as f64;
        let mut counts = [0u32; CLASSES];
        features
            .classes()
            .for_each(|class| counts[usize::from(class)] += 1);
        let most = |row: &[f32; CLASSES]| f64::from(row.iter().copied().fold(0., f32::max));
        let sum: f64 = probabilities.iter().map(most).sum();
        Ok(Classes {
            histogram: counts.map(|n| f64::from(n) / count),
            confidence: sum / count,
        })
    }

    /// The Kullback-Leibler divergence Σ p ln(p / q) of these digits' shares p from the reference's shares q, in nats:
    /// 0 for equal shares, ln 10 = 2.3 for one digit only among ten equally often. A digit that never came out adds
    /// nothing itself, but makes the others' shares too large.
    ///
    /// # Errors
    /// [`Error::Value`] where a digit came out that the reference lacks: the divergence would be infinite.
    pub fn divergence(&self, reference: &Classes) -> Result<f64> {
        let shares = || self.histogram.iter().zip(&reference.histogram);
        if let Some(digit) = shares().position(|(&p, &q)| p > 0. && q == 0.) {
            return Err(Error::Value(format!(
                "divergence: the reference holds no {digit}, so that its share cannot be compared; take a reference \
                 with all ten digits, of a few hundred images at least"
            )));
        }
        let terms = shares().map(|(&p, &q)| if p > 0. { p * (p / q).ln() } else { 0. });
        Ok(terms.sum())
    }
}

/// The share of images that the judge takes for the digit asked for.
///
/// # Errors
/// [`Error::Shape`] unless there is a label for each image; [`Error::Value`] for labels above 9 and for features
/// without probabilities.
pub fn asked_right(features: &Features, labels: &[u32]) -> Result<f64> {
    judged(features)?;
    if labels.len() != features.len() {
        return Err(Error::Shape(format!(
            "asked digits: expected {} labels, one for each image, but found {}",
            features.len(),
            labels.len()
        )));
    }
    if let Some(label) = labels.iter().find(|&&label| label >= CLASSES as u32) {
        return Err(Error::Value(format!(
            "asked digits: expected labels from 0 to 9, but found {label}"
        )));
    }
    let pairs = features.classes().zip(labels);
    let right = pairs.filter(|&(class, &label)| u32::from(class) == label);
    Ok(right.count() as f64 / labels.len() as f64)
}

fn judged(features: &Features) -> Result<&[[f32; CLASSES]]> {
    match features.probabilities() {
        [] => Err(Error::Value(
            "classes: these features hold no probabilities of digits; take Judge::features()"
                .into(),
        )),
        probabilities => Ok(probabilities),
    }
}
