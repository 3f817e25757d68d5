//! Networks, losses and the optimizer against independent references: candle-nn's layers, finite differences,
//! and numbers worked out elsewhere.

use crate::helpers::process;
use crate::helpers::values::{message, values};
use digit_gan::candle::backprop::GradStore;
use digit_gan::candle::{DType, Device, ModuleT, Result as CandleResult, Tensor, Var};
use digit_gan::candle_nn::{self, Optimizer, VarBuilder, VarMap, ops::leaky_relu};
use digit_gan::loss::bce;
use digit_gan::nn::{
    BatchNorm, Conv2d, ConvTranspose2d, Dense, Layer, LeakyRelu, MaxPool2d, Network, Precision,
    Sequential, Upsample2d,
};
use digit_gan::optim::Adam;
use digit_gan::rng::Rng;
use digit_gan::{Error, Result};

/// Largest difference, relative to the largest value.
fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    assert!(a.iter().chain(&b).all(|x| x.is_finite()));
    let scale = b.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    differences.fold(0., f32::max) / scale
}

/// The gradients of sum(y * weights).
fn backward(y: &Tensor, weights: &Tensor) -> GradStore {
    let loss = (y * weights).unwrap().sum_all().unwrap();
    loss.backward().unwrap()
}

/// Builds one layer and checks its output and all gradients, in training mode, against a reference that is given the
/// layer's own parameters; once as computed by the fast path and once by candle's ops.
fn check_layer(
    layer: impl Into<Layer>,
    batch: &[usize],
    reference: impl Fn(&Tensor, &[Tensor]) -> CandleResult<Tensor>,
) {
    let (layer, rng) = (layer.into(), Rng::seed(7));
    let network = Sequential::new("layer", &batch[1..])
        .layer(layer.clone())
        .build(&rng)
        .unwrap();
    randomise(&network, &rng);
    let parameters = network.named_parameters().unwrap();
    let x = rng.normal(batch).unwrap();
    // Only where there are products: equal values would be ties for a maximum.
    let x = if parameters.is_empty() { x } else { short(x) };
    let x = Var::from_tensor(&x).unwrap();
    let own: Vec<Var> = (parameters.iter())
        .map(|(_, values)| Var::from_tensor(values).unwrap())
        .collect();
    let tensors: Vec<Tensor> = own.iter().map(|var| var.as_tensor().clone()).collect();
    let expected = reference(&x, &tensors).unwrap();
    let weights = short(rng.normal(expected.shape()).unwrap());
    let expected_grads = backward(&expected, &weights);
    let paths = [
        ("fast", network.clone()),
        ("mixed", network.with_precision(Precision::Mixed)),
        ("bf16", network.with_precision(Precision::Bf16)),
        ("candle", network.reference()),
    ];
    for (path, network) in paths {
        let context = format!("{path} {layer:?} on {batch:?}");
        let y = network.forward_t(&x, true).unwrap();
        assert!(distance(&y, &expected) < 1e-5, "{context}: forward");
        let grads = backward(&y, &weights);
        let dx = distance(grads.get(&x).unwrap(), expected_grads.get(&x).unwrap());
        assert!(dx < 2e-5, "{context}: gradient of the input is off by {dx}");
        let gradients = network.named_gradients(&grads).unwrap();
        assert_eq!(gradients.len(), own.len());
        for ((name, gradient), var) in gradients.iter().zip(&own) {
            let off = distance(gradient, expected_grads.get(var).unwrap());
            assert!(off < 2e-5, "{context}: gradient of {name} is off by {off}");
        }
    }
}

/// The nearest values that bfloat16 has, so that products of them are as exact in it as in f32.
fn short(tensor: Tensor) -> Tensor {
    let short = tensor.to_dtype(DType::BF16).unwrap();
    short.to_dtype(DType::F32).unwrap()
}

#[test]
fn lower_precision_is_for_training_and_as_near_as_it_says() {
    let rng = Rng::seed(1);
    let network = digit_gan::recipe::Recipe::lean().generator;
    let network = network.build(&rng).unwrap();
    let x = rng.normal((64, 100)).unwrap();
    let training = |network: &Network| network.forward_t(&x, true).unwrap();
    let off = |precision| {
        distance(
            &training(&network.with_precision(precision)),
            &training(&network),
        )
    };
    let (mixed, bf16) = (off(Precision::Mixed), off(Precision::Bf16));
    assert!((1e-7..5e-4).contains(&mixed), "{mixed}");
    assert!((1e-3..0.1).contains(&bf16), "{bf16}");
    let finished = |network: &Network| values(&network.forward(&x).unwrap());
    assert_eq!(
        finished(&network.with_precision(Precision::Bf16)),
        finished(&network)
    );
}

