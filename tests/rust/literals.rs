//! One GAN step of the four recipes, W1 to W4, at their full sizes: both losses and the gradients of all
//! parameters against PyTorch. The tables at the end are printed by tests/reference/literals.py.

#[path = "../../bench/workloads.rs"]
#[allow(dead_code)] // the optimizers' settings: nothing learns here
mod workloads;

use std::collections::HashMap;

use digit_gan::Result;
use digit_gan::candle::{Device, Tensor};
use digit_gan::loss::bce;
use digit_gan::nn::Network;
use digit_gan::rng::Rng;
use workloads::{LATENT, workload};

const BATCH: usize = 5;
const TOLERANCE: f64 = 1e-4;

/// A step's losses, and of the gradient of each parameter its norm and its product with a fixed vector.
struct Expected {
    d_loss: f64,
    g_loss: f64,
    discriminator: &'static [(&'static str, f64, f64)],
    generator: &'static [(&'static str, f64, f64)],
}

/// Values that every language computes alike: offset + scale * u, rounded to f32, with u in [-1, 1) from the
/// bits of murmur3's finaliser over the index.
fn hashed(salt: u32, count: usize, scale: f64, offset: f64) -> Vec<f32> {
    let value = |i: u32| {
        let mut x = i.wrapping_mul(2654435761).wrapping_add(salt);
        x ^= x >> 16;
        x = x.wrapping_mul(0x85EBCA6B);
        x ^= x >> 13;
        x = x.wrapping_mul(0xC2B2AE35);
        x ^= x >> 16;
        (offset + scale * (x as f64 / 2f64.powi(31) - 1.)) as f32
    };
    (0..count as u32).map(value).collect()
}

