//! Directions in which a generator's images change most.

use candle_core::{DType, Device, Tensor};
use nalgebra::DMatrix;

use super::rows;
use crate::linalg::symmetric_eigen;
use crate::{Error, Result};

/// Directions of the latent space that are at right angles to each other, the strongest first; see [`directions`].
#[derive(Clone, Debug)]
pub struct Directions {
    /// (latent, latent), a direction of length 1 a row.
    rows: Tensor,
    strengths: Vec<f64>,
}

/// The directions in which images change most, found by PCA from samples of any generator: `noise` (n, latent), standard
/// normal, the `images` (n, ...) drawn from it, and their classes, `labels` (n,), if they were asked for.
///
/// Where GANSpace (Härkönen et al. 2020, <https://arxiv.org/abs/2004.02546>) takes the PCA of a layer's activations and
/// regresses it on the noise, here the images themselves are regressed on the noise, and the PCA is taken of what the
/// regression explains: it finds what changes in the same way all over the latent space. Each class is regressed around
/// its own mean, so that directions change how a digit is written and not which.
///
/// Directions point to where there is more ink. A few thousand samples are enough.
///
/// # Errors
/// [`Error::Shape`] unless there is an image, and a label if any, for each of at least two points; [`Error::Value`] for
/// values that are not finite, or differ by too many orders of magnitude.
pub fn directions(noise: &Tensor, images: &Tensor, labels: Option<&Tensor>) -> Result<Directions> {
    let (_, latent) = rows(noise, "directions")?;
    let n = noise.dim(0)?;
    if images.rank() == 0 || images.dim(0)? != n || images.elem_count() == 0 || n < 2 {
        return Err(Error::Shape(format!(
            "directions: expected an image for each point of noise, two at least, got noise {:?} and images {:?}",
            noise.dims(),
            images.dims()
        )));
    }
    let images = images.to_dtype(DType::F32)?.flatten(1, images.rank() - 1)?;
    let centred = around_class_means(&images, &classes(labels, n)?)?;
    let noise = noise.to_dtype(DType::F32)?.contiguous()?;
    // Standard normal noise has the identity for its covariance: this is all of the regression.
    let slopes = (noise.t()?.matmul(&centred)? / n as f64)?; // (latent, pixels)
    let slopes = slopes.to_dtype(DType::F64)?;
    let products: Vec<f64> = slopes.matmul(&slopes.t()?)?.flatten_all()?.to_vec1()?;
    let ink = slopes.sum(1)?.to_vec1::<f64>()?;
    Directions::from_products(DMatrix::from_row_slice(latent, latent, &products), &ink)
}

impl Directions {
    /// `ink` is what a step along each axis adds to the sum of all pixels.
    fn from_products(products: DMatrix<f64>, ink: &[f64]) -> Result<Self> {
        let latent = ink.len();
        let eigen = symmetric_eigen(products, "directions")?;
        let (eigenvalues, eigenvectors) = (eigen.eigenvalues, eigen.eigenvectors);
        let mut order: Vec<usize> = (0..latent).collect();
        order.sort_by(|&i, &j| eigenvalues[j].total_cmp(&eigenvalues[i]));
        let mut values = Vec::with_capacity(latent * latent);
        for &i in &order {
            let direction = eigenvectors.column(i);
            let more_ink: f64 = direction.iter().zip(ink).map(|(x, ink)| x * ink).sum();
            let sign = if more_ink < 0. { -1. } else { 1. };
            values.extend(direction.iter().map(|x| (sign * x) as f32));
        }
        Ok(Directions {
            rows: Tensor::from_vec(values, (latent, latent), &Device::Cpu)?,
            strengths: order
                .iter()
                .map(|&i| eigenvalues[i].max(0.).sqrt())
                .collect(),
        })
    }

    /// How far the mean image moves, in the Euclidean distance over its pixels, for a step of length 1 along each.
    pub fn strengths(&self) -> &[f64] {
        &self.strengths
    }

    /// Direction `i`, counted from 0: (1, latent), of length 1.
    ///
    /// # Errors
    /// [`Error::Value`] if there are fewer directions.
    pub fn get(&self, i: usize) -> Result<Tensor> {
        if i >= self.strengths.len() {
            return Err(Error::Value(format!(
                "there is no direction {i}: a latent space of {0} dimensions has {0}, counted from 0",
                self.strengths.len()
            )));
        }
        Ok(self.rows.narrow(0, i, 1)?)
    }

    /// All points of `noise` (n, latent), moved along directions: pairs of a direction and how far.
    ///
    /// # Errors
    /// Those of [`Directions::get`], and [`Error::Shape`] for noise of another size.
    pub fn moved(&self, noise: &Tensor, moves: &[(usize, f64)]) -> Result<Tensor> {
        let latent = self.strengths.len();
        if noise.rank() != 2 || noise.dim(1)? != latent {
            return Err(Error::Shape(format!(
                "moved: these are directions for noise of shape (n, {latent}), not {:?}",
                noise.dims()
            )));
        }
        let mut moved = noise.clone();
        for &(i, by) in moves {
            moved = moved.broadcast_add(&(self.get(i)? * by)?)?;
        }
        Ok(moved)
    }
}

/// The class of each of `n` images; all are of one class where there are no labels.
fn classes(labels: Option<&Tensor>, n: usize) -> Result<Vec<u32>> {
    let Some(labels) = labels else {
        return Ok(vec![0; n]);
    };
    if labels.dims() != [n] || labels.dtype() != DType::U32 {
        return Err(Error::Shape(format!(
            "directions: expected a label for each image, u32 of shape [{n}], not {:?} of shape {:?}",
            labels.dtype(),
            labels.dims()
        )));
    }
    Ok(labels.to_vec1()?)
}

/// Images (n, pixels) less the mean of their class.
fn around_class_means(images: &Tensor, classes: &[u32]) -> Result<Tensor> {
    let (n, pixels) = images.dims2()?;
    let mut values: Vec<f32> = images.flatten_all()?.to_vec1()?;
    let mut names = classes.to_vec();
    names.sort_unstable();
    names.dedup();
    for class in names {
        let own = |i: &usize| classes[*i] == class;
        let mut mean = vec![0f64; pixels];
        for i in (0..n).filter(own) {
            let image = &values[i * pixels..][..pixels];
            mean.iter_mut()
                .zip(image)
                .for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let count = (0..n).filter(own).count() as f64;
        for i in (0..n).filter(own) {
            let image = &mut values[i * pixels..][..pixels];
            image
                .iter_mut()
                .zip(&mean)
                .for_each(|(x, sum)| *x -= (sum / count) as f32);
        }
    }
    Ok(Tensor::from_vec(values, (n, pixels), &Device::Cpu)?)
}
