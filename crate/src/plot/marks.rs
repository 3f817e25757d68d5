//! Values that a curve is compared with, as dashed lines: above all the losses of a game that nobody wins.

use std::f64::consts::LN_2;

use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters_bitmap::BitMapBackend;

use super::canvas::{DENSITY, INK, draw};
use crate::Result;
use crate::loss::GanLoss;

/// A value and its name.
pub(super) type Mark = (f64, &'static str);

const LOG_2: Mark = (LN_2, "0.69 = log 2");
const TWO_LOG_2: Mark = (2. * LN_2, "1.39 = 2 log 2");

/// The discriminator's and the generator's loss where the discriminator gives every image the probability ½. None for a
/// loss that is not made of probabilities.
pub(super) fn undecided(loss: GanLoss) -> Option<[Mark; 2]> {
    match loss {
        GanLoss::NonSaturating => Some([TWO_LOG_2, LOG_2]),
        GanLoss::Minimax => Some([TWO_LOG_2, (-LN_2, "-0.69 = -log 2")]),
        GanLoss::Relativistic => Some([LOG_2, LOG_2]),
        GanLoss::LeastSquares | GanLoss::Hinge | GanLoss::Wasserstein => None,
    }
}

/// A dashed line at `value`, from one end of `x` to the other.
pub(super) fn dashed_line<Y: Ranged<ValueType = f64>>(
    chart: &mut ChartContext<BitMapBackend, Cartesian2d<RangedCoordf64, Y>>,
    x: [f64; 2],
    value: f64,
) -> Result<()> {
    let colour = INK.mix(0.6).stroke_width(DENSITY);
    let ends = x.map(|x| (x, value));
    let dashes = DashedLineSeries::new(ends, 6 * DENSITY, 4 * DENSITY, colour);
    draw(chart.draw_series(dashes)).map(drop)
}
