//! The data sets that come as MNIST does: what they are called, their classes, and where their files are looked for.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Digits, SIDE, Source, Split, idx};
use crate::{Error, Result};

/// A data set of 28x28 images in IDX files, like MNIST.
///
/// ```no_run
/// use digit_gan::data::{Dataset, Split};
/// let train = Dataset::FashionMnist.load(Split::Train)?; // 60000 training images: Fashion-MNIST from ...
/// assert_eq!(train.class_name(9), "Ankle boot");
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dataset {
    /// Ten handwritten digits (LeCun, Cortes and Burges): 60,000 to train, 10,000 to test.
    Mnist,
    /// Ten kinds of clothing (Xiao et al. 2017, <https://arxiv.org/abs/1708.07747>), as many as MNIST.
    FashionMnist,
    /// Ten hiragana in old cursive script (Clanuwat et al. 2018, <https://arxiv.org/abs/1812.01718>), as many as MNIST.
    Kmnist,
    /// EMNIST's digits (Cohen et al. 2017, <https://arxiv.org/abs/1702.05373>): 240,000 to train, 40,000 to test.
    EmnistDigits,
    /// EMNIST's 26 letters, capital and small ones as one class.
    EmnistLetters,
    /// EMNIST's 47 digits and letters, equally often; a small letter is a class of its own where it looks different.
    EmnistBalanced,
    /// MNIST rebuilt from NIST's originals (Yadav and Bottou 2019, <https://arxiv.org/abs/1905.10498>), with 60,000 test
    /// digits, of which the first 10,000 are MNIST's.
    Qmnist,
}

