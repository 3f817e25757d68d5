//! What stands beside Adam's step: its settings, the moving average of the weights, schedules of the rate.

#[path = "values.rs"]
mod values;

use digit_gan::Result;
use digit_gan::candle::{Result as CandleResult, Var};
use digit_gan::candle_nn::{self, Optimizer};
use digit_gan::nn::{Network, Sequential};
use digit_gan::optim::{Adam, MovingAverage, Schedule};
use digit_gan::rng::Rng;
use values::{message, values};

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
    let copy = Var::from_tensor(&network.parameters()?[0].1)?;
    let params = candle_nn::ParamsAdamW {
        lr: 1e-2,
        beta1: 0.,
        beta2: 0.9,
        eps: 1e-2,
        weight_decay: 0.,
    };
    let mut reference = candle_nn::AdamW::new(vec![copy.clone()], params)?;
    let mut adam = Adam::new(&network, 1e-2, 0.)?.beta2(0.9)?.epsilon(1e-2)?;
    for _ in 0..10 {
        let x = rng.normal((16, 20))?;
        adam.step(&network.train(&x)?.sqr()?.mean_all()?)?;
        reference.backward_step(&x.matmul(&copy)?.sqr()?.mean_all()?)?;
    }
    assert!(close(&values(network.variable()), &values(&copy)));
    let adam = || Adam::new(&network, 1e-2, 0.5).unwrap();
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
    network.train(&rng.normal((8, 3))?)?; // the running statistics
    for (name, old) in network.parameters()? {
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
    let old = values(average.network().variable());
    step(&network, &Rng::seed(2))?;
    (0..100).try_for_each(|_| average.update(64))?;
    let halfway = old.iter().zip(values(network.variable()));
    let halfway: Vec<f32> = halfway.map(|(old, new)| (old + new) / 2.).collect();
    assert!(close(&values(average.network().variable()), &halfway));
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
    average.network().train(&rng.normal((8, 3))?)?;
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
fn an_average_goes_on_where_it_stopped() -> Result<()> {
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
    // torch: CosineAnnealingLR(SGD([p], lr=1), T_max=4, eta_min=0.2) after 0, 1, 2 and 4 steps
    let cosine = Schedule::Cosine { to: 0.2 };
    assert!(close(at(&cosine), [1., 0.882842712, 0.6, 0.2]));
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
        r#"{"warm_up":{"share":0.05,"then":{"cosine":{"to":0.1}}}}"#
    );
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    assert!(schedule.check().is_ok());
    for (wrong, expected) in [
        (Schedule::Linear { to: -0.1 }, "at least 0, not -0.1"),
        (Schedule::Cosine { to: f64::NAN }, "not NaN"),
        (Schedule::Constant.after_warm_up(1.), "share 1 of a run"),
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
    let mut adam = Adam::new(&network, 1e-2, 0.)?.beta2(0.)?;
    let mut step = |rate: f64| -> CandleResult<f32> {
        let before = network.variable().as_detached_tensor().copy()?;
        adam.learning_rate = rate;
        adam.step(&network.train(&x).unwrap().sum_all()?).unwrap();
        (network.variable().as_tensor() - before)?
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
