//! How a picture becomes like MNIST's: light ink on black, its longer side 20 pixels, its centre of mass in the middle of
//! 28x28.
//!
//! A picture that was made so comes out as it went in: MNIST's own digits do, with a border around them that these steps
//! have to take off again.

use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};

use super::components;
use super::{Ink, Resize, SIDE};

/// The longer side of MNIST's ink in pixels.
const INK_SIDE: u32 = 20;
/// Where the centre of mass lies: MNIST's own digits have it at 14.0 on average, counting pixels from 0.
const CENTRE: f64 = 14.;
/// A larger picture is shrunk to this first: its strokes have more pixels than are needed.
const MOST: u32 = 1024;
/// Levels of grey between paper and ink that a drawing has at least.
const LEAST_CONTRAST: u8 = 12;
/// Ink that is fainter than this, of 255, does not count for how far the ink reaches.
const FAINT: u8 = 16;
/// A piece of ink below this fraction of the largest is dust.
const DUST: usize = 100;
/// The fraction of border pixels that have to agree on what is paper, for a picture to be clear by itself.
const AGREEMENT: f64 = 0.75;

/// Whether a picture is drawn dark on light, as its border shows: a drawing touches it here and there at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Polarity {
    pub dark_ink: bool,
    /// Whether most of the border agrees.
    pub is_clear: bool,
}

/// A picture as [`normalize`] leaves it.
pub(super) struct Normalized {
    /// 28x28 bytes, 0 the background and 255 the ink.
    pub pixels: Vec<u8>,
    pub polarity: Polarity,
    /// Whether it had 28x28 pixels and was kept.
    pub kept: bool,
}

/// Turns a picture into one of MNIST's kind. The error says why it cannot be.
pub(super) fn normalize(grey: &GrayImage, resize: Resize, ink: Ink) -> Result<Normalized, String> {
    let polarity = match ink {
        Ink::Auto => polarity(grey),
        Ink::Dark | Ink::Light => Polarity {
            dark_ink: ink == Ink::Dark,
            is_clear: true,
        },
    };
    let of_size = grey.dimensions() == (SIDE as u32, SIDE as u32);
    let kept = of_size && resize != Resize::Mnist;
    let mut grey = shrunk(grey);
    if polarity.dark_ink {
        imageops::invert(&mut grey);
    }
    let image = match resize {
        _ if kept => grey,
        Resize::Plain => whole(&grey),
        Resize::Auto | Resize::Mnist => placed(&fitted(&without_paper(&grey)?)?),
    };
    Ok(Normalized {
        pixels: image.into_raw(),
        polarity,
        kept,
    })
}

fn shrunk(grey: &GrayImage) -> GrayImage {
    let longer = grey.width().max(grey.height());
    if longer <= MOST {
        return grey.clone();
    }
    let [width, height] = scaled([grey.width(), grey.height()], MOST, longer);
    imageops::thumbnail(grey, width, height)
}

fn scaled(size: [u32; 2], to: u32, longer: u32) -> [u32; 2] {
    size.map(|side| {
        let exact = f64::from(side) * f64::from(to) / f64::from(longer);
        (exact.round() as u32).max(1)
    })
}

// ---------------------------------------------------------------- ink and paper

/// Ink and paper are told apart by the level that divides all pixels best; most of the border is paper.
pub(super) fn polarity(grey: &GrayImage) -> Polarity {
    let threshold = otsu(grey);
    let border = border(grey);
    let light = border.iter().filter(|&&level| level > threshold).count();
    let light = light as f64 / border.len() as f64;
    Polarity {
        dark_ink: light > 0.5,
        is_clear: light.max(1. - light) >= AGREEMENT,
    }
}

/// The level that divides the pixels into two groups of the least variance (Otsu 1979): those above it are the lighter.
fn otsu(grey: &GrayImage) -> u8 {
    let mut histogram = [0.; 256];
    grey.as_raw()
        .iter()
        .for_each(|&level| histogram[usize::from(level)] += 1.);
    let moment = |(level, &count): (usize, &f64)| level as f64 * count;
    let all: [f64; 2] = [
        histogram.iter().sum(),
        histogram.iter().enumerate().map(moment).sum(),
    ];
    let (mut best, mut threshold, mut below) = (0., 0, [0.; 2]);
    for (level, &count) in histogram.iter().enumerate() {
        below = [below[0] + count, below[1] + level as f64 * count];
        let above = all[0] - below[0];
        let apart = below[1] / below[0] - (all[1] - below[1]) / above;
        let between = below[0] * above * apart * apart; // NaN where a group is empty
        if between > best {
            (best, threshold) = (between, level as u8);
        }
    }
    threshold
}

/// The pixels of a frame along the edges.
fn border(grey: &GrayImage) -> Vec<u8> {
    let (width, height) = grey.dimensions();
    let thick = 1 + width.min(height) / 32;
    let inside = |at, length: u32| at >= thick && at + thick < length;
    grey.enumerate_pixels()
        .filter(|&(x, y, _)| !(inside(x, width) && inside(y, height)))
        .map(|(_, _, level)| level.0[0])
        .collect()
}

