//! The Fréchet distance: how far apart two Gaussians are, in place of the two sets of images that they were fitted to.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::Features;
use super::features::{at_least, same_dim};
use crate::Result;
use crate::linalg::symmetric_eigen;

/// Rows summed at a time: fixed, so that sums don't depend on the number of threads.
const CHUNK: usize = 500;

/// Mean and covariance of features.
#[derive(Clone)]
pub struct Gaussian {
    mean: DVector<f64>,
    /// With n - 1 in the denominator.
    covariance: DMatrix<f64>,
    /// The square root of the covariance, itself symmetric.
    root: DMatrix<f64>,
}

impl Gaussian {
    /// Fits a Gaussian.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for fewer than two images.
    pub fn fit(features: &Features) -> Result<Self> {
        at_least(2, features.len(), "Gaussian")?;
        let (count, dim) = (features.len() as f64, features.dim());
        let sum = |rows: &[f32]| {
            let rows = rows.chunks_exact(dim);
            rows.fold(DVector::zeros(dim), |mut sum: DVector<f64>, row| {
                sum.iter_mut()
                    .zip(row)
                    .for_each(|(sum, &x)| *sum += f64::from(x));
                sum
            })
        };
        let sums: Vec<_> = features.rows().par_chunks(CHUNK * dim).map(sum).collect();
        let mean = sums.into_iter().sum::<DVector<f64>>() / count;
        let products = |rows: &[f32]| {
            let centred = rows.chunks_exact(dim).flat_map(|row| {
                let differences = row.iter().zip(&mean).map(|(&x, mean)| f64::from(x) - mean);
                differences.collect::<Vec<_>>()
            });
            // nalgebra stores column after column: the transpose of the rows.
            let centred = DMatrix::from_iterator(dim, rows.len() / dim, centred);
            &centred * centred.transpose()
        };
        let mut covariance = DMatrix::zeros(dim, dim);
        // A few at a time: of 60,000 images, all products at once would be 16 MiB and more.
        for group in features.rows().chunks(16 * CHUNK * dim) {
            let products: Vec<_> = group.par_chunks(CHUNK * dim).map(products).collect();
            products.iter().for_each(|product| covariance += product);
        }
        covariance /= count - 1.;
        let root = root(&covariance)?;
        Ok(Gaussian {
            mean,
            covariance,
            root,
        })
    }

    /// The squared Fréchet distance |m1 - m2|² + tr(S1 + S2 - 2 (S1^½ S2 S1^½)^½), 0 for equal Gaussians. Between
    /// features of generated and of real images it is known as FID, here with the features of our own judge:
    /// comparable among our generators, not with figures of papers. It grows as the number of images shrinks:
    /// compare only equal numbers. [Heusel et al. 2017](https://arxiv.org/abs/1706.08500).
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features of different lengths.
    pub fn distance(&self, other: &Gaussian) -> Result<f64> {
        same_dim(self.mean.len(), other.mean.len(), "Fréchet distance")?;
        let means = (&self.mean - &other.mean).norm_squared();
        let both = &self.root * &other.covariance * &self.root;
        let (values, _) = eigen(&both)?;
        let cross: f64 = values.iter().map(|value| value.sqrt()).sum();
        let distance = means + self.covariance.trace() + other.covariance.trace() - 2. * cross;
        // Below 0 by rounding alone. Not max(0.), which would turn a NaN into the best figure of all.
        Ok(if distance < 0. { 0. } else { distance })
    }
}

/// The symmetric square root of a covariance.
fn root(covariance: &DMatrix<f64>) -> Result<DMatrix<f64>> {
    let (values, vectors) = eigen(covariance)?;
    let mut scaled = vectors.clone();
    for (mut column, value) in scaled.column_iter_mut().zip(&values) {
        column *= value.sqrt();
    }
    Ok(scaled * vectors.transpose())
}

/// Eigenvalues and eigenvectors of a covariance, or a product of some, that is symmetric but for rounding. Eigenvalues
/// below rounding error count as 0: they are where there are fewer images than features, or only equal ones.
fn eigen(matrix: &DMatrix<f64>) -> Result<(Vec<f64>, DMatrix<f64>)> {
    let eigen = symmetric_eigen((matrix + matrix.transpose()) / 2., "Fréchet distance")?;
    let largest = eigen.eigenvalues.max();
    let noise = largest.max(0.) * f64::EPSILON * matrix.nrows() as f64;
    let clean = |&value: &f64| if value > noise { value } else { 0. };
    Ok((
        eigen.eigenvalues.iter().map(clean).collect(),
        eigen.eigenvectors,
    ))
}
