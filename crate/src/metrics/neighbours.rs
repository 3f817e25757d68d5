//! Nearest neighbours, exactly and fast: what [`Prdc`](super::Prdc) and [`Copies`](super::Copies) are made of.

use rayon::prelude::*;

use super::Features;
use super::features::same_dim;
use crate::Result;
use crate::ops::{Matrix, product};

/// Queries and candidates whose products are in memory at a time: 1 MiB a thread.
const ROWS: usize = 256;
const COLUMNS: usize = 1024;

/// The image nearest to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its index among the candidates; the lowest, if several are as near.
    pub index: usize,
    /// The Euclidean distance of their features.
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

/// A query and a candidate.
pub(super) struct Pair<'a> {
    pub query: usize,
    pub candidate: usize,
    /// A lower bound of their squared distance: tells cheaply that they are too far apart to matter.
    pub square_at_least: f32,
    features: [&'a Features; 2],
}

impl Pair<'_> {
    /// Their squared distance: 0 for equal rows, and the same whatever computed the bound.
    pub fn square(&self) -> f32 {
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

/// For each query, `start` as `visit` has changed it over all candidates, in order.
///
/// |a|² + |b|² - 2ab, with the products of a block in one go, is fast but off by rounding where a and b are near each
/// other. So it only gives the bound; `visit` takes the exact distance of the few pairs that matter.
pub(super) fn fold<T: Clone + Send + Sync>(
    queries: &Features,
    candidates: &Features,
    start: T,
    visit: impl Fn(&mut T, Pair) + Sync,
) -> Vec<T> {
    let dim = queries.dim();
    // The fraction of |a|² + |b|² by which rounding raises the sum at most, with room for that of the exact distance.
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
            product(Matrix::new(a, dim), transposed, size, products, false);
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
