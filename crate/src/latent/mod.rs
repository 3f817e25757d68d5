//! The latent space that a generator draws from: paths through it, directions in it, and the way back from an image.
//!
//! Noise is a tensor (n, latent), a point a row, as [`Rng::normal`](crate::rng::Rng::normal) draws it. A normal point of
//! many dimensions lies close to a sphere, the *shell*, whose radius is the square root of their number; a generator
//! has never been trained on points far inside or outside it.
//!
//! ```
//! use digit_gan::{latent, rng::Rng};
//! let noise = Rng::seed(1).normal((2, 100))?;
//! let (from, to) = (noise.narrow(0, 0, 1)?, noise.narrow(0, 1, 1)?);
//! let halfway = latent::slerp(&from, &to, 0.5)?;
//! let length = halfway.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt();
//! assert!((9. ..11.).contains(&length)); // a straight line would pass at a distance of about 7
//! # Ok::<(), digit_gan::Error>(())
//! ```

mod directions;
mod project;
mod slerp;
mod truncate;

pub use directions::{Directions, directions};
pub use project::{Projection, project};
pub use slerp::slerp;
pub use truncate::truncate;

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The values of noise (n, latent), row by row, and the length of a row.
fn rows(noise: &Tensor, caller: &str) -> Result<(Vec<f32>, usize)> {
    let &[n, latent] = noise.dims() else {
        return Err(Error::Shape(format!(
            "{caller}: expected noise of shape (n, latent), got {:?}",
            noise.dims()
        )));
    };
    if n == 0 || latent == 0 {
        return Err(Error::Shape(format!(
            "{caller}: expected noise of shape (n, latent) with at least one point, got {:?}",
            noise.dims()
        )));
    }
    let values: Vec<f32> = noise.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::Value(format!(
            "{caller}: point {} of the noise holds {}, expected finite numbers",
            at / latent,
            values[at]
        ))),
        None => Ok((values, latent)),
    }
}

/// The Euclidean length of a point.
fn length(point: &[f32]) -> f64 {
    let squares = point.iter().map(|&value| f64::from(value).powi(2));
    squares.sum::<f64>().sqrt()
}

/// The lengths of all points. A point of length 0 has no direction, and is refused.
fn lengths(values: &[f32], latent: usize, caller: &str) -> Result<Vec<f64>> {
    let lengths: Vec<f64> = values.chunks_exact(latent).map(length).collect();
    match lengths.iter().position(|&length| length == 0.) {
        Some(at) => Err(Error::Value(format!(
            "{caller}: point {at} of the noise is the origin, which has no direction; draw the noise with Rng::normal"
        ))),
        None => Ok(lengths),
    }
}
