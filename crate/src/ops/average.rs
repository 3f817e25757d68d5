//! A moving average's update in one pass over memory.

use candle_core::{Result, Tensor};

use super::elementwise::update;
use super::storage::{read, write};

/// Moves `average` in place by `fraction` of its way to `values`; both have one shape and one device.
pub(crate) fn average(average: &Tensor, values: &Tensor, fraction: f64) -> Result<()> {
    if average.elem_count() == 0 {
        return Ok(()); // a network without running statistics has a row of none
    }
    if !average.device().is_cpu() {
        let moved = (average + ((values - average)? * fraction)?)?;
        return average.slice_set(&moved.detach(), 0, 0);
    }
    let fraction = fraction as f32;
    read(values, |values| {
        write(average, |average| {
            update(average, values, |average, value| {
                average + fraction * (value - average)
            });
            Ok(())
        })
    })
}