/// Moves all parameters away from the initial zeros and ones, which hide mistakes.
fn randomise(network: &Network, rng: &Rng) {
    for (name, values) in network.named_parameters().unwrap() {
        let values = rng.uniform(values.shape(), -1., 1.).unwrap();
        network.set(&name, &short(values)).unwrap();
    }
}

#[test]
fn layers_agree_with_candle() {
    for batch in [1, 3, 64] {
        for (inputs, units) in [(1, 1), (5, 3), (100, 257)] {
            let dense = |bias| Dense { units, bias };
            check_layer(dense(true), &[batch, inputs], |x, p| {
                x.matmul(&p[0])?.broadcast_add(&p[1])
            });
            check_layer(dense(false), &[batch, inputs], |x, p| x.matmul(&p[0]));
        }
        let slope = 0.2;
        check_layer(LeakyRelu { slope }, &[batch, 3, 5, 7], |x, _| {
            leaky_relu(x, slope)
        });
        check_layer(Layer::Relu, &[batch, 3, 5, 7], |x, _| x.relu());
        check_layer(Layer::Tanh, &[batch, 11], |x, _| x.tanh());
        for size in [1, 2, 3] {
            check_layer(Upsample2d { size }, &[batch, 3, 5, 4], |x, _| match size {
                // candle's own gradient takes one factor for both sides, and needs images of a size above 1
                1 => x * 1.,
                _ => x.upsample_nearest2d(5 * size, 4 * size),
            });
        }
        for size in [1, 2, 3] {
            // candle's own max_pool2d passes on only a part of the gradient, 1 / size^2.
            check_layer(MaxPool2d { size }, &[batch, 3, 7, 6], |x, _| {
                let [h, w] = [7, 6].map(|side| side / size);
                let x = x.narrow(2, 0, h * size)?.narrow(3, 0, w * size)?;
                x.reshape((batch, 3, h, size, w, size))?.max(5)?.max(3)
            });
        }
        check_layer(Layer::Flatten, &[batch, 3, 2, 5], |x, _| x.flatten_from(1));
        for (kernel, stride, padding) in [(1, 1, 0), (3, 2, 1), (4, 2, 1), (5, 1, 2), (7, 3, 2)] {
            let channels = 3;
            let bias = true;
            let conv = Conv2d {
                channels,
                kernel,
                stride,
                padding: padding.into(),
                bias,
            };
            check_layer(conv, &[batch, 2, 9, 9], |x, p| {
                x.conv2d(&p[0], padding, stride, 1, 1)?
                    .broadcast_add(&p[1].reshape((1, (), 1, 1))?)
            });
        }
    }
}

/// x normalised per channel, written with candle's plain ops.
fn normalised(x: &Tensor, gamma: &Tensor, beta: &Tensor) -> CandleResult<Tensor> {
    let dims: Vec<usize> = (0..x.rank()).filter(|&d| d != 1).collect();
    let mut shape = vec![1; x.rank()];
    shape[1] = x.dim(1)?;
    let mean = x.mean_keepdim(dims.as_slice())?;
    let centred = x.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim(dims.as_slice())?;
    centred
        .broadcast_div(&(variance + 1e-5)?.sqrt()?)?
        .broadcast_mul(&gamma.reshape(shape.as_slice())?)?
        .broadcast_add(&beta.reshape(shape.as_slice())?)
}

#[test]
fn batch_norm_agrees_with_its_formula_and_with_candle_nn() -> Result<()> {
    let layer = BatchNorm {
        momentum: 0.8,
        epsilon: 1e-5,
    };
    for batch in [
        &[4, 3][..],
        &[64, 17],
        &[2, 3, 5, 5],
        &[64, 8, 7, 7],
        &[3, 1, 1, 1],
    ] {
        check_layer(layer.clone(), batch, |x, p| normalised(x, &p[0], &p[1]));
    }
    // Running statistics and evaluation: candle-nn keeps a fraction of 1 - momentum, as PyTorch does.
    let rng = Rng::seed(3);
    let network = Sequential::new("bn", [6, 4, 4])
        .batch_norm(0.8)
        .build(&rng)?;
    let map = VarMap::new();
    let config = candle_nn::BatchNormConfig {
        momentum: 0.2,
        ..Default::default()
    };
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let reference = candle_nn::batch_norm(6, config, vb)?;
    for _ in 0..5 {
        let x = ((rng.normal((8, 6, 4, 4))? * 3.)? + 1.)?;
        let (ours, theirs) = (network.forward_t(&x, true)?, reference.forward_t(&x, true)?);
        assert!(distance(&ours, &theirs) < 1e-5);
    }
    let x = rng.normal((5, 6, 4, 4))?;
    let (ours, theirs) = (network.forward(&x)?, reference.forward_t(&x, false)?);
    assert!(distance(&ours, &theirs) < 1e-5);
    // In evaluation a sample does not depend on the others of its batch.
    assert_eq!(
        values(&network.forward(&x.narrow(0, 2, 1)?)?),
        values(&ours.narrow(0, 2, 1)?)
    );
    Ok(())
}

