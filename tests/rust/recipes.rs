//! Recipes: what they hold, which are refused and why, and how they are written and changed.

use digit_gan::nn::{Dense, Layer, Sequential};
use digit_gan::prelude::*;
use digit_gan::recipe::{AdamSettings, InstanceNoise};
use digit_gan::{Error, Result};

const NAMES: [&str; 8] = [
    "dense",
    "dcgan",
    "compact",
    "lean",
    "dense-conditional",
    "dcgan-conditional",
    "compact-conditional",
    "lean-conditional",
];

#[test]
fn every_named_recipe_is_sound_and_survives_its_file() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let recipe = Recipe::named(name)?;
        assert_eq!(recipe.name, name);
        recipe.check()?;
        let path = folder.path().join(name);
        recipe.save(&path)?;
        assert_eq!(Recipe::load(&path)?, recipe);
    }
    let message = Recipe::named("copmact").unwrap_err().to_string();
    assert!(
        message.contains("\"copmact\": dense, dcgan, compact, lean"),
        "{message}"
    );
    Ok(())
}

#[test]
fn networks_have_the_published_sizes() -> Result<()> {
    // Counted by Keras, PyTorch and burn in the benchmark: with norms' gammas and betas, without running statistics.
    for (recipe, generator, discriminator) in [
        (Recipe::dense(), 1_489_936, 533_505),
        (Recipe::dcgan(), 2_305_472, 212_865),
        (Recipe::compact(), 6_671_745, 6_558_017),
    ] {
        let rng = Rng::seed(1);
        let trainable =
            |network: &Sequential| Ok::<_, Error>(network.build(&rng)?.summary().trainable());
        assert_eq!(trainable(&recipe.generator)?, generator, "{}", recipe.name);
        assert_eq!(
            trainable(&recipe.discriminator)?,
            discriminator,
            "{}",
            recipe.name
        );
        // The class adds ten inputs in front and ten outputs at the end.
        let conditional = recipe.clone().conditional();
        let first = match recipe.generator.layers()[0] {
            Layer::Dense(ref dense) => dense.units,
            _ => unreachable!("generators begin dense"),
        };
        assert_eq!(trainable(&conditional.generator)?, generator + 10 * first);
        assert_eq!(conditional.clone().conditional(), conditional);
    }
    Ok(())
}

#[test]
fn asked_for_digits_a_batch_normalised_discriminator_gets_biases_and_a_penalty() -> Result<()> {
    let rng = Rng::seed(1);
    for recipe in [Recipe::lean(), Recipe::compact()] {
        let conditional = recipe.clone().conditional();
        conditional.check()?;
        assert_eq!(conditional.penalty, Some(Penalty::R1 { gamma: 0.1 }));
        let names = conditional.discriminator.build(&rng)?.named_parameters()?;
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let layers = ["0.conv2d", "2.conv2d", "5.dense", "7.dense"];
        let expected = layers.map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")]);
        assert_eq!(names, expected.as_flattened());
        // The rate of the last step is a fiftieth of that of the first.
        let rate =
            |progress| conditional.g_adam.learning_rate * conditional.schedule.factor(progress);
        assert!((rate(1.) / rate(0.) - 0.02).abs() < 1e-12);
        // Classes alone change none of this.
        let plain = recipe.clone().with_classes(10);
        assert_eq!(
            (plain.penalty, &plain.schedule),
            (recipe.penalty, &recipe.schedule)
        );
    }
    // Those without batch normalisation stay as they are.
    for recipe in [Recipe::dense(), Recipe::dcgan()] {
        assert_eq!(recipe.clone().conditional(), recipe.with_classes(10));
    }
    Ok(())
}

/// A recipe made senseless, and what the refusal must say.
type Case = (fn(&mut Recipe), &'static str);

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let cases: [Case; 29] = [
        (
            |r| {
                r.augment = Some(Augment {
                    shift: -1.,
                    rotation: 0.,
                })
            },
            "augment: the largest shift, -1 pixels",
        ),
        (
            |r| {
                r.augment = Some(Augment {
                    shift: 0.,
                    rotation: f64::NAN,
                })
            },
            "the largest rotation, NaN degrees",
        ),
        (|r| r.loss = GanLoss::Wasserstein, "without a penalty"),
        (
            |r| r.penalty = Some(Penalty::R1 { gamma: 1. }),
            "batch normalisation",
        ),
        (
            |r| r.penalty = Some(Penalty::R1 { gamma: f64::NAN }),
            "gamma",
        ),
        (|r| (r.loss, r.real_target) = (GanLoss::Hinge, 0.9), "hinge"),
        (|r| r.real_target = 0.2, "real_target 0.2"),
        (|r| r.penalty_every = 0, "penalty_every is 0"),
        (|r| r.d_steps = 0, "d_steps is 0"),
        (|r| r.batch_size = 0, "batch_size is 0"),
        (|r| r.batch_size = 1, "batch_size 1 is too small"),
        (|r| r.batch_size = usize::MAX, "from 1 to 65536"),
        (|r| r.total_images = 63, "at least the 64 of one step"),
        (|r| r.latent_dim = 99, "[100], it must be [99], latent_dim"),
        (
            |r| r.classes = Some(10),
            "must be [110], latent_dim + 10 classes",
        ),
        (
            |r| (r.classes, r.latent_dim) = (Some(10), 90),
            "must be [11], 1 + 10 classes",
        ),
        (|r| r.classes = Some(usize::MAX), "classes"),
        (
            |r| r.generator = Sequential::new("generator", [100]).dense(784).tanh(),
            "the generator's output is [784], it must be [1, 28, 28]",
        ),
        (
            |r| r.discriminator = Sequential::new("discriminator", [784]).dense(1),
            "the discriminator's input is [784]",
        ),
        (
            |r| {
                r.discriminator = Sequential::new("discriminator", [1, 28, 28])
                    .flatten()
                    .dense(2)
            },
            "output is [2], it must be [1], the logit",
        ),
        (
            |r| {
                r.discriminator = Sequential::new("judge", [1, 28, 28])
                    .flatten()
                    .dense(1)
                    .tanh()
            },
            "ends in tanh",
        ),
        (
            |r| r.generator = Sequential::new("generator", [100]).dense(1 << 40),
            "generator, layer 0 (dense)",
        ),
        (|r| r.g_adam.learning_rate = 0., "g_adam.learning_rate is 0"),
        (|r| r.d_adam.beta2 = 1., "d_adam.beta2 is 1"),
        (|r| r.ema_half_life = Some(-1.), "ema_half_life is -1"),
        (
            |r| {
                r.instance_noise = Some(InstanceNoise {
                    std: 0.1,
                    fraction: 0.,
                })
            },
            "instance_noise.fraction is 0",
        ),
        (|r| r.schedule = Schedule::Linear { to: -1. }, "-1"),
        (|r| r.log_every = 0, "log_every is 0"),
        (|r| r.keep_checkpoints = 0, "keep_checkpoints is 0"),
    ];
    for (spoil, expected) in cases {
        let mut recipe = Recipe::compact();
        spoil(&mut recipe);
        let message = recipe
            .check()
            .map_or_else(|error| error.to_string(), |()| "accepted".into());
        assert!(
            message.contains(expected),
            "expected \"{expected}\": {message}"
        );
    }
}

