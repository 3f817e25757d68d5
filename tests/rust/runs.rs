//! Runs: that they repeat and resume bit for bit, what lies in their folders, and what is noticed on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::helpers::process;
use crate::helpers::small::{digits, small};
use digit_gan::nn::Precision;
use digit_gan::prelude::*;
use digit_gan::recipe::{AdamSettings, InstanceNoise};
use digit_gan::record::{Stats, read_stats};
use digit_gan::{Error, Result};
use safetensors::SafeTensors;

/// All recipes, and others that use what these leave out.
fn recipes() -> Vec<Recipe> {
    let names = ["dense", "dcgan", "compact", "lean"];
    let plain = names.map(|name| Recipe::named(name).unwrap());
    let conditional = plain.clone().map(Recipe::conditional);
    let adam = AdamSettings {
        learning_rate: 1e-3,
        beta1: 0.,
        beta2: 0.9,
    };
    let noise = InstanceNoise {
        std: 0.3,
        fraction: 0.7,
    };
    let others = [
        Recipe {
            name: "wasserstein".into(),
            loss: GanLoss::Wasserstein,
            penalty: Some(Penalty::Wasserstein { weight: 10. }),
            d_steps: 3,
            ema_half_life: None,
            ..Recipe::dense()
        },
        Recipe {
            name: "r3".into(),
            loss: GanLoss::Relativistic,
            penalty: Some(Penalty::R1R2 { gamma: 0.5 }),
            penalty_every: 3,
            g_adam: adam,
            d_adam: adam,
            schedule: Schedule::Cosine { to: 0.1 }.after_warm_up(0.2),
            instance_noise: Some(noise),
            ..Recipe::dcgan().conditional()
        },
        Recipe {
            name: "smooth".into(),
            loss: GanLoss::LeastSquares,
            real_target: 0.9,
            schedule: Schedule::Linear { to: 0. },
            precision: Precision::Mixed,
            ..Recipe::compact()
        },
    ];
    let moved = Recipe {
        name: "moved".into(),
        augment: Some(Augment {
            shift: 2.,
            rotation: 10.,
        }),
        ..Recipe::lean().conditional()
    };
    let all = plain.into_iter().chain(conditional).chain(others);
    let all = all.chain([moved]);
    all.map(small).collect()
}

fn steps(trainer: &mut Trainer, count: usize) -> Result<()> {
    (0..count).try_for_each(|_| trainer.advance().map(drop))
}

/// All tensors of a safetensors file, and its header without the times in it.
type Content = (BTreeMap<String, Vec<u8>>, BTreeMap<String, String>);

fn content(path: &Path) -> Content {
    let bytes = fs::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file
        .iter()
        .map(|(name, view)| (name.into(), view.data().to_vec()));
    let mut header: BTreeMap<_, _> = metadata.metadata().clone().unwrap().into_iter().collect();
    header.remove("digit_gan.crc32");
    if let Some(state) = header.get_mut("digit_gan.state") {
        let mut json: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(state).unwrap();
        assert!(json.remove("seconds").is_some());
        assert!(
            json["window"]
                .as_object_mut()
                .unwrap()
                .remove("seconds")
                .is_some()
        );
        *state = serde_json::to_string(&json).unwrap();
    }
    (tensors.collect(), header)
}

