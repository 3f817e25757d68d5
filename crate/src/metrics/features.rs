//! Images as rows of numbers in which near means alike.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::data::Digits;
use crate::rng::Rng;
use crate::{Error, Result};

/// Images as a [`Judge`](super::Judge) sees them: a row of features for each, and how probable each class is. Or as
/// pixels, without probabilities.
#[derive(Clone, Debug)]
pub struct Features {
    /// Row after row.
    rows: Vec<f32>,
    dim: usize,
    /// A row for each image, or nothing.
    probabilities: Vec<f32>,
    /// Empty without probabilities.
    class_names: Arc<[String]>,
}

impl Features {
    /// `rows` of `dim` features, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is at least one row, and whole ones only; [`Error::Value`] for a value that is not
    /// finite.
    pub fn new(rows: Vec<f32>, dim: usize) -> Result<Self> {
        if dim == 0 || rows.is_empty() || !rows.len().is_multiple_of(dim) {
            return Err(Error::Shape(format!(
                "features: expected at least one row of {dim} values, and whole rows only, but found {} values",
                rows.len()
            )));
        }
        check_finite(&rows, dim)?;
        Ok(Features {
            rows,
            dim,
            probabilities: Vec::new(),
            class_names: Arc::new([]),
        })
    }

    /// The same with the `probabilities` of the classes of these names, a row for each image, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a probability for each image and class, and at least one class;
    /// [`Error::Value`] for one that is not finite.
    pub fn with_probabilities(
        self,
        probabilities: Vec<f32>,
        class_names: &Arc<[String]>,
    ) -> Result<Self> {
        let (count, classes) = (self.len(), class_names.len());
        if classes == 0 || probabilities.len() != count * classes {
            return Err(Error::Shape(format!(
                "features: expected the probabilities of {classes} classes, at least one, for each of {count} images, but \
                 found {} values",
                probabilities.len()
            )));
        }
        check_finite(&probabilities, classes)?;
        Ok(Features {
            probabilities,
            class_names: class_names.clone(),
            ..self
        })
    }

    /// The pixels of images (n, channels, height, width), a row for each image, without probabilities.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape or no image, [`Error::Value`] for a pixel that is not finite.
    pub fn from_pixels(images: &Tensor) -> Result<Self> {
        let dim = match images.dims() {
            [n, image @ ..] if *n > 0 && image.len() == 3 => image.iter().product(),
            other => {
                return Err(Error::Shape(format!(
                    "pixels: expected images of shape (n, channels, height, width) with n at least 1, got {other:?}"
                )));
            }
        };
        let pixels = images.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Features::new(pixels, dim)
    }

    /// The pixels of digits, as [`Features::from_pixels`] gives those of images in [-1, 1].
    ///
    /// # Errors
    /// [`Error::Shape`] for no digits.
    pub fn from_digits(digits: &Digits) -> Result<Self> {
        let images = (0..digits.len()).map(|i| digits.image(i));
        let pixels = images.flatten().map(|&byte| f32::from(byte) / 127.5 - 1.0);
        Features::new(pixels.collect(), digits.image_shape().iter().product())
    }

    /// Those of the images at these indices.
    pub(super) fn select(&self, images: &[usize]) -> Self {
        let rows_of = |values: &[f32], dim: usize| -> Vec<f32> {
            let rows = images.iter().filter_map(|&i| values.chunks(dim).nth(i));
            rows.flatten().copied().collect()
        };
        Features {
            rows: rows_of(&self.rows, self.dim),
            dim: self.dim,
            probabilities: rows_of(&self.probabilities, self.class_names.len().max(1)),
            class_names: self.class_names.clone(),
        }
    }

    /// The number of images, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// The number of features of each image.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The features of image `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Features::len`], like a slice.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dim..][..self.dim]
    }

    /// The features of all images, row after row.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// What the classes are called; empty without probabilities.
    pub fn class_names(&self) -> &Arc<[String]> {
        &self.class_names
    }

    /// How probable each class is, for each image; empty where no judge was asked.
    pub fn probabilities(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.probabilities
            .chunks_exact(self.class_names.len().max(1))
    }

    /// The most probable class of each image; empty where no judge was asked.
    pub fn predictions(&self) -> impl ExactSizeIterator<Item = usize> {
        self.probabilities().map(|row| {
            let most = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            most.unwrap_or_default()
        })
    }
}

/// Refuses values that are not finite; `dim` of them belong to each image.
fn check_finite(values: &[f32], dim: usize) -> Result<()> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(Error::Value(format!(
            "features: image {} has a value that is not finite; a generator that has diverged draws such images: go back \
             to an earlier one",
            at / dim
        ))),
        None => Ok(()),
    }
}

/// Refuses features of two different lengths.
pub(super) fn same_dim(a: usize, b: usize, caller: &str) -> Result<()> {
    if a != b {
        return Err(Error::Shape(format!(
            "{caller}: expected features of one length, but found {a} and {b}; both must come from one judge"
        )));
    }
    Ok(())
}

/// Refuses fewer images than a metric needs.
pub(super) fn at_least(least: usize, found: usize, caller: &str) -> Result<()> {
    if found < least {
        return Err(Error::Value(format!(
            "{caller}: expected at least {least} images, but found {found}; draw more samples"
        )));
    }
    Ok(())
}

/// The indices of `count` images in random order, the same in every call. Images are rarely ordered by chance: the
/// classes of a conditional generator alternate, and the first half of MNIST's test set is the easier one.
pub(super) fn shuffled(count: usize) -> Vec<usize> {
    Rng::seed(0).permutation(count)
}
