//! Batch normalisation (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>) with its activation, on values
//! (pixel, channel, batch).

use super::elementwise::{by_row, lanes, map, of_rows, per_channel};

/// What the normalisation of one channel adds and multiplies: (x - mean) * inverse, with inverse one over the
/// standard deviation.
#[derive(Clone, Copy)]
pub(crate) struct Moments {
    pub mean: f32,
    /// Divided by the number of values, not by one less.
    pub variance: f32,
    pub inverse: f32,
}

impl Moments {
    pub(crate) fn new(mean: f32, variance: f32, epsilon: f64) -> Self {
        let inverse = (1. / (variance as f64 + epsilon).sqrt()) as f32;
        Moments {
            mean,
            variance,
            inverse,
        }
    }
}

/// The moments of each channel.
pub(crate) fn moments(x: &[f32], channels: usize, n: usize, epsilon: f64) -> Vec<Moments> {
    // Of each row its mean and the squares around it, while it is in the cache; rows of a channel then come together as
    // in <https://doi.org/10.1080/00031305.1983.10483115> (Chan, Golub and LeVeque).
    let rows = of_rows(x, n, |x| {
        let mean = lanes(x, x, |x, _| x) / n as f32;
        [mean, lanes(x, x, |x, _| (x - mean) * (x - mean))]
    });
    let pixels = (rows.len() / channels) as f64;
    let sums = per_channel(&rows, channels);
    let means: Vec<f64> = sums.iter().map(|[sum, _]| sum / pixels).collect();
    let mut between = vec![0.; channels];
    for (row, [mean, _]) in rows.iter().enumerate() {
        between[row % channels] += (*mean as f64 - means[row % channels]).powi(2);
    }
    let channels = means.iter().zip(sums).zip(between);
    channels
        .map(|((mean, [_, within]), between)| {
            let variance = between / pixels + within / (pixels * n as f64);
            Moments::new(*mean as f32, variance as f32, epsilon)
        })
        .collect()
}

/// y = gamma * the normalised x + beta, where negative times `slope`.
pub(crate) fn forward(
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

/// From the gradient behind the activation to that in front of it, in place; returns the gradients of gamma and beta,
/// which [`backward`] needs as well.
pub(crate) fn parameters(
    x: &[f32],
    dy: &mut [f32],
    moments: &[Moments],
    [gamma, beta]: [&[f32]; 2],
    slope: f32,
    n: usize,
) -> Vec<[f32; 2]> {
    let rows = by_row(dy, x, moments.len(), n, |c, dy, x| {
        let Moments { mean, inverse, .. } = moments[c];
        let (scale, shift) = (gamma[c] * inverse, beta[c]);
        if slope != 1. {
            // The sign of the output, computed as `forward` does.
            map(dy, x, |dy, x| {
                let value = (x - mean) * scale + shift;
                if value > 0. { dy } else { slope * dy }
            });
        }
        [
            lanes(x, dy, |x, dy| (x - mean) * inverse * dy),
            lanes(dy, dy, |dy, _| dy),
        ]
    });
    let sums = per_channel(&rows, moments.len());
    sums.iter().map(|sums| sums.map(|sum| sum as f32)).collect()
}

/// Turns dy into the gradient of x. `sums` are those of [`parameters`]; none where the moments are constants.
pub(crate) fn backward(
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