fn newest(run: &Path) -> PathBuf {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

/// The statistics without times.
fn timeless(run: &Path) -> Vec<Stats> {
    let mut stats = read_stats(run).unwrap();
    for line in &mut stats {
        (line.seconds, line.images_per_second) = (0., 0.);
    }
    stats
}

fn assert_same_run(a: &Path, b: &Path) {
    let (a_file, b_file) = (newest(a), newest(b));
    assert_eq!(a_file.file_name(), b_file.file_name());
    let ((a_tensors, a_header), (b_tensors, b_header)) = (content(&a_file), content(&b_file));
    assert!(a_tensors.len() > 10, "{:?}", a_tensors.keys());
    assert!(a_tensors.keys().eq(b_tensors.keys()));
    for (name, values) in &a_tensors {
        assert!(
            *values == b_tensors[name],
            "{}: {name} differs",
            a.display()
        );
    }
    assert_eq!(a_header, b_header);
    assert_eq!(timeless(a), timeless(b));
    let grid = |run: &Path| fs::read(run.join("grids/step-00000020.png")).ok();
    assert_eq!(grid(a), grid(b));
}

/// Finishes the runs of a folder in another process, with one thread.
fn finish_elsewhere(folder: &Path) {
    let mut child = process::command_in(resume_and_finish, folder);
    child.env("RAYON_NUM_THREADS", "1");
    process::printed(child);
}

#[test]
#[ignore = "the second process of the tests below"]
fn resume_and_finish() {
    let mut runs: Vec<_> = fs::read_dir(process::folder()).unwrap().collect();
    for run in runs.drain(..) {
        let mut trainer = Trainer::resume(run.unwrap().path(), &digits()).unwrap();
        assert!(trainer.steps() > 0 && !trainer.is_finished());
        trainer.run().unwrap();
    }
}

#[test]
fn a_resumed_run_is_the_run_that_never_stopped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (whole, halves) = (folder.path().join("whole"), folder.path().join("halves"));
    for recipe in recipes() {
        let name = recipe.name.clone();
        Trainer::new(recipe.clone(), &digits(), whole.join(&name))?.run()?;
        // Eleven steps: in the middle of an epoch, between two lines, and between two grids.
        let mut trainer = Trainer::new(recipe, &digits(), halves.join(&name))?;
        steps(&mut trainer, 11)?;
        trainer.checkpoint()?;
        steps(&mut trainer, 3)?; // lost, with a line of statistics
    }
    finish_elsewhere(&halves);
    for recipe in recipes() {
        assert_same_run(&whole.join(&recipe.name), &halves.join(&recipe.name));
        let stats = read_stats(whole.join(&recipe.name))?;
        let steps: Vec<u64> = stats.iter().map(|stats| stats.step).collect();
        assert_eq!(steps, [4, 8, 12, 16, 20, 22]);
    }
    Ok(())
}

#[test]
fn a_prolonged_run_is_one_that_was_as_long_from_the_start() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (whole, grown) = (folder.path().join("whole"), folder.path().join("grown"));
    let of_length = |steps: u64| Recipe {
        total_images: steps * 8,
        grid_every: 4,
        ..small(Recipe::lean().with_classes(10))
    };
    Trainer::new(of_length(22), &digits(), &whole)?.run()?;
    // Finished, then prolonged; stopped before its end, then prolonged once more.
    Trainer::new(of_length(8), &digits(), &grown)?.run()?;
    let mut trainer = Trainer::open(of_length(16), &digits(), &grown)?;
    assert!(trainer.steps() == 8 && !trainer.is_finished());
    steps(&mut trainer, 4)?;
    trainer.checkpoint()?;
    drop(trainer);
    let mut trainer = Trainer::resume_with(&of_length(22), &digits(), &grown)?;
    assert_eq!(trainer.steps(), 12);
    trainer.run()?;
    assert_same_run(&whole, &grown);
    // The folder knows its new length.
    drop(trainer);
    let trainer = Trainer::resume(&grown, &digits())?;
    assert_eq!(trainer.recipe().total_images, 22 * 8);
    assert!(trainer.is_finished());
    Ok(())
}

