//! MNIST: what its digits are like, the places where its files are looked for, and the spellings of their names.

use std::env;
use std::path::{Path, PathBuf};

use super::{Digits, Source, Split, idx};
use crate::{Error, Result};

/// Height and width of a digit in pixels.
pub(crate) const SIDE: usize = 28;
/// The kinds of digits.
pub(crate) const CLASSES: usize = 10;
/// The command that puts MNIST where [`Digits::load`] finds it.
pub(super) const FETCH: &str = "cargo run --release --features fetch --bin fetch-mnist";

/// MNIST from the first place that has it; none if no place has any file of this split.
pub(super) fn find(split: Split) -> Result<Option<Digits>> {
    if let Some(folder) = mnist_dir() {
        return match read(&folder, split, "MNIST_DIR")? {
            Some(digits) => Ok(Some(digits)),
            None => Err(Error::NotFound(format!(
                "MNIST_DIR is {}, where neither {} nor its .gz is. Correct it, or unset it to use data/mnist or the \
                 built-in digits.",
                folder.display(),
                names(split).0
            ))),
        };
    }
    for folder in data_folders() {
        let digits = read(&folder, split, &folder.display().to_string())?;
        if digits.is_some() {
            return Ok(digits);
        }
    }
    Ok(None)
}

/// What to say when MNIST was asked for by name and no place has it.
pub(super) fn not_found() -> Error {
    Error::NotFound(format!(
        "MNIST is not here. Looked in: the folder that MNIST_DIR names (it is not set); data/mnist in this folder \
         and in every folder above it. Three ways to provide it: (1) `{FETCH}` (or `make mnist`) downloads it; \
         (2) set MNIST_DIR to a folder that has its IDX files; (3) copy those files, plain or .gz, into data/mnist."
    ))
}

/// An empty variable counts as unset, as in most tools.
fn mnist_dir() -> Option<PathBuf> {
    env::var_os("MNIST_DIR")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// `data/mnist`, `../data/mnist`, ...: relative, because they are printed into notebooks, which travel.
fn data_folders() -> impl Iterator<Item = PathBuf> {
    let depth = env::current_dir().map_or(1, |folder| folder.ancestors().count());
    (0..depth).map(|ups| PathBuf::from("../".repeat(ups)).join("data/mnist"))
}

fn read(folder: &Path, split: Split, place: &str) -> Result<Option<Digits>> {
    let (images, labels) = names(split);
    match (file(folder, images), file(folder, labels)) {
        (Some(images), Some(labels)) => read_pair(&images, &labels, place).map(Some),
        (None, None) => Ok(None),
        (Some(found), None) => Err(alone(&found, labels)),
        (None, Some(found)) => Err(alone(&found, images)),
    }
}

fn read_pair(images: &Path, labels: &Path, place: &str) -> Result<Digits> {
    let pixels = idx::read_images(images)?;
    let values = idx::read_labels(labels, CLASSES)?;
    let count = pixels.len() / (SIDE * SIDE);
    if count != values.len() {
        let message = format!(
            "expected {count} labels, one for each image in {}, but found {}. \
             Replace both files: `{FETCH}` gets MNIST's.",
            images.display(),
            values.len()
        );
        return Err(Error::format(labels, message));
    }
    let place = place.into();
    Ok(Digits::of_mnist_kind(
        pixels,
        values,
        Source::Mnist { place },
    ))
}

fn alone(found: &Path, missing: &str) -> Error {
    let message = format!(
        "expected {missing} or {missing}.gz beside it. Copy that too, or get all with `{FETCH}`."
    );
    Error::format(found, message)
}

fn names(split: Split) -> (&'static str, &'static str) {
    match split {
        Split::Train => ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        Split::Test => ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    }
}

/// The file of this name, plain before .gz; some archives spell it `train-images.idx3-ubyte`.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    [name, &dotted]
        .iter()
        .flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))])
        .find(|path| path.exists())
}
