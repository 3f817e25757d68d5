//! What makes a training step fast on a CPU: a whole network as one operation of candle's, with its gradient.
//!
//! Nothing above this module knows how: [`run`] and [`input_gradient`] take and return ordinary tensors, and [`adam`]
//! and [`average`] move them.

mod adam;
mod average;
mod bf16;
mod buffer;
mod builder;
mod collect;
mod conv;
pub(crate) mod elementwise;
mod gemm;
mod geometry;
pub(crate) mod norm;
mod pages;
mod pending;
mod plan;
mod precision;
mod run;
mod step;
mod storage;
mod tangent;
mod version;
mod winograd;

pub(crate) use adam::{AdamStep, adam, sum_of_squares};
pub(crate) use average::average;
pub(crate) use buffer::{Buffer, Shared};
pub(crate) use builder::Builder;
pub(crate) use collect::{Sum, collect};
pub(crate) use conv::Context;
pub(crate) use gemm::{Matrix, product};
pub(crate) use geometry::{Conv, Size};
pub(crate) use pages::prefer_large_pages;
pub(crate) use pending::Pending;
pub(crate) use plan::Plan;
pub use precision::Precision;
pub(crate) use run::{Call, run};
pub(crate) use step::{At, Backward, Forward, Gradient, Kept, Statistics, Step};
pub(crate) use tangent::input_gradient;
pub(crate) use version::Version;
