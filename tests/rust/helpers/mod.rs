//! What several modules need.

pub mod allocations;
pub mod judge;
pub mod process;
pub mod small;
pub mod stripes;
pub mod values;
