//! One digit, large enough to count its pixels.

use candle_core::Tensor;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::samples::{SIDE, grey};
use crate::{Error, Result};

const SCALE: u32 = 10 * DENSITY;
const DIGIT: u32 = SIDE as u32 * SCALE;
const LEFT: u32 = 52 * DENSITY;
const TOP: u32 = 12 * DENSITY;
const RIGHT: u32 = 16 * DENSITY;
const BOTTOM: u32 = 48 * DENSITY;
const FRAME: u32 = DENSITY / 2;

/// One sample in [-1, 1], ten times enlarged, with its rows and columns numbered; row 0 is at the top.
///
/// # Errors
/// [`Error::Shape`] unless the tensor holds one digit, as (28, 28), (1, 28, 28) or (1, 1, 28, 28);
/// [`Error::Value`] for non-finite pixels.
pub fn large_digit(sample: &Tensor) -> Result<Figure> {
    let shape = sample.dims();
    if !matches!(shape, [SIDE, SIDE] | [1, SIDE, SIDE] | [1, 1, SIDE, SIDE]) {
        return Err(Error::Shape(format!(
            "large_digit: expected one sample of shape (1, 28, 28), got {shape:?}; \
             samples.get(0)? takes the first of several"
        )));
    }
    let digits = grey(&sample.reshape((1, 1, SIDE, SIDE))?, "large_digit")?;
    let mut canvas = Canvas::new(LEFT + DIGIT + RIGHT, TOP + DIGIT + BOTTOM, 255);
    axes(&canvas.area())?;
    canvas.digit(LEFT, TOP, SCALE, &digits[0]);
    canvas.into_png(
        "One digit of 28 x 28 pixels, enlarged, with its rows and columns numbered from 0 at the top left."
            .into(),
    )
}

fn axes(area: &Area) -> Result<()> {
    let (left, top) = (LEFT as i32, TOP as i32);
    let (right, bottom) = ((LEFT + DIGIT) as i32, (TOP + DIGIT) as i32);
    let frame = FRAME as i32;
    let corners = [(left - frame, top - frame), (right + frame, bottom + frame)];
    draw(area.draw(&Rectangle::new(corners, INK.filled())))?;

    let tick = 5 * DENSITY as i32;
    let small = font(13 * DENSITY, INK);
    let below = small.clone().pos(Pos::new(HPos::Center, VPos::Top));
    let beside = small.pos(Pos::new(HPos::Right, VPos::Center));
    for pixel in (0..SIDE).step_by(5) {
        // The middle of the pixel: the number names the pixel, not its edge.
        let offset = (pixel as u32 * SCALE + SCALE / 2) as i32;
        let (x, y) = (left + offset, top + offset);
        let marks = [
            [(x - frame, bottom), (x + frame, bottom + tick)],
            [(left - tick, y - frame), (left, y + frame)],
        ];
        for mark in marks {
            draw(area.draw(&Rectangle::new(mark, INK.filled())))?;
        }
        let number = pixel.to_string();
        let under = (x, bottom + tick + 3 * DENSITY as i32);
        draw(area.draw(&Text::new(number.clone(), under, below.clone())))?;
        let before = (left - tick - 3 * DENSITY as i32, y + LOWER);
        draw(area.draw(&Text::new(number, before, beside.clone())))?;
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
