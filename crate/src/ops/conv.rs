//! Convolutions as matrix products on images whose batch lies innermost: (height, width, channel, batch).
//!
//! A [`Conv`] relates the pixels of a *big* image to those of a *small* one. Three sums over that relation are all that
//! a convolution and a transposed convolution need, forward and backward: `Conv::down` (big to small), `Conv::up` (small
//! to big) and [`Conv::weights`].
//!
//! A pixel is a matrix (channels, batch), and neighbouring pixels lie one after another, so that the products read
//! them where they are: nothing is copied, and taps that fall on the padding are never computed.

use super::buffer::Pool;
use super::elementwise::transpose_on_this_thread;
use super::gemm::{Matrix, product, shared_product};
use super::geometry::{Conv, Size};
use super::precision::Factors;
use super::winograd::Winograd;
use crate::team::for_each;

/// Up to this number of weights per small channel, a patch of the big image is copied together: the products over single
/// pixels would be too thin.
const THIN: usize = 64;
/// Parts in which thin weights are summed: fixed, so that the result does not depend on the number of threads.
const PARTS: usize = 4;

/// What a pass gives all its products.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub factors: Factors,
    pub pool: &'a Pool,
}

impl Conv {
    pub(super) fn is_thin(&self) -> bool {
        self.patch() <= THIN && !self.is_dense()
    }

    /// y = the convolution of x, or with `up` the transposed one: each is the other's gradient.
    pub(crate) fn pass(
        &self,
        up: bool,
        weights: &[f32],
        x: &[f32],
        y: &mut [f32],
        n: usize,
        context: Context,
    ) {
        let Context { pool, factors } = context;
        match (self.is_bf16(factors), up) {
            (true, _) => self.pass_bf16(up, weights, x, y, n, context),
            (false, false) => self.down(weights, x, y, n, pool),
            (false, true) => self.up(weights, x, y, n, pool),
        }
    }

    /// small = the convolution of big.
    fn down(&self, weights: &[f32], big: &[f32], small: &mut [f32], n: usize, pool: &Pool) {
        let Size { w: columns, c, .. } = self.small;
        let (bc, patch) = (self.big.c, self.patch());
        if self.is_dense() {
            let (a, b) = (Matrix::new(weights, c).transposed(), Matrix::new(big, n));
            return shared_product(a, b, [c, patch, n], small, false, pool);
        }
        if let Some(winograd) = Winograd::new(self, n) {
            return winograd.down(weights, big, small, pool);
        }
        for_each(small.chunks_mut(c * n).enumerate(), |(o, small)| {
            let (oy, ox) = (o / columns, o % columns);
            if self.is_thin() {
                let mut copy = pool.get(patch * n);
                self.copy_patch(big, oy, ox, n, &mut copy);
                let (a, b) = (Matrix::new(weights, c).transposed(), Matrix::new(&copy, n));
                return product(a, b, [c, patch, n], small, false);
            }
            let [ys, xs] = self.taps(oy, ox);
            if xs.is_empty() || ys.is_empty() {
                return small.fill(0.);
            }
            for (row, ty) in ys.enumerate() {
                // All taps of a row at once: their big pixels and their weights lie one after another.
                let (y, x) = self.big_pixel(oy, ox, ty, xs.start);
                let pixels = &big[(y * self.big.w + x) * bc * n..];
                let weights = &weights[(ty * self.kernel + xs.start) * bc * c..];
                let (a, b) = (Matrix::new(weights, c).transposed(), Matrix::new(pixels, n));
                product(a, b, [c, xs.len() * bc, n], small, row > 0);
            }
        });
    }

