//! A folder of images, as everybody keeps them: a subfolder for each class, or none.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::normalize::{Normalized, normalize};
use super::{Digits, SIDE, Source, picture};
use crate::files::entries;
use crate::rng::Rng;
use crate::{Error, Result, interrupt};

/// The most classes: digits, and capital and small letters.
pub(super) const MAX_CLASSES: usize = 62;
/// Files that cannot be read are named up to this number.
const NAMED: usize = 5;

/// How image files become digits. The default suits photographs and drawings of single digits, as well as files of 28x28
/// pixels that were made from MNIST or its like.
///
/// ```no_run
/// use digit_gan::data::{Digits, ImageOptions, Resize};
/// let options = ImageOptions { resize: Resize::Plain, ..ImageOptions::default() };
/// let digits = Digits::from_folder_with(&options, "garments")?;
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// How a picture is brought to 28x28 pixels.
    pub resize: Resize,
    /// Whether it is drawn dark on light.
    pub ink: Ink,
    /// Leave out files that cannot be read, and say so, rather than refuse the folder.
    pub skip_broken: bool,
}

/// How a picture is brought to 28x28 pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// As MNIST was made, but a picture that has 28x28 pixels already is kept.
    #[default]
    Auto,
    /// As MNIST was made: the ink is cut out, its longer side shrunk or enlarged to 20 pixels, anti-aliased, and its centre
    /// of mass put into the middle. Paper becomes 0, the strongest ink 255.
    Mnist,
    /// The whole picture, its sides in proportion, with a margin where it is not square. Levels stay.
    Plain,
}

/// Which of two colours is the ink. MNIST has light ink on black: dark ink is inverted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    /// What most of a picture's border is not. Where that is unclear, as in most of the folder.
    #[default]
    Auto,
    /// Dark on light.
    Dark,
    /// Light on dark.
    Light,
}

/// What [`Digits::from_folder`] found in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many images were dark on light, and so inverted.
    pub inverted: usize,
    /// How many had 28x28 pixels and were kept as they are.
    pub kept: usize,
    /// How many there are.
    pub images: usize,
    /// The number of images in the smallest and in the largest class.
    pub per_class: [usize; 2],
    /// Files that cannot be read, and why: see [`ImageOptions::skip_broken`].
    pub skipped: Vec<(PathBuf, String)>,
    /// Other files that were left aside, by their extension, or else their name.
    pub ignored: BTreeMap<String, usize>,
}

/// The files of a folder before any is opened. A million of them must not fill the memory: each is a class and a name.
#[derive(Default)]
struct Listing {
    /// The folders of the classes, in order.
    folders: Vec<PathBuf>,
    files: Vec<(u8, OsString)>,
    ignored: BTreeMap<String, usize>,
}

/// Reads all images below `folder`, in an order that is random but always the same: so a part that is held out has all
/// classes.
pub(super) fn read(options: &ImageOptions, folder: &Path) -> Result<Digits> {
    let (mut listing, class_names) = list(folder)?;
    let order = Rng::seed(0).permutation(listing.files.len());
    let files = order
        .into_iter()
        .map(|at| std::mem::take(&mut listing.files[at]));
    listing.files = files.collect();

    let mut pixels = vec![0; listing.files.len() * SIDE * SIDE];
    let outcomes = read_all(&listing, &mut pixels, options)?;
    let labels = without_broken(&listing, &mut pixels, &outcomes);
    let found = Found::new(listing, &labels, outcomes);
    found.check(options, folder, &class_names)?;
    let source = Source::Folder {
        folder: folder.display().to_string(),
        found: Arc::new(found),
    };
    Ok(Digits::of_mnist_size(pixels, labels, class_names, source))
}

/// Moves the images that were read together; returns their labels.
fn without_broken(listing: &Listing, pixels: &mut Vec<u8>, outcomes: &[Outcome]) -> Vec<u8> {
    let size = SIDE * SIDE;
    let mut labels = Vec::new();
    for (at, _) in outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| outcome.is_ok())
    {
        pixels.copy_within(at * size..(at + 1) * size, labels.len() * size);
        labels.push(listing.files[at].0);
    }
    pixels.truncate(labels.len() * size);
    labels
}

// ---------------------------------------------------------------- which files

