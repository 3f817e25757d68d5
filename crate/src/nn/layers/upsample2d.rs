//! Images enlarged by repeating their pixels.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Kind, Output, Pass, PiecewiseLinear, Traced, image, size};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::{At, Backward, Buffer, Builder, Forward, Kept, Shared, Size, Step};
use crate::team::for_each;

/// Each pixel repeated `size` times along both sides: (c, h, w) to (c, h * size, w * size).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upsample2d {
    /// Pixels along a side that one becomes.
    pub size: usize,
}

impl Sequential {
    /// Each pixel repeated `size` times along both sides, as Keras's `UpSampling2D` and PyTorch's `Upsample` do by
    /// default: (c, h, w) to (c, h * size, w * size). With a convolution behind it, it avoids the checkerboards of a
    /// transposed one (Odena et al. 2016, <https://doi.org/10.23915/distill.00003>).
    pub fn upsample2d(self, size: usize) -> Self {
        self.layer(Upsample2d { size })
    }
}

impl Kind for Upsample2d {
    fn name(&self) -> &'static str {
        "upsample2d"
    }

    fn summary(&self) -> String {
        format!("upsample2d {}", self.size)
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let factor = size("size", self.size)?;
        let [c, h, w] = image(input)?;
        Ok(vec![c, h * factor, w * factor])
    }

    // Not candle's own upsample_nearest2d, whose backward pass replaces the gradient of its input instead of adding to it.
    fn reference(&self, x: &Tensor, _: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        let ((n, c, h, w), size) = (x.dims4()?, self.size);
        let repeated = x
            .reshape((n, c, h, 1, w, 1))?
            .broadcast_as((n, c, h, size, w, size))?;
        Ok(repeated.reshape((n, c, h * size, w * size))?.into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(self)
    }

    fn in_pytorch(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        let code = format!("Upsample(scale_factor={})", self.size);
        Ok(vec![Module::new(code)])
    }

    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        let size = self.size as f32;
        let scales = Tensor::new(&[1., 1., size, size], &Device::Cpu)?;
        let node = Node::new("Resize").no_input().input("scales", scales);
        let node = node.text("coordinate_transformation_mode", "asymmetric");
        Ok(vec![
            node.text("mode", "nearest").text("nearest_mode", "floor"),
        ])
    }

    fn formula(&self) -> Formula {
        Formula::Upsample2d { size: self.size }
    }

    fn compile(&self, plan: &mut Builder, _: &[usize], output: &[usize]) {
        let (small, size) = (plan.image(), self.size);
        plan.push(Repeat { small, size }, output);
    }
}

impl PiecewiseLinear for Upsample2d {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        let ((n, c, h, w), size) = (at.x.dims4()?, self.size);
        d.reshape((n, c, h, size, w, size))?.sum(5)?.sum(3)
    }
}

/// On images (height, width, channel, batch).
struct Repeat {
    small: Size,
    size: usize,
}

impl Repeat {
    fn enlarge(&self, x: &[f32], y: &mut [f32], n: usize) {
        let (w, row) = (self.small.w * self.size, self.small.c * n);
        for_each(y.chunks_mut(row).enumerate(), |(pixel, y)| {
            let (oy, ox) = (pixel / w / self.size, pixel % w / self.size);
            y.copy_from_slice(&x[(oy * self.small.w + ox) * row..][..row]);
        });
    }
}

impl Step for Repeat {
    fn forward(&self, pass: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        self.enlarge(x, y, pass.n);
        None
    }

    fn backward(&self, pass: &mut Backward, at: At, d: Buffer) -> Option<Buffer> {
        let (w, row, size) = (self.small.w, self.small.c * pass.n, self.size);
        let mut dx = pass.pool.get(at.x.len());
        for_each(dx.chunks_mut(row).enumerate(), |(pixel, dx)| {
            dx.fill(0.);
            for (y, x) in (0..size * size).map(|i| (i / size, i % size)) {
                let from = (pixel / w * size + y) * w * size + pixel % w * size + x;
                let d = &d[from * row..][..row];
                dx.iter_mut().zip(d).for_each(|(dx, d)| *dx += d);
            }
        });
        Some(dx)
    }

    fn tangent(&self, pass: &mut Backward, at: At, _: Option<&Shared>, t: Buffer) -> Buffer {
        let mut y = pass.pool.get(at.y.len());
        self.enlarge(&t, &mut y, pass.n);
        y
    }
}