fn tensor(salt: u32, shape: &[usize], scale: f64, offset: f64) -> Result<Tensor> {
    let values = hashed(salt, shape.iter().product(), scale, offset);
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Weights within Glorot's limit, gammas and biases away from their initial ones and zeros, which hide mistakes.
fn fill(network: &Network, salt: u32) -> Result<()> {
    for (place, (name, old)) in network.named_parameters()?.iter().enumerate() {
        let (scale, offset) = match (old.dims(), role(name)) {
            ([a, b, taps @ ..], "weight") => {
                let taps: usize = taps.iter().product();
                ((6. / ((a + b) * taps) as f64).sqrt(), 0.)
            }
            (_, "gamma") => (0.25, 1.),
            _ => (0.25, 0.),
        };
        let salt = salt + place as u32;
        network.set(name, &tensor(salt, old.dims(), scale, offset)?)?;
    }
    Ok(())
}

fn role(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Compares the gradients of `loss`. The error of a norm is relative to it; that of a product relative to what
/// the product of independent vectors of these lengths typically is, because it may be close to zero by chance.
fn check(network: &Network, loss: &Tensor, expected: &[(&str, f64, f64)]) -> Result<()> {
    let gradients = network.named_gradients(&loss.backward()?)?;
    let expected: HashMap<_, _> = expected.iter().map(|&(k, a, b)| (k, (a, b))).collect();
    assert_eq!(gradients.len(), expected.len());
    for (name, gradient) in &gradients {
        let number = name.split('.').next().unwrap_or(name);
        let (norm, product) = expected[format!("{number}.{}", role(name)).as_str()];
        let gradient: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
        let against = hashed(1000, gradient.len(), 1., 0.);
        let pairs = gradient.iter().zip(&against);
        let ours = (
            gradient
                .iter()
                .map(|&g| (g as f64).powi(2))
                .sum::<f64>()
                .sqrt(),
            pairs.map(|(&g, &v)| g as f64 * v as f64).sum::<f64>(),
        );
        let errors = [ours.0 - norm, ours.1 - product].map(|error| error.abs() / norm);
        assert!(
            errors[0] < TOLERANCE && errors[1] < TOLERANCE / 3f64.sqrt(),
            "{} {name}: norm {} and product {}, PyTorch's are {norm} and {product}",
            network.name(),
            ours.0,
            ours.1
        );
    }
    Ok(())
}

fn close(ours: &Tensor, expected: f64) -> Result<()> {
    let ours = ours.to_scalar::<f32>()? as f64;
    assert!(
        (ours / expected - 1.).abs() < TOLERANCE,
        "the loss is {ours}, PyTorch's {expected}"
    );
    Ok(())
}

fn a_step_agrees_with_pytorch(name: &str, expected: &Expected) -> Result<()> {
    let rng = Rng::seed(1);
    let networks = workload(name, 0.);
    let generator = networks.generator.build(&rng)?;
    let discriminator = networks.discriminator.build(&rng)?;
    fill(&generator, 100)?;
    fill(&discriminator, 200)?;
    let fake = generator.forward_t(&tensor(1, &[BATCH, LATENT], 3f64.sqrt(), 0.)?, true)?;
    let real = tensor(2, &[BATCH, 1, 28, 28], 1., 0.)?;
    let on_real = bce(&discriminator.forward_t(&real, true)?, 1.)?;
    let d_loss = (on_real + bce(&discriminator.forward_t(&fake.detach(), true)?, 0.)?)?;
    let g_loss = bce(&discriminator.frozen().forward_t(&fake, true)?, 1.)?;
    close(&d_loss, expected.d_loss)?;
    close(&g_loss, expected.g_loss)?;
    check(&discriminator, &d_loss, expected.discriminator)?;
    check(&generator, &g_loss, expected.generator)
}

#[test]
fn dense_gan() -> Result<()> {
    a_step_agrees_with_pytorch("W1", &W1)
}

#[test]
fn dcgan() -> Result<()> {
    a_step_agrees_with_pytorch("W2", &W2)
}

#[test]
fn compact_gan() -> Result<()> {
    a_step_agrees_with_pytorch("W3", &W3)
}

#[test]
fn lean_gan() -> Result<()> {
    a_step_agrees_with_pytorch("W4", &W4)
}

// PyTorch 2.15.0, f64
const W1: Expected = Expected {
    d_loss: 1.402770099e+00,
    g_loss: 8.236937880e-01,
    discriminator: &[
        ("1.weight", 4.495989026e+00, 1.090802002e+00),
        ("1.bias", 1.859780673e-01, 1.527179266e-01),
        ("3.weight", 3.110213765e+00, 2.919284287e-01),
        ("3.bias", 1.756725790e-01, 1.263536583e-01),
        ("5.weight", 1.455444835e+00, -2.551004707e-01),
        ("5.bias", 7.613642998e-02, 1.522089660e-02),
    ],
    generator: &[
        ("0.weight", 6.207803131e+00, -2.403753055e-01),
        ("0.bias", 2.285146016e-01, 1.137823587e-01),
        ("2.gamma", 3.077244444e-01, -1.503627009e-01),
        ("2.beta", 8.478591765e-02, 3.218054730e-02),
        ("3.weight", 5.593905299e+00, -4.513037559e+00),
        ("3.bias", 1.038789622e-01, -1.945463368e-02),
        ("5.gamma", 2.015835928e-01, -2.592562572e-02),
        ("5.beta", 5.906648445e-02, -1.897819562e-02),
        ("6.weight", 5.486860997e+00, 5.583247110e+00),
        ("6.bias", 7.526413070e-02, -4.349781823e-02),
        ("8.gamma", 1.383510828e-01, -1.694094495e-02),
        ("8.beta", 2.791818212e-01, -8.844058773e-02),
        ("9.weight", 4.295125322e+00, 1.476884132e+00),
        ("9.bias", 2.602102835e-01, 6.329252302e-02),
    ],
};
const W2: Expected = Expected {
    d_loss: 1.391143473e+00,
    g_loss: 6.777874342e-01,
    discriminator: &[
        ("0.weight", 4.298655301e-01, -2.201851644e-01),
        ("0.bias", 6.305389911e-02, 6.720429477e-03),
        ("3.weight", 8.079313440e-01, 5.658684883e-01),
        ("3.bias", 7.729375395e-02, 2.821658108e-02),
        ("7.weight", 8.292231891e-01, -2.293213277e-01),
        ("7.bias", 1.353523072e-02, -2.705910262e-03),
    ],
    generator: &[
        ("0.weight", 7.230916555e-01, -4.870458234e-01),
        ("1.gamma", 9.728385669e-03, 1.433264935e-03),
        ("1.beta", 1.574672075e-02, -7.650029931e-04),
        ("4.weight", 5.691954610e-01, 8.916044202e-02),
        ("5.gamma", 1.067924840e-02, -1.149487372e-02),
        ("5.beta", 1.764648880e-02, -1.400166609e-02),
        ("7.weight", 5.143531921e-01, -1.882669529e-01),
        ("8.gamma", 1.122504193e-02, 2.470955140e-03),
        ("8.beta", 1.302226644e-02, 5.023700602e-03),
        ("10.weight", 3.328417799e-01, -1.518879922e-01),
    ],
};
const W3: Expected = Expected {
    d_loss: 1.647184599e+00,
    g_loss: 5.530594048e-01,
    discriminator: &[
        ("0.weight", 5.961104502e+00, 1.167342077e+00),
        ("0.bias", 1.299415568e+00, 2.056369889e-01),
        ("2.weight", 1.051367643e+01, 2.296170273e+00),
        ("3.gamma", 2.042388764e-01, -5.925025504e-02),
        ("3.beta", 1.429411400e-01, 1.143865642e-02),
        ("6.weight", 1.339224763e+01, -1.571620341e+01),
        ("7.gamma", 1.691530098e-01, 7.203786805e-02),
        ("7.beta", 2.563887892e-01, 2.504076405e-01),
        ("9.weight", 3.904110403e+00, -3.822306527e-01),
        ("9.bias", 2.415522352e-01, -4.829017590e-02),
    ],
    generator: &[
        ("0.weight", 7.827685458e+00, -5.147990874e-01),
        ("1.gamma", 2.457007704e-01, 4.254780682e-02),
        ("1.beta", 1.460265904e-01, 6.961804314e-02),
        ("3.weight", 1.514766298e+01, 2.301194733e+01),
        ("4.gamma", 1.928127687e-01, 1.107937861e-01),
        ("4.beta", 1.675756373e-01, 3.791589918e-02),
        ("7.weight", 7.426740301e+00, 6.520767775e+00),
        ("8.gamma", 1.365089199e-01, -3.611900249e-02),
        ("8.beta", 1.096710908e-01, -8.339651305e-02),
        ("10.weight", 4.048088136e+00, -2.279674412e-01),
        ("10.bias", 1.944680182e-01, 3.887728382e-02),
    ],
};
const W4: Expected = Expected {
    d_loss: 1.519577612e+00,
    g_loss: 5.481721336e-01,
    discriminator: &[
        ("0.weight", 2.485312999e+00, 1.722309823e+00),
        ("0.bias", 7.510676041e-01, -2.004866606e-01),
        ("2.weight", 3.934203013e+00, -4.466291015e+00),
        ("3.gamma", 1.638418139e-01, -1.152355263e-01),
        ("3.beta", 1.027691158e-01, -6.929533661e-02),
        ("6.weight", 5.123085947e+00, -1.870634268e+00),
        ("7.gamma", 1.212237110e-01, 6.770955576e-02),
        ("7.beta", 1.826740619e-01, 1.496051534e-01),
        ("9.weight", 1.383415158e+00, 1.487867813e-01),
        ("9.bias", 1.760189846e-01, -3.518902534e-02),
    ],
    generator: &[
        ("0.weight", 4.733084474e+00, 1.125781394e+00),
        ("1.gamma", 2.141372547e-01, -3.798705561e-02),
        ("1.beta", 1.256670035e-01, -1.435178648e-02),
        ("3.weight", 9.332765512e+00, -5.587848627e+00),
        ("4.gamma", 1.675055429e-01, 7.130385967e-02),
        ("4.beta", 1.440021190e-01, 6.619401379e-02),
        ("7.weight", 4.674695973e+00, -2.551749802e+00),
        ("8.gamma", 1.529921234e-01, 5.953538158e-02),
        ("8.beta", 9.620130835e-02, 6.852322219e-02),
        ("10.weight", 2.333002865e+00, -5.369901628e-01),
        ("10.bias", 1.545799673e-01, -3.090302105e-02),
    ],
};
