//! What stands beside Adam's step: its settings, the moving average of the weights, schedules of the rate.

use crate::helpers::values::{message, values};
use digit_gan::candle::{self, CpuStorage, DType, Device, Layout, Shape, Tensor, Var};
use digit_gan::candle_nn::{AdamW, Optimizer, ParamsAdamW};
use digit_gan::nn::{Network, Sequential};
use digit_gan::optim::{Adam, MovingAverage, Schedule};
use digit_gan::prelude::Precision;
use digit_gan::rng::Rng;
use digit_gan::{Error, Result};

// Printed by tests/reference/optim.py: PyTorch's rates after 0, 1, 2 and 4 of 4 steps.
const COSINE: [f64; 4] = [1.0, 0.882842712, 0.6, 0.2];

fn close(ours: &[f32], expected: &[f32]) -> bool {
    let pairs = ours.iter().zip(expected);
    ours.len() == expected.len()
        && pairs
            .into_iter()
            .all(|(a, b)| (a - b).abs() < 1e-5 * b.abs().max(1.))
}

#[test]
fn adams_settings_mean_what_they_mean_to_candle_nn() -> Result<()> {
    let rng = Rng::seed(2);
    let network = Sequential::new("n", [20]).dense(7).no_bias().build(&rng)?;
    let copy = Var::from_tensor(&network.named_parameters()?[0].1)?;
    let params = ParamsAdamW {
        lr: 1e-2,
        beta1: 0.,
        beta2: 0.9,
        eps: 1e-2,
        weight_decay: 0.,
    };
    let mut reference = AdamW::new(vec![copy.clone()], params)?;
    let mut adam = Adam::new(network.parameters(), 1e-2, 0.)?
        .beta2(0.9)?
        .epsilon(1e-2)?;
    for _ in 0..10 {
        let x = rng.normal((16, 20))?;
        adam.step(&network.forward_t(&x, true)?.sqr()?.mean_all()?)?;
        reference.backward_step(&x.matmul(&copy)?.sqr()?.mean_all()?)?;
    }
    assert!(close(&values(&network.parameters()[0]), &values(&copy)));
    let adam = || Adam::new(network.parameters(), 1e-2, 0.5).unwrap();
    assert!(message(adam().beta2(1.)).contains("beta2 1 must be at least 0 and below 1"));
    assert!(message(adam().epsilon(0.)).contains("epsilon 0 must be positive"));
    Ok(())
}

/// A network with running statistics, and a step that moves everything in it.
fn moving(rng: &Rng) -> Result<Network> {
    let config = Sequential::new("g", [3]).dense(40).batch_norm(0.8).tanh();
    config.build(rng)
}

fn step(network: &Network, rng: &Rng) -> Result<()> {
    network.forward_t(&rng.normal((8, 3))?, true)?; // the running statistics
    for (name, old) in network.named_parameters()? {
        network.set(&name, &(&old + rng.normal(old.shape())?)?)?;
    }
    Ok(())
}

/// All variables, read from a file, which holds the running statistics too.
fn everything(network: &Network) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    network.save(&path).unwrap();
    let tensors = digit_gan::candle::safetensors::load(path, &digit_gan::candle::Device::Cpu);
    let mut tensors: Vec<_> = tensors.unwrap().into_iter().collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
        .iter()
        .flat_map(|(_, tensor)| values(tensor))
        .collect()
}

#[test]
fn the_moving_average_is_that_of_stylegan2_ada() -> Result<()> {
    let rng = Rng::seed(1);
    let network = moving(&rng)?;
    let (half_life, batch) = (1000., 64);
    let mut average = MovingAverage::new(&network, half_life)?;
    let mut expected = everything(&network);
    assert_eq!(everything(average.network()), expected, "starts as a copy");
    for seen in (0..60).map(|step| step * batch) {
        step(&network, &rng)?;
        average.update(batch)?;
        // training_loop.py: ema_nimg = min(ema_kimg * 1000, cur_nimg * ema_rampup),
        // ema_beta = 0.5 ** (batch_size / max(ema_nimg, 1e-8)); p_ema.copy_(p.lerp(p_ema, ema_beta))
        let images = f64::min(half_life, 0.05 * seen as f64).max(1e-8);
        let kept = 0.5f64.powf(batch as f64 / images) as f32;
        let now = everything(&network);
        for (expected, now) in expected.iter_mut().zip(now) {
            *expected = kept * *expected + (1. - kept) * now;
        }
        assert!(
            close(&everything(average.network()), &expected),
            "after {seen} images"
        );
    }
    assert_eq!(average.images, 60 * 64);
    assert_ne!(everything(average.network()), everything(&network));
    Ok(())
}