    /// big = the transposed convolution of small.
    fn up(&self, weights: &[f32], small: &[f32], big: &mut [f32], n: usize, pool: &Pool) {
        let Size { w: columns, c, .. } = self.big;
        let (sc, patch) = (self.small.c, self.patch());
        if self.is_dense() {
            let (a, b) = (Matrix::new(weights, sc), Matrix::new(small, n));
            return shared_product(a, b, [patch, sc, n], big, false, pool);
        }
        if let Some(winograd) = Winograd::new(self, n) {
            return winograd.up(weights, small, big, pool);
        }
        // Of thin weights, first what each small pixel gives to each of its taps; big pixels then collect.
        let given = match self.is_thin() {
            true => self.small.h * self.small.w * patch * n,
            false => 0,
        };
        let mut given = pool.get(given);
        if self.is_thin() {
            let pixels = given.chunks_mut(patch * n).zip(small.chunks(sc * n));
            for_each(pixels, |(given, small)| {
                let (a, b) = (Matrix::new(weights, sc), Matrix::new(small, n));
                product(a, b, [patch, sc, n], given, false);
            });
        }
        for_each(big.chunks_mut(c * n).enumerate(), |(i, big)| {
            let (iy, ix) = (i / columns, i % columns);
            let mut add = false;
            for (ty, oy) in self.rows_seeing(iy) {
                for (tx, ox) in self.columns_seeing(ix) {
                    let (tap, o) = (ty * self.kernel + tx, oy * self.small.w + ox);
                    if self.is_thin() {
                        let given = &given[o * patch * n + tap * c * n..][..c * n];
                        if add {
                            big.iter_mut()
                                .zip(given)
                                .for_each(|(big, given)| *big += given);
                        } else {
                            big.copy_from_slice(given);
                        }
                    } else {
                        let a = Matrix::new(&weights[tap * c * sc..], sc);
                        let b = Matrix::new(&small[o * sc * n..], n);
                        product(a, b, [c, sc, n], big, add);
                    }
                    add = true;
                }
            }
            if !add {
                big.fill(0.);
            }
        });
    }

    /// The gradient of the weights, given the values (or gradients) of both images; added to `gradient`, or in its place.
    pub(crate) fn weights(
        &self,
        (big, small): (&[f32], &[f32]),
        gradient: &mut [f32],
        add: bool,
        n: usize,
        context: Context,
    ) {
        let (bc, sc) = (self.big.c, self.small.c);
        let pool = context.pool;
        if self.is_bf16(context.factors) {
            return self.weights_bf16((big, small), gradient, add, n, context);
        }
        if self.is_dense() {
            let (a, b) = (Matrix::new(big, n), Matrix::new(small, n).transposed());
            return shared_product(a, b, [self.patch(), n, sc], gradient, add, pool);
        }
        if !add {
            gradient.fill(0.);
        }
        if self.is_thin() {
            return self.thin_weights(big, small, gradient, n);
        }
        // Each small pixel meets many taps: turned over once, here, instead of in each product.
        let mut turned = pool.get(small.len());
        let pixels = turned.chunks_mut(sc * n).zip(small.chunks(sc * n));
        for_each(pixels, |(turned, small)| {
            transpose_on_this_thread(small, sc, n, turned)
        });
        let small = &*turned;
        if let Some(winograd) = Winograd::new(self, n) {
            return winograd.weights(big, small, gradient, pool);
        }
        for_each(
            gradient.chunks_mut(bc * sc).enumerate(),
            |(tap, gradient)| {
                for (pixel, o) in self.pixels_through(tap) {
                    let a = Matrix::new(&big[pixel * bc * n..], n);
                    let b = Matrix::new(&small[o * sc * n..], sc);
                    product(a, b, [bc, n, sc], gradient, true);
                }
            },
        );
    }

    fn thin_weights(&self, big: &[f32], small: &[f32], gradient: &mut [f32], n: usize) {
        let (sc, patch, columns) = (self.small.c, self.patch(), self.small.w);
        let pixels = self.small.h * columns;
        let mut parts = vec![vec![0.; patch * sc]; PARTS];
        for_each(parts.iter_mut().enumerate(), |(part, sum)| {
            let mut copy = vec![0.; patch * n];
            for o in part * pixels / PARTS..(part + 1) * pixels / PARTS {
                self.copy_patch(big, o / columns, o % columns, n, &mut copy);
                let b = Matrix::new(&small[o * sc * n..], n).transposed();
                product(Matrix::new(&copy, n), b, [patch, n, sc], sum, true);
            }
        });
        for part in parts {
            gradient
                .iter_mut()
                .zip(part)
                .for_each(|(gradient, part)| *gradient += part);
        }
    }

    /// Copies what a small pixel sees, zeros for the padding: (tap y, tap x, big channel, batch).
    fn copy_patch(&self, big: &[f32], oy: usize, ox: usize, n: usize, copy: &mut [f32]) {
        copy.fill(0.);
        let [ys, xs] = self.taps(oy, ox);
        if xs.is_empty() {
            return;
        }
        let pixel = self.big.c * n;
        for ty in ys {
            let (y, x) = self.big_pixel(oy, ox, ty, xs.start);
            let from = (y * self.big.w + x) * pixel;
            let to = (ty * self.kernel + xs.start) * pixel;
            let length = xs.len() * pixel;
            copy[to..to + length].copy_from_slice(&big[from..from + length]);
        }
    }
}