#[test]
fn a_run_is_prolonged_only_where_its_steps_do_not_depend_on_its_length() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        |name: &str, change: fn(&mut Recipe), longer: fn(&mut Recipe)| -> Result<String> {
            let run = folder.path().join(name);
            let mut recipe = small(Recipe::dense());
            recipe.total_images = 16;
            change(&mut recipe);
            drop(Trainer::new(recipe.clone(), &digits(), &run)?);
            longer(&mut recipe);
            let refusal = Trainer::open(recipe, &digits(), &run).err().unwrap();
            assert_eq!(Recipe::load(run.join("recipe.json"))?.total_images, 16);
            Ok(refusal.to_string())
        };
    let longer: fn(&mut Recipe) = |recipe| recipe.total_images = 32;
    let message = refused(
        "cosine",
        |r| r.schedule = Schedule::Cosine { to: 0. },
        longer,
    )?;
    assert!(
        message.contains("this run of 16 images cannot be prolonged to 32"),
        "{message}"
    );
    assert!(message.contains("its schedule spreads"), "{message}");
    let noisy: fn(&mut Recipe) = |recipe| {
        recipe.instance_noise = Some(InstanceNoise {
            std: 0.1,
            fraction: 0.5,
        })
    };
    let message = refused("noise", noisy, longer)?;
    assert!(message.contains("instance_noise fades"), "{message}");
    let message = refused("shorter", |_| (), |recipe| recipe.total_images = 8)?;
    assert!(message.contains("cannot be shortened to 8"), "{message}");
    // What else differs is listed as ever.
    let both: fn(&mut Recipe) = |recipe| (recipe.total_images, recipe.seed) = (32, 9);
    let message = refused("both", |_| (), both)?;
    assert!(message.contains("seed: the run has 1, not 9"), "{message}");
    Ok(())
}

#[test]
fn at_full_size_too() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (whole, halves) = (folder.path().join("whole"), folder.path().join("halves"));
    let recipes = [Recipe::dense(), Recipe::dcgan(), Recipe::compact()];
    let recipes = recipes.map(|recipe| Recipe {
        batch_size: 16,
        total_images: 32,
        log_every: 1,
        ..recipe
    });
    for recipe in recipes.clone() {
        let name = recipe.name.clone();
        Trainer::new(recipe.clone(), &digits(), whole.join(&name))?.run()?;
        let mut trainer = Trainer::new(recipe, &digits(), halves.join(&name))?;
        trainer.advance()?;
        trainer.checkpoint()?;
    }
    finish_elsewhere(&halves);
    for recipe in recipes {
        assert_same_run(&whole.join(&recipe.name), &halves.join(&recipe.name));
    }
    Ok(())
}