#[test]
fn what_composes_is_accepted() -> Result<()> {
    let adam = AdamSettings {
        learning_rate: 2e-4,
        beta1: 0.,
        beta2: 0.9,
    };
    for loss in [
        GanLoss::NonSaturating,
        GanLoss::Minimax,
        GanLoss::LeastSquares,
        GanLoss::Hinge,
        GanLoss::Wasserstein,
        GanLoss::Relativistic,
    ] {
        for penalty in [
            Penalty::Wasserstein { weight: 10. },
            Penalty::R1R2 { gamma: 0.5 },
        ] {
            let recipe = Recipe {
                loss,
                penalty: Some(penalty),
                instance_noise: Some(InstanceNoise {
                    std: 0.2,
                    fraction: 0.5,
                }),
                d_steps: 5,
                g_adam: adam,
                d_adam: adam,
                schedule: Schedule::Cosine { to: 0.1 }.after_warm_up(0.05),
                ema_half_life: None,
                ..Recipe::dcgan().conditional()
            };
            recipe.check()?;
        }
    }
    Ok(())
}

#[test]
fn values_are_set_by_their_paths() -> Result<()> {
    let mut recipe = Recipe::dense();
    for (path, value) in [
        ("seed", "18446744073709551615"),
        ("loss", "relativistic"),
        ("penalty", r#"{"r1_r2": {"gamma": 0.5}}"#),
        ("ema_half_life", "null"),
        ("g_adam.learning_rate", "1e-4"),
        ("schedule", r#"{"cosine": {"to": 0}}"#),
        ("generator.layers.0.dense.units", "300"),
    ] {
        recipe.set(path, value)?;
    }
    assert_eq!(recipe.seed, u64::MAX);
    assert_eq!(recipe.loss, GanLoss::Relativistic);
    assert_eq!(recipe.penalty, Some(Penalty::R1R2 { gamma: 0.5 }));
    assert_eq!(recipe.ema_half_life, None);
    assert_eq!(recipe.g_adam.learning_rate, 1e-4);
    assert_eq!(recipe.schedule, Schedule::Cosine { to: 0. });
    assert!(matches!(
        recipe.generator.layers()[0],
        Layer::Dense(Dense { units: 300, .. })
    ));
    let before = recipe.clone();
    for (path, value, expected) in [
        (
            "los",
            "hinge",
            "no value \"los\"; it has augment, batch_size, checkpoint_every,",
        ),
        ("loss", "hings", "loss cannot be hings"),
        ("batch_size", "-1", "batch_size cannot be -1"),
        ("g_adam.beta3", "0", "no value \"g_adam.beta3\""),
    ] {
        let message = recipe.set(path, value).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(recipe, before);
    }
    Ok(())
}

#[test]
fn files_that_are_no_recipes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.json");
    let json = serde_json::to_string(&Recipe::dense()).unwrap();
    for (text, expected) in [
        (
            json.replace("\"seed\":1", "\"sede\":1"),
            "unknown field `sede`",
        ),
        (json.replace("\"seed\":1,", ""), "missing field `seed`"),
        (json[..json.len() / 2].into(), "EOF"),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = Recipe::load(&path).unwrap_err().to_string();
        assert!(
            message.contains("recipe.json: expected a recipe") && message.contains(expected),
            "{message}"
        );
    }
    assert!(matches!(
        Recipe::load(folder.path().join("absent")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn a_recipe_prints_each_field_with_its_value() {
    let text = Recipe::lean().conditional().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "recipe lean-conditional");
    for line in [
        "d_adam            beta1 0.0, beta2 0.999, learning_rate 0.001",
        "loss              non saturating",
        "classes           10",
        "penalty_every     8",
    ] {
        assert!(lines.contains(&line), "{text}");
    }
    let penalised = Recipe {
        penalty: Some(Penalty::R1 { gamma: 2. }),
        ..Recipe::dense()
    };
    assert!(
        penalised
            .to_string()
            .contains("\npenalty           r1 gamma 2.0"),
        "{penalised}"
    );
}
