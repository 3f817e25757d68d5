//! Gradient penalties against PyTorch's double backward, finite differences, and the same in candle's ops.

use digit_gan::candle::{DType, Device, Tensor, Var};
use digit_gan::loss::bce;
use digit_gan::nn::{Layer, Network, Sequential};
use digit_gan::optim::Adam;
use digit_gan::penalty::Penalty;
use digit_gan::rng::Rng;
use digit_gan::{Error, Result};
use proptest::prelude::*;

const TOLERANCE: f64 = 1e-4;

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

/// Largest difference, relative to the largest value.
fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    assert!(a.iter().chain(&b).all(|x| x.is_finite()));
    let scale = b.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    differences.fold(0., f32::max) / scale
}

/// scale * sin(2.1 i + salt): values that every language computes alike.
fn wave(count: usize, salt: f64, scale: f64) -> Vec<f32> {
    (0..count)
        .map(|i| (scale * (2.1 * i as f64 + salt).sin()) as f32)
        .collect()
}

fn wave_of(shape: &[usize], salt: f64, scale: f64) -> Tensor {
    let values = wave(shape.iter().product(), salt, scale);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn dense() -> Sequential {
    Sequential::new("dense", [6])
        .dense(5)
        .leaky_relu(0.2)
        .dense(4)
        .leaky_relu(0.2)
        .dense(1)
}

/// Class-conditional, with a height and a width that leave different rests of the stride.
fn conv() -> Sequential {
    Sequential::new("conv", [1, 5, 6])
        .conv2d(3, 4, 2)
        .leaky_relu(0.2)
        .conv_transpose2d(2, 4, 2)
        .leaky_relu(0.1)
        .flatten()
        .dense(1 + 3)
}

/// A penalty, and of its gradient for each parameter the norm and the product with a wave.
struct Expected {
    value: f64,
    gradients: &'static [(&'static str, f64, f64)],
}

fn check(config: Sequential, penalty: Penalty, expected: &Expected) -> Result<()> {
    let network = config.build(&Rng::seed(1))?;
    for (place, (name, old)) in network.parameters()?.iter().enumerate() {
        network.set(name, &wave_of(old.dims(), place as f64, 0.5))?;
    }
    let shape = [&[3][..], &network.summary().input].concat();
    let (real, fake) = (wave_of(&shape, 10., 1.), wave_of(&shape, 20., 1.));
    let labels = Tensor::new(&[2u32, 0, 1], &Device::Cpu)?;
    let labels = (network.name() == "conv").then_some(&labels);
    for (path, network) in [
        ("fast", network.clone()),
        ("candle", network.in_candle_ops()),
    ] {
        let value = penalty.of(&network, &real, &fake, labels, &Rng::seed(3))?;
        let gradients = network.gradients(&value.backward()?)?;
        let value = value.to_scalar::<f32>()? as f64;
        assert!(
            (value / expected.value - 1.).abs() < TOLERANCE,
            "{path} {penalty:?}: {value}, PyTorch's is {}",
            expected.value
        );
        assert_eq!(gradients.len(), expected.gradients.len());
        for ((name, gradient), (number, norm, product)) in gradients.iter().zip(expected.gradients)
        {
            let place: Vec<_> = number.split('.').collect();
            assert!(
                name.starts_with(place[0]) && name.ends_with(place[1]),
                "{name} {number}"
            );
            let gradient = values(gradient);
            let pairs = gradient.iter().zip(wave(gradient.len(), 30., 1.));
            let dot: f64 = pairs.map(|(&a, b)| a as f64 * b as f64).sum();
            let square: f64 = gradient.iter().map(|&a| (a as f64).powi(2)).sum();
            let error = (square.sqrt() - norm).abs().max((dot - product).abs());
            assert!(
                error <= TOLERANCE * norm,
                "{path} {penalty:?} {name}: norm {} and product {dot}, PyTorch's are {norm} and {product}",
                square.sqrt()
            );
        }
    }
    Ok(())
}

