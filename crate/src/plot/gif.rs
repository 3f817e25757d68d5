//! Animations: of the training, and of a walk through the latent space.

use std::borrow::Cow;

use ::gif::{Encoder, EncodingError, Frame, Repeat};
use candle_core::Tensor;
use image::ExtendedColorType;
use image::codecs::png::CompressionType;
use plotters::style::RGBColor;

use super::canvas::{Canvas, font, png};
use super::grid::Grid;
use super::samples::{Pictures, columns_for, of_snapshots};
use super::{Figure, Format};
use crate::record::Snapshot;
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
/// A frame of a walk: fast enough for the eye to see one digit change instead of many.
const WALK_FRAME: u16 = 8;
const LAST_WALK_FRAME: u16 = 120;

/// One frame per snapshot, with its epoch under the grid; the last is held, then it starts again.
///
/// # Errors
/// [`Error::Value`] for no snapshots, no columns, non-finite samples or more digits than a GIF is wide or
/// high; [`Error::Shape`] for samples that are not (n, 1, height, width), or more of them in one snapshot
/// than in another.
pub fn training_gif(snapshots: &[Snapshot], columns: usize) -> Result<Figure> {
    let epochs = of_snapshots(snapshots, "training_gif")?;
    let (first, last) = (epochs[0].0, epochs[epochs.len() - 1].0);
    let delay = (RUN / epochs.len()).clamp(8, 50) as u16;
    let mut frames: Vec<Shown> = epochs
        .into_iter()
        .map(|(epoch, pictures)| Shown {
            pictures,
            caption: format!("epoch {epoch}"),
            delay,
        })
        .collect();
    if let Some(end) = frames.last_mut() {
        end.delay = LAST_FRAME;
    }
    animation(&frames, columns, "training_gif", |digits| {
        format!("Animation: {digits} from the same noise, epoch {first} to {last}.")
    })
}

/// A walk through the latent space, a tensor (n, 1, height, width) of generated digits a frame, with its number under the
/// grid; the last is held for a moment, then it starts again.
///
/// # Errors
/// Those of [`training_gif`].
pub fn walk_gif(frames: &[Tensor], columns: usize) -> Result<Figure> {
    let mut shown: Vec<Shown> = Vec::with_capacity(frames.len());
    for (i, samples) in frames.iter().enumerate() {
        let pictures = Pictures::from_samples(samples, "walk_gif")?;
        if let Some(first) = shown.first() {
            let whose = ["frame 0", &format!("frame {i}")];
            first.pictures.check_alike(&pictures, "walk_gif", whose)?;
        }
        shown.push(Shown {
            pictures,
            caption: format!("{} / {}", i + 1, frames.len()),
            delay: WALK_FRAME,
        });
    }
    match shown.last_mut() {
        Some(end) => end.delay = LAST_WALK_FRAME,
        None => {
            return Err(Error::Value(
                "walk_gif: no frames; draw the digits at every step of the walk".into(),
            ));
        }
    }
    animation(&shown, columns, "walk_gif", |digits| {
        let steps = frames.len();
        format!("Animation: {digits} change in {steps} steps through the latent space.")
    })
}

/// A frame of an animation, with the time it is shown, in hundredths of a second.
struct Shown {
    pictures: Pictures,
    /// The line under the grid.
    caption: String,
    delay: u16,
}

/// At least one frame, all of as many digits. The words are made from those for the grid.
fn animation(
    frames: &[Shown],
    columns: usize,
    caller: &str,
    words: impl FnOnce(&str) -> String,
) -> Result<Figure> {
    let first = &frames[0].pictures;
    let columns = columns_for(columns, first.len(), caller)?;
    let grid = Grid::new(first, columns).with_scale(1);
    let (width, height) = (grid.width(), grid.height() + CAPTION);
    let (Ok(gif_width), Ok(gif_height)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(Error::Value(format!(
            "{caller}: {width} x {height} pixels are more than a GIF can hold; show fewer digits"
        )));
    };

    let mut bytes = Vec::new();
    let mut encoder = encoded(Encoder::new(&mut bytes, gif_width, gif_height, &palette()))?;
    encoded(encoder.set_repeat(Repeat::Infinite))?;
    let (mut shown, mut still) = (Vec::new(), Vec::new());
    for frame in frames {
        let mut canvas = Canvas::new(width, grid.height(), 0);
        grid.draw(&mut canvas, 0, 0, &frame.pictures);
        let line = caption(width, &frame.caption)?;
        still = canvas.grey().chain(line).collect();
        let pixels: Vec<u8> = still.iter().map(|&grey| palette_index(grey)).collect();
        encoded(encoder.write_frame(&Frame {
            width: gif_width,
            height: gif_height,
            delay: frame.delay,
            transparent: Some(UNCHANGED),
            buffer: Cow::Owned(changes(&shown, &pixels)),
            ..Frame::default()
        }))?;
        shown = pixels;
    }
    drop(encoder); // writes the trailer
    let words = words(&format!(
        "{} generated digits {}",
        first.len(),
        grid.words()
    ));
    let still = png(
        &still,
        [width, height],
        ExtendedColorType::L8,
        CompressionType::Best,
    )?;
    let size = [width, height].map(|pixels| ZOOM * pixels);
    Ok(Figure::new(bytes, Format::Gif, words, size).with_still(still))
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