#[test]
fn after_a_half_life_the_old_counts_half() -> Result<()> {
    let network = moving(&Rng::seed(1))?;
    let mut average = MovingAverage::new(&network, 6400.)?;
    average.images = 1_000_000; // long after the warm-up
    let old = values(&average.network().parameters()[0]);
    step(&network, &Rng::seed(2))?;
    (0..100).try_for_each(|_| average.update(64))?;
    let halfway = old.iter().zip(values(&network.parameters()[0]));
    let halfway: Vec<f32> = halfway.map(|(old, new)| (old + new) / 2.).collect();
    assert!(close(&values(&average.network().parameters()[0]), &halfway));
    Ok(())
}

#[test]
fn the_average_and_the_network_leave_each_other_alone() -> Result<()> {
    let rng = Rng::seed(1);
    let network = moving(&rng)?;
    let before = everything(&network);
    let mut average = MovingAverage::new(&network, 100.)?;
    step(&network, &rng)?;
    assert_eq!(
        everything(average.network()),
        before,
        "without an update nothing moves"
    );
    let moved = everything(&network);
    average.update(8)?;
    average.update(8)?;
    let averaged = everything(average.network());
    average.network().forward_t(&rng.normal((8, 3))?, true)?;
    assert_eq!(everything(average.network()), averaged, "it is frozen");
    assert_eq!(everything(&network), moved);
    for half_life in [0., -1., f64::NAN, f64::INFINITY] {
        assert!(
            message(MovingAverage::new(&network, half_life)).contains("positive number of images")
        );
    }
    Ok(())
}

#[test]
fn an_average_resumes_where_it_stopped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("average.safetensors");
    let rng = Rng::seed(1);
    let network = moving(&rng)?;
    let mut average = MovingAverage::new(&network, 100.)?;
    for _ in 0..5 {
        step(&network, &rng)?;
        average.update(8)?;
    }
    average.network().save(&path)?;
    let mut resumed = MovingAverage::new(&network, 100.)?;
    resumed.images = average.images;
    resumed.network().restore(&path)?;
    step(&network, &rng)?;
    for average in [&mut average, &mut resumed] {
        average.update(8)?;
    }
    assert_eq!(everything(average.network()), everything(resumed.network()));
    Ok(())
}

#[test]
fn schedules_go_where_they_say() {
    let at = |schedule: &Schedule| [0., 0.25, 0.5, 1.].map(|progress| schedule.factor(progress));
    let close = |ours: [f64; 4], expected: [f64; 4]| {
        ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9)
    };
    assert_eq!(at(&Schedule::Constant), [1.; 4]);
    assert_eq!(at(&Schedule::Linear { to: 0.2 }), [1., 0.8, 0.6, 0.2]);
    let cosine = Schedule::Cosine { to: 0.2 };
    assert!(close(at(&cosine), COSINE));
    let warm = cosine.clone().after_warm_up(0.5);
    assert!(close(at(&warm), [0., 0.5, 1., 0.2]));
    assert!((warm.factor(0.75) - cosine.factor(0.5)).abs() < 1e-9);
    assert_eq!(
        [warm.factor(-1.), warm.factor(7.)],
        [0., 0.2],
        "beyond the ends"
    );
    assert_eq!(
        Schedule::Constant.after_warm_up(0.).factor(0.),
        1.,
        "no warm-up"
    );
}

