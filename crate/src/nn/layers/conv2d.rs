//! Convolutions.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::weighted::{self, Weighted, add_bias, bias_keyword, without};
use super::{Kind, Layer, Output, Padding, Pass, PiecewiseLinear, Spec, Traced, image, size};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node, keyword};
use crate::nn::formula::Formula;
use crate::ops::{Builder, Conv};

/// A convolution: (c, h, w) to (channels, (h + padding - kernel) / stride + 1, ...), where padding is that of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Channels of the output.
    pub channels: usize,
    /// Pixels along a side of the kernel.
    pub kernel: usize,
    /// Pixels of the input from one output pixel to the next.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// Whether a value is added to each channel.
    pub bias: bool,
}

impl Sequential {
    /// A convolution with "same" padding: (c, h, w) to (channels, h / stride, w / stride), rounded up.
    ///
    /// The padding is the same on all sides where that gives this size, as PyTorch's is, and otherwise one more at the
    /// bottom and on the right, as Keras's is.
    pub fn conv2d(self, channels: usize, kernel: usize, stride: usize) -> Self {
        let size = match self.shape()[..] {
            [_, h, w] => [h, w],
            _ => [1, 1], // refused by build()
        };
        self.layer(Conv2d {
            channels,
            kernel,
            stride,
            padding: Padding::same(kernel, stride, size),
            bias: true,
        })
    }
}

impl Kind for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn summary(&self) -> String {
        let (channels, k, stride) = (self.channels, self.kernel, self.stride);
        let bias = without(self.bias);
        format!("conv2d {channels}, {k}x{k}, stride {stride}{bias}")
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let channels = size("channels", self.channels)?;
        let (kernel, stride) = (size("kernel", self.kernel)?, size("stride", self.stride)?);
        let [vertical, horizontal] = self.padding.totals()?;
        let [_, h, w] = image(input)?;
        let size = |padded: usize| match padded.checked_sub(kernel) {
            Some(rest) => Ok(rest / stride + 1),
            None => Err(format!("a kernel of {kernel} does not fit")),
        };
        Ok(vec![channels, size(h + vertical)?, size(w + horizontal)?])
    }

    fn variables(&self, input: &[usize]) -> Vec<Spec> {
        let (channels, c, k) = (self.channels, input[0], self.kernel);
        let fans = [c * k * k, channels * k * k];
        weighted::variables(&[channels, c, k, k], fans, self.bias.then_some(channels))
    }

    fn without_bias(&self) -> Option<Layer> {
        let bias = false;
        Some(Conv2d { bias, ..*self }.into())
    }

    fn reference(&self, x: &Tensor, vars: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        let y = self.padding.conv2d(x, &vars[0], self.stride)?;
        Ok(add_bias(y, vars.get(1))?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(self)
    }

    fn in_pytorch(&self, input: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        let (c, channels, kernel) = (input[0], self.channels, self.kernel);
        let stride = keyword("stride", self.stride, 1);
        let bias = bias_keyword(self.bias);
        let (padding, before) = match self.padding.keyword() {
            Some(padding) => (padding, None),
            None => (String::new(), Some(self.padding.in_pytorch(1))),
        };
        let code = format!("Conv2d({c}, {channels}, {kernel}{stride}{padding}{bias})");
        let conv = Module::new(code).with_weight(vars[0].clone(), vars.get(1));
        Ok(before.into_iter().chain([conv]).collect())
    }

    fn in_onnx(&self, _: &[usize], vars: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        let node = Node::new("Conv").weights(vars);
        let node = node.ints("strides", [self.stride; 2]);
        Ok(vec![node.ints("pads", self.padding.in_onnx())])
    }

    fn formula(&self) -> Formula {
        Formula::Conv2d {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding.before(),
        }
    }

    fn with_bias(&self) -> Option<(Layer, usize)> {
        let layer = Conv2d {
            bias: true,
            ..*self
        };
        Some((layer.into(), 0))
    }

    fn compile(&self, plan: &mut Builder, offsets: &[usize], output: &[usize]) {
        let conv = Conv {
            big: plan.image(),
            small: output.into(),
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding.before(),
        };
        plan.push(Weighted::new(conv, false, offsets), output);
    }
}

impl PiecewiseLinear for Conv2d {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        let (_, _, h, w) = at.x.dims4()?;
        self.padding
            .conv_transpose2d(d, &at.vars[0], self.stride, [h, w])
    }
}