fn list(folder: &Path) -> Result<(Listing, Vec<String>)> {
    if !folder.is_dir() {
        let here = std::env::current_dir().unwrap_or_default();
        return Err(Error::NotFound(format!(
            "{}: expected a folder of images but found {}. A relative path counts from {}.",
            folder.display(),
            if folder.exists() {
                "a file"
            } else {
                "nothing there"
            },
            here.display()
        )));
    }
    let mut listing = Listing::default();
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for path in entries(folder)?.into_iter().filter(|path| !is_hidden(path)) {
        if path.is_dir() {
            folders.push((class_name(&path)?, path));
        } else if is_image(&path) {
            files.push(path);
        } else {
            listing.ignore(&path);
        }
    }
    if let (Some((_, class)), Some(file)) = (folders.first(), files.first()) {
        return Err(Error::format(
            folder,
            format!(
                "expected either images or a subfolder for each class, but found both: {} and {}. Move the one or the \
                 other elsewhere.",
                name(file),
                name(class)
            ),
        ));
    }
    if folders.len() > MAX_CLASSES {
        let found = folders.len();
        return Err(Error::format(
            folder,
            format!("expected at most {MAX_CLASSES} classes, one a subfolder, but found {found}."),
        ));
    }
    if folders.is_empty() {
        // No subfolders: all images are of one class, which is called what the folder is.
        let class = folder
            .canonicalize()
            .map_err(|error| Error::io(folder, error))?;
        listing.add(folder, files)?;
        return Ok((listing, vec![class_name(&class)?]));
    }
    folders.sort_by(|(a, _), (b, _)| in_order(a, b));
    for (_, folder) in &folders {
        let mut images = Vec::new();
        for path in entries(folder)?.into_iter().filter(|path| !is_hidden(path)) {
            if path.is_dir() {
                let message = format!(
                    "expected the images of the class {} but found a folder, {}. Name the folder whose subfolders are \
                     the classes.",
                    name(folder),
                    name(&path)
                );
                return Err(Error::format(folder, message));
            } else if is_image(&path) {
                images.push(path);
            } else {
                listing.ignore(&path);
            }
        }
        listing.add(folder, images)?;
    }
    let class_names = folders.into_iter().map(|(name, _)| name).collect();
    Ok((listing, class_names))
}

impl Listing {
    fn ignore(&mut self, path: &Path) {
        let kind = match path.extension() {
            Some(extension) => format!(".{}", extension.display()).to_lowercase(),
            None => name(path),
        };
        *self.ignored.entry(kind).or_default() += 1;
    }

    /// Adds a class; the order of its files is that of their names.
    fn add(&mut self, folder: &Path, images: Vec<PathBuf>) -> Result<()> {
        if images.is_empty() {
            let others = match self.ignored.is_empty() {
                true => String::new(),
                false => format!(" (and {})", ignored(&self.ignored)),
            };
            let message = format!(
                "expected images (.png, .jpg, .webp, .bmp, .gif) but found none{others}. Put some in, or remove the \
                 folder."
            );
            return Err(Error::format(folder, message));
        }
        let class = self.folders.len() as u8;
        let names = images
            .into_iter()
            .filter_map(|path| Some(path.file_name()?.to_os_string()));
        let mut names: Vec<OsString> = names.collect();
        names.sort();
        self.folders.push(folder.into());
        self.files
            .extend(names.into_iter().map(|name| (class, name)));
        Ok(())
    }

    fn path(&self, at: usize) -> PathBuf {
        let (class, name) = &self.files[at];
        self.folders[usize::from(*class)].join(name)
    }
}

/// What systems and archives leave behind: `.DS_Store`, `._7.png`, `__MACOSX`.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") || name == b"__MACOSX"
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    picture::EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

fn class_name(folder: &Path) -> Result<String> {
    let name = folder.file_name().unwrap_or_default();
    match name.to_str() {
        Some(name) => Ok(name.into()),
        None => Err(Error::format(
            folder,
            "expected the name of a class in UTF-8 but found other bytes. Rename the folder.",
        )),
    }
}

