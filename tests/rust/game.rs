//! The game between the networks: losses against PyTorch, class-conditional networks, noise on images.

use crate::helpers::values::message;
use digit_gan::Result;
use digit_gan::candle::{DType, Device, Tensor, Var};
use digit_gan::loss::{GanLoss, bce};
use digit_gan::nn::{Sequential, class_logit, with_class};
use digit_gan::optim::Adam;
use digit_gan::penalty::instance_noise;
use digit_gan::rng::Rng;

const LOSSES: [GanLoss; 6] = [
    GanLoss::NonSaturating,
    GanLoss::Minimax,
    GanLoss::LeastSquares,
    GanLoss::Hinge,
    GanLoss::Wasserstein,
    GanLoss::Relativistic,
];

fn logits<const N: usize>(values: [f32; N]) -> Result<Var> {
    Ok(Var::from_tensor(
        &Tensor::new(&values, &Device::Cpu)?.reshape((N, 1))?,
    )?)
}

/// A loss and its gradients for the logits that are given (zeros where it does not depend on them).
fn with_gradients(loss: &Tensor, logits: &[&Var]) -> Result<(f32, Vec<Vec<f32>>)> {
    let grads = loss.backward()?;
    let gradient = |var: &&Var| match grads.get(var) {
        Some(gradient) => gradient.flatten_all()?.to_vec1(),
        None => Ok(vec![0.; var.elem_count()]),
    };
    let gradients = logits
        .iter()
        .map(gradient)
        .collect::<std::result::Result<_, _>>()?;
    Ok((loss.to_scalar()?, gradients))
}

fn close(ours: &[f32], expected: &[f32]) -> bool {
    let pairs = ours.iter().zip(expected);
    ours.len() == expected.len()
        && pairs
            .into_iter()
            .all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1.))
}

/// The discriminator's and the generator's loss; then the gradients of the former for its logits on the real and the
/// generated batch, and of the latter for those on the generated batch.
type Literals = (GanLoss, f64, f32, f32, [[f32; 4]; 3]);

// Printed by tests/reference/game.py: PyTorch 2.15.0, f64
#[rustfmt::skip]
const LITERALS: [Literals; 6] = [
    (GanLoss::NonSaturating, 0.9, 7.098796, 75.50614, [
        [-0.1, 0.013143532, -0.20603545, 0.025],
        [0.125, 0.06723536, 0.24550344, 0.0],
        [-0.125, -0.18276465, -0.0044965525, -0.25],
    ]),
    (GanLoss::Minimax, 1.0, 2.0862958, -1.2561398, [
        [-0.125, -0.011856468, -0.23103546, 0.0],
        [0.125, 0.06723536, 0.24550344, 0.0],
        [-0.125, -0.06723536, -0.24550344, 0.0],
    ]),
    (GanLoss::LeastSquares, 0.9, 16209.324, 11326.875, [
        [-0.225, 0.525, -0.85, 49.775],
        [0.0, -0.25, 1.0, -75.0],
        [-0.25, -0.5, 0.75, -75.25],
    ]),
    (GanLoss::Hinge, 1.0, 2.625, 74.25, [
        [-0.25, 0.0, -0.25, 0.0],
        [0.25, 0.0, 0.25, 0.0],
        [-0.25, -0.25, -0.25, -0.25],
    ]),
    (GanLoss::Wasserstein, 1.0, -124.375, 74.25, [
        [-0.25, -0.25, -0.25, -0.25],
        [0.25, 0.25, 0.25, 0.25],
        [-0.25, -0.25, -0.25, -0.25],
    ]),
    (GanLoss::Relativistic, 1.0, 1.8031999, 126.1782, [
        [-0.125, -0.0044965525, -0.2496247, 0.0],
        [0.125, 0.0044965525, 0.2496247, 0.0],
        [-0.125, -0.24550344, -0.00037529555, -0.25],
    ]),
];

/// A logit, its target, and their cross-entropy.
#[allow(clippy::approx_constant)] // ln 2
const CROSS_ENTROPY: [(f32, f64, f32); 4] = [
    (0.0, 1.0, 0.6931472),
    (3.0, 1.0, 0.048587352),
    (-3.0, 1.0, 3.0485873),
    (2.5, 0.9, 0.32888973),
];

#[test]
fn losses_agree_with_pytorch() -> Result<()> {
    let (real, fake) = (logits([0., 3., -2.5, 200.])?, logits([0., -1., 4., -300.])?);
    for (loss, target, d_value, g_value, [d_real, d_fake, g_fake]) in LITERALS {
        let (value, gradients) =
            with_gradients(&loss.discriminator(&real, &fake, target)?, &[&real, &fake])?;
        assert!(close(&[value], &[d_value]), "{loss:?}: {value}");
        assert!(
            close(&gradients[0], &d_real),
            "{loss:?} on real: {:?}",
            gradients[0]
        );
        assert!(
            close(&gradients[1], &d_fake),
            "{loss:?} on fake: {:?}",
            gradients[1]
        );
        let (value, gradients) = with_gradients(&loss.generator(&real, &fake)?, &[&real, &fake])?;
        assert!(close(&[value], &[g_value]), "{loss:?}, generator: {value}");
        assert_eq!(
            gradients[0], [0.; 4],
            "{loss:?}: the real batch is a constant"
        );
        assert!(
            close(&gradients[1], &g_fake),
            "{loss:?}, generator: {:?}",
            gradients[1]
        );
    }
    Ok(())
}