#[test]
fn schedules_are_checked_and_written_as_they_are_called() {
    let schedule = Schedule::Cosine { to: 0.1 }.after_warm_up(0.05);
    let json = serde_json::to_string(&schedule).unwrap();
    assert_eq!(
        json,
        r#"{"warm_up":{"fraction":0.05,"then":{"cosine":{"to":0.1}}}}"#
    );
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    assert!(schedule.check().is_ok());
    for (wrong, expected) in [
        (Schedule::Linear { to: -0.1 }, "at least 0, not -0.1"),
        (Schedule::Cosine { to: f64::NAN }, "not NaN"),
        (Schedule::Constant.after_warm_up(1.), "fraction 1 of a run"),
        (Schedule::Linear { to: -1. }.after_warm_up(0.1), "not -1"),
    ] {
        assert!(message(wrong.check()).contains(expected));
    }
}

/// Adam's rate may be changed between steps: what a schedule is for.
#[test]
fn a_changed_rate_changes_the_next_step() -> Result<()> {
    let rng = Rng::seed(1);
    let network = Sequential::new("n", [4]).dense(1).build(&rng)?;
    let x = rng.normal((8, 4))?;
    let mut adam = Adam::new(network.parameters(), 1e-2, 0.)?.beta2(0.)?;
    let mut step = |rate: f64| -> candle::Result<f32> {
        let before = network.parameters()[0].as_detached_tensor().copy()?;
        adam.learning_rate = rate;
        adam.step(&network.forward_t(&x, true).unwrap().sum_all()?)
            .unwrap();
        (network.parameters()[0].as_tensor() - before)?
            .abs()?
            .mean_all()?
            .to_scalar()
    };
    // Without memory every step is as long as the rate.
    for factor in [1., 0.5, 0.] {
        let moved = step(1e-2 * factor)?;
        assert!((moved as f64 - 1e-2 * factor).abs() < 1e-5, "{moved}");
    }
    Ok(())
}

#[test]
fn the_norm_of_a_huge_and_of_a_tiny_gradient_is_right() -> Result<()> {
    let rng = Rng::seed(1);
    let network = Sequential::new("line", [1])
        .dense(1)
        .no_bias()
        .build(&rng)?;
    let mut adam = Adam::new(network.parameters(), 1e-3, 0.)?;
    assert_eq!(adam.gradient_norm()?, 0.);
    let x = Tensor::full(2f32, (1, 1), &Device::Cpu)?;
    for scale in [1e30, 1., 1e-30] {
        adam.step(&(network.forward_t(&x, true)? * scale)?.mean_all()?)?;
        let norm = adam.gradient_norm()?;
        assert!((norm / (2. * scale) - 1.).abs() < 1e-6, "{norm}");
    }
    Ok(())
}

/// What a loss goes through; candle goes backward from its last term to its first.
const PASSES: [&[Pass]; 8] = [
    &[Pass::Batch(8)],
    &[Pass::Batch(8), Pass::Batch(8)],
    &[Pass::Batch(8), Pass::Batch(9), Pass::Batch(8)],
    &[Pass::Batch(8), Pass::Batch(1000)],
    &[Pass::Batch(1000), Pass::Batch(8)],
    &[Pass::Batch(8), Pass::InputGradient],
    &[Pass::InputGradient, Pass::Batch(8)],
    &[Pass::Batch(8), Pass::WeightDecay],
];

#[derive(Clone, Copy, Debug)]
enum Pass {
    Batch(usize),
    InputGradient,
    WeightDecay,
}

impl Pass {
    fn loss(self, network: &Network, rng: &Rng) -> Result<Tensor> {
        let squares = match self {
            Pass::Batch(n) => network.forward_t(&rng.normal((n, 70))?, true)?.sqr()?,
            Pass::InputGradient => {
                let seed = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
                network
                    .input_gradient(&rng.normal((8, 70))?, &seed)?
                    .sqr()?
            }
            Pass::WeightDecay => network.parameters()[0].sqr()?,
        };
        Ok(squares.mean_all()?)
    }
}

