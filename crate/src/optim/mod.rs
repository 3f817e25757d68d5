//! Adam, with moments that can be saved; the moving average of what it moves, and the schedule of its rate.

mod adam;
mod average;
mod moments;
mod schedule;

pub use adam::Adam;
pub use average::MovingAverage;
pub use schedule::Schedule;
