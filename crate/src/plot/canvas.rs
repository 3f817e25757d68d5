//! The paper that figures are drawn on: an RGB buffer with digits, text and plotters' shapes on it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Once;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use plotters_bitmap::BitMapBackend;
use png::{BitDepth, ColorType, DeflateCompression, Encoder, Filter};

use super::samples::Pictures;
use super::{Figure, Format};
use crate::{Error, Result};

/// Device pixels per CSS pixel of a still picture: text and lines stay sharp on dense screens.
pub(super) const DENSITY: u32 = 2;

/// Text and axes, dark grey rather than black.
pub(super) const INK: RGBColor = RGBColor(38, 38, 38);

/// plotters centres a line of text too high: this much lower, small text stands level with its tick.
pub(super) const LOWER: i32 = 5 * DENSITY as i32 / 2;

/// Around digits: tells black cells apart on light and on dark pages.
pub(super) const GUTTER: u8 = 96;

const FONT: &str = "DejaVu Sans";

pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

pub(super) struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Canvas {
    /// A canvas of the given size in device pixels, all of one grey.
    pub fn new(width: u32, height: u32, paper: u8) -> Self {
        Canvas {
            width,
            height,
            rgb: vec![paper; 3 * width as usize * height as usize],
        }
    }

    /// Fills a rectangle with a grey.
    pub fn fill(&mut self, left: u32, top: u32, width: u32, height: u32, grey: u8) {
        for y in top..top + height {
            let start = self.offset(left, y);
            self.rgb[start..start + 3 * width as usize].fill(grey);
        }
    }

    /// Draws picture `i` of some, each pixel as a square of `scale` pixels.
    pub fn picture(&mut self, left: u32, top: u32, scale: u32, pictures: &Pictures, i: usize) {
        for (row, pixels) in (0u32..).zip(pictures.bytes[i].chunks_exact(pictures.width)) {
            for (column, &grey) in (0u32..).zip(pixels) {
                self.fill(left + column * scale, top + row * scale, scale, scale, grey);
            }
        }
    }

    /// Gives pixels of a row their colours, from `left` on.
    pub fn paint_row(&mut self, left: u32, y: u32, colours: impl Iterator<Item = RGBColor>) {
        let start = self.offset(left, y);
        let pixels = self.rgb[start..].chunks_exact_mut(3);
        for (pixel, RGBColor(red, green, blue)) in pixels.zip(colours) {
            pixel.copy_from_slice(&[red, green, blue]);
        }
    }

    /// Writes a line of text whose top centre is at (x, y).
    pub fn text(&mut self, x: u32, y: u32, text: &str, style: TextStyle) -> Result<()> {
        let style = style.pos(Pos::new(HPos::Center, VPos::Top));
        draw(
            self.area()
                .draw(&Text::new(text, (x as i32, y as i32), style)),
        )
    }

    /// The whole canvas for plotters to draw on.
    pub fn area(&mut self) -> Area<'_> {
        BitMapBackend::with_buffer(&mut self.rgb, (self.width, self.height)).into_drawing_area()
    }

    /// The red channel: the picture itself where everything drawn was grey.
    pub fn grey(&self) -> impl Iterator<Item = u8> {
        self.rgb.iter().step_by(3).copied()
    }

    /// The grey picture at 1/`factor` of its size, which `factor` divides: means of squares.
    pub fn shrunk(&self, factor: u32) -> Vec<u8> {
        let factor = factor as usize;
        let width = self.width as usize / factor;
        let mut sums = vec![0; width * (self.height as usize / factor)];
        for (i, grey) in self.grey().enumerate() {
            let (x, y) = (i % self.width as usize, i / self.width as usize);
            sums[y / factor * width + x / factor] += usize::from(grey);
        }
        let mean = |sum: usize| (sum / (factor * factor)) as u8;
        sums.into_iter().map(mean).collect()
    }

    /// The canvas as a figure: 8-bit grey where nothing on it is coloured, else in its 256 most frequent colours. Text and
    /// lines blend a few colours, so that what changes by it is a shade at their edges, for less than half the bytes.
    pub fn into_png(self, alt: String) -> Result<Figure> {
        let is_grey = self.is_grey();
        if !is_grey && let Some(palette) = palette(&self.rgb) {
            let size = self.css_size();
            return self.into_indexed(alt, &palette, size);
        }
        self.encoded(alt, is_grey, CompressionType::Best)
    }

    /// The same within a millisecond or two, half as large again: for what is soon replaced.
    pub fn into_frame(self, alt: String) -> Result<Figure> {
        let is_grey = self.is_grey();
        self.encoded(alt, is_grey, CompressionType::Fast)
    }

    /// The canvas as a figure of these colours only, at most 256, and of a size in CSS pixels: a fraction of the bytes, fast.
    pub fn into_indexed(self, alt: String, palette: &[RGBColor], size: [u32; 2]) -> Result<Figure> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        let channels = palette
            .iter()
            .flat_map(|&RGBColor(red, green, blue)| [red, green, blue]);
        encoder.set_palette(channels.collect::<Vec<u8>>());
        encoder.set_deflate_compression(DeflateCompression::Level(6));
        // Places in a palette are no quantities: differences between them mean nothing.
        encoder.set_filter(Filter::NoFilter);
        let pixels = indices(&self.rgb, palette);
        let written = encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&pixels));
        written.map_err(|error| Error::Value(format!("PNG encoder: {error}")))?;
        Ok(Figure::new(bytes, Format::Png, alt, size))
    }

    fn encoded(self, alt: String, is_grey: bool, compression: CompressionType) -> Result<Figure> {
        let size = [self.width, self.height];
        let bytes = if is_grey {
            let pixels: Vec<u8> = self.grey().collect();
            png(&pixels, size, ExtendedColorType::L8, compression)?
        } else {
            png(&self.rgb, size, ExtendedColorType::Rgb8, compression)?
        };
        Ok(Figure::new(bytes, Format::Png, alt, self.css_size()))
    }

    fn is_grey(&self) -> bool {
        let mut pixels = self.rgb.chunks_exact(3);
        pixels.all(|p| p[0] == p[1] && p[1] == p[2])
    }

    fn css_size(&self) -> [u32; 2] {
        [self.width, self.height].map(|pixels| pixels.div_ceil(DENSITY))
    }

    fn offset(&self, x: u32, y: u32) -> usize {
        3 * (y as usize * self.width as usize + x as usize)
    }
}