#[test]
fn a_run_keeps_what_one_wants_to_see_later() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("runs/first");
    let recipe = Recipe {
        checkpoint_every: 5,
        keep_checkpoints: 2,
        loss: GanLoss::NonSaturating, // whose losses are positive, and whose scores are probabilities
        ..small(Recipe::dense().conditional())
    };
    let mut trainer = Trainer::new(recipe.clone(), &digits(), &run)?;
    trainer.run()?;
    assert!(trainer.is_finished() && trainer.steps() == 22 && trainer.images() == 22 * 8);
    let names = |part: &str| {
        let entries = fs::read_dir(run.join(part)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names("."),
        ["checkpoints", "grids", "lock", "recipe.json", "stats.jsonl"]
    );
    assert_eq!(
        names("checkpoints"),
        ["step-00000020.safetensors", "step-00000022.safetensors"]
    );
    let grids = [0, 10, 20, 22].map(|step| format!("step-{step:08}.png"));
    assert_eq!(names("grids"), grids);
    assert_eq!(Recipe::load(run.join("recipe.json"))?, recipe);
    for line in read_stats(&run)? {
        assert_eq!(line.images, line.step * 8);
        assert!(line.seconds > 0. && line.images_per_second > 0.);
        assert_eq!(line.learning_rate, recipe.g_adam.learning_rate);
        assert!(line.d_gradient_norm > 0. && line.g_gradient_norm > 0.);
        assert!(line.d_loss > 0. && line.g_loss > 0.);
        let shares = [line.d_real, line.d_fake, line.d_accuracy.unwrap()];
        assert!(
            shares.iter().all(|share| (0. ..=1.).contains(share)),
            "{line:?}"
        );
    }
    // The generator stands alone in a file, and what can be asked of a class-conditional one.
    let path = folder.path().join("generator.safetensors");
    trainer.generator().save(&path)?;
    let noise = Rng::seed(1).normal((3, 110))?;
    let again = Network::load(&path, &Rng::seed(2))?
        .forward(&noise)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    assert_eq!(
        trainer
            .generator()
            .forward(&noise)?
            .flatten_all()?
            .to_vec1::<f32>()?,
        again
    );
    assert_eq!(trainer.samples(12, &Rng::seed(1))?.dims(), [12, 1, 28, 28]);
    assert_eq!(
        trainer.samples_of(&[7, 7, 1], &Rng::seed(1))?.dims(),
        [3, 1, 28, 28]
    );
    assert!(trainer.samples_of(&[10], &Rng::seed(1)).is_err());
    let digits = trainer.sampler().digits(12, &Rng::seed(1))?;
    assert_eq!(digits.labels(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    let (rounded, _) = digits.tensors(&(0..12).collect::<Vec<_>>())?;
    let off = (rounded - trainer.samples(12, &Rng::seed(1))?)?.abs()?;
    assert!(off.max_all()?.to_scalar::<f32>()? <= 0.5 / 127.5 + 1e-6);
    assert!(
        trainer
            .grid()?
            .alt()
            .starts_with("100 generated digits in 10 rows of 10, a class each: 0, 1, 2,")
    );
    Ok(())
}

#[test]
fn looking_does_not_change_a_run() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["seen", "alone"].map(|name| folder.path().join(name));
    let recipe = small(Recipe::dcgan());
    for run in &runs {
        let mut trainer = Trainer::new(recipe.clone(), &digits(), run)?;
        steps(&mut trainer, 5)?;
        if run.ends_with("seen") {
            trainer.samples(3, &Rng::seed(1))?;
            trainer.status()?;
            trainer.checkpoint()?;
            // To a device and back, with all that is on the way.
            trainer = trainer.on(&Device::Cpu)?;
        }
        trainer.run()?;
    }
    for run in &runs {
        let extra = run.join("checkpoints/step-00000005.safetensors");
        assert_eq!(extra.exists(), run.ends_with("seen"));
    }
    assert_same_run(&runs[0], &runs[1]);
    Ok(())
}

#[test]
fn a_folder_is_not_trained_in_by_two_nor_overwritten() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let recipe = small(Recipe::dense());
    let message = |result: Result<Trainer>| result.err().expect("refused").to_string();
    let says = message(Trainer::resume(&run, &digits()));
    assert!(
        says.contains("holds no run") && says.contains("Trainer::new"),
        "{says}"
    );
    let mut trainer = Trainer::new(recipe.clone(), &digits(), &run)?;
    let says = message(Trainer::resume(&run, &digits()));
    assert!(says.contains("in use by another trainer"), "{says}");
    steps(&mut trainer, 2)?;
    trainer.checkpoint()?;
    drop(trainer);
    let says = message(Trainer::new(recipe.clone(), &digits(), &run));
    assert!(
        says.contains("holds a run already") && says.contains("Trainer::resume"),
        "{says}"
    );
    let other = Recipe {
        seed: 2,
        d_adam: AdamSettings {
            beta1: 0.9,
            ..recipe.d_adam
        },
        penalty: None,
        ..recipe.clone()
    };
    let says = message(Trainer::resume_with(&other, &digits(), &run));
    for line in [
        "\n  d_adam.beta1: the run has 0.0, not 0.9",
        "\n  penalty: the run has {\"r1\":{\"gamma\":0.1}}, not null",
        "\n  seed: the run has 1, not 2",
    ] {
        assert!(says.contains(line), "{says}");
    }
    assert_eq!(says.lines().count(), 4);
    let says = message(Trainer::resume(&run, &Digits::builtin(50, &Rng::seed(4))));
    assert!(says.contains("was trained on other digits"), "{says}");
    assert_eq!(Trainer::resume_with(&recipe, &digits(), &run)?.steps(), 2);
    let occupied = folder.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("thesis.tex"), "mine").unwrap();
    let says = message(Trainer::new(recipe.clone(), &digits(), &occupied));
    assert!(says.contains("it holds thesis.tex"), "{says}");
    let says = message(Trainer::new(
        recipe,
        &Digits::builtin(5, &Rng::seed(1)),
        folder.path().join("few"),
    ));
    assert!(says.contains("5 digits do not make a batch of 8"), "{says}");
    Ok(())
}

