//! Precision and recall, density and coverage: how two sets of images overlap, by their nearest neighbours.

use super::Features;
use super::features::{at_least, same_dim};
use super::neighbours::fold;
use crate::Result;

/// Neighbours that span the balls of precision and recall, as in their paper.
const MANIFOLD: usize = 3;
/// Neighbours that span the balls of density and coverage, as in theirs.
const DENSITY: usize = 5;

/// Precision, recall, density and coverage: how far samples and real images overlap. All are fractions but the density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prdc {
    /// The fraction of samples that lie where real images lie, in the ball of one of them: low for broken digits. One
    /// outlying real image with a wide ball can raise it, even of noise.
    pub precision: f64,
    /// The fraction of real images that lie where samples lie: low where the generator leaves something out. One stray
    /// sample with a wide ball can raise it.
    pub recall: f64,
    /// How many real images' balls a sample lies in, 1 for real ones, and above where samples keep to the most usual
    /// digits. Like precision, but one outlying real image counts little.
    pub density: f64,
    /// The fraction of real images with a sample in their ball: at most about 1 - 2^-5 = 0.97. Like recall, but stray
    /// samples count little.
    pub coverage: f64,
}

/// Real images with a ball around each that reaches to its 3rd, or 5th, nearest neighbour: an estimate of where real
/// images lie.
#[derive(Clone)]
pub struct Neighbourhoods {
    reference: Features,
    /// Squared radii of the balls of precision, and of those of density.
    manifold: Vec<f32>,
    density: Vec<f32>,
}

impl Neighbourhoods {
    /// Finds the neighbours of each reference image among the others, once for all generators.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for fewer than 6 images.
    pub fn fit(reference: &Features) -> Result<Self> {
        at_least(DENSITY + 1, reference.len(), "Neighbourhoods")?;
        let nearest = nearest_others::<DENSITY>(reference);
        Ok(Neighbourhoods {
            reference: reference.clone(),
            manifold: nearest.iter().map(|near| near[MANIFOLD - 1]).collect(),
            density: nearest.iter().map(|near| near[DENSITY - 1]).collect(),
        })
    }

    /// The images at the centres.
    pub(super) fn reference(&self) -> &Features {
        &self.reference
    }

    /// Precision and recall with k = 3 ([Kynkäänniemi et al. 2019](https://arxiv.org/abs/1904.06991)), density and
    /// coverage with k = 5 ([Naeem et al. 2020](https://arxiv.org/abs/2002.09797)). A ball includes its surface.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features of another length than the reference's,
    /// [`Error::Value`](crate::Error::Value) for fewer than 4 samples.
    pub fn prdc(&self, samples: &Features) -> Result<Prdc> {
        Ok(self.measure(samples)?.0)
    }

    /// The same, and for each real image whether it has a sample in its ball, as coverage counts them.
    pub(super) fn measure(&self, samples: &Features) -> Result<(Prdc, Vec<bool>)> {
        same_dim(self.reference.dim(), samples.dim(), "prdc")?;
        at_least(MANIFOLD + 1, samples.len(), "prdc")?;
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
        let covered: Vec<bool> = drawn.iter().map(|found| found.1).collect();
        let prdc = Prdc {
            precision: mean(real.iter().filter(|found| found.0).count(), count),
            recall: mean(drawn.iter().filter(|found| found.0).count(), reals),
            density: mean(balls, DENSITY * count),
            coverage: mean(covered.iter().filter(|&&covered| covered).count(), reals),
        };
        Ok((prdc, covered))
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
