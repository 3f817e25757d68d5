//! Which classes there are, how often, and how sure the judge is of them.

use std::sync::Arc;

use super::Features;
use crate::{Error, Result};

/// What a judge takes images for.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// What the classes are called.
    pub names: Arc<[String]>,
    /// The fraction of images of each class, by the most probable one of each image.
    pub histogram: Vec<f64>,
    /// The mean probability of the most probable class: low for images that are no digits.
    pub confidence: f64,
}

impl Classes {
    /// Counts the most probable class of each image.
    ///
    /// # Errors
    /// [`Error::Value`] for features without probabilities, such as pixels.
    pub fn from_features(features: &Features) -> Result<Self> {
        check_judged(features)?;
        let count = features.len() as f64;
        let mut counts = vec![0u32; features.class_names().len()];
        features.predictions().for_each(|class| counts[class] += 1);
        let most = |row: &[f32]| f64::from(row.iter().copied().fold(0., f32::max));
        let sum: f64 = features.probabilities().map(most).sum();
        Ok(Classes {
            names: features.class_names().clone(),
            histogram: counts.iter().map(|&n| f64::from(n) / count).collect(),
            confidence: sum / count,
        })
    }

    /// The Kullback-Leibler divergence Σ p ln(p / q) of these fractions p from the reference's fractions q, in nats:
    /// 0 for equal ones, ln 10 = 2.3 for one class only among ten of equal size. A class that is missing adds nothing
    /// itself, but makes the fractions of the others too large.
    ///
    /// # Errors
    /// [`Error::Shape`] for other classes than the reference's; [`Error::Value`] where a class came out that the
    /// reference lacks: the divergence would be infinite.
    pub fn divergence(&self, reference: &Classes) -> Result<f64> {
        if self.names != reference.names {
            return Err(Error::Shape(format!(
                "divergence: expected the reference's {} classes, but found {} or other names; both must come from one judge",
                reference.names.len(),
                self.names.len()
            )));
        }
        let fractions = || self.histogram.iter().zip(&reference.histogram);
        if let Some(class) = fractions().position(|(&p, &q)| p > 0. && q == 0.) {
            return Err(Error::Value(format!(
                "divergence: the reference holds no {}, so that its fraction cannot be compared; take a reference with \
                 all {} classes, of a few hundred images at least",
                self.names[class],
                self.names.len()
            )));
        }
        let terms = fractions().map(|(&p, &q)| if p > 0. { p * (p / q).ln() } else { 0. });
        Ok(terms.sum())
    }
}

/// The fraction of images that the judge takes for the class asked for.
///
/// # Errors
/// [`Error::Shape`] unless there is a label for each image; [`Error::Value`] for labels of no class and for features
/// without probabilities.
pub fn class_accuracy(features: &Features, labels: &[u32]) -> Result<f64> {
    check_judged(features)?;
    if labels.len() != features.len() {
        return Err(Error::Shape(format!(
            "class_accuracy: expected {} labels, one for each image, but found {}",
            features.len(),
            labels.len()
        )));
    }
    let classes = features.class_names().len();
    if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
        return Err(Error::Value(format!(
            "class_accuracy: expected labels from 0 to {}, but found {label}",
            classes - 1
        )));
    }
    let pairs = features.predictions().zip(labels);
    let right = pairs.filter(|&(class, &label)| class == label as usize);
    Ok(right.count() as f64 / labels.len() as f64)
}

fn check_judged(features: &Features) -> Result<()> {
    if features.class_names().is_empty() {
        let message =
            "classes: these features hold no probabilities of classes; take Judge::features()";
        return Err(Error::Value(message.into()));
    }
    Ok(())
}
