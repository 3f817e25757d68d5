//! Nearest neighbours, and what they tell: precision and recall, density and coverage.

use rayon::prelude::*;

use super::Features;
use super::features::{at_least, same_dim};
use crate::Result;
use crate::ops::{Matrix, product};

/// Neighbours that span the balls of precision and recall, as in their paper.
const MANIFOLD: usize = 3;
/// Neighbours that span the balls of density and coverage, as in theirs.
const DENSITY: usize = 5;
/// Queries and candidates whose products are in memory at a time: 1 MiB a thread.
const ROWS: usize = 256;
const COLUMNS: usize = 1024;

/// The image nearest to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number among the candidates; the lowest, if several are as near.
    pub index: usize,
    /// Euclidean.
    pub distance: f32,
}

/// The candidate nearest to each query.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for features of different lengths.
pub fn nearest(queries: &Features, candidates: &Features) -> Result<Vec<Neighbour>> {
    same_dim(queries.dim(), candidates.dim(), "nearest")?;
    let none = (0, f32::INFINITY);
    let found = fold(queries, candidates, none, |(index, best), pair| {
        if pair.square_at_least < *best {
            let square = pair.square();
            if square < *best {
                (*index, *best) = (pair.candidate, square);
            }
        }
    });
    let neighbour = |(index, square): (usize, f32)| Neighbour {
        index,
        distance: square.sqrt(),
    };
    Ok(found.into_iter().map(neighbour).collect())
}

/// How far samples and real images overlap, each a share of 1 but for the density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// The share of samples that lie where real images lie, in the ball of one of them: low for broken digits. One
    /// outlying real image with a wide ball can raise it, even of noise.
    pub precision: f64,
    /// The share of real images that lie where samples lie: low where the generator leaves something out. One stray
    /// sample with a wide ball can raise it.
    pub recall: f64,
    /// How many real images' balls a sample lies in, 1 for real ones, and above where samples keep to the most usual
    /// digits. Like precision, but one outlying real image counts little.
    pub density: f64,
    /// The share of real images with a sample in their ball: at most about 1 - 2^-5 = 0.97. Like recall, but stray
    /// samples count little.
    pub coverage: f64,
}

/// Real images with a ball around each that reaches to its 3rd, or 5th, nearest neighbour: where real images lie.
#[derive(Clone)]
pub struct Neighbourhoods {
    reference: Features,
    /// Squared radii.
    manifold: Vec<f32>,
    density: Vec<f32>,
}

impl Neighbourhoods {
    /// Finds the neighbours of each reference image among the others, once for all generators.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for less than 6 images.
    pub fn of(reference: &Features) -> Result<Self> {
        at_least(DENSITY + 1, reference.len(), "neighbourhoods")?;
        let nearest = nearest_others::<DENSITY>(reference);
        Ok(Neighbourhoods {
            reference: reference.clone(),
            manifold: nearest.iter().map(|near| near[MANIFOLD - 1]).collect(),
            density: nearest.iter().map(|near| near[DENSITY - 1]).collect(),
        })
    }

    /// The images that lie in the middles.
    pub fn reference(&self) -> &Features {
        &self.reference
    }

    /// Precision and recall with k = 3 ([Kynkäänniemi et al. 2019](https://arxiv.org/abs/1904.06991)), density and
    /// coverage with k = 5 ([Naeem et al. 2020](https://arxiv.org/abs/2002.09797)). A ball holds its edge.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features of another length than the reference's,
    /// [`Error::Value`](crate::Error::Value) for less than 4 samples.
    pub fn overlap(&self, samples: &Features) -> Result<Overlap> {
        same_dim(
            self.reference.dim(),
            samples.dim(),
            "precision and coverage",
        )?;
        at_least(MANIFOLD + 1, samples.len(), "precision and coverage")?;
        // Each sample: in one of the manifold's balls, and in how many of density's.
        let real = fold(samples, &self.reference, (false, 0u32), |found, pair| {
            let (manifold, density) = (self.manifold[pair.candidate], self.density[pair.candidate]);
            if pair.square_at_least <= density {
                let square = pair.square();
                found.0 |= square <= manifold;
                found.1 += u32::from(square <= density);
            }
        });
        let radii = nearest_others::<MANIFOLD>(samples).into_iter();
        let radii: Vec<f32> = radii.map(|near| near[MANIFOLD - 1]).collect();
        // Each real image: in one of the samples' balls, and whether it has a sample in its own.
        let drawn = fold(&self.reference, samples, (false, false), |found, pair| {
            let (theirs, own) = (radii[pair.candidate], self.density[pair.query]);
            let wanted = |have: bool, radius: f32| !have && pair.square_at_least <= radius;
            if wanted(found.0, theirs) || wanted(found.1, own) {
                let square = pair.square();
                found.0 |= square <= theirs;
                found.1 |= square <= own;
            }
        });
        let mean = |sum: usize, of: usize| sum as f64 / of as f64;
        let balls: usize = real.iter().map(|found| found.1 as usize).sum();
        let (count, reals) = (samples.len(), self.reference.len());
        Ok(Overlap {
            precision: mean(real.iter().filter(|found| found.0).count(), count),
            recall: mean(drawn.iter().filter(|found| found.0).count(), reals),
            density: mean(balls, DENSITY * count),
            coverage: mean(drawn.iter().filter(|found| found.1).count(), reals),
        })
    }
}

