//! Convolutions of stride 1 with fewer multiplications, on images (height, width, channel, batch).
//!
//! Winograd's minimal filtering (Lavin and Gray 2015, <https://arxiv.org/abs/1509.09308>): tiles of both images and the
//! weights are taken to the values of polynomials at a few points, where the convolution is one matrix product per
//! point, and back. With matrices B, A, G that have a row per point, for one dimension:
//!
//! - small = Aᵀ ((G w) · (B big)), the convolution;
//! - big = Bᵀ ((G w) · (A small)) and w = Gᵀ ((B big) · (A small)), its gradients, as the sum is linear in each.
//!
//! So all three need two routines: [`View::to_points`] and [`View::to_image`]. A 5 x 5 convolution between images of
//! 7 x 7 takes 256 products where the taps on the image are 841.
//!
//! The transforms round, too: over 100,000 random shapes the worst value was off by 1.1e-5 of the largest sum beside it
//! (`worst_rounding` in `tests/rust/convolutions.rs`).

use super::buffer::Pool;
use super::elementwise::combine;
use super::gemm::{Matrix, product};
use super::geometry::Conv;
use crate::team::for_each;

/// Pixels of the small image, in each direction, that are computed together.
const TILE: usize = 4;
/// The points besides infinity. Small and in pairs of opposite sign, for the least rounding; more would round too much.
const POINTS: [f64; 7] = [0., 1., -1., 2., -2., 0.5, -0.5];
/// Values in a row that are transformed together: a tile of them stays in the first cache.
const STRIP: usize = 1024;
/// With fewer channels than this, the transforms cost more than the products save.
const CHANNELS: usize = 32;

pub(super) struct Winograd {
    n: usize,
    channels: [usize; 2],
    big: View,
    small: View,
    weights: View,
}

/// An image, or the weights as an image of kernel x kernel pixels, cut into tiles.
struct View {
    /// Height and width.
    size: [usize; 2],
    /// Values of a pixel.
    len: usize,
    /// Pixels from a tile to the next one.
    step: usize,
    /// Rows above and columns left of the image, where the first tile begins.
    before: [usize; 2],
    tiles: [usize; 2],
    /// B, A or G: for each point the coefficients of a tile's pixels.
    matrix: Vec<Vec<f32>>,
}

impl Winograd {
    /// Where it is faster than the products themselves.
    pub(super) fn new(conv: &Conv, n: usize) -> Option<Winograd> {
        let (big, small, kernel) = (conv.big, conv.small, conv.kernel);
        let fits = conv.stride == 1 && (3..=POINTS.len() + 2 - TILE).contains(&kernel);
        if !fits || small.h.min(small.w) < TILE || big.c.min(small.c) < CHANNELS {
            return None;
        }
        let [b, a, g] = matrices(TILE, kernel);
        let tiles = [small.h, small.w].map(|size| size.div_ceil(TILE));
        Some(Winograd {
            n,
            channels: [big.c, small.c],
            big: View {
                size: [big.h, big.w],
                len: big.c * n,
                step: TILE,
                before: conv.padding,
                tiles,
                matrix: b,
            },
            small: View {
                size: [small.h, small.w],
                len: small.c * n,
                step: TILE,
                before: [0, 0],
                tiles,
                matrix: a,
            },
            weights: View {
                size: [kernel, kernel],
                len: big.c * small.c,
                step: kernel,
                before: [0, 0],
                tiles: [1, 1],
                matrix: g,
            },
        })
    }

    /// small = the convolution of big.
    pub(super) fn down(&self, weights: &[f32], big: &[f32], small: &mut [f32], pool: &Pool) {
        let [bc, sc] = self.channels;
        let inputs = [(&self.weights, weights), (&self.big, big)];
        self.run(
            inputs,
            (&self.small, small),
            false,
            pool,
            |[w, big], small| {
                for (big, small) in big.chunks(bc * self.n).zip(small.chunks_mut(sc * self.n)) {
                    let (a, b) = (Matrix::new(w, sc).transposed(), Matrix::new(big, self.n));
                    product(a, b, [sc, bc, self.n], small, false);
                }
            },
        );
    }

