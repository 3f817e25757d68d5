//! Batch normalisation (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>) with its activation, on values
//! (pixel, channel, batch).

use rayon::prelude::*;

use super::elementwise::{ROWS, by_row, lanes, map};

/// What the normalisation of one channel adds and multiplies: (x - mean) * inverse, with inverse one over the
/// standard deviation.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub mean: f32,
    /// Divided by the number of values, not by one less.
    pub variance: f32,
    pub inverse: f32,
}

impl Moments {
    pub(super) fn new(mean: f32, variance: f32, epsilon: f64) -> Self {
        let inverse = (1. / (variance as f64 + epsilon).sqrt()) as f32;
        Moments {
            mean,
            variance,
            inverse,
        }
    }
}

/// The moments of each channel.
pub(super) fn moments(x: &[f32], channels: usize, n: usize, epsilon: f64) -> Vec<Moments> {
    let count = (x.len() / channels) as f64;
    let rows = |c: usize| x.chunks_exact(n).skip(c).step_by(channels);
    let of = |c: usize| {
        let sum: f64 = rows(c).map(|row| lanes(row, row, |x, _| x)).sum();
        let mean = (sum / count) as f32;
        let squares: f64 = rows(c)
            .map(|row| lanes(row, row, |x, _| (x - mean) * (x - mean)))
            .sum();
        Moments::new(mean, (squares / count) as f32, epsilon)
    };
    (0..channels)
        .into_par_iter()
        .with_min_len(ROWS)
        .map(of)
        .collect()
}

/// y = gamma * the normalised x + beta, where negative times `slope`.
pub(super) fn forward(
    x: &[f32],
    moments: &[Moments],
    [gamma, beta]: [&[f32]; 2],
    slope: f32,
    y: &mut [f32],
    n: usize,
) {
    by_row(y, x, moments.len(), n, |c, y, x| {
        let scale = gamma[c] * moments[c].inverse;
        let (mean, shift) = (moments[c].mean, beta[c]);
        map(y, x, |_, x| {
            let value = (x - mean) * scale + shift;
            if value > 0. { value } else { slope * value }
        });
    });
}

/// The gradients of gamma and beta, added to `dgamma` and `dbeta`, from dy, which already is the gradient in front of
/// the activation; returns their sums for [`backward`].
pub(super) fn parameters(x: &[f32], dy: &[f32], moments: &[Moments], n: usize) -> Vec<[f32; 2]> {
    let channels = moments.len();
    let of = |c: usize| {
        let Moments { mean, inverse, .. } = moments[c];
        let (mut product, mut sum) = (0., 0.);
        let rows = x
            .chunks_exact(n)
            .zip(dy.chunks_exact(n))
            .skip(c)
            .step_by(channels);
        for (x, dy) in rows {
            product += lanes(x, dy, |x, dy| (x - mean) * inverse * dy);
            sum += lanes(dy, dy, |dy, _| dy);
        }
        [product as f32, sum as f32]
    };
    (0..channels)
        .into_par_iter()
        .with_min_len(ROWS)
        .map(of)
        .collect()
}

/// Turns dy into the gradient of x. `sums` are those of [`parameters`]; none where the moments are constants.
pub(super) fn backward(
    x: &[f32],
    dy: &mut [f32],
    moments: &[Moments],
    gamma: &[f32],
    sums: Option<&[[f32; 2]]>,
    n: usize,
) {
    let channels = moments.len();
    let count = (x.len() / channels) as f32;
    by_row(dy, x, channels, n, |c, dy, x| {
        let Moments { mean, inverse, .. } = moments[c];
        let scale = gamma[c] * inverse;
        let [product, sum] = sums.map_or([0.; 2], |sums| sums[c].map(|sum| sum / count));
        map(dy, x, |dy, x| {
            scale * (dy - sum - (x - mean) * inverse * product)
        });
    });
}
