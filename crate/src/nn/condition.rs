//! Class-conditional networks: a generator that is given a class, a discriminator that judges an image as one of a class.
//!
//! Both stay [`Sequential`](super::Sequential): the class enters in front of the one and behind the other.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// A conditional generator's input: noise (batch, latent) and beside it the class of each label (batch,), u32, as
/// one-hot: (batch, latent + classes) (Mirza and Osindero 2014, <https://arxiv.org/abs/1411.1784>).
///
/// ```
/// use digit_gan::{candle::{Device, Tensor}, nn::with_class, rng::Rng};
/// let labels = Tensor::new(&[7u32, 0], &Device::Cpu)?; // a seven and a zero
/// let input = with_class(&Rng::seed(1).normal((2, 64))?, &labels, 10)?;
/// assert_eq!(input.dims(), [2, 74]);
/// assert_eq!(input.to_vec2::<f32>()?[0][64..], [0., 0., 0., 0., 0., 0., 0., 1., 0., 0.]);
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if there is not one label for each row; [`Error::Value`] if one is not below `classes`.
pub fn with_class(noise: &Tensor, labels: &Tensor, classes: usize) -> Result<Tensor> {
    let &[batch, _] = noise.dims() else {
        return Err(Error::Shape(format!(
            "with_class takes noise of shape [batch, latent], not {:?}",
            noise.dims()
        )));
    };
    let one_hot = one_hot(labels, batch, classes, noise.device())?;
    Ok(Tensor::cat(&[noise, &one_hot.to_dtype(noise.dtype())?], 1)?)
}

/// A conditional discriminator's logit for the class of each label: of its outputs (batch, 1 + classes) the sum of the
/// first, which judges the image, and of that of the class, which judges whether it fits: (batch, 1). This is the
/// projection discriminator (Miyato and Koyama 2018, <https://arxiv.org/abs/1802.05637>), whose class vectors are the
/// weights of the last dense layer.
///
/// ```
/// use digit_gan::{candle::{Device, Tensor}, nn::class_logit};
/// let output = Tensor::new(&[[0.5f32, 1., 2., 3.]], &Device::Cpu)?; // 3 classes
/// let label = Tensor::new(&[2u32], &Device::Cpu)?;
/// assert_eq!(class_logit(&output, &label)?.to_vec2::<f32>()?, [[3.5]]);
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// As [`with_class`].
pub fn class_logit(output: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let seed = class_seed(output.dims(), labels, output.device())?;
    Ok((output * seed.to_dtype(output.dtype())?)?.sum_keepdim(1)?)
}

/// The gradient of the sum of [`class_logit`] with respect to outputs of this shape: 1 at 0 and at 1 + label.
pub(crate) fn class_seed(output: &[usize], labels: &Tensor, device: &Device) -> Result<Tensor> {
    match *output {
        [batch, columns] if columns >= 2 => {
            let class = one_hot(labels, batch, columns - 1, device)?;
            let first = Tensor::ones((batch, 1), DType::F32, device)?;
            Ok(Tensor::cat(&[first, class], 1)?)
        }
        _ => Err(Error::Shape(format!(
            "a class-conditional discriminator ends in .dense(1 + classes): expected an output of \
             shape [batch, 1 + classes], not {output:?}"
        ))),
    }
}

/// (batch, classes), f32: 1 at the label, 0 elsewhere.
fn one_hot(labels: &Tensor, batch: usize, classes: usize, device: &Device) -> Result<Tensor> {
    if labels.dims() != [batch] || labels.dtype() != DType::U32 {
        return Err(Error::Shape(format!(
            "expected a label for each sample, u32 of shape [{batch}], not {:?} of shape {:?}",
            labels.dtype(),
            labels.dims()
        )));
    }
    let mut values = vec![0f32; batch * classes];
    for (i, label) in labels.to_vec1::<u32>()?.into_iter().enumerate() {
        if label as usize >= classes {
            return Err(Error::Value(format!(
                "label {label} of sample {i} must be below the number of classes, {classes}"
            )));
        }
        values[i * classes + label as usize] = 1.;
    }
    Ok(Tensor::from_vec(values, (batch, classes), device)?)
}