#[test]
fn transposed_convolution_is_the_gradient_of_a_convolution() -> Result<()> {
    // What defines it, checked without candle's own transposed convolution.
    for (kernel, stride, padding, output_padding) in [(4, 2, 1, 0), (5, 2, 2, 1), (5, 1, 2, 0)] {
        let rng = Rng::seed(5);
        let layer = ConvTranspose2d {
            channels: 2,
            kernel,
            stride,
            padding: padding.into(),
            output_padding,
            bias: true,
        };
        let network = Sequential::new("up", [3, 4, 4]).layer(layer).build(&rng)?;
        let x = rng.normal((2, 3, 4, 4))?;
        let y = network.forward(&x)?;
        let image = Var::from_tensor(&Tensor::zeros(y.shape(), DType::F32, &Device::Cpu)?)?;
        let weight = &network.named_parameters()?[0].1; // (3, 2, k, k)
        let down = image.conv2d(weight, padding, stride, 1, 1)?;
        let grads = backward(&down, &x);
        let expected = grads.get(&image).unwrap();
        assert!(
            distance(&y, expected) < 1e-5,
            "kernel {kernel} stride {stride}"
        );
    }
    Ok(())
}

/// W1, W2 and W3 in miniature: every layer together, as the recipes use them; and the layers that they do not use.
fn miniatures(rng: &Rng) -> Result<[Network; 5]> {
    Ok([
        Sequential::new("dense", [5])
            .dense(8)
            .leaky_relu(0.2)
            .batch_norm(0.8)
            .dense(4)
            .tanh()
            .build(rng)?,
        Sequential::new("up", [3])
            .dense(2 * 3 * 3)
            .no_bias()
            .batch_norm(0.9)
            .leaky_relu(0.3)
            .reshape([2, 3, 3])
            .conv_transpose2d(3, 5, 1)
            .no_bias()
            .batch_norm(0.9)
            .leaky_relu(0.3)
            .conv_transpose2d(1, 4, 2)
            .tanh()
            .build(rng)?,
        Sequential::new("down", [1, 6, 6])
            .conv2d(3, 5, 2)
            .leaky_relu(0.3)
            .layer(Conv2d {
                channels: 4,
                kernel: 4,
                stride: 2,
                padding: 1.into(),
                bias: true,
            })
            .batch_norm(0.9)
            .leaky_relu(0.2)
            .flatten()
            .dense(1)
            .build(rng)?,
        Sequential::new("enlarged", [2, 3, 3])
            .conv2d(3, 4, 1)
            .relu()
            .upsample2d(2)
            .conv_transpose2d(2, 4, 1)
            .relu()
            .conv2d(1, 4, 2)
            .build(&Rng::seed(12))?,
        Sequential::new("pooled", [2, 7, 6])
            .conv2d(3, 3, 1)
            .relu()
            .max_pool2d(2)
            .flatten()
            .dense(3)
            .build(&Rng::seed(13))?,
    ])
}

#[test]
fn gradients_of_whole_networks_agree_with_candle_and_finite_differences() -> Result<()> {
    let rng = Rng::seed(11);
    for network in miniatures(&rng)? {
        let shape: Vec<usize> = [4].into_iter().chain(input_of(&network)).collect();
        let x = rng.normal(shape)?;
        let weights = rng.normal(network.forward_t(&x, true)?.shape())?;
        let loss = || -> Result<f64> {
            Ok((network.forward_t(&x, true)? * &weights)?
                .to_dtype(DType::F64)?
                .sum_all()?
                .to_scalar()?)
        };
        let grads = backward(&network.forward_t(&x, true)?, &weights);
        let gradients = network.named_gradients(&grads)?;
        let reference = backward(&network.reference().forward_t(&x, true)?, &weights);
        let reference = network.named_gradients(&reference)?;
        for ((name, ours), (_, theirs)) in gradients.iter().zip(&reference) {
            // That of a bias in front of a normalisation is 0, and what is computed of it is rounding.
            let tiny = values(theirs).iter().all(|x| x.abs() < 1e-4);
            let off = distance(ours, theirs);
            assert!(
                tiny || off < 1e-4,
                "{} {name}: off by {off}",
                network.name()
            );
        }
        if network.name() == "enlarged" {
            continue; // a finite step would pass too many of its kinks
        }
        for ((name, start), (_, gradient)) in network.named_parameters()?.iter().zip(gradients) {
            let direction = rng.normal(start.shape())?;
            let step = 1e-3;
            let moved = |sign: f64| -> Result<f64> {
                network.set(name, &(start + (&direction * (sign * step))?)?)?;
                loss()
            };
            let numeric = (moved(1.)? - moved(-1.)?) / (2. * step);
            network.set(name, start)?;
            let analytic: f32 = (gradient * direction)?.sum_all()?.to_scalar()?;
            let error = (numeric - analytic as f64).abs() / numeric.abs().max(1.);
            assert!(
                error < 0.02,
                "{} {name}: {numeric} and {analytic}",
                network.name()
            );
        }
    }
    Ok(())
}

