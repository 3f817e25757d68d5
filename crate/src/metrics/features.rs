//! What a judge sees in images.

use crate::data::CLASSES;
use crate::{Error, Result};

/// Images as a [`Judge`](super::Judge) sees them: a row of features and the probabilities of the ten digits each.
#[derive(Clone, Debug)]
pub struct Features {
    rows: Vec<f32>,
    dim: usize,
    probabilities: Vec<[f32; CLASSES]>,
}

impl Features {
    /// `rows` holds `dim` features for each image, one image after the other; `probabilities` a row for each.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths don't fit, [`Error::Value`] if a number is not finite.
    pub fn new(rows: Vec<f32>, dim: usize, probabilities: Vec<[f32; CLASSES]>) -> Result<Self> {
        if dim == 0 || rows.len() != dim * probabilities.len() {
            return Err(Error::Shape(format!(
                "Features: expected {dim} features, at least one, for each of {} images, found {} numbers in all",
                probabilities.len(),
                rows.len()
            )));
        }
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !finite(&rows) || !finite(probabilities.as_flattened()) {
            return Err(Error::Value(
                "Features: not all numbers are finite: are the images?".into(),
            ));
        }
        Ok(Features {
            rows,
            dim,
            probabilities,
        })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.probabilities.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.probabilities.is_empty()
    }

    /// The number of features of an image.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The features of all images, one image after the other.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The features of image `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Features::len`], like a slice.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dim..][..self.dim]
    }

    /// The probabilities of the ten digits, for each image.
    pub fn probabilities(&self) -> &[[f32; CLASSES]] {
        &self.probabilities
    }

    /// The most probable digit of each image.
    pub fn classes(&self) -> impl Iterator<Item = u8> {
        self.probabilities.iter().map(|row| {
            let most = (0..CLASSES as u8)
                .max_by(|&a, &b| row[usize::from(a)].total_cmp(&row[usize::from(b)]));
            most.expect("there are ten")
        })
    }
}
