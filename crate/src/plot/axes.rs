//! What the plots of runs share: axes with their numbers, and a grid of pale lines.

use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters_bitmap::BitMapBackend;

use super::canvas::{Area, DENSITY, INK, LOWER, draw, font};
use crate::Result;

const GRID: RGBColor = RGBColor(226, 226, 226);

/// A name, the values between the ends, and about how many of them are written down.
pub(super) struct Axis<'a> {
    pub name: &'a str,
    pub range: Range<f64>,
    pub labels: usize,
}

pub(super) type Chart<'a, 'b> =
    ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws the axes of a plot that leaves `top` pixels free above it.
pub(super) fn axes<'a, 'b>(
    area: &'a Area<'b>,
    top: u32,
    x: Axis,
    y: Axis,
) -> Result<Chart<'a, 'b>> {
    let mut chart = draw(
        ChartBuilder::on(area)
            .margin(10 * DENSITY)
            .margin_right(18 * DENSITY)
            .margin_top(top)
            .x_label_area_size(46 * DENSITY)
            .y_label_area_size(58 * DENSITY)
            .build_cartesian_2d(x.range, y.range),
    )?;
    draw(
        chart
            .configure_mesh()
            .x_desc(x.name)
            .y_desc(y.name)
            .x_labels(x.labels)
            .y_labels(y.labels)
            .x_label_formatter(&tick)
            .y_label_formatter(&tick)
            .y_label_offset(LOWER)
            .label_style(font(13 * DENSITY, INK))
            .axis_desc_style(font(15 * DENSITY, INK))
            .axis_style(INK.stroke_width(DENSITY))
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(DENSITY / 2))
            .draw(),
    )?;
    Ok(chart)
}

/// A number of an axis, without the tail of binary fractions.
pub(super) fn tick(value: &f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_string()
}