#[test]
fn adam_takes_the_gradient_that_candle_finds() -> Result<()> {
    let rng = Rng::seed(3);
    // None is a multiple of the tiles that products in bfloat16 are made of. The second layer's gradient is large enough to
    // be multiplied out by the optimizer.
    let config = Sequential::new("wide", [70])
        .dense(600)
        .relu()
        .dense(300)
        .relu()
        .dense(70)
        .relu()
        .dense(1);
    for precision in [Precision::F32, Precision::Mixed, Precision::Bf16] {
        let network = config.build(&rng)?.with_precision(precision);
        let row = network.parameters()[0].clone();
        // Without memory, a step is rate * g / (|g| + epsilon).
        let adam = Adam::new(network.parameters(), 1e-2, 0.)?;
        let mut adam = adam.beta2(0.)?.epsilon(1e-2)?;
        for passes in PASSES {
            let terms = passes.iter().map(|pass| pass.loss(&network, &rng));
            let loss = Tensor::stack(&terms.collect::<Result<Vec<_>>>()?, 0)?.sum_all()?;
            let gradient = loss.backward()?.get(&row).expect("of all weights").clone();
            let before = row.as_tensor().copy()?;
            adam.step(&loss)?;
            let expected = (before - (&gradient / (gradient.abs()? + 1e-2)?)? * 1e-2)?;
            assert!(
                close(&values(&row), &values(&expected)),
                "{precision:?}, {passes:?}"
            );
            let norm = f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
            let found = adam.gradient_norm()?;
            assert!(
                (found / norm - 1.).abs() < 1e-4,
                "{precision:?}, {passes:?}: {found}, not {norm}"
            );
        }
    }
    Ok(())
}

#[test]
fn gradients_for_parameters_that_have_changed_are_refused() -> Result<()> {
    let rng = Rng::seed(1);
    let judge = Sequential::new("judge", [3])
        .dense(4)
        .leaky_relu(0.2)
        .dense(1);
    let x = rng.normal((8, 3))?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("judge.safetensors");
    judge.build(&rng)?.save(&file)?;
    for reference in [false, true] {
        let network = judge.build(&rng)?;
        let view = match reference {
            true => network.reference(),
            false => network.clone(),
        };
        let mut adam = Adam::new(network.parameters(), 1e-2, 0.)?;
        let input = Var::from_tensor(&x)?;
        let losses = || -> Result<[Tensor; 3]> {
            let slope =
                view.input_gradient(&x, &Tensor::ones((8, 1), DType::F32, &Device::Cpu)?)?;
            Ok([
                view.forward_t(&x, true)?.mean_all()?,
                view.frozen().forward_t(&input, true)?.mean_all()?,
                slope.sqr()?.mean_all()?,
            ])
        };
        let bias = network.named_parameters()?[1].1.ones_like()?;
        let mut average = MovingAverage::new(&network, 10.)?;
        type Change<'a> = Box<dyn FnMut() -> Result<()> + 'a>;
        let changes: [(&str, Change); 3] = [
            ("set", Box::new(|| network.set("0.dense.bias", &bias))),
            ("restore", Box::new(|| network.restore(&file))),
            (
                "step",
                Box::new(|| adam.step(&view.forward_t(&x, true)?.mean_all()?)),
            ),
        ];
        for (change, mut make) in changes {
            for i in 0..3 {
                let loss = losses()?[i].clone();
                loss.backward()?; // as often as wanted, while nothing changes
                loss.backward()?;
                make()?;
                let text = message(loss.backward().map_err(Error::from));
                let expected = "the parameters of the judge have changed since the forward pass";
                assert!(text.contains(expected), "{change}, loss {i}: {text}");
            }
        }
        // Passes that do not change the parameters are no change.
        let [loss, ..] = losses()?;
        network.forward_t(&x, true)?;
        average.update(8)?;
        loss.backward()?;
        // The average is a network too.
        let average_loss = average.network().forward(input.as_tensor())?.mean_all()?;
        average.update(8)?;
        assert!(message(average_loss.backward().map_err(Error::from)).contains("have changed"));
    }
    Ok(())
}

/// Its backward pass panics.
struct Panics;

