//! Transposed convolutions.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::weighted::{self, Weighted, add_bias, bias_keyword, without};
use super::{Kind, Layer, Output, Padding, Pass, PiecewiseLinear, Spec, Traced, image, size};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node, keyword};
use crate::nn::formula::Formula;
use crate::ops::{Builder, Conv};

/// A transposed convolution, the gradient of a convolution: (c, h, w) to
/// (channels, (h - 1) stride - padding + kernel + output_padding, ...), where padding is that of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    /// Channels of the output.
    pub channels: usize,
    /// Pixels along a side of the kernel.
    pub kernel: usize,
    /// Pixels of the output from one input pixel to the next.
    pub stride: usize,
    /// What is cut off the output's sides.
    pub padding: Padding,
    /// Rows at the bottom and columns on the right that are cut off less; below the stride.
    pub output_padding: usize,
    /// Whether a value is added to each channel.
    pub bias: bool,
}

impl Sequential {
    /// A transposed convolution, padded so that height and width grow by the stride exactly:
    /// (c, h, w) to (channels, h * stride, w * stride).
    ///
    /// The padding is as in [`Sequential::conv2d`], whose gradient this is.
    pub fn conv_transpose2d(self, channels: usize, kernel: usize, stride: usize) -> Self {
        let overlap = kernel.saturating_sub(stride);
        let (padding, output_padding) = match stride {
            1 if overlap % 2 == 1 => {
                let sides = [overlap / 2, overlap - overlap / 2];
                (Padding::Sides([sides; 2]), 0)
            }
            _ => {
                let padding = overlap.div_ceil(2);
                let grown = stride.saturating_add(padding.saturating_mul(2));
                (Padding::Even(padding), grown.saturating_sub(kernel))
            }
        };
        self.layer(ConvTranspose2d {
            channels,
            kernel,
            stride,
            padding,
            output_padding,
            bias: true,
        })
    }
}

impl Kind for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn summary(&self) -> String {
        let (channels, k, stride) = (self.channels, self.kernel, self.stride);
        let bias = without(self.bias);
        format!("conv_transpose2d {channels}, {k}x{k}, stride {stride}{bias}")
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let channels = size("channels", self.channels)?;
        let (kernel, stride) = (size("kernel", self.kernel)?, size("stride", self.stride)?);
        let totals = self.padding.totals()?;
        let [_, h, w] = image(input)?;
        let output_padding = self.output_padding;
        if output_padding >= stride {
            return Err(format!(
                "output_padding {output_padding} must be below the stride {stride}"
            ));
        }
        let size = |size: usize, padding: usize| {
            ((size - 1) * stride + kernel + output_padding)
                .checked_sub(padding)
                .filter(|&size| size > 0)
                .ok_or_else(|| format!("padding {:?} leaves nothing", self.padding))
        };
        Ok(vec![channels, size(h, totals[0])?, size(w, totals[1])?])
    }

    fn variables(&self, input: &[usize]) -> Vec<Spec> {
        let (channels, c, k) = (self.channels, input[0], self.kernel);
        let fans = [c * k * k, channels * k * k];
        weighted::variables(&[c, channels, k, k], fans, self.bias.then_some(channels))
    }

    fn without_bias(&self) -> Option<Layer> {
        let bias = false;
        Some(ConvTranspose2d { bias, ..*self }.into())
    }

    fn reference(&self, x: &Tensor, vars: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        let (_, c, h, w) = x.dims4()?;
        let output = self.output(&[c, h, w]).map_err(candle_core::Error::msg)?;
        let size = [output[1], output[2]];
        let y = self
            .padding
            .conv_transpose2d(x, &vars[0], self.stride, size)?;
        Ok(add_bias(y, vars.get(1))?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(self)
    }

    fn in_pytorch(&self, input: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        let (c, channels, kernel) = (input[0], self.channels, self.kernel);
        let stride = keyword("stride", self.stride, 1);
        let grown = keyword("output_padding", self.output_padding, 0);
        let bias = bias_keyword(self.bias);
        let (padding, behind) = match self.padding.keyword() {
            Some(padding) => (padding, None),
            None => (String::new(), Some(self.padding.in_pytorch(-1))),
        };
        let code =
            format!("ConvTranspose2d({c}, {channels}, {kernel}{stride}{padding}{grown}{bias})");
        let conv = Module::new(code).with_weight(vars[0].clone(), vars.get(1));
        Ok([conv].into_iter().chain(behind).collect())
    }

    fn in_onnx(&self, _: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        let node = Node::new("ConvTranspose").weights(vars);
        let node = node.ints("strides", [self.stride; 2]);
        let node = node.ints("output_padding", [self.output_padding; 2]);
        Ok(vec![node.ints("pads", self.padding.in_onnx())])
    }

    fn formula(&self) -> Formula {
        Formula::ConvTranspose2d {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding.before(),
        }
    }

    fn with_bias(&self) -> Option<(Layer, usize)> {
        let layer = ConvTranspose2d {
            bias: true,
            ..*self
        };
        Some((layer.into(), 1))
    }

    fn compile(&self, plan: &mut Builder, offsets: &[usize], output: &[usize]) {
        let conv = Conv {
            small: plan.image(),
            big: output.into(),
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding.before(),
        };
        plan.push(Weighted::new(conv, true, offsets), output);
    }
}

impl PiecewiseLinear for ConvTranspose2d {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        self.padding.conv2d(d, &at.vars[0], self.stride)
    }
}
