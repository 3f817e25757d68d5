//! Labelled images of digits: bytes in memory, f32 batches in [-1, 1] for training.
//!
//! They come from IDX files ([`Dataset`], [`idx`]), from images in a folder ([`Digits::from_folder`]), from a page of
//! handwriting ([`Page`]), or are drawn by the crate. This is the only module that knows MNIST: its files, its 28x28 pixels
//! and its ten classes. All others ask a [`Digits`] or a tensor for its shape and classes.
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

mod batches;
mod builtin;
mod components;
mod dataset;
mod folder;
mod glyphs;
pub mod idx;
mod normalize;
mod page;
mod picture;

pub use batches::Batches;
pub use dataset::Dataset;
pub use folder::{Found, ImageOptions, Ink, Resize};
pub use page::{Crop, Page};

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::display::{Content, Show, evcxr_display};
use crate::env::env_or;
use crate::rng::Rng;
use crate::{Error, Result};

/// Height and width of MNIST's digits in pixels.
pub(crate) const SIDE: usize = 28;
/// MNIST's kinds of digits.
pub(crate) const CLASSES: usize = 10;

/// The two parts of a data set: MNIST has 60,000 digits to learn from and 10,000 to report on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from, and to choose with: see [`Digits::hold_out`].
    Train,
    /// To report on, and for nothing else.
    Test,
}

/// Where digits came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The IDX files of a data set.
    Dataset {
        /// Which it is.
        dataset: Dataset,
        /// What the place is called: an environment variable, or a folder relative to the current one.
        place: String,
    },
    /// Images in a folder: [`Digits::from_folder`].
    Folder {
        /// The folder, as it was named.
        folder: String,
        /// What was found there.
        found: Arc<Found>,
    },
    /// Cut from the picture of a page: [`Page`].
    Page {
        /// The name of its file.
        page: String,
    },
    /// Drawn by the crate itself.
    Builtin,
    /// Given to [`Digits::new`].
    Memory,
}

/// Labelled grey images, one byte per pixel: 0 is the background, 255 the ink. A clone is another handle on the
/// same memory. Shows itself in a cell: how many digits there are, and where they came from.
#[derive(Clone)]
pub struct Digits {
    all: Arc<Images>,
    /// Those that are meant.
    range: Range<usize>,
    /// "training", "test" or "held-out"; empty for digits that are no part of anything.
    part: &'static str,
    source: Source,
}

struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    height: usize,
    width: usize,
    class_names: Arc<[String]>,
}

impl Digits {
    /// MNIST if its files are in `MNIST_DIR` or in `data/mnist` of the current folder or one above it, else
    /// built-in digits (60,000 to train, 10,000 to test, as many as MNIST). `DIGIT_GAN_DIGITS=9000` keeps the first 9,000
    /// training digits and a sixth as many test digits, as MNIST has: everything that is done with them gets shorter.
    ///
    /// # Errors
    /// When `MNIST_DIR` is set but holds no MNIST, when only one of a split's two files is there, and when a
    /// file is damaged: digits other than those asked for would be worse. When `DIGIT_GAN_DIGITS` is not a number, or is 0.
    pub fn load(split: Split) -> Result<Self> {
        let builtin = || match split {
            Split::Train => Digits::builtin(60_000, &Rng::seed(0)),
            Split::Test => Digits::builtin(10_000, &Rng::seed(1)),
        };
        let mnist = Dataset::Mnist.find(split)?;
        let all = mnist.unwrap_or_else(|| builtin().called(split.name()));
        let share = match split {
            Split::Train => 1,
            Split::Test => 6,
        };
        let count = env_or("DIGIT_GAN_DIGITS", share * all.len())?.div_ceil(share);
        all.first(count)
    }

    fn first(self, count: usize) -> Result<Self> {
        if count == 0 {
            let message = "the environment variable DIGIT_GAN_DIGITS is 0, expected the number of training digits to keep, or to be unset";
            return Err(Error::Value(message.into()));
        }
        let range = self.range.start..self.range.start + count.min(self.len());
        Ok(Digits { range, ..self })
    }

    /// MNIST and nothing else, from the same places as [`Digits::load`]; [`Dataset::load`] reads others of its kind.
    ///
    /// # Errors
    /// As [`Digits::load`], and [`Error::NotFound`] where that would fall back to built-in digits.
    pub fn mnist(split: Split) -> Result<Self> {
        Dataset::Mnist.load(split)
    }