#[test]
fn wasserstein_penalty_agrees_with_pytorch() -> Result<()> {
    let penalty = Penalty::Wasserstein { weight: 10. };
    check(dense(), penalty, &DENSE_WGAN_GP)?;
    check(conv(), penalty, &CONV_WGAN_GP)
}

#[test]
fn r1_agrees_with_pytorch() -> Result<()> {
    let penalty = Penalty::R1 { gamma: 0.7 };
    check(dense(), penalty, &DENSE_R1)?;
    check(conv(), penalty, &CONV_R1)
}

#[test]
fn r1_and_r2_agree_with_pytorch() -> Result<()> {
    let penalty = Penalty::R1R2 { gamma: 0.7 };
    check(dense(), penalty, &DENSE_R1_R2)?;
    check(conv(), penalty, &CONV_R1_R2)
}

// Printed by tests/penalties.py: PyTorch 2.15.0, f64.
const DENSE_WGAN_GP: Expected = Expected {
    value: 1.250783473e+00,
    gradients: &[
        ("0.weight", 2.780127347e+00, -1.595969859e+00),
        ("0.bias", 0.000000000e+00, 0.000000000e+00),
        ("2.weight", 4.813913516e+00, 1.074964853e+01),
        ("2.bias", 0.000000000e+00, 0.000000000e+00),
        ("4.weight", 6.594148397e+00, -9.691645028e+00),
        ("4.bias", 0.000000000e+00, 0.000000000e+00),
    ],
};
const DENSE_R1: Expected = Expected {
    value: 1.692492713e-01,
    gradients: &[
        ("0.weight", 2.483228870e-01, 1.255335859e-01),
        ("0.bias", 0.000000000e+00, 0.000000000e+00),
        ("2.weight", 4.114142299e-01, -8.308042943e-01),
        ("2.bias", 0.000000000e+00, 0.000000000e+00),
        ("4.weight", 5.889513452e-01, 8.775299206e-01),
        ("4.bias", 0.000000000e+00, 0.000000000e+00),
    ],
};
const DENSE_R1_R2: Expected = Expected {
    value: 2.668271741e-01,
    gradients: &[
        ("0.weight", 3.241191107e-01, 1.886499406e-01),
        ("0.bias", 0.000000000e+00, 0.000000000e+00),
        ("2.weight", 5.339699053e-01, -1.258619655e+00),
        ("2.bias", 0.000000000e+00, 0.000000000e+00),
        ("4.weight", 7.789502200e-01, 1.129867880e+00),
        ("4.bias", 0.000000000e+00, 0.000000000e+00),
    ],
};
const CONV_WGAN_GP: Expected = Expected {
    value: 1.820959846e+00,
    gradients: &[
        ("0.weight", 2.368549770e+00, 3.057848796e-01),
        ("0.bias", 0.000000000e+00, 0.000000000e+00),
        ("2.weight", 6.354097869e+00, 4.959655732e-01),
        ("2.bias", 0.000000000e+00, 0.000000000e+00),
        ("5.weight", 6.874184951e+00, -5.768046846e-01),
        ("5.bias", 0.000000000e+00, 0.000000000e+00),
    ],
};
const CONV_R1: Expected = Expected {
    value: 2.997967459e-01,
    gradients: &[
        ("0.weight", 4.379726136e-01, 4.040657325e-02),
        ("0.bias", 0.000000000e+00, 0.000000000e+00),
        ("2.weight", 1.062347714e+00, -9.700832743e-01),
        ("2.bias", 0.000000000e+00, 0.000000000e+00),
        ("5.weight", 7.490680459e-01, 8.498657598e-01),
        ("5.bias", 0.000000000e+00, 0.000000000e+00),
    ],
};
const CONV_R1_R2: Expected = Expected {
    value: 5.639284866e-01,
    gradients: &[
        ("0.weight", 7.480137384e-01, 2.484739705e-01),
        ("0.bias", 0.000000000e+00, 0.000000000e+00),
        ("2.weight", 1.628822975e+00, -2.090830333e+00),
        ("2.bias", 0.000000000e+00, 0.000000000e+00),
        ("5.weight", 1.025273977e+00, 1.372560025e+00),
        ("5.bias", 0.000000000e+00, 0.000000000e+00),
    ],
};