#[test]
fn a_diverged_run_stops_and_names_its_last_checkpoint() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut trainer = Trainer::new(small(Recipe::dense()), &digits(), &run)?;
    steps(&mut trainer, 3)?;
    let good = trainer.checkpoint()?;
    let networks: [fn(&Trainer) -> &Network; 3] = [
        Trainer::trained_generator,
        Trainer::discriminator,
        Trainer::generator,
    ];
    for network in networks {
        let (name, values) = network(&trainer).named_parameters()?.pop().unwrap();
        network(&trainer).set(&name, &(&values / 0.)?)?;
        let says = trainer.checkpoint().unwrap_err().to_string();
        assert!(
            says.contains("has weights that are not finite after step 3"),
            "{says}"
        );
        network(&trainer).set(&name, &values)?;
    }
    trainer.set_learning_rate(1e30, 1e30)?;
    let error = trainer.run().unwrap_err();
    assert!(matches!(error, Error::Training(_)));
    let says = error.to_string();
    assert!(
        says.contains("diverged") && says.contains(&good.display().to_string()),
        "{says}"
    );
    assert!(
        trainer.checkpoint().is_err(),
        "what has diverged is not saved"
    );
    assert_eq!(newest(&run), good);
    drop(trainer);
    let mut trainer = Trainer::resume(&run, &digits())?;
    assert_eq!(trainer.steps(), 3);
    trainer.run()?;
    assert!(trainer.set_learning_rate(0., 1.).is_err());
    Ok(())
}

#[test]
fn a_lazy_penalty_counts_in_its_steps_alone_and_as_many_times_as_much() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = |every: u64| -> Result<Vec<f32>> {
        let recipe = small(Recipe {
            penalty: Some(Penalty::R1 { gamma: 0.5 }),
            penalty_every: every,
            ..Recipe::dense()
        });
        let mut trainer = Trainer::new(recipe, &digits(), folder.path().join(every.to_string()))?;
        (0..5).map(|_| Ok(trainer.step()?.d_penalty)).collect()
    };
    let (each, third) = (run(1)?, run(3)?);
    assert!(each.iter().all(|&penalty| penalty > 0.), "{each:?}");
    let steps: Vec<usize> = (0..5).filter(|&i| third[i] > 0.).collect();
    assert_eq!(steps, [0, 3]);
    assert_eq!(third[0], 3. * each[0]); // before the first update both discriminators are the same
    Ok(())
}

#[test]
fn learning_rates_belong_to_a_run() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let recipe = Recipe {
        schedule: Schedule::Linear { to: 0. },
        ..small(Recipe::dense())
    };
    let first = recipe.g_adam.learning_rate;
    let mut trainer = Trainer::new(recipe, &digits(), &run)?;
    steps(&mut trainer, 4)?;
    trainer.set_learning_rate(1e-2, 1e-3)?;
    steps(&mut trainer, 1)?;
    trainer.checkpoint()?;
    drop(trainer);
    Trainer::resume(&run, &digits())?.run()?;
    let rates: Vec<f64> = read_stats(&run)?
        .iter()
        .map(|stats| stats.learning_rate)
        .collect();
    // The rate of a line's last step, which begins with this many of 22 done.
    let expected = [
        (first, 3.),
        (1e-2, 7.),
        (1e-2, 11.),
        (1e-2, 15.),
        (1e-2, 19.),
        (1e-2, 21.),
    ];
    for (rate, (base, done)) in rates.iter().zip(expected) {
        assert!(
            (rate / (base * (1. - done / 22.)) - 1.).abs() < 1e-9,
            "{rates:?}"
        );
    }
    Ok(())
}