    /// The images in a folder: a subfolder for each class, named after it, or none for a single class. PNG, JPEG, WebP, BMP
    /// and GIF, of any size and colour, are brought to 28x28 grey as MNIST was made; [`ImageOptions`] has other ways.
    ///
    /// Classes come in the order of their names, numbers in numeric order. Images come in an order that is random but
    /// always the same, so that [`Digits::hold_out`] has some of all classes. Hidden files are no images; others that are
    /// none are counted. The first image of an animation is taken.
    ///
    /// ```no_run
    /// # use digit_gan::prelude::*;
    /// let digits = Digits::from_folder("my-digits")?; // my-digits/0/a.png, my-digits/0/b.jpg, my-digits/1/c.png, ...
    /// println!("{digits}"); // how many of which classes, what was inverted, kept and ignored
    /// let (train, held_out) = digits.hold_out(200)?;
    /// let recipe = Recipe::lean().with_classes(digits.class_count());
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a folder. [`Error::Format`] for images that cannot be read, which it names;
    /// [`ImageOptions::skip_broken`] leaves them out instead. The same for an empty class, for more than 62 classes, and
    /// for images both in the folder and in subfolders.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        Digits::from_folder_with(&ImageOptions::default(), folder)
    }

    /// [`Digits::from_folder`], with a say in how images become digits.
    ///
    /// # Errors
    /// As [`Digits::from_folder`].
    pub fn from_folder_with(options: &ImageOptions, folder: impl AsRef<Path>) -> Result<Self> {
        folder::read(options, folder.as_ref())
    }

    /// `n` digits drawn by the crate, the same number of each class, in random order.
    pub fn builtin(n: usize, rng: &Rng) -> Self {
        let (pixels, labels) = builtin::draw(n, rng);
        let class_names = Dataset::Mnist.class_names();
        Digits::of_mnist_size(pixels, labels, class_names, Source::Builtin)
    }

    /// Images of any size and any number of classes: the bytes of `images`, each of `height` x `width` row by row, one
    /// after the other, and for each image a label that counts into `class_names`.
    ///
    /// ```
    /// use digit_gan::data::Digits;
    /// let names = ["dark", "light"].map(String::from);
    /// let digits = Digits::new(vec![0, 0, 0, 0, 255, 255, 255, 255], [2, 2], vec![0, 1], names)?;
    /// assert_eq!((digits.len(), digits.image_shape(), digits.class_count()), (2, [1, 2, 2], 2));
    /// assert_eq!(digits.class_name(digits.label(1)), "light");
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a whole image for each label, [`Error::Value`] for a label without a name, or
    /// more than the 256 classes that a byte can tell apart.
    pub fn new(
        images: Vec<u8>,
        [height, width]: [usize; 2],
        labels: Vec<u8>,
        class_names: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let class_names: Arc<[String]> = class_names.into_iter().collect();
        let expected = height
            .checked_mul(width)
            .and_then(|image| image.checked_mul(labels.len()));
        if height == 0 || width == 0 || expected != Some(images.len()) {
            return Err(Error::Shape(format!(
                "digits: expected {height}x{width} bytes for each of {} labels, but found {}",
                labels.len(),
                images.len()
            )));
        }
        if class_names.len() > 256 {
            return Err(Error::Value(format!(
                "digits: expected at most 256 classes, but found the names of {}",
                class_names.len()
            )));
        }
        let classes = class_names.len();
        if let Some(at) = labels.iter().position(|&l| usize::from(l) >= classes) {
            return Err(Error::Value(format!(
                "digits: expected labels of the {classes} classes that have a name, but found label {} at position {at}",
                labels[at]
            )));
        }
        let all = Images {
            pixels: images,
            labels,
            height,
            width,
            class_names,
        };
        Ok(Digits::from_images(all, Source::Memory))
    }

    /// Generated images (n, 1, height, width) in [-1, 1] as digits, rounded to bytes, with labels and names of classes: to
    /// train a classifier on, or to write them to files. The reverse of [`Digits::tensors`].
    ///
    /// ```
    /// use digit_gan::{data::Digits, rng::Rng};
    /// let digits = Digits::builtin(20, &Rng::seed(1));
    /// let (images, _) = digits.tensors(&[3, 7])?;
    /// let labels = [3, 7].map(|i| digits.label(i).into());
    /// let two = Digits::from_tensor(&images, &labels, digits.class_names().iter().cloned())?;
    /// assert_eq!((two.image(1), two.label(1)), (digits.image(7), digits.label(7)));
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, or another number of labels; [`Error::Value`] for pixels that are not finite,
    /// and as [`Digits::new`].
    pub fn from_tensor(
        images: &Tensor,
        labels: &[u32],
        class_names: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let &[_, 1, height, width] = images.dims() else {
            return Err(Error::Shape(format!(
                "digits: expected images of shape (n, 1, height, width), but found {:?}",
                images.dims()
            )));
        };
        let pixels: Vec<f32> = images.flatten_all()?.to_vec1()?;
        if let Some(at) = pixels.iter().position(|value| !value.is_finite()) {
            return Err(Error::Value(format!(
                "digits: image {} holds {}: the generator has diverged",
                at / (height * width),
                pixels[at]
            )));
        }
        let bytes = pixels.into_iter().map(to_byte).collect();
        let label = |&label: &u32| {
            u8::try_from(label).map_err(|_| {
                Error::Value(format!(
                    "digits: expected labels up to 255, but found {label}"
                ))
            })
        };
        let labels = labels.iter().map(label).collect::<Result<_>>()?;
        Digits::new(bytes, [height, width], labels, class_names)
    }

    /// As many images of 28x28 pixels as labels, and labels below the number of names.
    fn of_mnist_size(
        pixels: Vec<u8>,
        labels: Vec<u8>,
        class_names: Vec<String>,
        source: Source,
    ) -> Self {
        let all = Images {
            pixels,
            labels,
            height: SIDE,
            width: SIDE,
            class_names: class_names.into(),
        };
        Digits::from_images(all, source)
    }

    fn from_images(all: Images, source: Source) -> Self {
        Digits {
            range: 0..all.labels.len(),
            all: Arc::new(all),
            part: "",
            source,
        }
    }

    fn called(self, part: &'static str) -> Self {
        Digits { part, ..self }
    }

    /// All but the last `count` digits, and those: digits to train on, and digits held out of training to choose with.
    /// 10,000 of MNIST's 60,000 is the classic split. Both share the memory.
    ///
    /// Whatever is chosen by a figure (a recipe, a checkpoint) fits the digits that the figure was measured on. So the
    /// choice is made on held-out digits, and the test digits only report how good it is.
    ///
    /// ```
    /// # use digit_gan::prelude::*;
    /// let (train, held_out) = Digits::builtin(60, &Rng::seed(1)).hold_out(10)?;
    /// assert_eq!((train.len(), held_out.len()), (50, 10));
    /// # Ok::<(), digit_gan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] unless at least one digit is held out, and at least one is left.
    pub fn hold_out(&self, count: usize) -> Result<(Self, Self)> {
        if count == 0 || count >= self.len() {
            return Err(Error::Value(format!(
                "hold_out: expected to hold out at least one of {} digits and to leave one, but was asked for {count}",
                self.len()
            )));
        }
        let middle = self.range.end - count;
        let part = |range, part| Digits {
            range,
            ..self.clone().called(part)
        };
        Ok((
            part(self.range.start..middle, self.part),
            part(middle..self.range.end, "held-out"),
        ))
    }

    /// The number of digits.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The shape of an image as a tensor: [1, height, width].
    pub fn image_shape(&self) -> [usize; 3] {
        [1, self.all.height, self.all.width]
    }

    /// The number of classes; labels are below it.
    pub fn class_count(&self) -> usize {
        self.all.class_names.len()
    }

    /// What the classes are called, in the order of their labels.
    pub fn class_names(&self) -> &Arc<[String]> {
        &self.all.class_names
    }

    /// What the class of a label is called.
    ///
    /// # Panics
    /// If `label` is not below [`Digits::class_count`], like a slice.
    pub fn class_name(&self, label: u8) -> &str {
        &self.all.class_names[usize::from(label)]
    }

    /// The bytes of digit `i`, row by row.
    ///
    /// # Panics
    /// If `i` is not below [`Digits::len`], like a slice.
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "digit {i} of {}", self.len());
        let size = self.all.height * self.all.width;
        &self.all.pixels[(self.range.start + i) * size..][..size]
    }

    /// The label of digit `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Digits::len`], like a slice.
    pub fn label(&self, i: usize) -> u8 {
        self.labels()[i]
    }

    /// All labels, in order.
    pub fn labels(&self) -> &[u8] {
        &self.all.labels[self.range.clone()]
    }

    /// "60000 training digits"
    pub(crate) fn count_and_part(&self) -> String {
        let space = if self.part.is_empty() { "" } else { " " };
        format!("{}{space}{} {}", self.len(), self.part, self.noun())
    }

    /// What they are: digits, as far as is known.
    fn noun(&self) -> &'static str {
        match self.source {
            Source::Folder { .. } | Source::Page { .. } => "images",
            Source::Dataset { dataset, .. } => dataset.noun(),
            Source::Builtin | Source::Memory => "digits",
        }
    }

    /// Where the digits came from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// One pass over all digits in a new random order, drawn here; the last partial batch is dropped.
    ///
    /// A batch size of 0, or above the number of digits, gives one error instead of an empty pass.
    pub fn batches(&self, batch_size: usize, rng: &Rng) -> Batches {
        Batches::new(self, batch_size, rng)
    }

    /// Writes the digits as MNIST's own training files are, `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, into a
    /// folder, which is made if it is not there. Whatever reads MNIST reads them: `MNIST_DIR` may name the folder.
    ///
    /// # Errors
    /// [`Error::Shape`] for images of another size than 28x28; [`Error::Value`] where the folder has files of these names,
    /// which may be the only copy of MNIST; [`Error::Io`] if they cannot be written.
    pub fn save_idx(&self, folder: impl AsRef<Path>) -> Result<[PathBuf; 2]> {
        idx::save(self, folder.as_ref())
    }

    /// A checksum of all images and labels: tells whether a run resumes with the digits that it began with.
    pub(crate) fn checksum(&self) -> u32 {
        let size = self.all.height * self.all.width;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.all.pixels[self.range.start * size..self.range.end * size]);
        hasher.update(self.labels());
        hasher.finalize()
    }

    /// The digits at these indices as images (n, 1, height, width), f32 in [-1, 1], and labels (n,), u32, on the CPU.
    ///
    /// # Panics
    /// If an index is not below [`Digits::len`], like a slice.
    pub fn tensors(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let [channels, height, width] = self.image_shape();
        let mut pixels = Vec::with_capacity(indices.len() * height * width);
        for &i in indices {
            pixels.extend(
                self.image(i)
                    .iter()
                    .map(|&byte| f32::from(byte) / 127.5 - 1.0),
            );
        }
        let labels: Vec<u32> = indices.iter().map(|&i| self.label(i).into()).collect();
        let shape = (indices.len(), channels, height, width);
        Ok((
            Tensor::from_vec(pixels, shape, &Device::Cpu)?,
            Tensor::from_vec(labels, indices.len(), &Device::Cpu)?,
        ))
    }
}

