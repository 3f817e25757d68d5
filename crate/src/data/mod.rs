//! Labelled 28x28 digits: bytes in memory, f32 batches in [-1, 1] for training.
//!
//! ```
//! use digit_gan::{data::Digits, rng::Rng};
//! let rng = Rng::seed(42);
//! let digits = Digits::builtin(100, &rng);
//! for batch in digits.batches(64, &rng) {
//!     let (images, labels) = batch?;
//!     assert_eq!((images.dims(), labels.dims()), (&[64, 1, 28, 28][..], &[64][..]));
//! }
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod builtin;
mod folder;
mod glyphs;
pub mod idx;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::rng::Rng;
use crate::{Error, Result};

/// Height and width of a digit in pixels.
pub const SIDE: usize = 28;
/// Pixels, and so bytes, of a digit.
pub const PIXELS: usize = SIDE * SIDE;

/// The kinds of digits.
pub const CLASSES: usize = 10;

/// The command that puts MNIST where [`Digits::load`] finds it.
pub const FETCH: &str = "cargo run --release --features fetch --bin fetch-mnist";

/// MNIST's two parts: to learn from (60,000 digits) and to judge with (10,000).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    Test,
}

/// Where digits came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// IDX files in this place: `MNIST_DIR`, or a folder relative to the current one.
    Mnist { place: String },
    /// Drawn by the crate itself.
    Builtin,
}

/// Labelled digits, one byte per pixel: 0 is the background, 255 the ink. A clone is another handle on the
/// same memory.
#[derive(Clone)]
pub struct Digits {
    images: Arc<Vec<u8>>,
    labels: Arc<Vec<u8>>,
    source: Source,
}

impl Digits {
    /// MNIST if its files are in `MNIST_DIR` or in `data/mnist` of the current folder or one above it, else
    /// built-in digits (60,000 to train, 10,000 to test, as many as MNIST). Prints which it is and how many.
    ///
    /// # Errors
    /// When `MNIST_DIR` is set but holds no MNIST, when only one of a split's two files is there, and when a
    /// file is damaged: digits other than those asked for would be worse.
    pub fn load(split: Split) -> Result<Self> {
        let digits = match folder::find(split)? {
            Some(digits) => digits,
            None => match split {
                Split::Train => Digits::builtin(60_000, &Rng::seed(0)),
                Split::Test => Digits::builtin(10_000, &Rng::seed(1)),
            },
        };
        println!("{} {split} digits: {}", digits.len(), digits.source);
        Ok(digits)
    }

    /// MNIST and nothing else, from the same places as [`Digits::load`]. Prints where it was and how many.
    ///
    /// # Errors
    /// As [`Digits::load`], and [`Error::NotFound`] where that would fall back to built-in digits.
    pub fn mnist(split: Split) -> Result<Self> {
        let digits = folder::find(split)?.ok_or_else(folder::not_found)?;
        println!("{} {split} digits: {}", digits.len(), digits.source);
        Ok(digits)
    }

    /// `n` digits drawn by the crate, as many of each class as of the others, in random order.
    pub fn builtin(n: usize, rng: &Rng) -> Self {
        let (images, labels) = builtin::draw(n, rng);
        Digits {
            images: Arc::new(images),
            labels: Arc::new(labels),
            source: Source::Builtin,
        }
    }

    /// Digits from an IDX file of images and one of their labels; `place` is how [`Source`] calls it.
    fn read(images: &Path, labels: &Path, place: String) -> Result<Self> {
        let digits = Digits {
            images: Arc::new(idx::read_images(images)?),
            labels: Arc::new(idx::read_labels(labels)?),
            source: Source::Mnist { place },
        };
        let count = digits.images.len() / PIXELS;
        if count != digits.len() {
            let message = format!(
                "expected {count} labels, one for each image in {}, but found {}. \
                 Replace both files: `{FETCH}` gets MNIST's.",
                images.display(),
                digits.len()
            );
            return Err(Error::format(labels, message));
        }
        Ok(digits)
    }

    /// The number of digits.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The 784 bytes of digit `i`, row by row.
    ///
    /// # Panics
    /// If `i` is not below [`Digits::len`], like a slice.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.images[i * PIXELS..][..PIXELS]
    }

    /// The label, 0-9, of digit `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Digits::len`], like a slice.
    pub fn label(&self, i: usize) -> u8 {
        self.labels[i]
    }

    /// All labels, in order.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Where the digits came from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// One pass over all digits in a new random order, drawn here; the last partial batch is dropped.
    ///
    /// A batch size of 0, or above the number of digits, gives one error instead of an empty pass.
    pub fn batches(&self, batch_size: usize, rng: &Rng) -> Batches {
        let count = self.len();
        let refused = (!(1..=count).contains(&batch_size)).then(|| {
            Error::Value(format!(
                "batches: expected a batch size from 1 to {count}, the number of digits, but found {batch_size}"
            ))
        });
        Batches {
            digits: self.clone(),
            order: rng.permutation(count),
            next: 0,
            batch_size,
            refused,
        }
    }

    /// A checksum of all images and labels: tells whether a run goes on with the digits that it began with.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.images);
        hasher.update(&self.labels);
        hasher.finalize()
    }

    /// The digits of these indices as images (n, 1, 28, 28), f32 in [-1, 1], and labels (n,), u32, on the CPU.
    ///
    /// # Panics
    /// If an index is not below [`Digits::len`], like a slice.
    pub fn tensors(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let mut pixels = Vec::with_capacity(indices.len() * PIXELS);
        for &i in indices {
            pixels.extend(
                self.image(i)
                    .iter()
                    .map(|&byte| f32::from(byte) / 127.5 - 1.0),
            );
        }
        let labels: Vec<u32> = indices.iter().map(|&i| self.label(i).into()).collect();
        Ok((
            Tensor::from_vec(pixels, (indices.len(), 1, SIDE, SIDE), &Device::Cpu)?,
            Tensor::from_vec(labels, indices.len(), &Device::Cpu)?,
        ))
    }
}

/// Shuffled batches: images (batch, 1, 28, 28), f32 in [-1, 1], and labels (batch,), u32, on the CPU.
/// Made by [`Digits::batches`].
pub struct Batches {
    digits: Digits,
    order: Vec<usize>,
    next: usize,
    batch_size: usize,
    refused: Option<Error>,
}

impl Batches {
    /// Leaves out the next `count` batches, as if they had been taken.
    pub(crate) fn skip_batches(&mut self, count: usize) {
        let skipped = count.saturating_mul(self.batch_size);
        self.next = self.next.saturating_add(skipped).min(self.order.len());
    }

    /// How many batches have been taken.
    pub(crate) fn taken(&self) -> usize {
        self.next / self.batch_size.max(1)
    }
}

impl Iterator for Batches {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.refused.take() {
            self.next = self.order.len();
            return Some(Err(error));
        }
        let batch = self.order[self.next..]
            .get(..self.batch_size)
            .filter(|batch| !batch.is_empty())?;
        self.next += batch.len();
        Some(self.digits.tensors(batch))
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "training",
            Split::Test => "test",
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Source::Mnist { place } => write!(f, "MNIST from {place}"),
            Source::Builtin => write!(
                f,
                "built-in, drawn by digit-gan, not MNIST (`{FETCH}` or `make mnist` fetches MNIST)"
            ),
        }
    }
}