#[test]
fn runs_are_compared_in_one_figure() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["first", "second"].map(|name| folder.path().join(name));
    for (run, seed) in runs.iter().zip(1..) {
        let recipe = Recipe {
            seed,
            ..small(Recipe::dense())
        };
        Trainer::new(recipe, &digits(), run)?.run()?;
    }
    let epochs: Vec<Option<f64>> = read_stats(&runs[0])?
        .iter()
        .map(|line| line.epoch)
        .collect();
    assert_eq!(
        epochs[2..5],
        [Some(2.), Some(16. * 8. / 48.), Some(20. * 8. / 48.)]
    );
    let figure = plot::compare_runs(&runs)?;
    let alt = figure.alt();
    assert!(
        alt.contains("first ends at 176 images") && alt.contains("; second ends at"),
        "{alt}"
    );
    let image = image::load_from_memory(figure.bytes()).unwrap().to_rgb8();
    let (legend, curves) = (0..100, 100..image.height());
    for colour in [[0, 114, 178], [213, 94, 0]] {
        for (part, least) in [(legend.clone(), 200), (curves.clone(), 1000)] {
            let rows = part.flat_map(|y| (0..image.width()).map(move |x| (x, y)));
            let count = rows.filter(|&(x, y)| image[(x, y)].0 == colour).count();
            assert!(count > least, "{colour:?}: {count} pixels");
        }
    }
    let none: [&Path; 0] = [];
    assert!(plot::compare_runs(&none).is_err());
    assert!(matches!(
        plot::compare_runs(&[folder.path()]),
        Err(Error::Io { .. })
    ));
    Ok(())
}

#[test]
fn logits_are_not_called_probabilities() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str, loss: GanLoss| -> Result<[String; 2]> {
        let recipe = Recipe {
            loss,
            ..small(Recipe::dense())
        };
        let trainer = Trainer::new(recipe, &digits(), folder.path().join(name))?;
        let mut trainer = trainer.on_message(|_| ());
        trainer.step()?;
        Ok([trainer.status()?.to_string(), trainer.progress().header()])
    };
    let [status, header] = text("hinge", GanLoss::Hinge)?;
    assert!(status.contains(", mean logit on real "), "{status}");
    assert!(
        header.contains("  on real  on fake  ") && !header.contains("D("),
        "{header}"
    );
    let [status, header] = text("usual", GanLoss::NonSaturating)?;
    assert!(status.contains(", D(real) 0."), "{status}");
    assert!(header.contains("  D(real)  D(fake)  "), "{header}");
    Ok(())
}

#[test]
fn statistics_tell_a_cut_line_from_a_damaged_one() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Trainer::new(small(Recipe::dense()), &digits(), &run)?.run()?;
    let path = run.join("stats.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    assert_eq!(read_stats(&run)?.len(), 5);
    fs::write(&path, text.replacen("\"step\":8", "\"stop\":8", 1)).unwrap();
    let message = read_stats(&run).unwrap_err().to_string();
    assert!(
        message.contains("stats.jsonl: line 2: expected a line of statistics"),
        "{message}"
    );
    Ok(())
}

#[test]
fn images_of_another_size_are_trained_on_by_a_recipe_of_that_size() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let bytes = (0..8 * 24).map(|i| (i % 251) as u8).collect();
    let names = ["a", "b", "c"].map(String::from);
    let images = Digits::new(bytes, [6, 4], vec![0, 1, 2, 0, 1, 2, 0, 1], names)?;
    let recipe = Recipe {
        generator: Sequential::new("generator", [4 + 3])
            .dense(24)
            .reshape([1, 6, 4]),
        discriminator: Sequential::new("discriminator", [1, 6, 4])
            .flatten()
            .dense(1 + 3),
        latent_dim: 4,
        classes: Some(3),
        ..small(Recipe::lean())
    };
    let message = |digits: &Digits, recipe: &Recipe| {
        let refused = Trainer::new(recipe.clone(), digits, folder.path().join("refused"));
        refused.err().expect("refused").to_string()
    };
    for text in [
        message(&digits(), &recipe),
        message(&images, &small(Recipe::lean())),
    ] {
        assert!(
            text.contains("[1, 6, 4]") && text.contains("[1, 28, 28]"),
            "{text}"
        );
    }
    let run = folder.path().join("run");
    Trainer::new(recipe, &images, &run)?.run()?;
    let trainer = Trainer::resume(&run, &images)?;
    assert!(trainer.is_finished());
    let samples = trainer.samples_of(&[2, 0], &Rng::seed(1))?;
    assert_eq!(samples.dims(), [2, 1, 6, 4]);
    let none = trainer.samples(0, &Rng::seed(1))?;
    assert_eq!(none.dims(), [0, 1, 6, 4]);
    Ok(())
}