/// The squared distances of each image to the nearest `K` others, in rising order.
fn nearest_others<const K: usize>(images: &Features) -> Vec<[f32; K]> {
    fold(images, images, [f32::INFINITY; K], |near, pair| {
        if pair.square_at_least < near[K - 1] && pair.query != pair.candidate {
            let square = pair.square();
            let place = near.partition_point(|&other| other <= square);
            if place < K {
                near[place..].rotate_right(1);
                near[place] = square;
            }
        }
    })
}

/// A query and a candidate.
struct Pair<'a> {
    query: usize,
    candidate: usize,
    /// A lower bound of their squared distance: tells cheaply that they are too far apart to matter.
    square_at_least: f32,
    features: [&'a Features; 2],
}

impl Pair<'_> {
    /// Their squared distance: 0 for equal rows, and the same whatever computed the bound.
    fn square(&self) -> f32 {
        let [queries, candidates] = self.features;
        let (a, b) = (queries.row(self.query), candidates.row(self.candidate));
        // 8 sums side by side, for the CPU's vectors.
        let (a, rest_a) = a.as_chunks::<8>();
        let (b, rest_b) = b.as_chunks::<8>();
        let mut sums = [0f32; 8];
        for (a, b) in a.iter().zip(b) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        let rest = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b));
        sums.iter().sum::<f32>() + rest.sum::<f32>()
    }
}

/// For each query, what `visit` makes of `start` over all candidates, in order.
///
/// |a|² + |b|² - 2ab, with the products of a block in one go, is fast but off by rounding where a and b are near each
/// other. So it only gives the bound; `visit` takes the exact distance of the few pairs that matter.
fn fold<T: Clone + Send + Sync>(
    queries: &Features,
    candidates: &Features,
    start: T,
    visit: impl Fn(&mut T, Pair) + Sync,
) -> Vec<T> {
    let dim = queries.dim();
    // By what share of |a|² + |b|² rounding can raise the sum at most, with room for that of the exact distance.
    let rounding = 2. * (dim + 4) as f32 * f32::EPSILON;
    let shrunk = |features: &Features| -> Vec<f32> {
        let norm = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>() * (1. - rounding);
        features.rows().par_chunks(dim).map(norm).collect()
    };
    let (query_norms, candidate_norms) = (shrunk(queries), shrunk(candidates));
    let blocks = queries.rows().par_chunks(ROWS * dim).enumerate();
    let folded = blocks.flat_map_iter(|(block, a)| {
        let count = a.len() / dim;
        let mut states = vec![start.clone(); count];
        let mut products = vec![0f32; count * COLUMNS];
        for (column, b) in candidates.rows().chunks(COLUMNS * dim).enumerate() {
            let (width, first) = (b.len() / dim, column * COLUMNS);
            let products = &mut products[..count * width];
            let transposed = Matrix::new(b, dim).transposed();
            let size = [count, dim, width];
            product(Matrix::new(a, dim), transposed, size, products, false, 1);
            for (row, products) in products.chunks_exact(width).enumerate() {
                let query = block * ROWS + row;
                let norms = candidate_norms[first..].iter().zip(products);
                for (i, (norm, product)) in norms.enumerate() {
                    let bound = query_norms[query] + norm - 2. * *product;
                    let pair = Pair {
                        query,
                        candidate: first + i,
                        square_at_least: bound.max(0.),
                        features: [queries, candidates],
                    };
                    visit(&mut states[row], pair);
                }
            }
        }
        states
    });
    folded.collect()
}
