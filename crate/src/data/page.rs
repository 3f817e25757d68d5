//! A page of handwriting, cut into digits: pieces of ink that touch or nearly do, in rows.

use std::fmt;
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, GrayImage, ImageEncoder, Luma};

use super::components::{self, Component, union};
use super::folder::{self, MAX_CLASSES};
use super::normalize::{normalize, polarity};
use super::{Digits, Ink, Resize, SIDE, Source, picture};
use crate::files::write_atomically;
use crate::{Error, Result};

/// A larger picture is shrunk to this first.
const MOST: u32 = 2048;
/// The window that tells the local level of the paper, as a fraction of the picture.
const WINDOW: u32 = 16;
/// The fraction of pixels that is surely ink, on a page with a few digits.
const SURELY_INK: f64 = 0.001;
/// Levels of grey that ink is above the paper around it, at least.
const LEAST_CONTRAST: u8 = 30;
/// What reaches over this fraction of the page is a ruled line or an edge.
const LINE: f64 = 0.5;

/// A page of handwriting that was cut into digits. Shows itself in a cell: the page with a box around each digit.
///
/// Whether it was cut well is for you to see, before anything is learned from it: digits that touch come out as one. Boxes
/// that are too wide for one digit are marked.
///
/// ```no_run
/// # use digit_gan::prelude::*;
/// let page = Page::open("page.jpg")?; // ten rows: of zeros, of ones, and so on
/// let labels = page.labels_by_row(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"])?;
/// let digits = page.digits(&labels)?;
/// page.save(&labels, "my-digits")?; // or into a folder, for Digits::from_folder
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone)]
pub struct Page {
    name: String,
    picture: GrayImage,
    rows: Vec<Vec<Crop>>,
}

/// A digit on a [`Page`].
#[derive(Clone, Debug)]
pub struct Crop {
    /// Its place in the picture, as the page shows it: left and top, width and height in pixels.
    pub bounds: [usize; 4],
    /// Whether it is too wide for one digit.
    pub is_wide: bool,
    pixels: Vec<u8>,
}

/// Pieces of ink that make one digit.
struct Group {
    bounds: [usize; 4],
    /// As `components::find` names them.
    pieces: Vec<u32>,
}

