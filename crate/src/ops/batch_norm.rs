//! Batch normalisation (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>), two passes each way.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};

use super::{fast, read, slice};

/// Statistics of a batch, one value per channel.
pub(crate) struct Statistics {
    pub mean: Tensor,
    /// The biased variance: divided by the number of values, as the normalisation uses it.
    pub variance: Tensor,
}

/// Normalises `x` (batch, channels, ...) per channel with the batch's own statistics, then scales and shifts
/// by `gamma` and `beta` (channels,). Also returns those statistics.
pub(crate) fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f32,
) -> Result<(Tensor, Statistics)> {
    if !fast(&[x, gamma, beta]) {
        return with_candle(x, gamma, beta, epsilon);
    }
    let statistics = Arc::new(OnceLock::new());
    let op = BatchNorm {
        epsilon,
        statistics: statistics.clone(),
    };
    let y = x
        .contiguous()?
        .apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?;
    let (mean, variance): &(Vec<f32>, Vec<f32>) = statistics.get().expect("set by cpu_fwd");
    let statistics = Statistics {
        mean: Tensor::new(mean.as_slice(), x.device())?,
        variance: Tensor::new(variance.as_slice(), x.device())?,
    };
    Ok((y, statistics))
}

/// Normalises `x` with given statistics (channels,).
pub(crate) fn batch_norm_eval(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    statistics: &Statistics,
    epsilon: f32,
) -> Result<Tensor> {
    let scale = (gamma / (&statistics.variance + epsilon as f64)?.sqrt()?)?;
    let shift = (beta - (&statistics.mean * &scale)?)?;
    let shape = channels_of(x)?;
    x.broadcast_mul(&scale.reshape(shape.as_slice())?)?
        .broadcast_add(&shift.reshape(shape.as_slice())?)
}

/// (1, channels, 1, ...) with as many dimensions as `x`.
fn channels_of(x: &Tensor) -> Result<Vec<usize>> {
    let mut shape = vec![1; x.rank()];
    shape[1] = x.dim(1)?;
    Ok(shape)
}

fn with_candle(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f32,
) -> Result<(Tensor, Statistics)> {
    let rows = x.transpose(0, 1)?.flatten_from(1)?; // (channels, values)
    let mean = rows.mean(D::Minus1)?;
    let variance = rows
        .broadcast_sub(&mean.unsqueeze(1)?)?
        .sqr()?
        .mean(D::Minus1)?;
    let statistics = Statistics { mean, variance };
    let y = batch_norm_eval(x, gamma, beta, &statistics, epsilon)?;
    let detached = Statistics {
        mean: statistics.mean.detach(),
        variance: statistics.variance.detach(),
    };
    Ok((y, detached))
}

struct BatchNorm {
    epsilon: f32,
    /// Mean and biased variance, left by the forward pass for the backward pass and for the caller.
    statistics: Arc<OnceLock<(Vec<f32>, Vec<f32>)>>,
}

/// (batch, channels, values per channel and image).
fn dims(shape: &Shape) -> (usize, usize, usize) {
    let dims = shape.dims();
    (dims[0], dims[1], dims[2..].iter().product())
}

/// Sums `f` of every value of `a` and its neighbour in `b` per channel. Runs of one channel are summed in f32,
/// the runs in f64: the error stays that of one run.
fn per_channel(
    a: &[f32],
    b: &[f32],
    (channels, run): (usize, usize),
    f: impl Fn(usize, f32, f32) -> f32,
) -> Vec<f64> {
    let mut sums = vec![0f64; channels];
    if run == 1 {
        for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
            for (c, sum) in sums.iter_mut().enumerate() {
                *sum += f(c, a[c], b[c]) as f64;
            }
        }
    } else {
        for (i, (a, b)) in a.chunks_exact(run).zip(b.chunks_exact(run)).enumerate() {
            let c = i % channels;
            sums[c] += a.iter().zip(b).map(|(&a, &b)| f(c, a, b)).sum::<f32>() as f64;
        }
    }
    sums
}

/// `f` of every value of `a` and its neighbour in `b`, with the index of its channel.
fn map_channels(
    a: &[f32],
    b: &[f32],
    (channels, run): (usize, usize),
    f: impl Fn(usize, f32, f32) -> f32,
) -> Vec<f32> {
    let mut y = Vec::with_capacity(a.len());
    if run == 1 {
        for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
            y.extend((0..channels).map(|c| f(c, a[c], b[c])));
        }
    } else {
        for (i, (a, b)) in a.chunks_exact(run).zip(b.chunks_exact(run)).enumerate() {
            let c = i % channels;
            y.extend(a.iter().zip(b).map(|(&a, &b)| f(c, a, b)));
        }
    }
    y
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, run) = dims(x_layout.shape());
        let (x, gamma, beta) = (
            slice(x, x_layout)?,
            slice(gamma, gamma_layout)?,
            slice(beta, beta_layout)?,
        );
        let (count, shape) = ((batch * run) as f64, (channels, run));
        let mean: Vec<f32> = per_channel(x, x, shape, |_, x, _| x)
            .iter()
            .map(|sum| (sum / count) as f32)
            .collect();
        let variance: Vec<f32> = per_channel(x, x, shape, |c, x, _| (x - mean[c]) * (x - mean[c]))
            .iter()
            .map(|sum| (sum / count) as f32)
            .collect();
        let scale: Vec<f32> = (gamma.iter().zip(&variance))
            .map(|(gamma, variance)| gamma / (variance + self.epsilon).sqrt())
            .collect();
        let y = map_channels(x, x, shape, |c, x, _| (x - mean[c]) * scale[c] + beta[c]);
        // A second forward pass of the same op (candle never makes one) would find the same values.
        self.statistics.get_or_init(|| (mean, variance));
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (batch, channels, run) = dims(x.shape());
        let (count, shape) = ((batch * run) as f32, (channels, run));
        let (mean, variance) = self.statistics.get().expect("set by cpu_fwd");
        let inverse: Vec<f32> = (variance.iter())
            .map(|variance| 1. / (variance + self.epsilon).sqrt())
            .collect();
        let (dx, dgamma, dbeta) = read(x, |x| {
            read(dy, |dy| {
                read(gamma, |gamma| {
                    let sum = per_channel(dy, dy, shape, |_, dy, _| dy);
                    let product =
                        per_channel(x, dy, shape, |c, x, dy| (x - mean[c]) * inverse[c] * dy);
                    let to_f32 = |sum: Vec<f64>| sum.iter().map(|&x| x as f32).collect::<Vec<_>>();
                    let (dbeta, dgamma) = (to_f32(sum), to_f32(product));
                    let dx = map_channels(x, dy, shape, |c, x, dy| {
                        let normal = (x - mean[c]) * inverse[c];
                        gamma[c] * inverse[c] * (dy - (dbeta[c] + normal * dgamma[c]) / count)
                    });
                    Ok((dx, dgamma, dbeta))
                })
            })
        })?;
        let tensor = |wanted: &Tensor, values: Vec<f32>| match wanted.track_op() {
            true => Tensor::from_vec(values, wanted.shape(), wanted.device()).map(Some),
            false => Ok(None),
        };
        Ok((tensor(x, dx)?, tensor(gamma, dgamma)?, tensor(beta, dbeta)?))
    }
}