    /// big = the transposed convolution of small.
    pub(super) fn up(&self, weights: &[f32], small: &[f32], big: &mut [f32], pool: &Pool) {
        let [bc, sc] = self.channels;
        let inputs = [(&self.weights, weights), (&self.small, small)];
        self.run(inputs, (&self.big, big), false, pool, |[w, small], big| {
            for (small, big) in small.chunks(sc * self.n).zip(big.chunks_mut(bc * self.n)) {
                let (a, b) = (Matrix::new(w, sc), Matrix::new(small, self.n));
                product(a, b, [bc, sc, self.n], big, false);
            }
        });
    }

    /// Adds the gradient of the weights. The pixels of `small` are (batch, channel).
    pub(super) fn weights(&self, big: &[f32], small: &[f32], gradient: &mut [f32], pool: &Pool) {
        let [bc, sc] = self.channels;
        let inputs = [(&self.big, big), (&self.small, small)];
        self.run(
            inputs,
            (&self.weights, gradient),
            true,
            pool,
            |[big, small], w| {
                let tiles = big.chunks(bc * self.n).zip(small.chunks(sc * self.n));
                for (tile, (big, small)) in tiles.enumerate() {
                    let (a, b) = (Matrix::new(big, self.n), Matrix::new(small, sc));
                    product(a, b, [bc, self.n, sc], w, tile > 0);
                }
            },
        );
    }

    /// Takes the inputs to the points, calls `at_point` with the tiles of both and of the output for each point, and puts
    /// what comes back from the points into the output, or adds it.
    fn run(
        &self,
        [a, b]: [(&View, &[f32]); 2],
        (view, output): (&View, &mut [f32]),
        add: bool,
        pool: &Pool,
        at_point: impl Fn([&[f32]; 2], &mut [f32]) + Sync,
    ) {
        let points = view.matrix.len();
        let mut values = pool.get(points * points * view.at_point());
        let rows = values.chunks_mut(points * view.at_point()).enumerate();
        for_each(rows, |(row, values)| {
            let [at_a, at_b] = [a, b].map(|(view, image)| {
                let mut values = pool.get(points * view.at_point());
                view.to_points(image, row, &mut values);
                values
            });
            let inputs = at_a.chunks(a.0.at_point()).zip(at_b.chunks(b.0.at_point()));
            for ((a, b), values) in inputs.zip(values.chunks_mut(view.at_point())) {
                at_point([a, b], values);
            }
        });
        view.to_image(&values, output, add);
    }
}

impl View {
    /// Values at one point: (tile, values of a pixel).
    fn at_point(&self) -> usize {
        self.tiles[0] * self.tiles[1] * self.len
    }

    /// Where in the image, down (0) or across (1), pixel `i` of tile `tile` lies, if it does.
    fn position(&self, axis: usize, tile: usize, i: usize) -> Option<usize> {
        (tile * self.step + i)
            .checked_sub(self.before[axis])
            .filter(|&at| at < self.size[axis])
    }

    fn pixels(&self) -> usize {
        self.matrix[0].len()
    }

    /// The values at a row of points: (point, tile, values of a pixel).
    fn to_points(&self, image: &[f32], row: usize, values: &mut [f32]) {
        let (points, pixels) = (self.matrix.len(), self.pixels());
        let mut columns = vec![[0.; STRIP]; pixels];
        for tile in 0..self.tiles[0] * self.tiles[1] {
            let (ty, tx) = (tile / self.tiles[1], tile % self.tiles[1]);
            for start in (0..self.len).step_by(STRIP) {
                let len = STRIP.min(self.len - start);
                for (i, column) in columns.iter_mut().enumerate() {
                    let x = self.position(1, tx, i);
                    let terms = (0..pixels).filter_map(|j| {
                        let pixel = self.position(0, ty, j)? * self.size[1] + x?;
                        Some((
                            self.matrix[row][j],
                            &image[pixel * self.len + start..][..len],
                        ))
                    });
                    combine(&mut column[..len], terms, false);
                }
                for point in 0..points {
                    let at = (point * self.tiles[0] * self.tiles[1] + tile) * self.len + start;
                    let columns = columns.iter().map(|column| &column[..len]);
                    let terms = self.matrix[point].iter().copied().zip(columns);
                    combine(&mut values[at..][..len], terms, false);
                }
            }
        }
    }

