//! Which pixels a convolution connects: its kernel, stride and padding as a drawing.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{Area, Canvas, DENSITY, INK, LOWER, draw, font};
use super::runs::COLOURS;
use crate::{Error, Result};

/// Room for both images and the arrow between them.
const WIDTH: u32 = 700 * DENSITY;
const LARGEST_CELL: u32 = 26 * DENSITY;
const ARROW: u32 = 150 * DENSITY;
const SPACE: u32 = 12 * DENSITY;
const CAPTION: u32 = 44 * DENSITY;
const LINE: RGBColor = RGBColor(150, 150, 150);
const PADDING: RGBColor = RGBColor(232, 232, 232);
/// Rows and columns of an image that can still be told apart.
const MOST: usize = 32;

/// What a convolution connects: an image of `size` x `size` pixels in its `padding` of zeros on the left, and on the right
/// its output, one pixel for each place of the `kernel`, which moves by `stride` pixels. Three pixels of the output have the
/// colour of the window that they are computed from. Read from right to left it is the transposed convolution: each pixel is
/// spread over its window, and what falls on the padding is cut off.
///
/// ```
/// let figure = digit_gan::plot::stride(8, 4, 2, 1)?;
/// assert!(figure.alt().contains("(8 + 2 × 1 - 4) / 2 + 1 = 4"));
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a size, kernel or stride of 0, a kernel larger than the padded image, or more than 32 padded pixels.
pub fn stride(size: usize, kernel: usize, stride: usize, padding: usize) -> Result<Figure> {
    let padded = size.saturating_add(padding.saturating_mul(2));
    let drawable = size > 0 && stride > 0 && (1..=padded).contains(&kernel) && padded <= MOST;
    if !drawable {
        return Err(Error::Value(format!(
            "stride: expected a size, kernel and stride of at least 1, a kernel that fits, and at most {MOST} pixels \
             with the padding, not size {size}, kernel {kernel}, stride {stride}, padding {padding}"
        )));
    }
    let drawing = Drawing {
        size,
        kernel,
        stride,
        padding,
        output: (padded - kernel) / stride + 1,
    };
    drawing.figure()
}

struct Drawing {
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    output: usize,
}

impl Drawing {
    fn figure(&self) -> Result<Figure> {
        let (cell, padded) = (self.cell(), self.padded() as u32);
        let [left, right] = [padded, self.output as u32].map(|n| n * cell);
        let width = left + right + ARROW + 2 * SPACE;
        let height = left.max(right) + CAPTION + SPACE;
        let mut canvas = Canvas::new(width, height, 255);
        {
            let area = canvas.area();
            let middle = (SPACE + left.max(right) / 2) as i32;
            let corner = |x: u32, side: u32| [x as i32, middle - side as i32 / 2];
            let (from, to) = (corner(SPACE, left), corner(SPACE + left + ARROW, right));
            self.draw_input(&area, from)?;
            self.draw_output(&area, to)?;
            let between = (SPACE + left + ARROW / 2) as i32;
            draw_arrows(&area, [between, middle])?;
            let below = (SPACE + left.max(right) + CAPTION / 2) as i32;
            let center = |start: i32, side: u32| [start + side as i32 / 2, below];
            write(&area, &self.input_words(), center(from[0], left))?;
            let output = format!("{0} × {0}", self.output);
            write(&area, &output, center(to[0], right))?;
        }
        canvas.into_png(self.words())
    }

    fn padded(&self) -> usize {
        self.size + 2 * self.padding
    }

    fn cell(&self) -> u32 {
        let across = (self.padded() + self.output) as u32;
        ((WIDTH - ARROW - 2 * SPACE) / across).min(LARGEST_CELL)
    }

    /// Up to three outputs, as (row, column): the first, its neighbour, and the last.
    fn shown(&self) -> Vec<(usize, usize)> {
        let last = self.output - 1;
        let mut shown = vec![(0, 0), (0, last.min(1)), (last, last)];
        shown.dedup();
        shown
    }

