//! One digit, large enough to count its pixels.

use candle_core::Tensor;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::samples::Pictures;
use crate::{Error, Result};

/// The longer side of the enlarged digit: ten times 28 pixels.
const LONGEST: u32 = 280 * DENSITY;
/// About this number of rows and columns are numbered.
const NUMBERS: usize = 6;
const LEFT: u32 = 52 * DENSITY;
const TOP: u32 = 12 * DENSITY;
const RIGHT: u32 = 16 * DENSITY;
const BOTTOM: u32 = 48 * DENSITY;
const FRAME: u32 = DENSITY / 2;

/// One sample in [-1, 1], enlarged (ten times, if it has 28 x 28 pixels), with its rows and columns numbered; row 0 is at
/// the top.
///
/// # Errors
/// [`Error::Shape`] unless the tensor holds one digit, as (height, width), (1, height, width) or (1, 1, height, width);
/// [`Error::Value`] for non-finite pixels.
pub fn large_digit(sample: &Tensor) -> Result<Figure> {
    let (height, width) = match *sample.dims() {
        [height, width] | [1, height, width] | [1, 1, height, width] => (height, width),
        _ => {
            return Err(Error::Shape(format!(
                "large_digit: expected one sample of shape (1, height, width), got {:?}; samples.get(0)? takes the first \
                 of several",
                sample.dims()
            )));
        }
    };
    let digit = Pictures::from_samples(&sample.reshape((1, 1, height, width))?, "large_digit")?;
    let scale = (LONGEST / height.max(width) as u32).max(1);
    let [right, bottom] = [(LEFT, width), (TOP, height)].map(|(start, n)| start + n as u32 * scale);
    let mut canvas = Canvas::new(right + RIGHT, bottom + BOTTOM, 255);
    axes(&canvas.area(), [width, height], scale)?;
    canvas.picture(LEFT, TOP, scale, &digit, 0);
    canvas.into_png(format!(
        "One digit of {height} x {width} pixels, enlarged, with its rows and columns numbered from 0 at the top left."
    ))
}

fn axes(area: &Area, size: [usize; 2], scale: u32) -> Result<()> {
    let (left, top) = (LEFT as i32, TOP as i32);
    let [width, height] = size.map(|n| n as i32 * scale as i32);
    let (right, bottom) = (left + width, top + height);
    let frame = FRAME as i32;
    let corners = [(left - frame, top - frame), (right + frame, bottom + frame)];
    draw(area.draw(&Rectangle::new(corners, INK.filled())))?;

    let tick = 5 * DENSITY as i32;
    let small = font(13 * DENSITY, INK);
    let below = small.clone().pos(Pos::new(HPos::Center, VPos::Top));
    let beside = small.pos(Pos::new(HPos::Right, VPos::Center));
    let step = size[0].max(size[1]).div_ceil(NUMBERS);
    // The middle of the pixel: the number names the pixel, not its edge.
    let middle = |pixel: usize| (pixel as u32 * scale + scale / 2) as i32;
    for column in (0..size[0]).step_by(step) {
        let x = left + middle(column);
        let mark = [(x - frame, bottom), (x + frame, bottom + tick)];
        draw(area.draw(&Rectangle::new(mark, INK.filled())))?;
        let under = (x, bottom + tick + 3 * DENSITY as i32);
        draw(area.draw(&Text::new(column.to_string(), under, below.clone())))?;
    }
    for row in (0..size[1]).step_by(step) {
        let y = top + middle(row);
        let mark = [(left - tick, y - frame), (left, y + frame)];
        draw(area.draw(&Rectangle::new(mark, INK.filled())))?;
        let before = (left - tick - 3 * DENSITY as i32, y + LOWER);
        draw(area.draw(&Text::new(row.to_string(), before, beside.clone())))?;
    }

    let (middle_x, middle_y) = ((left + right) / 2, (top + bottom) / 2);
    let name = font(14 * DENSITY, INK).pos(Pos::new(HPos::Center, VPos::Bottom));
    let below = (middle_x, bottom + BOTTOM as i32 - 6 * DENSITY as i32);
    draw(area.draw(&Text::new("column", below, name.clone())))?;
    let upward = name
        .transform(FontTransform::Rotate270)
        .pos(Pos::new(HPos::Center, VPos::Top));
    let beside = (6 * DENSITY as i32, middle_y);
    draw(area.draw(&Text::new("row", beside, upward)))
}
