//! What the plots of runs share: axes with their numbers, and a grid of pale lines.

use std::ops::Range;

use plotters::coord::ranged1d::{
    AsRangedCoord, DefaultFormatting, KeyPointHint, Ranged, ValueFormatter,
};
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

pub(super) type Chart<'a, 'b, Y = RangedCoordf64> =
    ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// Draws the axes of a plot that leaves `top` pixels free above it.
pub(super) fn axes<'a, 'b>(
    area: &'a Area<'b>,
    top: u32,
    x: Axis,
    y: Axis,
) -> Result<Chart<'a, 'b>> {
    draw_axes(area, top, (x, &tick), (y.name, y.labels, &tick), y.range)
}

/// The same with a place for each class on the x axis, 1 wide: class `i` lies around `i`.
pub(super) fn class_axes<'a, 'b>(
    area: &'a Area<'b>,
    top: u32,
    names: &[String],
    y: Axis,
) -> Result<Chart<'a, 'b>> {
    let x = Axis {
        name: "class",
        range: -0.5..names.len() as f64 - 0.5,
        labels: names.len(),
    };
    let name = |place: &f64| {
        let class = (place.fract() == 0. && *place >= 0.).then_some(*place as usize);
        let name = class.and_then(|class| names.get(class));
        name.cloned().unwrap_or_default()
    };
    draw_axes(area, top, (x, &name), (y.name, y.labels, &tick), y.range)
}

/// The same with a logarithmic y axis, for values above 0.
pub(super) fn log_axes<'a, 'b>(
    area: &'a Area<'b>,
    top: u32,
    x: Axis,
    y: Axis,
) -> Result<Chart<'a, 'b, Logarithmic>> {
    let y_axis = (y.name, y.labels, &log_tick as Text);
    draw_axes(area, top, (x, &tick), y_axis, Logarithmic(y.range))
}

/// How a number of an axis is written.
type Text<'a> = &'a dyn Fn(&f64) -> String;

fn draw_axes<'a, 'b, Y>(
    area: &'a Area<'b>,
    top: u32,
    (x, x_text): (Axis, Text),
    (y_name, y_labels, y_text): (&str, usize, Text),
    y_range: Y,
) -> Result<Chart<'a, 'b, Y::CoordDescType>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let beside = if y_name.is_empty() { 42 } else { 58 };
    let mut chart = draw(
        ChartBuilder::on(area)
            .margin(10 * DENSITY)
            .margin_right(18 * DENSITY)
            .margin_top(top)
            .x_label_area_size(46 * DENSITY)
            .y_label_area_size(beside * DENSITY)
            .build_cartesian_2d(x.range, y_range),
    )?;
    draw(
        chart
            .configure_mesh()
            .x_desc(x.name)
            .y_desc(y_name)
            .x_labels(x.labels)
            .y_labels(y_labels)
            .x_label_formatter(&x_text)
            .y_label_formatter(&y_text)
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

/// A logarithmic axis that is marked with round numbers.
pub(super) struct Logarithmic(Range<f64>);

impl Ranged for Logarithmic {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let fraction = (value / self.0.start).ln() / (self.0.end / self.0.start).ln();
        from + (fraction * f64::from(to - from)).round() as i32
    }

    /// Round numbers in the range: the roundest of which there are three or more.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let most = hint.max_num_points();
        let steps: [&[f64]; 4] = [
            &[1.],
            &[1., 2., 5.],
            &[1., 1.5, 2., 3., 4., 5., 7.],
            &[
                1., 1.2, 1.4, 1.6, 1.8, 2., 2.5, 3., 3.5, 4., 5., 6., 7., 8., 9.,
            ],
        ];
        let [from, to] = [self.0.start, self.0.end].map(|end| end.log10().floor() as i32);
        let marks = |steps: &[f64]| -> Vec<f64> {
            let scaled = |decade| steps.iter().map(move |step| step * 10f64.powi(decade));
            let all = (from..=to).flat_map(scaled);
            all.filter(|mark| self.0.contains(mark)).collect()
        };
        let enough = |marks: &Vec<f64>| (3..=most).contains(&marks.len());
        steps
            .into_iter()
            .map(marks)
            .find(enough)
            .unwrap_or_else(|| marks(steps[0]))
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

/// Round numbers in a range, five or so.
pub(super) fn round_marks(range: &Range<f64>) -> Vec<f64> {
    let rough = (range.end - range.start) / 5.;
    let decade = 10f64.powf(rough.log10().floor());
    let mut steps = [1., 2., 5.].into_iter().map(|step| step * decade);
    let step = steps.find(|&step| step >= rough).unwrap_or(10. * decade);
    let first = (range.start / step).ceil() as i64;
    let marks = (first..).map(|mark| mark as f64 * step);
    marks.take_while(|&mark| mark <= range.end).collect()
}

/// A number of an axis, without the tail of binary fractions.
pub(super) fn tick(value: &f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_string()
}

/// The same for values of any size: three digits that count, and a power of ten where that is shorter.
pub(super) fn log_tick(value: &f64) -> String {
    let size = value.abs();
    match size {
        0. => "0".into(),
        0.001..1e6 => {
            let places = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
            let text = format!("{value:.places$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').into(),
                false => text,
            }
        }
        _ => {
            let text = format!("{value:.2e}");
            let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{power}")
        }
    }
}
