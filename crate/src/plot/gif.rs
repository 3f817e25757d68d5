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

/// Sixteen greys are enough for digits, and half the bytes of 256.
const GREYS: u8 = 16;
/// Height of the line under the grid.
const CAPTION: u32 = 24;
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
    let mut grid = Grid::new(count, columns_for(columns, count, "training_gif")?);
    grid.scale = grid.scale.min(2);
    let (width, height) = (grid.width(), grid.height() + CAPTION);
    let (Ok(gif_width), Ok(gif_height)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(Error::Value(format!(
            "training_gif: {width} x {height} pixels are more than a GIF can hold; show fewer digits"
        )));
    };

    let palette: Vec<u8> = (0..GREYS)
        .flat_map(|i| [i * (255 / (GREYS - 1)); 3])
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = encoded(Encoder::new(&mut bytes, gif_width, gif_height, &palette))?;
    encoded(encoder.set_repeat(Repeat::Infinite))?;
    let delay = (RUN / frames.len()).clamp(8, 50) as u16;
    for (i, (epoch, digits)) in frames.iter().enumerate() {
        let mut canvas = Canvas::new(width, height, 0);
        grid.draw(&mut canvas, 0, 0, digits);
        let style = font(17, RGBColor(255, 255, 255));
        canvas.text(
            width / 2,
            grid.height() + 4,
            &format!("epoch {epoch}"),
            style,
        )?;
        let is_last = i + 1 == frames.len();
        encoded(encoder.write_frame(&Frame {
            width: gif_width,
            height: gif_height,
            delay: if is_last { LAST_FRAME } else { delay },
            buffer: Cow::Owned(canvas.grey().map(palette_index).collect()),
            ..Frame::default()
        }))?;
    }
    drop(encoder); // writes the trailer
    let (first, last) = (frames[0].0, frames[frames.len() - 1].0);
    let alt = format!(
        "Animation: {count} generated digits {} from the same noise, epoch {first} to {last}.",
        grid.words()
    );
    Ok(Figure::new(bytes, Format::Gif, alt, width))
}

/// The nearest grey of the palette.
fn palette_index(grey: u8) -> u8 {
    (f32::from(grey) / 255.0 * f32::from(GREYS - 1)).round() as u8
}

fn encoded<T>(result: std::result::Result<T, EncodingError>) -> Result<T> {
    result.map_err(|error| Error::Value(format!("GIF encoder: {error}")))
}