    /// Puts into the image, or adds to it, what the values at all points, (row, point, tile, values of a pixel), come to.
    fn to_image(&self, values: &[f32], image: &mut [f32], add: bool) {
        let (points, pixels) = (self.matrix.len(), self.pixels());
        let tiles = self.tiles[0] * self.tiles[1];
        let rows = image.chunks_mut(self.size[1] * self.len).enumerate();
        for_each(rows, |(y, image)| {
            let mut columns = vec![[0.; STRIP]; points];
            if !add {
                image.fill(0.);
            }
            for tile in 0..tiles {
                let (ty, tx) = (tile / self.tiles[1], tile % self.tiles[1]);
                let Some(j) = (0..pixels).find(|&j| self.position(0, ty, j) == Some(y)) else {
                    continue;
                };
                for start in (0..self.len).step_by(STRIP) {
                    let len = STRIP.min(self.len - start);
                    for (point, column) in columns.iter_mut().enumerate() {
                        let terms = (0..points).map(|row| {
                            let at = ((row * points + point) * tiles + tile) * self.len + start;
                            (self.matrix[row][j], &values[at..][..len])
                        });
                        combine(&mut column[..len], terms, false);
                    }
                    for i in 0..pixels {
                        let Some(x) = self.position(1, tx, i) else {
                            continue;
                        };
                        let terms = columns.iter().enumerate();
                        let terms =
                            terms.map(|(point, column)| (self.matrix[point][i], &column[..len]));
                        combine(&mut image[x * self.len + start..][..len], terms, true);
                    }
                }
            }
        });
    }
}

/// B, A and G of F(tile, kernel), a row per point, infinity last: Toom and Cook's multiplication of polynomials, transposed.
fn matrices(tile: usize, kernel: usize) -> [Vec<Vec<f32>>; 3] {
    let count = tile + kernel - 1;
    let points = &POINTS[..count - 1];
    // The coefficients of the product of (x - p) over all points but one.
    let without = |left_out: Option<usize>| {
        let mut product = vec![1.];
        for (_, p) in points
            .iter()
            .enumerate()
            .filter(|&(k, _)| Some(k) != left_out)
        {
            product.push(0.);
            for j in (0..product.len()).rev() {
                let below = if j > 0 { product[j - 1] } else { 0. };
                product[j] = below - p * product[j];
            }
        }
        product.resize(count, 0.);
        product
    };
    let powers = |len: usize, scale: &dyn Fn(usize) -> f64| {
        let finite = points.iter().enumerate();
        let mut rows: Vec<Vec<f64>> = finite
            .map(|(i, p)| (0..len).map(|j| p.powi(j as i32) / scale(i)).collect())
            .collect();
        rows.push(
            (0..len)
                .map(|j| if j + 1 == len { 1. } else { 0. })
                .collect(),
        );
        rows
    };
    let difference = |i: usize| -> f64 {
        let others = points.iter().enumerate().filter(|&(k, _)| k != i);
        others.map(|(_, p)| points[i] - p).product()
    };
    let mut b: Vec<Vec<f64>> = (0..count - 1).map(|i| without(Some(i))).collect();
    b.push(without(None));
    let single = |rows: Vec<Vec<f64>>| -> Vec<Vec<f32>> {
        let single = |row: &Vec<f64>| row.iter().map(|&value| value as f32).collect();
        rows.iter().map(single).collect()
    };
    [b, powers(tile, &|_| 1.), powers(kernel, &difference)].map(single)
}
