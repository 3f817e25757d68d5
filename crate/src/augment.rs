//! Random shifts and rotations of the images that a discriminator sees, real and generated alike: what helps where there
//! are few.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::team::for_each;
use crate::{Error, Result};

/// What lies outside of an image: black.
const BACKGROUND: f32 = -1.;

/// The largest shift and the largest rotation. With few images, a discriminator soon knows each of them by heart, and
/// drives the generator to copy them. It cannot where it never sees the same picture twice (Zhao et al. 2020, DiffAugment,
/// <https://arxiv.org/abs/2006.10738>). Generated images are moved in the same way, and the generator's gradient passes
/// through, so it learns to draw images that are not.
///
/// Measured with 100 digits of each class of MNIST, `lean-conditional`, 100,000 images, seeds 1 to 3, without and with a shift
/// of 2 and a rotation of 10: a Fréchet distance from the test digits of 31.0 and 27.6 (real digits: 2.5), recall 0.09 and
/// 0.26 (0.87), coverage 0.62 and 0.65 (0.94), precision 0.90 and 0.84 (0.85).
///
/// ```
/// # use digit_gan::prelude::*;
/// let rng = Rng::seed(1);
/// let augment = Augment { shift: 2., rotation: 10. };
/// for batch in Digits::builtin(64, &rng).batches(32, &rng) {
///     let seen = augment.apply(&batch?.0, &rng)?; // (32, 1, 28, 28)
///     assert_eq!(seen.dims(), [32, 1, 28, 28]);
/// }
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// In pixels, along each axis and in either direction.
    pub shift: f64,
    /// In degrees, about the image's centre, in either direction.
    pub rotation: f64,
}

impl Augment {
    /// The images (batch, channels, height, width), f32 in [-1, 1], each rotated and shifted by amounts of its own, drawn
    /// uniformly from `rng`; bilinear, and black where nothing was. Linear in the pixels, with its exact gradient.
    ///
    /// # Errors
    /// As [`Augment::check`]; [`Error::Shape`] or [`Error::Value`] for a tensor that is not a batch of images in f32.
    pub fn apply(self, images: &Tensor, rng: &Rng) -> Result<Tensor> {
        self.check()?;
        let &[batch, _, height, width] = images.dims() else {
            return Err(Error::Shape(format!(
                "augment: expected images (batch, channels, height, width) but found {:?}",
                images.dims()
            )));
        };
        if images.dtype() != DType::F32 {
            let dtype = images.dtype();
            return Err(Error::Value(format!(
                "augment: expected images in f32 but found {dtype:?}: call .to_dtype(DType::F32)? first"
            )));
        }
        let draws = rng.uniform((batch, 3), -1., 1.)?.to_vec2::<f32>()?;
        let moves = draws.iter().map(|draw| self.drawn(draw)).collect();
        let warp = Warp {
            moves,
            size: [height, width],
        };
        let (device, images) = (images.device(), images.to_device(&Device::Cpu)?);
        let moved = images.contiguous()?.apply_op1(warp)?;
        Ok(moved.to_device(device)?)
    }

    /// # Errors
    /// [`Error::Value`] unless both are finite and at least 0, and the rotation at most 180 degrees.
    pub fn check(self) -> Result<()> {
        let fits = |value: f64, most: f64| (0. ..=most).contains(&value);
        if fits(self.shift, f64::from(u16::MAX)) && fits(self.rotation, 180.) {
            return Ok(());
        }
        Err(Error::Value(format!(
            "augment: the largest shift, {} pixels, must be finite and at least 0, the largest rotation, {} degrees, from \
             0 to 180; null is none",
            self.shift, self.rotation
        )))
    }

    /// From three draws in [-1, 1).
    fn drawn(self, draw: &[f32]) -> Move {
        let along = |draw: f32, most: f64| f64::from(draw) * most;
        let angle = along(draw[0], self.rotation).to_radians();
        Move {
            cos: angle.cos() as f32,
            sin: angle.sin() as f32,
            down: along(draw[1], self.shift) as f32,
            right: along(draw[2], self.shift) as f32,
        }
    }
}

/// Where an image goes: rotated about its centre, then shifted.
#[derive(Clone, Copy)]
struct Move {
    cos: f32,
    sin: f32,
    down: f32,
    right: f32,
}

impl Move {
    /// Calls `f` with each pixel of the moved image, each of the up to four pixels that it is made of, and that one's
    /// weight.
    fn each(self, [height, width]: [usize; 2], mut f: impl FnMut(usize, usize, f32)) {
        let centre = |length: usize| (length as f32 - 1.) / 2.;
        let (middle_y, middle_x) = (centre(height), centre(width));
        for y in 0..height {
            let dy = y as f32 - self.down - middle_y;
            for x in 0..width {
                let dx = x as f32 - self.right - middle_x;
                let from_y = self.cos * dy - self.sin * dx + middle_y;
                let from_x = self.sin * dy + self.cos * dx + middle_x;
                let (top, left) = (from_y.floor(), from_x.floor());
                let (low, far) = (from_y - top, from_x - left);
                for (y_at, y_weight) in [(top, 1. - low), (top + 1., low)] {
                    for (x_at, x_weight) in [(left, 1. - far), (left + 1., far)] {
                        let inside = (0. ..height as f32).contains(&y_at)
                            && (0. ..width as f32).contains(&x_at);
                        if inside {
                            let from = y_at as usize * width + x_at as usize;
                            f(y * width + x, from, y_weight * x_weight);
                        }
                    }
                }
            }
        }
    }
}

/// Moves each image of a batch.
struct Warp {
    moves: Vec<Move>,
    size: [usize; 2],
}

impl Warp {
    /// Fills `to`, which is all zeros, from `from`: one image after another, shared among all threads.
    fn run(&self, from: &[f32], to: &mut [f32], one: impl Fn(Move, &[f32], &mut [f32]) + Sync) {
        let [height, width] = self.size;
        let channel = height * width;
        let image = from.len() / self.moves.len().max(1);
        if image == 0 {
            return;
        }
        let images = from.chunks(image).zip(to.chunks_mut(image));
        for_each(images.zip(&self.moves), |((from, to), &moved)| {
            let channels = from.chunks(channel).zip(to.chunks_mut(channel));
            channels.for_each(|(from, to)| one(moved, from, to));
        });
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.; x.len()];
        // Relative to the background, so that what is outside adds nothing.
        self.run(x, &mut y, |moved, x, y| {
            moved.each(self.size, |to, from, weight| {
                y[to] += weight * (x[from] - BACKGROUND);
            });
            y.iter_mut().for_each(|y| *y += BACKGROUND);
        });
        y
    }

    /// The transpose of the same map.
    fn backward(&self, dy: &[f32]) -> Vec<f32> {
        let mut dx = vec![0.; dy.len()];
        self.run(dy, &mut dx, |moved, dy, dx| {
            moved.each(self.size, |to, from, weight| dx[from] += weight * dy[to]);
        });
        dx
    }
}

impl CustomOp1 for Warp {
    fn name(&self) -> &'static str {
        "augment"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("augment was given a non-contiguous operand")
        };
        let y = self.forward(&storage.as_slice::<f32>()?[start..end]);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let dx = self.backward(&dy.flatten_all()?.to_vec1::<f32>()?);
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}
