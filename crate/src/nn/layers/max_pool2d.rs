//! Images made smaller by the largest value of each square.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::{Kind, Output, Pass, PiecewiseLinear, Traced, image, size};
use crate::nn::Sequential;
use crate::nn::export::{Module, Node};
use crate::nn::formula::Formula;
use crate::ops::elementwise::vectorised;
use crate::ops::{At, Backward, Buffer, Builder, Forward, Kept, Shared, Size, Step};
use crate::team::for_each;

/// The largest of each `size` x `size` pixels: (c, h, w) to (c, h / size, w / size), rounded down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Pixels along a side of which one is left; at most [`MaxPool2d::MOST`].
    pub size: usize,
}

impl MaxPool2d {
    /// The largest size: the places in a square fit a byte.
    pub const MOST: usize = 16;
}

impl Sequential {
    /// The largest of each `size` x `size` pixels, as Keras's `MaxPooling2D` and PyTorch's `MaxPool2d` have it by
    /// default: (c, h, w) to (c, h / size, w / size), rounded down. Of equal values the first one, row by row, gets the
    /// gradient on a CPU, any of them on a GPU.
    pub fn max_pool2d(self, size: usize) -> Self {
        self.layer(MaxPool2d { size })
    }
}

impl MaxPool2d {
    /// (n, c, h, w) as (n, c, h / size, w / size, size * size), without the rows and columns that are left over.
    fn squares(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let ((n, c, h, w), size) = (x.dims4()?, self.size);
        let (h, w) = (h / size, w / size);
        x.narrow(2, 0, h * size)?
            .narrow(3, 0, w * size)?
            .reshape((n, c, h, size, w, size))?
            .transpose(3, 4)?
            .reshape((n, c, h, w, size * size))?
            .contiguous()
    }
}

impl Kind for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn summary(&self) -> String {
        format!("max_pool2d {}", self.size)
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let [c, h, w] = image(input)?;
        match size("size", self.size)? {
            size if size > h.min(w) => Err(format!("squares of {size} do not fit")),
            size if size > Self::MOST => {
                Err(format!("squares of {size}; {} is the most", Self::MOST))
            }
            size => Ok(vec![c, h / size, w / size]),
        }
    }

    // Not candle's own max_pool2d, whose backward pass loses all but 1 / size^2 of the gradient.
    fn reference(&self, x: &Tensor, _: &[Tensor], _: &Pass) -> candle_core::Result<Output> {
        let squares = self.squares(x)?;
        let largest = squares.detach().argmax_keepdim(D::Minus1)?;
        Ok(squares
            .gather(&largest, D::Minus1)?
            .squeeze(D::Minus1)?
            .into())
    }

    fn piecewise_linear(&self) -> Result<&dyn PiecewiseLinear, &'static str> {
        Ok(self)
    }

    fn in_pytorch(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Module>> {
        Ok(vec![Module::new(format!("MaxPool2d({})", self.size))])
    }

    fn in_onnx(&self, _: &[usize], _: &[Tensor]) -> candle_core::Result<Vec<Node>> {
        let sides = [self.size; 2];
        let node = Node::new("MaxPool").ints("kernel_shape", sides);
        Ok(vec![node.ints("strides", sides)])
    }

    fn formula(&self) -> Formula {
        Formula::MaxPool2d { size: self.size }
    }

    fn compile(&self, plan: &mut Builder, _: &[usize], output: &[usize]) {
        let (big, size) = (plan.image(), self.size);
        plan.push(Largest { big, size }, output);
    }
}

impl PiecewiseLinear for MaxPool2d {
    fn input_gradient(&self, at: &Traced, d: &Tensor) -> candle_core::Result<Tensor> {
        let (x, size) = (&at.x, self.size);
        let ((_, _, height, width), (n, c, h, w)) = (x.dims4()?, d.dims4()?);
        let largest = self.squares(x)?.argmax_keepdim(D::Minus1)?;
        let places = Tensor::arange(0, (size * size) as u32, x.device())?;
        let chosen = largest.broadcast_eq(&places)?.to_dtype(d.dtype())?;
        d.unsqueeze(D::Minus1)?
            .broadcast_mul(&chosen)?
            .reshape((n, c, h, w, size, size))?
            .transpose(3, 4)?
            .reshape((n, c, h * size, w * size))?
            .pad_with_zeros(2, 0, height - h * size)?
            .pad_with_zeros(3, 0, width - w * size)
    }
}

/// On images (height, width, channel, batch).
struct Largest {
    big: Size,
    size: usize,
}

/// For each output the place of the largest value in its square, counted row by row.
type Places = Vec<u8>;

impl Largest {
    /// Where in `big` the pixel at a place of output pixel `pixel` begins.
    fn start(&self, pixel: usize, place: usize, n: usize) -> usize {
        let columns = self.big.w / self.size;
        let y = pixel / columns * self.size + place / self.size;
        let x = pixel % columns * self.size + place % self.size;
        (y * self.big.w + x) * self.big.c * n
    }
}

impl Step for Largest {
    fn forward(&self, pass: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        let row = self.big.c * pass.n;
        let mut places: Places = vec![0; y.len()];
        let pixels = y.chunks_mut(row).zip(places.chunks_mut(row));
        for_each(pixels.enumerate(), |(pixel, (y, places))| {
            y.copy_from_slice(&x[self.start(pixel, 0, pass.n)..][..row]);
            for place in 1..self.size * self.size {
                let x = &x[self.start(pixel, place, pass.n)..][..row];
                vectorised(|| {
                    for ((y, at), &x) in y.iter_mut().zip(places.iter_mut()).zip(x) {
                        *at = if x > *y { place as u8 } else { *at };
                        *y = if x > *y { x } else { *y };
                    }
                });
            }
        });
        Some(Box::new(places))
    }

    fn backward(&self, pass: &mut Backward, at: At, d: Buffer) -> Option<Buffer> {
        let (row, size) = (self.big.c * pass.n, self.size);
        let (rows, columns) = (self.big.h / size, self.big.w / size);
        let places = at.kept::<Places>().expect("left by `forward`");
        let mut dx = pass.pool.get(at.x.len());
        for_each(dx.chunks_mut(row).enumerate(), |(i, dx)| {
            let (y, x) = (i / self.big.w, i % self.big.w);
            if y / size >= rows || x / size >= columns {
                return dx.fill(0.);
            }
            let (pixel, place) = (y / size * columns + x / size, y % size * size + x % size);
            let (d, places) = (&d[pixel * row..][..row], &places[pixel * row..][..row]);
            vectorised(|| {
                for ((dx, &d), &at) in dx.iter_mut().zip(d).zip(places) {
                    *dx = if usize::from(at) == place { d } else { 0. };
                }
            });
        });
        Some(dx)
    }

    fn tangent(&self, pass: &mut Backward, at: At, _: Option<&Shared>, t: Buffer) -> Buffer {
        let row = self.big.c * pass.n;
        let places = at.kept::<Places>().expect("left by `forward`");
        let mut y = pass.pool.get(at.y.len());
        let pixels = y.chunks_mut(row).zip(places.chunks(row));
        for_each(pixels.enumerate(), |(pixel, (y, places))| {
            for place in 0..self.size * self.size {
                let t = &t[self.start(pixel, place, pass.n)..][..row];
                for ((y, &at), &t) in y.iter_mut().zip(places).zip(t) {
                    *y = if usize::from(at) == place { t } else { *y };
                }
            }
        });
        y
    }
}