/// Numbers in numeric order, before all else.
pub(super) fn in_order(a: &str, b: &str) -> Ordering {
    let key = |name: &str| (name.parse::<u64>().is_err(), name.parse::<u64>().ok());
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

// ---------------------------------------------------------------- what is in them

/// How a file fared: its polarity and whether it was kept, or why it cannot be read.
type Outcome = std::result::Result<(bool, bool), String>;

/// Fills `pixels`, 28x28 for each file. At any time no more images are decoded than there are threads.
fn read_all(listing: &Listing, pixels: &mut [u8], options: &ImageOptions) -> Result<Vec<Outcome>> {
    let read = |at: usize, pixels: &mut [u8], ink: Ink| -> Result<_> {
        interrupt::check()?;
        let picture = picture::read(&listing.path(at));
        let image = picture.and_then(|grey| normalize(&grey, options.resize, ink));
        Ok(image.map(
            |Normalized {
                 pixels: made,
                 polarity,
                 kept,
             }| {
                pixels.copy_from_slice(&made);
                (polarity, kept)
            },
        ))
    };
    let mut all = pixels
        .par_chunks_exact_mut(SIDE * SIDE)
        .enumerate()
        .map(|(at, pixels)| read(at, pixels, options.ink))
        .collect::<Result<Vec<_>>>()?;
    // Pictures that do not show it follow those that do.
    let clear = all
        .iter()
        .flatten()
        .filter(|(polarity, _)| polarity.is_clear);
    let votes = clear.fold([0; 2], |mut votes, (polarity, _)| {
        votes[usize::from(polarity.dark_ink)] += 1;
        votes
    });
    let dark = votes[1] > votes[0];
    let majority = if dark { Ink::Dark } else { Ink::Light };
    if votes != [0; 2] {
        all.par_iter_mut()
            .zip(pixels.par_chunks_exact_mut(SIDE * SIDE))
            .enumerate()
            .try_for_each(|(at, (outcome, pixels))| match outcome {
                Ok((polarity, _)) if !polarity.is_clear && polarity.dark_ink != dark => {
                    *outcome = read(at, pixels, majority)?;
                    Ok::<_, Error>(())
                }
                _ => Ok(()),
            })?;
    }
    let outcomes = all.into_iter();
    Ok(outcomes
        .map(|outcome| outcome.map(|(polarity, kept)| (polarity.dark_ink, kept)))
        .collect())
}

// ---------------------------------------------------------------- what was found

impl Found {
    fn new(listing: Listing, labels: &[u8], outcomes: Vec<Outcome>) -> Self {
        let mut counts = vec![0; listing.folders.len()];
        labels
            .iter()
            .for_each(|&label| counts[usize::from(label)] += 1);
        let mut found = Found {
            images: labels.len(),
            per_class: [
                counts.iter().copied().min().unwrap_or(0),
                counts.iter().copied().max().unwrap_or(0),
            ],
            ..Found::default()
        };
        for (at, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok((inverted, kept)) => {
                    found.inverted += usize::from(inverted);
                    found.kept += usize::from(kept);
                }
                Err(reason) => found.skipped.push((listing.path(at), reason)),
            }
        }
        found.ignored = listing.ignored;
        found
    }

    fn check(&self, options: &ImageOptions, folder: &Path, class_names: &[String]) -> Result<()> {
        if !options.skip_broken && !self.skipped.is_empty() {
            let (broken, all) = (self.skipped.len(), self.images + self.skipped.len());
            let message = format!(
                "expected images but cannot read {broken} of {all}:{}\nReplace or remove {}, or leave out what cannot be \
                 read: ImageOptions {{ skip_broken: true, .. }}.",
                self.reasons(),
                if broken == 1 { "it" } else { "them" }
            );
            return Err(Error::format(folder, message));
        }
        if self.per_class[0] == 0 {
            let message = format!(
                "expected images of {} classes that can be read, but there is a class without any:{}",
                class_names.len(),
                self.reasons()
            );
            return Err(Error::format(folder, message));
        }
        Ok(())
    }

    /// A line for each file that cannot be read.
    fn reasons(&self) -> String {
        let lines = self.skipped.iter().take(NAMED);
        let mut lines: String = lines
            .map(|(path, reason)| format!("\n  {}: {reason}", path.display()))
            .collect();
        if self.skipped.len() > NAMED {
            lines += &format!("\n  and {} more", self.skipped.len() - NAMED);
        }
        lines
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let light = self.images - self.inverted;
        match (self.inverted, light) {
            (0, _) => write!(f, "all light on dark, as MNIST is")?,
            (_, 0) => write!(f, "all dark on light, so inverted")?,
            (dark, light) => write!(
                f,
                "{dark} dark on light, so inverted; {light} light on dark"
            )?,
        }
        if self.kept > 0 {
            write!(f, "; {} of 28x28 pixels, so kept", self.kept)?;
        }
        if !self.ignored.is_empty() {
            write!(f, "\nignored {}", ignored(&self.ignored))?;
        }
        if !self.skipped.is_empty() {
            write!(f, "\nskipped {}:{}", self.skipped.len(), self.reasons())?;
        }
        Ok(())
    }
}

/// "3 files that are no images: 2 .txt, 1 .heic"
fn ignored(files: &BTreeMap<String, usize>) -> String {
    let count: usize = files.values().sum();
    let kinds = files.iter().map(|(kind, count)| format!("{count} {kind}"));
    let kinds: Vec<String> = kinds.collect();
    let files = if count == 1 {
        "file that is no image"
    } else {
        "files that are no images"
    };
    format!("{count} {files}: {}", kinds.join(", "))
}