    /// The image in its padding, and over it the windows.
    fn draw_input(&self, area: &Area, corner: [i32; 2]) -> Result<()> {
        let inside = self.padding..self.padding + self.size;
        self.draw_cells(area, corner, self.padded(), |row, column| {
            match inside.contains(&row) && inside.contains(&column) {
                true => WHITE,
                false => PADDING,
            }
        })?;
        let windows = self.shown().into_iter().map(|(row, column)| [column, row]);
        for (at, colour) in windows.zip(COLOURS) {
            let [left, top] = at.map(|i| (i * self.stride * self.cell() as usize) as i32);
            let side = (self.kernel as u32 * self.cell()) as i32;
            let start = (corner[0] + left, corner[1] + top);
            let corners = [start, (start.0 + side, start.1 + side)];
            draw(area.draw(&Rectangle::new(corners, colour.mix(0.25).filled())))?;
            draw(area.draw(&Rectangle::new(corners, colour.stroke_width(2 * DENSITY))))?;
        }
        Ok(())
    }

    fn draw_output(&self, area: &Area, corner: [i32; 2]) -> Result<()> {
        let shown = self.shown();
        self.draw_cells(area, corner, self.output, |row, column| {
            let shown = shown.iter().position(|&at| at == (row, column));
            shown.map_or(WHITE, |i| COLOURS[i])
        })
    }

    /// A square of cells with lines between them.
    fn draw_cells(
        &self,
        area: &Area,
        [left, top]: [i32; 2],
        count: usize,
        colour: impl Fn(usize, usize) -> RGBColor,
    ) -> Result<()> {
        let cell = self.cell() as i32;
        for row in 0..count {
            for column in 0..count {
                let start = (left + column as i32 * cell, top + row as i32 * cell);
                let corners = [start, (start.0 + cell, start.1 + cell)];
                draw(area.draw(&Rectangle::new(corners, colour(row, column).filled())))?;
                draw(area.draw(&Rectangle::new(corners, LINE.stroke_width(1))))?;
            }
        }
        Ok(())
    }

    fn input_words(&self) -> String {
        match self.padding {
            0 => format!("{0} × {0}", self.size),
            padding => format!("{0} × {0}, padding {padding}", self.size),
        }
    }

    fn words(&self) -> String {
        let Drawing {
            size,
            kernel,
            stride,
            padding,
            output,
        } = *self;
        format!(
            "A convolution with a kernel of {kernel} x {kernel} and stride {stride} makes {output} x {output} pixels of \
             {size} x {size} with padding {padding}: ({size} + 2 × {padding} - {kernel}) / {stride} + 1 = {output}. \
             Coloured windows of the image belong to output pixels of the same colour."
        )
    }
}

/// One arrow to the right for the convolution, one to the left for the transposed one, with their names.
fn draw_arrows(area: &Area, [x, y]: [i32; 2]) -> Result<()> {
    let unit = DENSITY as i32;
    for (name, y, direction) in [
        ("conv2d", y - 26 * unit, 1),
        ("conv_transpose2d", y + 26 * unit, -1),
    ] {
        let (tail, tip) = (x - direction * 48 * unit, x + direction * 48 * unit);
        let line = [(tail, y), (tip, y)];
        draw(area.draw(&PathElement::new(line, INK.stroke_width(2 * DENSITY))))?;
        let back = tip - direction * 9 * unit;
        let head = vec![(tip, y), (back, y - 6 * unit), (back, y + 6 * unit)];
        draw(area.draw(&Polygon::new(head, INK.filled())))?;
        write(area, name, [x, y - 14 * unit])?;
    }
    Ok(())
}

fn write(area: &Area, text: &str, [x, y]: [i32; 2]) -> Result<()> {
    let style = font(14 * DENSITY, INK).pos(Pos::new(HPos::Center, VPos::Center));
    draw(area.draw(&Text::new(text, (x, y + LOWER), style)))
}