impl Dataset {
    /// All of them.
    pub const ALL: [Dataset; 7] = [
        Dataset::Mnist,
        Dataset::FashionMnist,
        Dataset::Kmnist,
        Dataset::EmnistDigits,
        Dataset::EmnistLetters,
        Dataset::EmnistBalanced,
        Dataset::Qmnist,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Mnist => "MNIST",
            Dataset::FashionMnist => "Fashion-MNIST",
            Dataset::Kmnist => "KMNIST",
            Dataset::EmnistDigits => "EMNIST digits",
            Dataset::EmnistLetters => "EMNIST letters",
            Dataset::EmnistBalanced => "EMNIST balanced",
            Dataset::Qmnist => "QMNIST",
        }
    }

    /// What its classes are called, in the order of their labels.
    pub fn class_names(self) -> Vec<String> {
        let words = |text: &str| text.split(", ").map(String::from).collect();
        let characters = |text: &str| text.chars().map(String::from).collect();
        match self {
            Dataset::Mnist | Dataset::EmnistDigits | Dataset::Qmnist => characters("0123456789"),
            Dataset::FashionMnist => words(
                "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot",
            ),
            Dataset::Kmnist => words("o, ki, su, tsu, na, ha, ma, ya, re, wo"),
            Dataset::EmnistLetters => characters("abcdefghijklmnopqrstuvwxyz"),
            Dataset::EmnistBalanced => {
                characters("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
            }
        }
    }

    /// One part of the data set, from the folder that its environment variable names, else from its folder in `data`
    /// of the current folder or one above it: `MNIST_DIR` or `data/mnist`, `FASHION_MNIST_DIR` or `data/fashion-mnist`,
    /// `KMNIST_DIR`, `EMNIST_DIR`, `QMNIST_DIR`. Nothing is downloaded; `make mnist SET=kmnist` does that.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the files are not, [`Error::Format`] and [`Error::Io`] for files that are damaged,
    /// cannot be read, or do not fit each other.
    pub fn load(self, split: Split) -> Result<Digits> {
        self.find(split)?.ok_or_else(|| self.not_found())
    }

    /// From the first place that has it; none if no place has any file of this split.
    pub(super) fn find(self, split: Split) -> Result<Option<Digits>> {
        let variable = self.variable();
        if let Some(folder) = folder_in(&variable) {
            return match self.read(&folder, split, &variable)? {
                Some(digits) => Ok(Some(digits)),
                None => Err(Error::NotFound(format!(
                    "{variable} is {}, where neither {} nor its .gz is. Correct it, or unset it to use data/{}{}.",
                    folder.display(),
                    self.files(split)[0],
                    self.folder(),
                    match self {
                        Dataset::Mnist => " or the built-in digits",
                        _ => "",
                    }
                ))),
            };
        }
        for folder in self.data_folders() {
            let digits = self.read(&folder, split, &folder.display().to_string())?;
            if digits.is_some() {
                return Ok(digits);
            }
        }
        Ok(None)
    }

    fn not_found(self) -> Error {
        let (name, folder) = (self.name(), self.folder());
        let variable = self.variable();
        Error::NotFound(format!(
            "{name} is not here. Looked in: the folder that {variable} names (it is not set); data/{folder} in this \
             folder and in every folder above it. Three ways to provide it: (1) {} downloads it; (2) set {variable} to \
             a folder that has its IDX files; (3) copy those files, plain or .gz, into data/{folder}.",
            self.fetch()
        ))
    }

    /// The commands that put its files where they are looked for.
    pub(super) fn fetch(self) -> String {
        match self {
            Dataset::Mnist => {
                "`cargo run --release --features fetch -- fetch` or `make mnist`".into()
            }
            _ => format!("`make mnist SET={}`", self.folder()),
        }
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Dataset::Mnist | Dataset::EmnistDigits | Dataset::Qmnist => "digits",
            Dataset::EmnistLetters => "letters",
            Dataset::FashionMnist | Dataset::Kmnist | Dataset::EmnistBalanced => "images",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Dataset::Mnist => "mnist",
            Dataset::FashionMnist => "fashion-mnist",
            Dataset::Kmnist => "kmnist",
            Dataset::EmnistDigits | Dataset::EmnistLetters | Dataset::EmnistBalanced => "emnist",
            Dataset::Qmnist => "qmnist",
        }
    }

    /// "FASHION_MNIST_DIR"
    fn variable(self) -> String {
        self.folder().to_uppercase().replace('-', "_") + "_DIR"
    }

    /// `data/mnist`, `../data/mnist`, ...: relative, because they are printed into notebooks, which travel.
    fn data_folders(self) -> impl Iterator<Item = PathBuf> {
        let depth = env::current_dir().map_or(1, |folder| folder.ancestors().count());
        let below = Path::new("data").join(self.folder());
        (0..depth).map(move |ups| PathBuf::from("../".repeat(ups)).join(&below))
    }

    /// The files of the images and of the labels.
    pub(super) fn files(self, split: Split) -> [String; 2] {
        let test = split == Split::Test;
        let part = if test { "test" } else { "train" };
        let (start, labels) = match self {
            Dataset::Mnist | Dataset::FashionMnist | Dataset::Kmnist if test => {
                ("t10k".into(), "idx1-ubyte")
            }
            Dataset::Mnist | Dataset::FashionMnist | Dataset::Kmnist => {
                ("train".into(), "idx1-ubyte")
            }
            Dataset::EmnistDigits => (format!("emnist-digits-{part}"), "idx1-ubyte"),
            Dataset::EmnistLetters => (format!("emnist-letters-{part}"), "idx1-ubyte"),
            Dataset::EmnistBalanced => (format!("emnist-balanced-{part}"), "idx1-ubyte"),
            Dataset::Qmnist => (format!("qmnist-{part}"), "idx2-int"),
        };
        [
            format!("{start}-images-idx3-ubyte"),
            format!("{start}-labels-{labels}"),
        ]
    }

    fn read(self, folder: &Path, split: Split, place: &str) -> Result<Option<Digits>> {
        let [images, labels] = self.files(split);
        match (file(folder, &images), file(folder, &labels)) {
            (Some(images), Some(labels)) => {
                let digits = self.read_pair(&images, &labels, place)?;
                Ok(Some(digits.called(split.name())))
            }
            (None, None) => Ok(None),
            (Some(found), None) => Err(self.alone(&found, &labels)),
            (None, Some(found)) => Err(self.alone(&found, &images)),
        }
    }

    fn read_pair(self, images: &Path, labels: &Path, place: &str) -> Result<Digits> {
        let class_names = self.class_names();
        // EMNIST's letters count from 1.
        let first = u8::from(self == Dataset::EmnistLetters);
        let values = first..first + class_names.len() as u8;
        let mut pixels = idx::read_images(images).map_err(|error| self.with_remedy(error))?;
        let mut values =
            idx::read_labels(labels, values).map_err(|error| self.with_remedy(error))?;
        let count = pixels.len() / (SIDE * SIDE);
        if count != values.len() {
            let message = format!(
                "expected {count} labels, one for each image in {}, but found {}. Replace both files.",
                images.display(),
                values.len()
            );
            return Err(self.with_remedy(Error::format(labels, message)));
        }
        values.iter_mut().for_each(|label| *label -= first);
        if self.folder() == "emnist" {
            pixels.chunks_exact_mut(SIDE * SIDE).for_each(transpose);
        }
        let source = Source::Dataset {
            dataset: self,
            place: place.into(),
        };
        Ok(Digits::of_mnist_size(pixels, values, class_names, source))
    }

    fn alone(self, found: &Path, missing: &str) -> Error {
        let message = format!("expected {missing} or {missing}.gz beside it. Copy that too.");
        self.with_remedy(Error::format(found, message))
    }

    fn with_remedy(self, error: Error) -> Error {
        match error {
            Error::Format { path, message } => {
                let (name, fetch) = (self.name(), self.fetch());
                Error::format(path, format!("{message} {fetch} gets those of {name}."))
            }
            other => other,
        }
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The folder that an environment variable names. An empty variable counts as unset, as in most tools.
fn folder_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The file of this name, plain before .gz; some archives spell it `train-images.idx3-ubyte`.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    [name, &dotted]
        .iter()
        .flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))])
        .find(|path| path.exists())
}

/// EMNIST's files hold each image mirrored at its diagonal.
fn transpose(image: &mut [u8]) {
    for y in 0..SIDE {
        for x in 0..y {
            image.swap(y * SIDE + x, x * SIDE + y);
        }
    }
}