#[test]
fn cross_entropy_is_stable_and_right() -> Result<()> {
    for (x, target, expected) in CROSS_ENTROPY {
        let loss = bce(&Tensor::new(&[x], &Device::Cpu)?, target)?.to_scalar::<f32>()?;
        assert!((loss - expected).abs() < 1e-6, "{x} {target}: {loss}");
    }
    for (x, target, expected) in [
        (0f32, 1., -0.5),
        (0., 0., 0.5),
        (1000., 0., 1.),
        (-1000., 1., -1.),
        (1000., 1., 0.),
    ] {
        let logits = Var::new(&[x], &Device::Cpu)?;
        let loss = bce(&logits, target)?;
        assert!(loss.to_scalar::<f32>()?.is_finite());
        let grad = loss.backward()?.get(&logits).unwrap().to_vec1::<f32>()?[0];
        assert!((grad - expected).abs() < 1e-6, "{x} {target}: {grad}");
    }
    let nan = bce(&Tensor::new(&[f32::NAN, 0.], &Device::Cpu)?, 1.)?;
    assert!(nan.to_scalar::<f32>()?.is_nan(), "a NaN must not be hidden");
    assert!(
        message(bce(&Tensor::new(&[0f32], &Device::Cpu)?, 1.5)).contains("from 0 to 1, not 1.5")
    );
    Ok(())
}

#[test]
fn losses_are_finite_for_huge_logits() -> Result<()> {
    let extremes = [0., f32::MIN_POSITIVE, 1., 100., 1e4, 1e15];
    for loss in LOSSES {
        for size in extremes {
            let (real, fake) = (
                logits([size, -size, size, -size])?,
                logits([-size, -size, size, size])?,
            );
            for value in [
                loss.discriminator(&real, &fake, 1.)?,
                loss.generator(&real, &fake)?,
            ] {
                let (value, gradients) = with_gradients(&value, &[&real, &fake])?;
                let all = gradients.iter().flatten();
                assert!(
                    value.is_finite() && all.copied().all(f32::is_finite),
                    "{loss:?} of {size}"
                );
            }
        }
        let (real, fake) = (logits([0., f32::NAN])?, logits([0., f32::NAN])?);
        for value in [
            loss.discriminator(&real, &fake, 1.)?,
            loss.generator(&real, &fake)?,
        ] {
            assert!(value.to_scalar::<f32>()?.is_nan(), "{loss:?} hides a NaN");
        }
    }
    Ok(())
}

#[test]
fn what_a_loss_cannot_do_is_refused_with_the_reason() -> Result<()> {
    let (real, fake, one) = (logits([0., 1.])?, logits([0., 1.])?, logits([0.])?);
    for (loss, reason) in [
        (GanLoss::Hinge, "no target to smooth"),
        (GanLoss::Wasserstein, "compares averages"),
        (GanLoss::Relativistic, "compares pairs"),
    ] {
        let text = message(loss.discriminator(&real, &fake, 0.9));
        assert!(
            text.starts_with("real_target 0.9: ") && text.contains(reason),
            "{text}"
        );
    }
    for loss in LOSSES {
        for target in [0., 0.5, 1.1, f64::NAN] {
            let text = message(loss.discriminator(&real, &fake, target));
            assert!(text.contains("above 0.5 and at most 1"), "{text}");
        }
        let text = message(loss.discriminator(&real, &one, 1.));
        assert!(text.contains("[2, 1]") && text.contains("[1, 1]"), "{text}");
    }
    assert!(message(GanLoss::Relativistic.generator(&real, &one)).contains("one shape"));
    Ok(())
}

#[test]
fn losses_have_the_names_that_configurations_use() {
    let names = [
        "non_saturating",
        "minimax",
        "least_squares",
        "hinge",
        "wasserstein",
        "relativistic",
    ];
    for (loss, name) in LOSSES.into_iter().zip(names) {
        assert_eq!(serde_json::to_value(loss).unwrap(), name);
        assert_eq!(
            serde_json::from_value::<GanLoss>(name.into()).unwrap(),
            loss
        );
    }
}

#[test]
fn the_class_stands_beside_the_noise() -> Result<()> {
    let noise = Rng::seed(1).normal((3, 2))?;
    let labels = Tensor::new(&[1u32, 0, 2], &Device::Cpu)?;
    let input = with_class(&noise, &labels, 3)?;
    assert_eq!(
        input.narrow(1, 0, 2)?.to_vec2::<f32>()?,
        noise.to_vec2::<f32>()?
    );
    assert_eq!(
        input.narrow(1, 2, 3)?.to_vec2::<f32>()?,
        [[0., 1., 0.], [1., 0., 0.], [0., 0., 1.]]
    );
    assert_eq!(
        message(with_class(&noise, &labels, 2)),
        "label 2 of sample 2 must be below the number of classes, 2"
    );
    let few = labels.narrow(0, 0, 2)?;
    assert!(
        message(with_class(&noise, &few, 3)).contains("u32 of shape [3], not U32 of shape [2]")
    );
    let floats = labels.to_dtype(DType::F32)?;
    assert!(message(with_class(&noise, &floats, 3)).contains("not F32"));
    assert!(message(with_class(&labels, &labels, 3)).contains("[batch, latent], not [3]"));
    Ok(())
}