fn input_of(network: &Network) -> Vec<usize> {
    network.summary().input
}

#[test]
fn shapes_are_those_of_keras() -> Result<()> {
    let rng = Rng::seed(0);
    let down = Sequential::new("d", [1, 28, 28])
        .conv2d(64, 5, 2)
        .conv2d(128, 4, 2)
        .build(&rng)?;
    let outputs = |network: &Network| -> Vec<_> {
        network
            .summary()
            .rows
            .into_iter()
            .map(|row| row.output)
            .collect()
    };
    assert_eq!(outputs(&down), [[64, 14, 14], [128, 7, 7]]);
    let up = Sequential::new("g", [8, 7, 7])
        .conv_transpose2d(4, 5, 1)
        .conv_transpose2d(2, 5, 2)
        .conv_transpose2d(1, 4, 2)
        .build(&rng)?;
    assert_eq!(outputs(&up), [[4, 7, 7], [2, 14, 14], [1, 28, 28]]);
    Ok(())
}

#[test]
fn the_summary_counts_what_keras_counts() -> Result<()> {
    // Keras's model.summary() of the same generator: 1,493,520 parameters, 1,489,936 trainable.
    let network = Sequential::new("generator", [100])
        .dense(256)
        .leaky_relu(0.2)
        .batch_norm(0.8)
        .dense(512)
        .leaky_relu(0.2)
        .batch_norm(0.8)
        .dense(1024)
        .leaky_relu(0.2)
        .batch_norm(0.8)
        .dense(784)
        .tanh()
        .reshape([1, 28, 28])
        .build(&Rng::seed(0))?;
    let summary = network.summary();
    assert_eq!((summary.trainable(), summary.other()), (1_489_936, 3_584));
    let text = summary.to_string();
    assert!(
        text.contains("1 493 520 parameters: 1 489 936 trainable, 3 584 running statistics"),
        "{text}"
    );
    assert!(
        text.contains("dense 1024") && text.contains("[1, 28, 28]"),
        "{text}"
    );
    Ok(())
}

