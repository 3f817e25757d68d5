//! The layers in candle's own ops: for any device, differentiable any number of times, and what the fast path is
//! tested against.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::leaky_relu;

use super::Layer;
use crate::ops::Statistics;
use crate::rng::Rng;

/// The output of a layer for a batch, and the moments (mean, unbiased variance) of a batch normalisation that used the
/// batch's. `vars` are those of [`Layer::variables`], in that order.
pub(super) fn forward(
    layer: &Layer,
    x: &Tensor,
    vars: &[Tensor],
    statistics: Statistics,
    rng: &Rng,
) -> Result<(Tensor, Option<[Tensor; 2]>)> {
    let y = match *layer {
        Layer::Dense { .. } => add_bias(x.matmul(&vars[0])?, vars.get(1))?,
        Layer::Conv2d {
            stride, padding, ..
        } => add_bias(x.conv2d(&vars[0], padding, stride, 1, 1)?, vars.get(1))?,
        Layer::ConvTranspose2d {
            stride,
            padding,
            output_padding,
            ..
        } => {
            let y = x.conv_transpose2d(&vars[0], padding, output_padding, stride, 1)?;
            add_bias(y, vars.get(1))?
        }
        Layer::BatchNorm { epsilon, .. } => {
            let [gamma, beta, mean, variance] = vars else {
                unreachable!("it has four variables")
            };
            if statistics == Statistics::Running {
                return Ok((normalise(x, [gamma, beta, mean, variance], epsilon)?, None));
            }
            let rows = x.transpose(0, 1)?.flatten_from(1)?; // (channels, values)
            let mean = rows.mean(D::Minus1)?;
            let variance = rows
                .broadcast_sub(&mean.unsqueeze(1)?)?
                .sqr()?
                .mean(D::Minus1)?;
            let y = normalise(x, [gamma, beta, &mean, &variance], epsilon)?;
            let count = rows.dim(1)? as f64;
            let unbiased = (variance.detach() * (count / (count - 1.).max(1.)))?;
            return Ok((y, Some([mean.detach(), unbiased])));
        }
        Layer::LeakyRelu { slope } => leaky_relu(x, slope)?,
        Layer::Tanh => x.tanh()?,
        Layer::Dropout { .. } if statistics == Statistics::Running => x.clone(),
        Layer::Dropout { rate } => (x * dropout_mask(x, rate, rng)?)?,
        Layer::Reshape { ref shape } => {
            let mut batched = vec![x.dim(0)?];
            batched.extend(shape);
            x.reshape(batched)?
        }
        Layer::Flatten => x.flatten_from(1)?,
    };
    Ok((y, None))
}

/// The gradient of a linear layer's input `x`, from that of its output, differentiable in both it and the layer's
/// weights.
pub(super) fn backward(layer: &Layer, x: &Tensor, vars: &[Tensor], d: &Tensor) -> Result<Tensor> {
    match *layer {
        Layer::Dense { .. } => d.matmul(&vars[0].t()?),
        Layer::Conv2d {
            kernel,
            stride,
            padding,
            ..
        } => {
            let (_, _, h, w) = x.dims4()?;
            // What the stride left over at the far edge, which may differ between height and width.
            let rest = |size: usize| (size + 2 * padding - kernel) % stride;
            let output_padding = rest(h).max(rest(w));
            let dx = d.conv_transpose2d(&vars[0], padding, output_padding, stride, 1)?;
            dx.narrow(2, 0, h)?.narrow(3, 0, w)
        }
        Layer::ConvTranspose2d {
            stride, padding, ..
        } => d.conv2d(&vars[0], padding, stride, 1, 1),
        Layer::Reshape { .. } | Layer::Flatten => d.reshape(x.shape()),
        Layer::BatchNorm { .. } | Layer::LeakyRelu { .. } | Layer::Tanh | Layer::Dropout { .. } => {
            unreachable!("not linear: {layer:?}")
        }
    }
}

/// 0 with probability `rate`, else what keeps the mean, for each value of `x`.
pub(super) fn dropout_mask(x: &Tensor, rate: f64, rng: &Rng) -> Result<Tensor> {
    let drawn = rng
        .uniform(x.shape(), 0., 1.)
        .map_err(candle_core::Error::wrap)?;
    let mask = drawn.to_device(x.device())?.ge(rate)?.to_dtype(x.dtype())?;
    mask / (1. - rate)
}

fn normalise(
    x: &Tensor,
    [gamma, beta, mean, variance]: [&Tensor; 4],
    epsilon: f64,
) -> Result<Tensor> {
    let scale = (gamma / (variance + epsilon)?.sqrt()?)?;
    let shift = (beta - (mean * &scale)?)?;
    let shape = per_channel(x)?;
    x.broadcast_mul(&scale.reshape(shape.as_slice())?)?
        .broadcast_add(&shift.reshape(shape.as_slice())?)
}

fn add_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape(per_channel(&y)?)?),
        None => Ok(y),
    }
}

/// (1, channels, 1, ...) with as many dimensions as `x`.
fn per_channel(x: &Tensor) -> Result<Vec<usize>> {
    let mut shape = vec![1; x.rank()];
    shape[1] = x.dim(1)?;
    Ok(shape)
}