/// The byte of a pixel in [-1, 1]; what lies outside is clipped.
pub(crate) fn to_byte(value: f32) -> u8 {
    ((value.clamp(-1., 1.) + 1.) * 127.5).round() as u8
}

impl Split {
    fn name(self) -> &'static str {
        match self {
            Split::Train => "training",
            Split::Test => "test",
        }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.count_and_part(), self.source)?;
        match &self.source {
            // Of a part, these would not be the numbers.
            Source::Folder { found, .. } if self.len() == found.images => {
                let names = self.class_names().join(", ");
                let [least, most] = found.per_class;
                match self.class_count() {
                    1 => write!(f, ", one class: {names}")?,
                    n if least == most => write!(f, ", {n} classes of {least} images: {names}")?,
                    n => write!(f, ", {n} classes of {least} to {most} images: {names}")?,
                }
                write!(f, "\n{found}")
            }
            _ => Ok(()),
        }
    }
}

impl Show for Digits {
    fn content(&self) -> Content {
        Content::text(self.to_string())
    }
}

evcxr_display!(Digits);

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Source::Dataset { dataset, place } => write!(f, "{dataset} from {place}"),
            Source::Folder { folder, .. } => write!(f, "from {folder}"),
            Source::Page { page } => write!(f, "cut from {page}"),
            Source::Builtin => write!(
                f,
                "built-in, drawn by digit-gan, not MNIST ({} fetches MNIST)",
                Dataset::Mnist.fetch()
            ),
            Source::Memory => f.write_str("from memory"),
        }
    }
}