#[test]
fn mistakes_in_a_network_are_named() {
    let rng = Rng::seed(0);
    let build = |network: Sequential| message(network.build(&rng));
    assert_eq!(
        build(Sequential::new("d", [1, 28, 28]).dense(1)),
        "d, layer 0 (dense) on an input of shape [1, 28, 28]: needs one row of inputs: put .flatten() before it"
    );
    assert!(
        build(Sequential::new("g", [100]).dense(10).reshape([1, 3, 3]))
            .contains("10 values do not make [1, 3, 3], which has 9")
    );
    assert!(build(Sequential::new("g", [100]).conv2d(1, 3, 1)).contains("needs images"));
    assert!(
        build(Sequential::new("g", [1, 2, 2]).layer(Conv2d {
            channels: 1,
            kernel: 5,
            stride: 1,
            padding: 0.into(),
            bias: true
        }))
        .contains("does not fit")
    );
    assert!(
        build(Sequential::new("g", [1, 2, 2]).conv2d(1, 3, 0))
            .contains("stride must be at least 1")
    );
    assert!(build(Sequential::new("g", [3]).dropout(1.0)).contains("below 1"));
    assert!(build(Sequential::new("g", [3]).leaky_relu(-0.1)).contains("must not be negative"));
    assert!(build(Sequential::new("g", [0]).dense(1)).contains("none of 0"));
    for input in [vec![1 << 40], vec![1 << 15, 1 << 15], vec![usize::MAX, 2]] {
        let text = build(Sequential::new("g", input).flatten());
        assert!(text.contains("at most 536870912 values"), "{text}");
    }
    assert!(build(Sequential::new("g", [3]).dense(1).reshape([])).contains("[] has no dimension"));
    assert!(build(Sequential::new("g", [3]).upsample2d(2)).contains("needs images"));
    assert!(build(Sequential::new("g", [1, 2, 2]).upsample2d(0)).contains("at least 1"));
    for (size, reason) in [(0, "at least 1"), (3, "do not fit"), (17, "16 is the most")] {
        let text = build(Sequential::new("g", [1, 2 + size / 17 * 18, 30]).max_pool2d(size));
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!(
        build(Sequential::new("g", [3]).dense(3).tanh().no_bias()),
        "g: .no_bias() follows tanh, which has none: put it directly behind .dense(), .conv2d() or .conv_transpose2d()"
    );
    assert!(build(Sequential::new("g", [3]).no_bias().dense(3)).contains("follows no layer"));
    let network = Sequential::new("d", [1, 28, 28])
        .flatten()
        .dense(1)
        .build(&rng)
        .unwrap();
    let batch = Tensor::zeros((4, 784), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(
        message(network.forward_t(&batch, true)),
        "d takes a batch of shape [batch, 1, 28, 28], not [4, 784]"
    );
}

#[test]
fn dropout_drops_in_training_only() -> Result<()> {
    let network = Sequential::new("drop", [1000])
        .dropout(0.3)
        .build(&Rng::seed(4))?;
    let x = Tensor::ones((100, 1000), DType::F32, &Device::Cpu)?;
    assert_eq!(values(&network.forward(&x)?), values(&x));
    let y = values(&network.forward_t(&x, true)?);
    let dropped = y.iter().filter(|&&y| y == 0.).count() as f64 / 1e5;
    assert!((dropped - 0.3).abs() < 0.01, "{dropped}");
    // Drawn in 65536ths.
    assert!(y.iter().all(|&y| y == 0. || (y - 1. / 0.7).abs() < 1e-4));
    assert_ne!(
        y,
        values(&network.forward_t(&x, true)?),
        "a fresh mask each time"
    );
    Ok(())
}

#[test]
fn a_frozen_network_passes_gradients_and_keeps_everything_else() -> Result<()> {
    let rng = Rng::seed(9);
    let generator = Sequential::new("g", [4]).dense(6).build(&rng)?;
    let discriminator = Sequential::new("d", [6])
        .dense(5)
        .batch_norm(0.5)
        .leaky_relu(0.2)
        .dense(1)
        .build(&rng)?;
    let z = rng.normal((8, 4))?;
    let probe = rng.normal((2, 6))?;
    let before = values(&discriminator.forward(&probe)?);

    let fake = generator.forward_t(&z, true)?;
    let loss = bce(&discriminator.frozen().forward_t(&fake, true)?, 1.0)?;
    let grads = loss.backward()?;
    assert!(
        discriminator.named_gradients(&grads)?.is_empty(),
        "the frozen discriminator got gradients"
    );
    assert_eq!(
        values(&discriminator.forward(&probe)?),
        before,
        "running statistics stand still"
    );
    // The generator's gradients are those that it gets through the unfrozen discriminator.
    let reference = bce(&discriminator.forward_t(&fake, true)?, 1.0)?.backward()?;
    let (ours, theirs) = (
        generator.named_gradients(&grads)?,
        generator.named_gradients(&reference)?,
    );
    assert_eq!(ours.len(), 2);
    for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(values(ours), values(theirs), "{name}");
    }
    assert_ne!(
        values(&discriminator.forward(&probe)?),
        before,
        "training moves them"
    );
    Ok(())
}

#[test]
fn adam_agrees_with_candle_nn() -> Result<()> {
    let rng = Rng::seed(2);
    let network = Sequential::new("n", [20])
        .dense(30)
        .leaky_relu(0.2)
        .dense(7)
        .build(&rng)?;
    let copies: Vec<Var> = network
        .named_parameters()?
        .iter()
        .map(|(_, values)| Var::from_tensor(values))
        .collect::<CandleResult<_>>()?;
    let params = candle_nn::ParamsAdamW {
        lr: 1e-2,
        beta1: 0.5,
        weight_decay: 0.,
        ..Default::default()
    };
    let mut reference = candle_nn::AdamW::new(copies.clone(), params)?;
    let mut adam = Adam::new(network.parameters(), 1e-2, 0.5)?;
    for _ in 0..20 {
        let x = rng.normal((16, 20))?;
        adam.step(&network.forward_t(&x, true)?.sqr()?.mean_all()?)?;
        let h = leaky_relu(&x.matmul(&copies[0])?.broadcast_add(&copies[1])?, 0.2)?;
        let y = h.matmul(&copies[2])?.broadcast_add(&copies[3])?;
        reference.backward_step(&y.sqr()?.mean_all()?)?;
    }
    for ((name, ours), theirs) in network.named_parameters()?.iter().zip(&copies) {
        assert!(
            distance(ours, theirs) < 1e-4,
            "{name}: {}",
            distance(ours, theirs)
        );
    }
    Ok(())
}

#[test]
fn adam_refuses_what_makes_no_sense() -> Result<()> {
    let network = Sequential::new("n", [2]).dense(2).build(&Rng::seed(0))?;
    for (rate, beta1) in [
        (0., 0.5),
        (-1., 0.5),
        (f64::NAN, 0.5),
        (f64::INFINITY, 0.5),
        (1e-3, 1.),
        (1e-3, -0.1),
    ] {
        assert!(message(Adam::new(network.parameters(), rate, beta1)).contains("must be positive"));
    }
    let mut adam = Adam::new(network.parameters(), 1e-3, 0.5)?;
    let y = network.forward_t(&Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?, true)?;
    assert!(message(adam.step(&y)).contains("one number, not a tensor of shape [3, 2]"));
    Ok(())
}

/// Two steps of a small GAN; all that they leave behind.
fn short_run(seed: u64) -> Result<Vec<f32>> {
    let rng = Rng::seed(seed);
    let generator = Sequential::new("g", [16])
        .dense(300)
        .leaky_relu(0.2)
        .batch_norm(0.8)
        .dense(784)
        .tanh()
        .build(&rng)?;
    let discriminator = Sequential::new("d", [784])
        .dense(512)
        .leaky_relu(0.2)
        .dropout(0.3)
        .dense(1)
        .build(&rng)?;
    let (mut g_adam, mut d_adam) = (
        Adam::new(generator.parameters(), 2e-4, 0.5)?,
        Adam::new(discriminator.parameters(), 2e-4, 0.5)?,
    );
    let mut left = Vec::new();
    for _ in 0..3 {
        let fake = generator.forward_t(&rng.normal((64, 16))?, true)?;
        let on_real = discriminator.forward_t(&rng.uniform((64, 784), -1., 1.)?, true)?;
        let d_loss =
            (bce(&on_real, 1.)? + bce(&discriminator.forward_t(&fake.detach(), true)?, 0.)?)?;
        d_adam.step(&d_loss)?;
        let g_loss = bce(&discriminator.frozen().forward_t(&fake, true)?, 1.)?;
        g_adam.step(&g_loss)?;
        left.extend([d_loss.to_scalar::<f32>()?, g_loss.to_scalar::<f32>()?]);
    }
    left.extend(values(&generator.parameters()[0]));
    left.extend(values(&discriminator.parameters()[0]));
    Ok(left)
}

#[test]
fn a_seed_decides_everything_whatever_the_number_of_threads() -> Result<()> {
    let first = short_run(42)?;
    assert!(first == short_run(42)?, "two runs with one seed differ");
    assert!(first != short_run(43)?, "the seed changes nothing");
    // candle and gemm read the number of threads once a process: ask another process.
    let other = if std::env::var("RAYON_NUM_THREADS").is_ok() {
        return Ok(());
    } else {
        "1"
    };
    let mut child = process::command(prints_a_run);
    child.env("RAYON_NUM_THREADS", other);
    let text = process::printed(child);
    assert!(
        text.contains(&fingerprint(&first)),
        "one thread and several differ: {text}"
    );
    Ok(())
}

fn fingerprint(values: &[f32]) -> String {
    let hash = values.iter().fold(14695981039346656037u64, |h, x| {
        (h ^ x.to_bits() as u64).wrapping_mul(1099511628211)
    });
    format!("run {hash:016x}")
}

#[test]
#[ignore = "called by a_seed_decides_everything_whatever_the_number_of_threads"]
fn prints_a_run() {
    println!("{}", fingerprint(&short_run(42).unwrap()));
}

#[test]
fn random_streams_are_independent_and_of_the_right_kind() -> Result<()> {
    let rng = Rng::seed(1);
    let noise = values(&rng.normal(100_000)?);
    let mean = noise.iter().sum::<f32>() / 1e5;
    let variance = noise.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 1e5;
    assert!(
        mean.abs() < 0.02 && (variance - 1.).abs() < 0.02,
        "{mean} {variance}"
    );
    let uniform = values(&rng.uniform(10_000, -2., 3.)?);
    assert!(uniform.iter().all(|x| (-2. ..3.).contains(x)));
    let mut order = rng.permutation(1000);
    assert_ne!(order, rng.permutation(1000));
    order.sort_unstable();
    assert_eq!(order, (0..1000).collect::<Vec<_>>());
    let handle = rng.clone();
    let (a, b) = (values(&handle.normal(10)?), values(&rng.normal(10)?));
    assert_ne!(a, b, "clones are handles on one stream");
    assert!(message(rng.uniform(3, 2., 1.)).contains("[2, 1) is not a range"));
    Ok(())
}

#[test]
fn a_saved_network_comes_back_whole() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let rng = Rng::seed(6);
    for network in miniatures(&rng)? {
        let shape: Vec<usize> = [4].into_iter().chain(input_of(&network)).collect();
        let x = rng.normal(shape)?;
        network.forward_t(&x, true)?; // moves the running statistics
        network.save(&path)?;
        let loaded = Network::load(&path, &rng)?;
        assert_eq!(loaded.config(), network.config());
        assert_eq!(values(&loaded.forward(&x)?), values(&network.forward(&x)?));
        let other = network.config().build(&Rng::seed(99))?;
        other.restore(&path)?;
        assert_eq!(values(&other.forward(&x)?), values(&network.forward(&x)?));
    }
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        1,
        "no temporary file stays"
    );
    Ok(())
}