impl Page {
    /// Reads the picture of a page, and cuts it into digits. Rows are read from the top, digits from the left; they may
    /// slant. Specks and ruled lines are left out.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that is no image or shows no ink.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Page::open_with(Ink::Auto, path)
    }

    /// [`Page::open`], for a page of which it is known whether it is dark on light.
    ///
    /// # Errors
    /// As [`Page::open`].
    pub fn open_with(ink: Ink, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let picture = picture::read(path).map_err(|reason| Error::format(path, reason))?;
        let picture = shrunk(picture);
        let name = path.file_name().unwrap_or_default().display().to_string();
        match cut(&picture, ink) {
            Some(rows) => Ok(Page {
                name,
                picture,
                rows,
            }),
            None => Err(Error::format(
                path,
                "expected a page with handwriting but found no ink on it. Take a picture with more light, or name the ink: \
                 Page::open_with(Ink::Dark, ..).",
            )),
        }
    }

    /// The digits, row by row.
    pub fn rows(&self) -> &[Vec<Crop>] {
        &self.rows
    }

    /// The number of digits.
    pub fn len(&self) -> usize {
        self.crops().count()
    }

    /// Whether there are none; [`Page::open`] refuses such a page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A label for each digit, where each row has a name: a row of zeros, a row of ones, and so on.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are as many names as rows.
    pub fn labels_by_row(&self, names: &[&str]) -> Result<Vec<String>> {
        if names.len() != self.rows.len() {
            return Err(Error::Shape(format!(
                "labels_by_row: expected a name for each of the {} rows of {}, but found {}",
                self.rows.len(),
                self.name,
                names.len()
            )));
        }
        let rows = self.rows.iter().zip(names);
        Ok(rows
            .flat_map(|(row, name)| vec![name.to_string(); row.len()])
            .collect())
    }

    /// The digits under these labels, one for each in reading order. Classes are in the order of
    /// [`Digits::from_folder`].
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are as many labels as digits, [`Error::Value`] for more than 62 classes.
    pub fn digits(&self, labels: &[impl AsRef<str>]) -> Result<Digits> {
        self.check(labels)?;
        let mut names: Vec<String> = labels.iter().map(|l| l.as_ref().to_string()).collect();
        names.sort_by(|a, b| folder::in_order(a, b));
        names.dedup();
        if names.len() > MAX_CLASSES {
            return Err(Error::Value(format!(
                "page: expected at most {MAX_CLASSES} different labels, but found {}",
                names.len()
            )));
        }
        let class = |label: &str| names.iter().position(|name| name == label);
        let labels = labels.iter().filter_map(|label| class(label.as_ref()));
        let labels = labels.map(|class| class as u8).collect();
        let pixels = self.crops().flat_map(|crop| crop.pixels.clone()).collect();
        let source = Source::Page {
            page: self.name.clone(),
        };
        Ok(Digits::of_mnist_size(pixels, labels, names, source))
    }

    /// Writes each digit as a PNG into the subfolder of its label, for [`Digits::from_folder`]. Several pages may go into
    /// one folder, as files are named after the page.
    ///
    /// # Errors
    /// As [`Page::digits`]; [`Error::Value`] for a label that cannot be the name of a folder, [`Error::Io`] when a file
    /// cannot be written.
    pub fn save(&self, labels: &[impl AsRef<str>], folder: impl AsRef<Path>) -> Result<()> {
        self.check(labels)?;
        for (i, (crop, label)) in self.crops().zip(labels).enumerate() {
            let label = label.as_ref();
            let plain = !label.is_empty() && !label.starts_with('.');
            if !plain || label.contains(['/', '\\', '\0']) {
                return Err(Error::Value(format!(
                    "page: expected labels that can name a folder, but found {label:?}"
                )));
            }
            let folder = folder.as_ref().join(label);
            std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
            let path = folder.join(format!("{}-{i:03}.png", self.name.replace('.', "-")));
            write_atomically(&path, |file| {
                let side = SIDE as u32;
                PngEncoder::new(file)
                    .write_image(&crop.pixels, side, side, ExtendedColorType::L8)
                    .map_err(std::io::Error::other)
            })?;
        }
        Ok(())
    }

    fn check(&self, labels: &[impl AsRef<str>]) -> Result<()> {
        if labels.len() == self.len() {
            return Ok(());
        }
        Err(Error::Shape(format!(
            "page: expected a label for each of the {} digits of {}, but found {}",
            self.len(),
            self.name,
            labels.len()
        )))
    }

    fn crops(&self) -> impl Iterator<Item = &Crop> {
        self.rows.iter().flatten()
    }

    /// The picture that the boxes belong to.
    pub(crate) fn picture(&self) -> &GrayImage {
        &self.picture
    }
}

