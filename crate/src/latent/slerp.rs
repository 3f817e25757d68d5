//! From one point to another without leaving the shell.

use candle_core::{Device, Tensor};

use super::{lengths, rows};
use crate::{Error, Result};

/// Spherical interpolation (White 2016, <https://arxiv.org/abs/1609.04468>): each point of `a` (n, latent), turned by the
/// fraction `t` of the angle to the same row of `b`, on the arc through both; its length changes from one's to the other's
/// linearly. `t` of 0 gives `a`, of 1 gives `b`.
///
/// Between opposite points there are many arcs; the same one is always taken.
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::Value`] for a point that is not finite or is the origin, or a `t` that is
/// not finite.
pub fn slerp(a: &Tensor, b: &Tensor, t: f64) -> Result<Tensor> {
    if a.dims() != b.dims() {
        return Err(Error::Shape(format!(
            "slerp: expected noise of one shape at both ends, got {:?} and {:?}",
            a.dims(),
            b.dims()
        )));
    }
    if !t.is_finite() {
        return Err(Error::Value(format!(
            "slerp: t is {t}, expected a fraction of the way, from 0 to 1"
        )));
    }
    let ((from, latent), (to, _)) = (rows(a, "slerp")?, rows(b, "slerp")?);
    let ends = lengths(&from, latent, "slerp")?
        .into_iter()
        .zip(lengths(&to, latent, "slerp")?);
    let points = from.chunks_exact(latent).zip(to.chunks_exact(latent));
    let between: Vec<f32> = points
        .zip(ends)
        .flat_map(|(points, lengths)| on_the_arc(points, lengths, t))
        .collect();
    Ok(Tensor::from_vec(between, a.shape(), &Device::Cpu)?)
}

fn on_the_arc(
    (from, to): (&[f32], &[f32]),
    (from_length, to_length): (f64, f64),
    t: f64,
) -> Vec<f32> {
    let unit = |point: &[f32], length: f64| -> Vec<f64> {
        point.iter().map(|&x| f64::from(x) / length).collect()
    };
    let (u, v) = (unit(from, from_length), unit(to, to_length));
    let cosine = dot(&u, &v);
    let mut side = without(&v, &u); // the part of v that points away from u
    let sine = dot(&side, &side).sqrt();
    // The quotient of the sines in White's formula is 0 / 0 where the points lie in one direction, or opposite.
    if sine < 1e-6 {
        side = any_side(&u);
    }
    let scale = dot(&side, &side).sqrt();
    let angle = t * sine.atan2(cosine);
    let length = (1. - t) * from_length + t * to_length;
    let turned = u
        .iter()
        .zip(&side)
        .map(|(u, side)| length * (angle.cos() * u + angle.sin() * side / scale));
    turned.map(|value| value as f32).collect()
}

/// A direction at right angles to the unit vector `u`, made from the axis that is least aligned with it.
fn any_side(u: &[f64]) -> Vec<f64> {
    let least = (0..u.len()).min_by(|&i, &j| u[i].abs().total_cmp(&u[j].abs()));
    let mut axis = vec![0.; u.len()];
    axis[least.unwrap_or(0)] = 1.;
    without(&axis, u)
}

/// `v` without its part along the unit vector `u`.
fn without(v: &[f64], u: &[f64]) -> Vec<f64> {
    let along = dot(u, v);
    v.iter().zip(u).map(|(v, u)| v - along * u).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