impl digit_gan::candle::CustomOp1 for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle::Result<(CpuStorage, Shape)> {
        Ok((x.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle::Result<Option<Tensor>> {
        panic!("on purpose")
    }
}

#[test]
fn gradients_arrive_after_a_panic_in_a_backward_pass() -> Result<()> {
    let rng = Rng::seed(1);
    let network = Sequential::new("line", [3]).dense(1).build(&rng)?;
    let mut adam = Adam::new(network.parameters(), 1e-2, 0.)?;
    let x = rng.normal((8, 3))?;
    let loss = || network.forward_t(&x, true)?.mean_all().map_err(Error::from);
    let panics = loss()?.apply_op1(Panics)?;
    let step = std::panic::AssertUnwindSafe(|| adam.step(&panics));
    assert!(std::panic::catch_unwind(step).is_err());
    let gradients = network.named_gradients(&loss()?.backward()?)?;
    assert_eq!(gradients.len(), 2, "lost to the step that panicked");
    Ok(())
}

#[test]
fn adam_moves_any_variables() -> Result<()> {
    let rng = Rng::seed(1);
    let network = Sequential::new("line", [3]).dense(3).build(&rng)?;
    let start = [rng.normal((2, 3))?, rng.normal(4)?];
    let vars = || -> Result<Vec<Var>> {
        let vars = start.iter().map(Var::from_tensor);
        Ok(vars.collect::<candle::Result<_>>()?)
    };
    let loss = |vars: &[Var], step: usize| -> Result<Tensor> {
        let first = network.forward(&vars[0])?.sqr()?.mean_all()?;
        match step {
            1 => Ok(first), // the second variable has no gradient
            _ => Ok((first + vars[1].sqr()?.sum_all()?)?),
        }
    };
    let (ours, theirs) = (vars()?, vars()?);
    let mut adam = Adam::new(ours.clone(), 1e-2, 0.9)?;
    let settings = ParamsAdamW {
        lr: 1e-2,
        weight_decay: 0.,
        ..ParamsAdamW::default()
    };
    let mut reference = AdamW::new(theirs.clone(), settings)?;
    for step in 0..3 {
        adam.step(&loss(&ours, step)?)?;
        reference.backward_step(&loss(&theirs, step)?)?;
    }
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(close(&values(ours), &values(theirs)));
    }
    // A file holds the moments of each, and another optimizer resumes with them.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adam.safetensors");
    adam.save(&file)?;
    let copies: Vec<Var> = (ours.iter())
        .map(|var| Var::from_tensor(&var.as_detached_tensor()))
        .collect::<candle::Result<_>>()?;
    let mut resumed = Adam::new(copies.clone(), 1e-2, 0.9)?;
    resumed.restore(&file)?;
    adam.step(&loss(&ours, 3)?)?;
    resumed.step(&loss(&copies, 3)?)?;
    for (ours, copy) in ours.iter().zip(&copies) {
        assert_eq!(values(ours), values(copy));
    }
    let half = Var::from_tensor(&start[0].to_dtype(DType::F16)?)?;
    assert!(message(Adam::new(vec![half], 1e-2, 0.9)).contains("Adam moves f32, not F16"));
    assert!(message(Adam::new(vec![], 1e-2, 0.9)).contains("no variables"));
    let elsewhere = network.forward(&start[0])?.mean_all()?;
    let text = message(adam.step(&elsewhere));
    assert!(text.contains("does not depend on a variable of shape [2, 3] or"));
    Ok(())
}

#[test]
fn a_network_is_candles_module() -> Result<()> {
    use digit_gan::candle::ModuleT;
    let network = Sequential::new("line", [3]).dense(2).build(&Rng::seed(1))?;
    fn through(module: &impl ModuleT, x: &Tensor) -> candle::Result<Tensor> {
        module.forward_t(x, true)
    }
    let x = Rng::seed(2).normal((4, 3))?;
    assert_eq!(
        values(&through(&network, &x)?),
        values(&network.forward(&x)?)
    );
    // Its own error comes back out of candle's.
    let text = message(through(&network, &x.t()?).map_err(Error::from));
    assert!(
        text.contains("line takes a batch of shape [batch, 3]"),
        "{text}"
    );
    Ok(())
}
