//! The training as an animation.

use std::borrow::Cow;

use ::gif::{Encoder, EncodingError, Frame, Repeat};
use plotters::style::RGBColor;

use super::canvas::{Canvas, font};
use super::grid::Grid;
use super::samples::{columns_for, grey_snapshots};
use super::{Figure, Format};
use crate::train::Snapshot;
use crate::{Error, Result};

/// Fifteen greys are enough for digits, and halve the bytes of 256.
const GREYS: u8 = 15;
/// The palette's sixteenth entry: what the frame before has shown here stays.
const UNCHANGED: u8 = GREYS;
/// Height of the line under the grid.
const CAPTION: u32 = 18;
/// Each pixel is stored once, a third of the bytes of storing it four times, and shown this many times wider.
const ZOOM: u32 = 2;
/// The whole run plays in about this many hundredths of a second.
const RUN: usize = 900;
const LAST_FRAME: u16 = 250;

/// One frame per snapshot, with its epoch under the grid; the last is held, then it starts again.
///
/// # Errors
/// [`Error::Value`] for no snapshots, no columns, non-finite samples or more digits than a GIF is wide or
/// high; [`Error::Shape`] for samples that are not (n, 1, 28, 28), or more of them in one snapshot than in
/// another.
pub fn training_gif(snapshots: &[Snapshot], columns: usize) -> Result<Figure> {
    let frames = grey_snapshots(snapshots, "training_gif")?;
    let count = frames[0].1.len();
    let columns = columns_for(columns, count, "training_gif")?;
    let grid = Grid::new(count, columns).with_scale(1);
    let (width, height) = (grid.width(), grid.height() + CAPTION);
    let (Ok(gif_width), Ok(gif_height)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(Error::Value(format!(
            "training_gif: {width} x {height} pixels are more than a GIF can hold; show fewer digits"
        )));
    };

    let mut bytes = Vec::new();
    let mut encoder = encoded(Encoder::new(&mut bytes, gif_width, gif_height, &palette()))?;
    encoded(encoder.set_repeat(Repeat::Infinite))?;
    let delay = (RUN / frames.len()).clamp(8, 50) as u16;
    let mut shown = Vec::new();
    for (i, (epoch, digits)) in frames.iter().enumerate() {
        let mut canvas = Canvas::new(width, grid.height(), 0);
        grid.draw(&mut canvas, 0, 0, digits);
        let line = caption(width, &format!("epoch {epoch}"))?;
        let pixels: Vec<u8> = canvas.grey().chain(line).map(palette_index).collect();
        let is_last = i + 1 == frames.len();
        encoded(encoder.write_frame(&Frame {
            width: gif_width,
            height: gif_height,
            delay: if is_last { LAST_FRAME } else { delay },
            transparent: Some(UNCHANGED),
            buffer: Cow::Owned(changes(&shown, &pixels)),
            ..Frame::default()
        }))?;
        shown = pixels;
    }
    drop(encoder); // writes the trailer
    let (first, last) = (frames[0].0, frames[frames.len() - 1].0);
    let alt = format!(
        "Animation: {count} generated digits {} from the same noise, epoch {first} to {last}.",
        grid.words()
    );
    Ok(Figure::new(bytes, Format::Gif, alt, ZOOM * width))
}

fn palette() -> Vec<u8> {
    let grey = |i: u8| (f32::from(i) / f32::from(GREYS - 1) * 255.0).round() as u8;
    (0..GREYS)
        .map(grey)
        .chain([0])
        .flat_map(|grey| [grey; 3])
        .collect()
}

/// The nearest grey of the palette.
fn palette_index(grey: u8) -> u8 {
    (f32::from(grey) / 255.0 * f32::from(GREYS - 1)).round() as u8
}

/// The line under the grid, `width` x [`CAPTION`]. Drawn larger and averaged: drawn at its own size, its letters
/// would stand unevenly.
fn caption(width: u32, text: &str) -> Result<Vec<u8>> {
    const LARGER: u32 = 4;
    let mut large = Canvas::new(LARGER * width, LARGER * CAPTION, 0);
    let style = font(LARGER * 13, RGBColor(255, 255, 255));
    large.text(LARGER * width / 2, LARGER * 3, text, style)?;
    Ok(large.shrunk(LARGER))
}

/// `pixels` where they differ from those shown, if any are.
fn changes(shown: &[u8], pixels: &[u8]) -> Vec<u8> {
    let shown = shown.iter().copied().chain(std::iter::repeat(UNCHANGED));
    let change = |(&new, old): (&u8, u8)| if new == old { UNCHANGED } else { new };
    pixels.iter().zip(shown).map(change).collect()
}

fn encoded<T>(result: std::result::Result<T, EncodingError>) -> Result<T> {
    result.map_err(|error| Error::Value(format!("GIF encoder: {error}")))
}