impl Crop {
    /// The digit as MNIST has its own: 28x28 bytes, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

/// "30 digits in 3 rows of 10, cut from page.jpg"
impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let counts: Vec<String> = self.rows.iter().map(|row| row.len().to_string()).collect();
        let digits = if self.len() == 1 { "digit" } else { "digits" };
        let rows = if counts.len() == 1 { "row" } else { "rows" };
        write!(
            f,
            "{} {digits} cut from {}, in {} {rows} of {}",
            self.len(),
            self.name,
            counts.len(),
            counts.join(", ")
        )?;
        match self.crops().filter(|crop| crop.is_wide).count() {
            0 => Ok(()),
            1 => write!(f, "; 1 box is too wide for one digit"),
            n => write!(f, "; {n} boxes are too wide for one digit"),
        }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// ---------------------------------------------------------------- the cut

/// The digits of a page; none where there is no ink.
fn cut(picture: &GrayImage, ink: Ink) -> Option<Vec<Vec<Crop>>> {
    let mut light = picture.clone();
    if ink == Ink::Dark || ink == Ink::Auto && polarity(picture).dark_ink {
        imageops::invert(&mut light);
    }
    let ink = without_paper(&light);
    let strong = quantile(&ink, 1. - SURELY_INK);
    if strong < LEAST_CONTRAST {
        return None;
    }
    let (pieces, owner) = components::find(&ink, (f64::from(strong) * 0.4) as u8);
    let height = usual_height(&pieces, &ink)?;
    let groups = grouped(&pieces, height, &ink);
    let rows = in_rows(groups, height).into_iter().map(|row| {
        let crops = row
            .iter()
            .filter_map(|group| crop(group, &ink, &owner, height));
        crops.collect::<Vec<_>>()
    });
    let rows: Vec<_> = rows.filter(|row| !row.is_empty()).collect();
    (!rows.is_empty()).then_some(rows)
}

fn shrunk(picture: GrayImage) -> GrayImage {
    let longer = picture.width().max(picture.height());
    if longer <= MOST {
        return picture;
    }
    let scaled = |side: u32| (side as u64 * u64::from(MOST) / u64::from(longer)).max(1) as u32;
    let (width, height) = (scaled(picture.width()), scaled(picture.height()));
    imageops::resize(&picture, width, height, FilterType::Triangle)
}

/// How much each pixel is above the mean of the pixels around it: a shadow on the page is in both.
fn without_paper(light: &GrayImage) -> GrayImage {
    let (width, height) = (light.width() as usize, light.height() as usize);
    let reach = (light.width().max(light.height()) / WINDOW).max(8) as usize;
    // sums[y][x] of all pixels above and to the left
    let mut sums = vec![0u64; (width + 1) * (height + 1)];
    for (y, row) in light.as_raw().chunks_exact(width).enumerate() {
        let mut sum = 0;
        for (x, &level) in row.iter().enumerate() {
            sum += u64::from(level);
            sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + sum;
        }
    }
    let mut ink = light.clone();
    for (x, y, Luma([level])) in ink.enumerate_pixels_mut() {
        let around = |at: u32, end: usize| {
            let at = at as usize;
            (at.saturating_sub(reach), (at + reach + 1).min(end))
        };
        let ((left, right), (top, bottom)) = (around(x, width), around(y, height));
        let corner = |x: usize, y: usize| sums[y * (width + 1) + x];
        let sum =
            corner(right, bottom) + corner(left, top) - corner(right, top) - corner(left, bottom);
        let mean = sum / ((right - left) * (bottom - top)) as u64;
        *level = level.saturating_sub(mean as u8);
    }
    ink
}

/// The level that this fraction of the pixels is below.
fn quantile(ink: &GrayImage, fraction: f64) -> u8 {
    let mut levels = ink.as_raw().clone();
    let at = ((levels.len() - 1) as f64 * fraction) as usize;
    *levels.select_nth_unstable(at).1
}

/// The height of most ink: half of it is in pieces that are higher. Specks have little ink, however many they are.
fn usual_height(pieces: &[Component], ink: &GrayImage) -> Option<usize> {
    let mut writing: Vec<(usize, usize)> = pieces
        .iter()
        .filter(|piece| !is_line(piece, ink))
        .map(|piece| (height(piece.bounds), piece.area))
        .collect();
    writing.sort_unstable();
    let all: usize = writing.iter().map(|(_, area)| area).sum();
    let mut below = 0;
    writing
        .into_iter()
        .find(|(_, area)| {
            below += area;
            2 * below >= all
        })
        .map(|(height, _)| height)
}

fn is_line(piece: &Component, ink: &GrayImage) -> bool {
    let across = width(piece.bounds) as f64 > LINE * f64::from(ink.width());
    across || height(piece.bounds) as f64 > LINE * f64::from(ink.height())
}

/// Pieces that make one digit: bodies, broken ones put together, and small pieces near a body, like the bar of a 5.
fn grouped(pieces: &[Component], usual: usize, ink: &GrayImage) -> Vec<Group> {
    let named = || (1..).zip(pieces).filter(|(_, piece)| !is_line(piece, ink));
    let is_body = |piece: &Component| 5 * height(piece.bounds) >= 2 * usual;
    let mut groups: Vec<Group> = Vec::new();
    for (name, piece) in named().filter(|(_, piece)| is_body(piece)) {
        let rest = |group: &&mut Group| continues(group.bounds, piece.bounds, usual);
        match groups.iter_mut().find(rest) {
            Some(group) => group.add(name, piece),
            None => groups.push(Group {
                bounds: piece.bounds,
                pieces: vec![name],
            }),
        }
    }
    let bodies: Vec<[usize; 4]> = groups.iter().map(|group| group.bounds).collect();
    for (name, piece) in named().filter(|(_, piece)| !is_body(piece)) {
        let near = bodies
            .iter()
            .map(|&body| gap(body, piece.bounds))
            .enumerate();
        let speck = 12 * height(piece.bounds).max(width(piece.bounds)) < usual;
        match near.min_by_key(|&(_, gap)| gap) {
            Some((at, gap)) if !speck && 5 * gap <= usual => groups[at].add(name, piece),
            _ => {}
        }
    }
    groups
}

impl Group {
    fn add(&mut self, name: u32, piece: &Component) {
        self.bounds = union(self.bounds, piece.bounds);
        self.pieces.push(name);
    }
}

/// Whether two bodies are the upper and the lower part of one digit: one above the other, no higher than a digit.
fn continues(a: [usize; 4], b: [usize; 4], usual: usize) -> bool {
    let shared = a[2].min(b[2]).saturating_sub(a[0].max(b[0]));
    2 * shared >= width(a).min(width(b)) && 4 * height(union(a, b)) <= 5 * usual
}

/// The pixels between two rectangles, along the axis where there are more.
fn gap(a: [usize; 4], b: [usize; 4]) -> usize {
    let along = |i: usize| {
        let after = b[i].saturating_sub(a[i + 2]);
        after.max(a[i].saturating_sub(b[i + 2]))
    };
    along(0).max(along(1))
}

fn width(bounds: [usize; 4]) -> usize {
    bounds[2] - bounds[0]
}

fn height(bounds: [usize; 4]) -> usize {
    bounds[3] - bounds[1]
}

/// From left to right, each digit follows the one whose middle is at its height: so a row may slant.
fn in_rows(mut groups: Vec<Group>, usual: usize) -> Vec<Vec<Group>> {
    // Twice the middle, as half a pixel does not matter.
    let middle = |group: &Group| group.bounds[1] + group.bounds[3];
    let last = |row: &Vec<Group>| row.last().map_or(0, middle);
    groups.sort_by_key(|group| group.bounds[0]);
    let mut rows: Vec<Vec<Group>> = Vec::new();
    for group in groups {
        let here = middle(&group);
        let nearest = rows.iter_mut().min_by_key(|row| last(row).abs_diff(here));
        match nearest.filter(|row| last(row).abs_diff(here) <= usual + usual / 5) {
            Some(row) => row.push(group),
            None => rows.push(vec![group]),
        }
    }
    rows.sort_by_key(|row| row.iter().map(middle).sum::<usize>() / row.len());
    rows
}

/// A digit alone, without what else is in its box; none where its lines are too thin.
fn crop(group: &Group, ink: &GrayImage, owner: &[u32], usual: usize) -> Option<Crop> {
    let [left, top, right, bottom] = group.bounds;
    let (width, height) = (right - left, bottom - top);
    // A margin of paper, which shows its texture.
    let margin = 2 + height / 8;
    let alone = GrayImage::from_fn(
        (width + 2 * margin) as u32,
        (height + 2 * margin) as u32,
        |x, y| {
            let at = [x as usize + left, y as usize + top].map(|at| at.checked_sub(margin));
            let [Some(x), Some(y)] = at else {
                return Luma([0]);
            };
            if x >= ink.width() as usize || y >= ink.height() as usize {
                return Luma([0]);
            }
            let owner = owner[y * ink.width() as usize + x];
            match owner == 0 || group.pieces.contains(&owner) {
                true => *ink.get_pixel(x as u32, y as u32),
                false => Luma([0]),
            }
        },
    );
    let made = normalize(&alone, Resize::Mnist, Ink::Light).ok()?;
    Some(Crop {
        bounds: [left, top, width, height],
        is_wide: 4 * width > 5 * height.max(usual),
        pixels: made.pixels,
    })
}