/// The 256 most frequent colours, or `None` for a picture of more than a drawing's few thousand, such as a photograph.
fn palette(rgb: &[u8]) -> Option<Vec<RGBColor>> {
    const DRAWING: usize = 4096;
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    for pixel in rgb.chunks_exact(3) {
        *counts.entry([pixel[0], pixel[1], pixel[2]]).or_default() += 1;
        if counts.len() > DRAWING {
            return None;
        }
    }
    let mut counts: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    // Equally frequent colours in their own order, so that the same canvas gives the same bytes.
    counts.sort_by_key(|&(colour, count)| (Reverse(count), colour));
    counts.truncate(256);
    let colour = |([red, green, blue], _): ([u8; 3], usize)| RGBColor(red, green, blue);
    Some(counts.into_iter().map(colour).collect())
}

/// Pixels as places in a palette of at most 256 colours, each that of the nearest.
fn indices(rgb: &[u8], palette: &[RGBColor]) -> Vec<u8> {
    let nearest = |colour: [u8; 3]| {
        let distance = |&RGBColor(red, green, blue): &RGBColor| {
            let channels = [red, green, blue].into_iter().zip(colour);
            let squares = channels.map(|(a, b)| i32::from(a.abs_diff(b)).pow(2));
            squares.sum::<i32>()
        };
        let places = (0u8..=255).zip(palette);
        places
            .min_by_key(|(_, own)| distance(own))
            .map_or(0, |(place, _)| place)
    };
    let mut known = HashMap::new();
    // Most pixels have the colour of the one before.
    let mut last = ([0; 3], nearest([0; 3]));
    let pixels = rgb.chunks_exact(3).map(|pixel| {
        let colour = [pixel[0], pixel[1], pixel[2]];
        if colour != last.0 {
            last = (
                colour,
                *known.entry(colour).or_insert_with(|| nearest(colour)),
            );
        }
        last.1
    });
    pixels.collect()
}

/// Encodes pixels, row by row, of a picture of this width and height.
pub(super) fn png(
    pixels: &[u8],
    size: [u32; 2],
    colour: ExtendedColorType,
    compression: CompressionType,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, compression, FilterType::Adaptive)
        .write_image(pixels, size[0], size[1], colour)
        .map_err(|error| Error::Value(format!("PNG encoder: {error}")))?;
    Ok(bytes)
}

/// The embedded font at `size` device pixels: no system font is asked for.
pub(super) fn font(size: u32, colour: RGBColor) -> TextStyle<'static> {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        let bytes = include_bytes!("../../assets/DejaVuSans-subset.ttf");
        // A failure shows at the first text drawn, as an error.
        let _ = register_font(FONT, FontStyle::Normal, bytes);
    });
    (FONT, size).into_font().color(&colour)
}

/// plotters' error as the crate's.
pub(super) fn draw<T, E: std::error::Error>(drawn: std::result::Result<T, E>) -> Result<T> {
    drawn.map_err(|error| Error::Value(format!("drawing: {error}")))
}
