//! Images as rows of numbers in which near means alike.

use candle_core::{DType, Tensor};

use crate::data::{CLASSES, Digits, PIXELS, SIDE};
use crate::rng::Rng;
use crate::{Error, Result};

/// Images as a [`Judge`](super::Judge) sees them: a row of features each, and how probable each digit is. Or as pixels, without
/// probabilities.
#[derive(Clone, Debug)]
pub struct Features {
    /// Row after row.
    rows: Vec<f32>,
    dim: usize,
    probabilities: Vec<[f32; CLASSES]>,
}

impl Features {
    /// `rows` of `dim` features, one after the other, and the `probabilities` of the ten digits for each of them, or
    /// for none.
    ///
    /// # Errors
    /// [`Error::Shape`] where the numbers of values do not fit or there is no row; [`Error::Value`] for one that is
    /// not finite.
    pub fn new(rows: Vec<f32>, dim: usize, probabilities: Vec<[f32; CLASSES]>) -> Result<Self> {
        if dim == 0 || rows.is_empty() || !rows.len().is_multiple_of(dim) {
            return Err(Error::Shape(format!(
                "features: expected at least one row of {dim} values, and whole rows only, but found {} values",
                rows.len()
            )));
        }
        let count = rows.len() / dim;
        if !probabilities.is_empty() && probabilities.len() != count {
            return Err(Error::Shape(format!(
                "features: expected the probabilities of {count} images, one for each row, or of none, but found {}",
                probabilities.len()
            )));
        }
        let row = rows.iter().position(|x| !x.is_finite()).map(|at| at / dim);
        let finite = |row: &[f32; CLASSES]| row.iter().all(|x| x.is_finite());
        let image = row.or_else(|| probabilities.iter().position(|row| !finite(row)));
        if let Some(image) = image {
            return Err(Error::Value(format!(
                "features: image {image} has a value that is not finite; a generator that has diverged draws such \
                 images: go back to an earlier one"
            )));
        }
        Ok(Features {
            rows,
            dim,
            probabilities,
        })
    }

    /// The pixels of images (n, 1, 28, 28) in [-1, 1]: 784 a row, without probabilities.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape or no image, [`Error::Value`] for a pixel that is not finite.
    pub fn pixels(images: &Tensor) -> Result<Self> {
        if !matches!(images.dims(), [n, 1, SIDE, SIDE] if *n > 0) {
            return Err(Error::Shape(format!(
                "pixels: expected images of shape (n, 1, 28, 28) with n at least 1, got {:?}",
                images.dims()
            )));
        }
        let pixels = images.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Features::new(pixels, PIXELS, Vec::new())
    }

    /// The pixels of digits, as [`Features::pixels`] gives those of images.
    ///
    /// # Errors
    /// [`Error::Shape`] for no digits.
    pub fn pixels_of(digits: &Digits) -> Result<Self> {
        let images = (0..digits.len()).map(|i| digits.image(i));
        let pixels = images.flatten().map(|&byte| f32::from(byte) / 127.5 - 1.0);
        Features::new(pixels.collect(), PIXELS, Vec::new())
    }

    /// The images of these numbers.
    pub(super) fn select(&self, images: &[usize]) -> Self {
        let rows = images.iter().flat_map(|&i| self.row(i)).copied();
        let probabilities = images.iter().filter_map(|&i| self.probabilities.get(i));
        Features {
            rows: rows.collect(),
            dim: self.dim,
            probabilities: probabilities.copied().collect(),
        }
    }

    /// The number of images, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// Features an image.
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

    /// How probable each digit is, for each image; empty where no judge was asked.
    pub fn probabilities(&self) -> &[[f32; CLASSES]] {
        &self.probabilities
    }

    /// The most probable digit of each image; empty where no judge was asked.
    pub fn classes(&self) -> impl Iterator<Item = u8> {
        self.probabilities.iter().map(|row| {
            let most = (0..CLASSES as u8)
                .max_by(|&a, &b| row[usize::from(a)].total_cmp(&row[usize::from(b)]));
            most.expect("there are ten")
        })
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

/// So many images in random order, the same in every call. Images rarely come in one by themselves: a conditional
/// generator's digits in turn, and the first half of MNIST's test set is the easier one.
pub(super) fn shuffled(count: usize) -> Vec<usize> {
    Rng::seed(0).permutation(count)
}
