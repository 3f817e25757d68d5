//! Zeros around the images of convolutions.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::bounded;
use crate::nn::export::{Module, keyword};

/// Rows and columns of zeros around an image. In a file it is one number, or `[[top, bottom], [left, right]]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Padding {
    /// As many on all four sides.
    Even(usize),
    /// `[[top, bottom], [left, right]]`.
    Sides([[usize; 2]; 2]),
}

impl From<usize> for Padding {
    fn from(padding: usize) -> Self {
        Padding::Even(padding)
    }
}

impl Padding {
    /// What makes stride alone decide a convolution's output: (height / stride, width / stride), rounded up.
    pub(super) fn same(kernel: usize, stride: usize, size: [usize; 2]) -> Self {
        let even = kernel.saturating_sub(stride).div_ceil(2);
        let stride = stride.max(1); // 0 is refused with the shapes
        let sides = size.map(|size| {
            let output = size.div_ceil(stride);
            let padded = size.saturating_add(even.saturating_mul(2));
            if padded.checked_sub(kernel).map(|rest| rest / stride + 1) == Some(output) {
                return [even, even];
            }
            // No even padding does it: one more behind the image, as Keras has it.
            let seen = (output - 1).saturating_mul(stride).saturating_add(kernel);
            let missing = seen.saturating_sub(size);
            [missing / 2, missing - missing / 2]
        });
        match sides == [[even; 2]; 2] {
            true => Padding::Even(even),
            false => Padding::Sides(sides),
        }
    }

    /// `[[top, bottom], [left, right]]`.
    pub(super) fn sides(self) -> [[usize; 2]; 2] {
        match self {
            Padding::Even(padding) => [[padding; 2]; 2],
            Padding::Sides(sides) => sides,
        }
    }

    /// Rows above and columns left of the image.
    pub(super) fn before(self) -> [usize; 2] {
        self.sides().map(|[before, _]| before)
    }

    /// The sum for height and for width, of sizes that a layer may have.
    pub(super) fn totals(self) -> std::result::Result<[usize; 2], String> {
        for padding in self.sides().as_flattened() {
            bounded(*padding)?;
        }
        Ok(self.sides().map(|[before, after]| before + after))
    }

    /// PyTorch's argument, where opposite sides are alike.
    pub(super) fn keyword(self) -> Option<String> {
        match self.sides() {
            [[top, bottom], [left, right]] if [top, left] != [bottom, right] => None,
            [[vertical, _], [horizontal, _]] if vertical == horizontal => {
                Some(keyword("padding", vertical, 0))
            }
            [[vertical, _], [horizontal, _]] => {
                Some(format!(", padding=({vertical}, {horizontal})"))
            }
        }
    }

    /// A module of its own, where they are not: with `sign` 1 it adds the zeros, with -1 it cuts them off.
    pub(super) fn in_pytorch(self, sign: isize) -> Module {
        let [[top, bottom], [left, right]] = self.sides();
        let sides = [left, right, top, bottom].map(|size| (sign * size as isize).to_string());
        Module::new(format!("ZeroPad2d(({}))", sides.join(", ")))
    }

    /// ONNX's order: all that is before the image, and then all that is behind it.
    pub(super) fn in_onnx(self) -> [usize; 4] {
        let [[top, bottom], [left, right]] = self.sides();
        [top, left, bottom, right]
    }

    /// The convolution of x (batch, c, h, w) in candle's ops.
    pub(super) fn conv2d(self, x: &Tensor, weight: &Tensor, stride: usize) -> Result<Tensor> {
        match self {
            Padding::Even(padding) => x.conv2d(weight, padding, stride, 1, 1),
            Padding::Sides([[top, bottom], [left, right]]) => x
                .pad_with_zeros(2, top, bottom)?
                .pad_with_zeros(3, left, right)?
                .conv2d(weight, 0, stride, 1, 1),
        }
    }

    /// The transposed convolution of x in candle's ops, to images of this size: the gradient of [`Padding::conv2d`].
    pub(super) fn conv_transpose2d(
        self,
        x: &Tensor,
        weight: &Tensor,
        stride: usize,
        size: [usize; 2],
    ) -> Result<Tensor> {
        // With all that the taps reach, of which the padding is cut off; beyond them there are zeros.
        let mut y = x.conv_transpose2d(weight, 0, 0, stride, 1)?;
        for (dim, (before, size)) in [2, 3].into_iter().zip(self.before().into_iter().zip(size)) {
            let missing = (before + size).saturating_sub(y.dim(dim)?);
            y = y
                .pad_with_zeros(dim, 0, missing)?
                .narrow(dim, before, size)?;
        }
        y.contiguous()
    }
}
