//! A page of handwriting with a box around each digit.

use image::imageops::{self, FilterType};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{Canvas, DENSITY, INK, draw, font};
use super::samples::Pictures;
use crate::Result;
use crate::data::Page;
use crate::display::{Content, Show, evcxr_display};

/// The longer side of the page, in device pixels.
const LONGEST: u32 = 800 * DENSITY;
/// On the left of the page, for the numbers of its rows.
const MARGIN: u32 = 36 * DENSITY;
const BOX: RGBColor = RGBColor(0, 114, 178);
const WIDE: RGBColor = RGBColor(213, 94, 0);

/// The page, a blue box around each digit that it was cut into, and the number of each row beside it. A box that is too
/// wide for one digit is orange.
///
/// # Errors
/// [`Error::Value`](crate::Error::Value) when it cannot be drawn.
pub fn page_boxes(page: &Page) -> Result<Figure> {
    let picture = page.picture();
    let scale = f64::from(LONGEST) / f64::from(picture.width().max(picture.height()));
    let scaled = |length: f64| (length * scale).round() as u32;
    let (width, height) = (
        scaled(picture.width().into()).max(1),
        scaled(picture.height().into()).max(1),
    );
    let shown = imageops::resize(picture, width, height, FilterType::Triangle);
    let pictures = Pictures {
        height: height as usize,
        width: width as usize,
        bytes: vec![shown.into_raw()],
    };
    let mut canvas = Canvas::new(MARGIN + width, height, 255);
    canvas.picture(MARGIN, 0, 1, &pictures, 0);
    let place = |x: usize, y: usize| (MARGIN + scaled(x as f64), scaled(y as f64));
    {
        let area = canvas.area();
        for (row, crops) in page.rows().iter().enumerate() {
            for crop in crops {
                let [left, top, width, height] = crop.bounds;
                let corners = [place(left, top), place(left + width, top + height)];
                let corners = corners.map(|(x, y)| (x as i32, y as i32));
                let colour = if crop.is_wide { WIDE } else { BOX };
                let frame = Rectangle::new(corners, colour.stroke_width(DENSITY));
                draw(area.draw(&frame))?;
            }
            let [_, top, _, height] = crops[0].bounds;
            let (_, y) = place(0, top + height / 2);
            let style = font(13 * DENSITY, INK).pos(Pos::new(HPos::Right, VPos::Center));
            let at = (MARGIN as i32 - 6 * DENSITY as i32, y as i32);
            draw(area.draw(&Text::new(row.to_string(), at, style)))?;
        }
    }
    canvas.into_png(format!("{page}."))
}

impl Show for Page {
    fn content(&self) -> Content {
        match page_boxes(self) {
            Ok(figure) => figure.content(),
            Err(error) => Content::text(format!("{self} ({error})")),
        }
    }
}

evcxr_display!(Page);