#[test]
fn a_file_that_does_not_fit_changes_nothing() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let rng = Rng::seed(6);
    Sequential::new("a", [3])
        .dense(4)
        .dense(5)
        .build(&rng)?
        .save(&path)?;
    let x = rng.normal((2, 3))?;
    for (other, expected) in [
        (
            Sequential::new("b", [3]).dense(4).dense(6),
            "its 1.dense.weight has shape [4, 5], the network's has [4, 6]",
        ),
        (
            Sequential::new("b", [3]).dense(4).dense(5).dense(1),
            "has no 2.dense.weight [5, 1]",
        ),
        (
            Sequential::new("b", [3]).dense(4),
            "has 1.dense.bias, which the network lacks",
        ),
    ] {
        let network = other.build(&rng)?;
        let before = values(&network.forward(&x)?);
        let error = message(network.restore(&path));
        assert!(
            error.contains("network.safetensors: ") && error.contains(expected),
            "{error}"
        );
        assert_eq!(values(&network.forward(&x)?), before);
    }
    Ok(())
}

#[test]
fn damaged_files_are_named() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let rng = Rng::seed(6);
    let network = Sequential::new("a", [3]).dense(4).build(&rng)?;
    network.save(&path)?;
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(
            matches!(Network::load(&path, &rng), Err(Error::Format { .. })),
            "{length} bytes"
        );
    }
    // A header that promises more than there is must not be believed.
    let text = String::from_utf8_lossy(&whole).replace("\"units\\\":4", "\"units\\\":9");
    assert_eq!(text.len(), String::from_utf8_lossy(&whole).len());
    let mut lying = whole.clone();
    let at = whole
        .windows(10)
        .position(|w| w == b"units\\\":4,")
        .expect("the description");
    lying[at + 8] = b'9';
    std::fs::write(&path, &lying).unwrap();
    assert!(message(Network::load(&path, &rng)).contains("its checksum is wrong"));
    let key = whole.windows(5).position(|w| w == b"crc32").unwrap();
    lying[key] = b'x'; // as if from a program that writes no checksum
    std::fs::write(&path, &lying).unwrap();
    assert!(message(Network::load(&path, &rng)).contains("the network's has [3, 9]"));
    assert!(
        message(Network::load(folder.path().join("absent"), &rng)).contains("absent: No such file")
    );
    assert!(message(network.save(folder.path().join("no/such/folder/x"))).contains("No such file"));
    Ok(())
}