#[test]
fn the_logit_is_that_of_the_class() -> Result<()> {
    let output = Var::new(&[[1f32, 10., 20.], [2., 30., 40.]], &Device::Cpu)?;
    let labels = Tensor::new(&[1u32, 0], &Device::Cpu)?;
    let logit = class_logit(&output, &labels)?;
    assert_eq!(logit.to_vec2::<f32>()?, [[21.], [32.]]);
    let grads = logit.sum_all()?.backward()?;
    let gradient = grads.get(&output).unwrap().to_vec2::<f32>()?;
    assert_eq!(gradient, [[1., 0., 1.], [1., 1., 0.]]);
    let wrong = Tensor::new(&[1u32, 2], &Device::Cpu)?;
    assert!(message(class_logit(&output, &wrong)).contains("label 2 of sample 1"));
    let single = output.narrow(1, 0, 1)?;
    assert!(message(class_logit(&single, &labels)).contains(".dense(1 + classes)"));
    Ok(())
}

/// Two classes, one number each: a conditional GAN of one pixel learns which is which.
#[test]
fn a_conditional_gan_learns_what_belongs_to_a_class() -> Result<()> {
    let rng = Rng::seed(5);
    let generator = Sequential::new("g", [4 + 2])
        .dense(16)
        .leaky_relu(0.2)
        .dense(1)
        .build(&rng)?;
    let discriminator = Sequential::new("d", [1])
        .dense(32)
        .leaky_relu(0.2)
        .dense(1 + 2)
        .build(&rng)?;
    let mut g_adam = Adam::new(generator.parameters(), 5e-3, 0.)?.beta2(0.99)?;
    let mut d_adam = Adam::new(discriminator.parameters(), 5e-3, 0.)?.beta2(0.99)?;
    let labels = Tensor::new(&[0u32, 1].repeat(32)[..], &Device::Cpu)?;
    let centres = ((labels.to_dtype(DType::F32)? * 2.)? - 1.)?.reshape((64, 1))?; // -1 and 1
    let fakes = || generator.forward_t(&with_class(&rng.normal((64, 4))?, &labels, 2)?, true);
    let penalty = digit_gan::penalty::Penalty::R1R2 { gamma: 1. };
    for _ in 0..400 {
        let real = (&centres + (rng.normal((64, 1))? * 0.1)?)?;
        let fake = fakes()?;
        let on_real = class_logit(&discriminator.forward_t(&real, true)?, &labels)?;
        let on_fake = class_logit(&discriminator.forward_t(&fake.detach(), true)?, &labels)?;
        let d_loss = GanLoss::Relativistic.discriminator(&on_real, &on_fake, 1.)?;
        let penalty = penalty.compute(&discriminator, &real, &fake, Some(&labels), &rng)?;
        d_adam.step(&(d_loss + penalty)?)?;
        let on_fake = class_logit(&discriminator.frozen().forward_t(&fake, true)?, &labels)?;
        let on_real = class_logit(&discriminator.frozen().forward_t(&real, true)?, &labels)?;
        g_adam.step(&GanLoss::Relativistic.generator(&on_real, &on_fake)?)?;
    }
    let off = (fakes()? - centres)?
        .abs()?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let mean = off.iter().sum::<f32>() / 64.;
    assert!(mean < 0.3, "{mean} from the centres, which are 2 apart");
    Ok(())
}

#[test]
fn instance_noise_is_as_strong_as_asked_and_lets_gradients_pass() -> Result<()> {
    let rng = Rng::seed(3);
    let images = Var::from_tensor(&rng.uniform((50, 1, 20, 20), -1., 1.)?)?;
    let noisy = instance_noise(&images, 0.3, &rng)?;
    let noise = (&noisy - images.as_tensor())?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let variance = noise.iter().map(|x| x * x).sum::<f32>() / noise.len() as f32;
    assert!((variance.sqrt() - 0.3).abs() < 0.01, "{variance}");
    let grads = noisy.sum_all()?.backward()?;
    let gradient = grads
        .get(&images)
        .unwrap()
        .flatten_all()?
        .to_vec1::<f32>()?;
    assert!(gradient.iter().all(|&x| x == 1.));
    let same = instance_noise(&images, 0., &rng)?;
    assert_eq!(
        same.flatten_all()?.to_vec1::<f32>()?,
        images.flatten_all()?.to_vec1::<f32>()?
    );
    for deviation in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(
            message(instance_noise(&images, deviation, &rng)).contains("at least 0 and finite")
        );
    }
    Ok(())
}
