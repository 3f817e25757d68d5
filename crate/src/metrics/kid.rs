//! KID: how far apart two sets of images are, without assuming a distribution and without bias.

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::Features;
use super::features::{at_least, same_dim};
use crate::Result;
use crate::rng::Rng;

/// Images of each set that are compared with one another: the distance of all 10,000 would take 100 times as long
/// and leave no blocks to estimate the error from.
const BLOCK: usize = 1000;
/// How many blocks, where there are fewer images than ten whole ones.
const BLOCKS: usize = 10;

/// A kernel distance and its error; see [`kid`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kid {
    /// 0 on average for two sets of one distribution, and so below 0 half of the time.
    pub value: f64,
    /// The standard deviation that `value` would have over other samples.
    pub standard_error: f64,
}

/// The squared maximum mean discrepancy of two sets of images under the kernel (x·y / d + 1)³, unbiased, known as KID
/// ([Bińkowski et al. 2018](https://arxiv.org/abs/1801.01401)): the mean over disjoint blocks of 1000 images, or a
/// tenth of fewer, and its standard error ([Zaremba et al. 2013](https://arxiv.org/abs/1307.1954)). Unlike the Fréchet
/// distance it does not depend on the number of images. Features are our own judge's, not Inception's: compare it among
/// our generators, not with papers.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for features of different lengths, [`Error::Value`](crate::Error::Value) for
/// fewer than 20 images.
pub fn kid(samples: &Features, reference: &Features) -> Result<Kid> {
    same_dim(samples.dim(), reference.dim(), "KID")?;
    let count = samples.len().min(reference.len());
    at_least(2 * BLOCKS, count, "KID")?;
    let size = BLOCK.min(count / BLOCKS);
    let blocks = count / size;
    // One order for both would be a bias: where classes alternate, their blocks would hold the same classes.
    let rng = Rng::seed(0);
    let orders = [samples, reference].map(|features| rng.permutation(features.len()));
    let distances = (0..blocks).into_par_iter().map(|block| {
        let [x, y] = orders
            .each_ref()
            .map(|order| &order[block * size..][..size]);
        unbiased(&columns(samples, x), &columns(reference, y))
    });
    let distances: Vec<f64> = distances.collect();
    let mean = distances.iter().sum::<f64>() / blocks as f64;
    let squares = distances.iter().map(|distance| (distance - mean).powi(2));
    let variance = squares.sum::<f64>() / (blocks - 1) as f64;
    Ok(Kid {
        value: mean,
        standard_error: (variance / blocks as f64).sqrt(),
    })
}

/// The features of these images, a column each.
fn columns(features: &Features, images: &[usize]) -> DMatrix<f64> {
    let rows = images.iter().flat_map(|&i| features.row(i));
    DMatrix::from_iterator(features.dim(), images.len(), rows.map(|&x| f64::from(x)))
}

/// Of as many x as y: the pair of an image with itself is left out of the means within a set.
fn unbiased(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let size = x.ncols() as f64;
    let within = |x| {
        let kernel = kernel(x, x);
        (kernel.sum() - kernel.trace()) / (size * (size - 1.))
    };
    within(x) + within(y) - 2. * kernel(x, y).mean()
}

fn kernel(x: &DMatrix<f64>, y: &DMatrix<f64>) -> DMatrix<f64> {
    let dim = x.nrows() as f64;
    x.tr_mul(y).map(|product| (product / dim + 1.).powi(3))
}