#[test]
fn training_resumes_where_it_stopped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (weights, moments) = (
        folder.path().join("w.safetensors"),
        folder.path().join("m.safetensors"),
    );
    let config = Sequential::new("n", [3]).dense(4).batch_norm(0.8).dense(1);
    let run = |network: &Network, adam: &mut Adam, data: &Rng, steps: usize| -> Result<()> {
        for _ in 0..steps {
            adam.step(
                &network
                    .forward_t(&data.normal((8, 3))?, true)?
                    .sqr()?
                    .mean_all()?,
            )?;
        }
        Ok(())
    };
    let (network, data) = (config.build(&Rng::seed(1))?, Rng::seed(2));
    let mut adam = Adam::new(network.parameters(), 1e-2, 0.5)?;
    run(&network, &mut adam, &data, 5)?;
    network.save(&weights)?;
    adam.save(&moments)?;
    run(&network, &mut adam, &data, 5)?;

    let (resumed, data) = (config.build(&Rng::seed(7))?, Rng::seed(2));
    let mut adam = Adam::new(resumed.parameters(), 1e-2, 0.5)?;
    for _ in 0..5 {
        data.normal((8, 3))?;
    }
    resumed.restore(&weights)?;
    adam.restore(&moments)?;
    run(&resumed, &mut adam, &data, 5)?;
    assert_eq!(
        values(&network.parameters()[0]),
        values(&resumed.parameters()[0])
    );
    assert!(message(adam.restore(&weights)).contains("holds no number of steps"));
    Ok(())
}

