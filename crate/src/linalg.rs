//! Eigenvalues of symmetric matrices, in bounded time.

use nalgebra::{DMatrix, Dyn, SymmetricEigen};

use crate::{Error, Result};

/// Iterations of an eigendecomposition: hundreds of times what 128 dimensions need, so that no input can hang it.
const ITERATIONS: usize = 100_000;

/// Eigenvalues and eigenvectors, in no particular order. The matrix is taken for symmetric: only its lower triangle is
/// read.
///
/// # Errors
/// [`Error::Value`] where they are not found: the entries are not finite, or differ by too many orders of magnitude.
pub(crate) fn symmetric_eigen(
    matrix: DMatrix<f64>,
    caller: &str,
) -> Result<SymmetricEigen<f64, Dyn>> {
    let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
    let found = finite(matrix.as_slice())
        .then(|| SymmetricEigen::try_new(matrix, f64::EPSILON, ITERATIONS))
        .flatten()
        // Squares of values 1e-160 times as large as others underflow, and 0 / 0 is NaN.
        .filter(|eigen| finite(eigen.eigenvalues.as_slice()));
    found.ok_or_else(|| {
        Error::Value(format!(
            "{caller}: the eigenvalues of a covariance were not found: its values are not finite, or differ by too many \
             orders of magnitude; a generator that has diverged draws such images"
        ))
    })
}