/// Sets the paper to 0 and the ink up to 255, from a picture whose ink is the lighter. The paper's own texture, as far
/// as the border shows it, goes with it.
fn without_paper(grey: &GrayImage) -> Result<GrayImage, String> {
    let levels = grey.as_raw();
    let most = levels.iter().copied().max().unwrap_or(0);
    let least = levels.iter().copied().min().unwrap_or(0);
    if most - least < LEAST_CONTRAST {
        return Err("expected a drawing but found pixels that are all alike".into());
    }
    let threshold = otsu(grey);
    let mut paper = border(grey);
    paper.retain(|&level| level <= threshold);
    paper.sort_unstable();
    // Where the border is all ink, the darkest pixel is the paper.
    let quantile = |q: usize| paper.get(paper.len() * q / 100).copied().unwrap_or(least);
    let top_of_paper = quantile(95).min(most - 1);
    let scale = 255. / f32::from(most - top_of_paper);
    let mut ink = grey.clone();
    for Luma([level]) in ink.pixels_mut() {
        *level = (f32::from(level.saturating_sub(top_of_paper)) * scale).round() as u8;
    }
    Ok(ink)
}

// ---------------------------------------------------------------- size and place

/// The ink alone, its longer side 20 pixels, its strongest pixel 255, with a pixel around it for what is faint, if it was larger.
fn fitted(ink: &GrayImage) -> Result<GrayImage, String> {
    let (ink, [left, top, right, bottom]) = without_dust(ink);
    let longer = (right - left).max(bottom - top) as u32;
    let fringe = (longer / INK_SIDE) as usize;
    let [left, top] = [left, top].map(|at| at.saturating_sub(fringe) as u32);
    let right = (right + fringe).min(ink.width() as usize) as u32;
    let bottom = (bottom + fringe).min(ink.height() as usize) as u32;
    let (width, height) = (right - left, bottom - top);
    let cut = imageops::crop_imm(&ink, left, top, width, height).to_image();
    let [width, height] = scaled([width, height], INK_SIDE, longer);
    // Smooth where pixels have to be made up.
    let filter = match longer < INK_SIDE {
        true => FilterType::CatmullRom,
        false => FilterType::Triangle,
    };
    let mut small = imageops::resize(&cut, width, height, filter);
    let strongest = small.as_raw().iter().copied().max().unwrap_or(0);
    if strongest == 0 {
        return Err("expected a drawing but found lines too thin for 28x28 pixels".into());
    }
    for Luma([level]) in small.pixels_mut() {
        let stretched = 255 * u32::from(*level) / u32::from(strongest);
        *level = stretched as u8;
    }
    Ok(small)
}

/// The ink without specks, and the rectangle that holds the rest. A piece counts if it is strong somewhere, however faint
/// its edges are.
fn without_dust(ink: &GrayImage) -> (GrayImage, [usize; 4]) {
    let (pieces, owner) = components::find(ink, FAINT);
    let strong = |level: u8| level > 127;
    let largest = pieces.iter().filter(|piece| strong(piece.strongest));
    let largest = largest.map(|piece| piece.area).max().unwrap_or(0);
    let counts: Vec<bool> = pieces
        .iter()
        .map(|piece| strong(piece.strongest) && piece.area * DUST >= largest)
        .collect();
    let mut clean = ink.clone();
    for (Luma([level]), &owner) in clean.pixels_mut().zip(&owner) {
        if owner != 0 && !counts[owner as usize - 1] {
            *level = 0;
        }
    }
    let bounds = pieces.iter().zip(counts).filter(|(_, counts)| *counts);
    let bounds = bounds.map(|(piece, _)| piece.bounds);
    let all = [0, 0, ink.width() as usize, ink.height() as usize];
    (clean, bounds.reduce(components::union).unwrap_or(all))
}

/// 28x28 pixels with this ink on them, its centre of mass in the middle as near as whole pixels come.
fn placed(ink: &GrayImage) -> GrayImage {
    let (mut mass, mut moment) = (0., [0.; 2]);
    for (x, y, level) in ink.enumerate_pixels() {
        let level = f64::from(level.0[0]);
        mass += level;
        moment[0] += level * f64::from(x);
        moment[1] += level * f64::from(y);
    }
    let start = |axis: usize, length: u32| {
        let start = (CENTRE - moment[axis] / mass).round();
        // The faint pixel around the ink may be cut off.
        start.clamp(-1., f64::from(SIDE as u32 - length) + 1.) as i64
    };
    let mut image = GrayImage::new(SIDE as u32, SIDE as u32);
    let [left, top] = [start(0, ink.width()), start(1, ink.height())];
    imageops::replace(&mut image, ink, left, top);
    image
}

/// The whole picture in 28x28 pixels, its sides in proportion, on paper of its border's level.
fn whole(grey: &GrayImage) -> GrayImage {
    let mut paper = border(grey);
    paper.sort_unstable();
    let paper = paper[paper.len() / 2];
    let (width, height) = grey.dimensions();
    let [width, height] = scaled([width, height], SIDE as u32, width.max(height));
    let small = imageops::resize(grey, width, height, FilterType::Triangle);
    let mut image = GrayImage::from_pixel(SIDE as u32, SIDE as u32, Luma([paper]));
    let [left, top] = [width, height].map(|side| i64::from((SIDE as u32 - side) / 2));
    imageops::replace(&mut image, &small, left, top);
    image
}