#[test]
fn same_padding_gives_kerass_shapes_for_every_kernel_and_stride() -> Result<()> {
    let rng = Rng::seed(0);
    for (kernel, stride) in (1..8).flat_map(|kernel| (1..5).map(move |stride| (kernel, stride))) {
        for [h, w] in [[28, 28], [7, 7], [7, 4], [1, 9]] {
            let start = || Sequential::new("same", [1, h, w]);
            let down = start().conv2d(2, kernel, stride);
            let expected = vec![2, h.div_ceil(stride), w.div_ceil(stride)];
            assert_eq!(down.outputs()?, [expected], "{kernel} {stride}");
            let up = start().conv_transpose2d(2, kernel, stride);
            assert_eq!(
                up.outputs()?,
                [vec![2, h * stride, w * stride]],
                "{kernel} {stride}"
            );
            let x = rng.normal((2, 1, h, w))?;
            for network in [down.build(&rng)?, up.build(&rng)?] {
                let (ours, expected) = (network.forward(&x)?, network.reference().forward(&x)?);
                assert!(distance(&ours, &expected) < 1e-5, "{kernel} {stride}");
            }
        }
    }
    // Keras puts the one more behind the image: what only it decides, of ones under a kernel of ones.
    let network = Sequential::new("same", [1, 3, 3])
        .conv2d(1, 2, 1)
        .no_bias()
        .build(&rng)?;
    network.set(
        "0.conv2d.weight",
        &Tensor::ones((1, 1, 2, 2), DType::F32, &Device::Cpu)?,
    )?;
    let y = network.forward(&Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?)?;
    assert_eq!(values(&y), [4., 4., 2., 4., 4., 2., 2., 2., 1.]);
    Ok(())
}

#[test]
fn of_equal_values_the_first_takes_the_gradient() -> Result<()> {
    // PyTorch: x = torch.zeros(1, 1, 2, 2, requires_grad=True); F.max_pool2d(x, 2).sum().backward(); x.grad
    let network = Sequential::new("pool", [1, 2, 2])
        .max_pool2d(2)
        .build(&Rng::seed(1))?;
    for network in [network.reference(), network] {
        let x = Var::zeros((1, 1, 2, 2), DType::F32, &Device::Cpu)?;
        let grads = network.forward_t(&x, true)?.sum_all()?.backward()?;
        assert_eq!(values(grads.get(&x).unwrap()), [1., 0., 0., 0.]);
    }
    Ok(())
}

#[test]
fn layers_are_written_as_they_always_were() {
    let network = Sequential::new("n", [1, 8, 8])
        .conv2d(2, 5, 2)
        .conv_transpose2d(1, 4, 2)
        .conv2d(1, 4, 1)
        .batch_norm(0.9)
        .leaky_relu(0.2)
        .relu()
        .upsample2d(2)
        .max_pool2d(2)
        .upsample2d(2)
        .dropout(0.5)
        .reshape([64, 4])
        .flatten()
        .dense(3)
        .no_bias()
        .tanh();
    let json = serde_json::to_string(&network).unwrap();
    let expected = r#"{"name":"n","input":[1,8,8],"layers":[{"conv2d":{"channels":2,"kernel":5,"stride":2,"padding":2,"bias":true}},{"conv_transpose2d":{"channels":1,"kernel":4,"stride":2,"padding":1,"output_padding":0,"bias":true}},{"conv2d":{"channels":1,"kernel":4,"stride":1,"padding":[[1,2],[1,2]],"bias":true}},{"batch_norm":{"momentum":0.9,"epsilon":0.00001}},{"leaky_relu":{"slope":0.2}},"relu",{"upsample2d":{"size":2}},{"max_pool2d":{"size":2}},{"upsample2d":{"size":2}},{"dropout":{"rate":0.5}},{"reshape":{"shape":[64,4]}},"flatten",{"dense":{"units":3,"bias":false}},"tanh"]}"#;
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<Sequential>(&json).unwrap(), network);
    // What a crafted file may ask for is refused like what a builder may.
    let crafted = json.replace("[64,4]", "[]");
    let crafted: Sequential = serde_json::from_str(&crafted).unwrap();
    assert!(message(crafted.build(&Rng::seed(0))).contains("has no dimension"));
    assert!(
        serde_json::from_str::<Sequential>(
            &json.replace("\"units\":3", "\"units\":3,\"sparse\":1")
        )
        .is_err()
    );
}
