//! Judged runs: that judging changes nothing, repeats and resumes bit for bit, and keeps the best.

use std::fs;
use std::path::{Path, PathBuf};

use crate::helpers::judge::{judge, reference};
use crate::helpers::process;
use crate::helpers::small::{digits, small};
use digit_gan::metrics::{Evaluation, Gaussian};
use digit_gan::prelude::*;
use digit_gan::record::{Stats, read_stats};
use digit_gan::{Error, Result};

/// Judged every 56 images, which is 7 steps, with a line every 4: after the steps 8, 16, 22 (the end, and 21 is past).
const EVERY: u64 = 56;
const JUDGED: [u64; 3] = [8, 16, 22];

fn judged(trainer: Trainer) -> Result<Trainer> {
    trainer.judged_by(judge(), &reference(), EVERY)
}

fn steps(trainer: &mut Trainer, count: usize) -> Result<()> {
    (0..count).try_for_each(|_| trainer.advance().map(drop))
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    let networks = [
        trainer.generator(),
        trainer.trained_generator(),
        trainer.discriminator(),
    ];
    let values = networks.map(|network| network.parameters()[0].to_vec1::<f32>().unwrap());
    values.concat()
}

/// The lines of statistics without times.
fn timeless(run: &Path) -> Vec<Stats> {
    let mut stats = read_stats(run).unwrap();
    for line in &mut stats {
        (line.seconds, line.images_per_second) = (0., 0.);
    }
    stats
}

/// Step and distance of the lines that have one.
fn distances(run: &Path) -> Vec<(u64, f64)> {
    let distance = |line: &Stats| Some((line.step, line.frechet?));
    read_stats(run)
        .unwrap()
        .iter()
        .filter_map(distance)
        .collect()
}

fn least(distances: &[(u64, f64)]) -> (u64, f64) {
    let least = distances.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    *least.expect("it was judged")
}

fn best_file(run: &Path) -> PathBuf {
    run.join("checkpoints/best.safetensors")
}

/// Of the run's own judge, by hand.
fn distance(samples: &Tensor) -> Result<f64> {
    let real = Gaussian::fit(&judge().features_of(&reference())?)?;
    Gaussian::fit(&judge().features(samples)?)?.distance(&real)
}

#[test]
fn a_judged_run_equals_an_unjudged_one() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for recipe in [Recipe::dense(), Recipe::dcgan().conditional()].map(small) {
        let has_classes = recipe.classes.is_some();
        let runs = ["judged", "alone"].map(|kind| folder.path().join(&recipe.name).join(kind));
        let mut with = judged(Trainer::new(recipe.clone(), &digits(), &runs[0])?)?;
        let mut without = Trainer::new(recipe, &digits(), &runs[1])?;
        with.run()?;
        without.run()?;
        assert_eq!(weights(&with), weights(&without));
        let mut lines = timeless(&runs[0]);
        let steps = lines.iter().filter(|line| line.frechet.is_some());
        assert!(steps.map(|line| line.step).eq(JUDGED));
        for line in &mut lines {
            assert_eq!(line.frechet.is_some(), line.frechet_floor.is_some());
            let asked = has_classes && line.frechet.is_some();
            assert_eq!(line.class_accuracy.is_some(), asked);
            (line.frechet, line.frechet_floor, line.class_accuracy) = (None, None, None);
        }
        assert_eq!(lines, timeless(&runs[1]));
        assert!(without.best().is_none() && without.judged().is_none());
        assert!(!best_file(&runs[1]).exists());
    }
    Ok(())
}

#[test]
fn distances_are_those_of_samples_that_anyone_can_draw() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for recipe in [Recipe::dense(), Recipe::compact().conditional()].map(small) {
        let mut trainer = judged(Trainer::new(recipe, &digits(), folder.path().join("run"))?)?;
        trainer.run()?;
        let last = trainer.judged().unwrap();
        assert_eq!((last.step, last.images), (22, 22 * 8));
        assert_eq!(
            last.frechet,
            distance(&trainer.samples(60, &Rng::seed(0))?)?
        );
        assert_eq!(last.frechet, trainer.frechet()?);
        // Of 50 training digits all are chosen, in an order that does not matter but for rounding.
        let digits = digits().tensors(&(0..50).collect::<Vec<_>>())?.0;
        let floor = distance(&digits)?;
        assert!(
            (last.floor / floor - 1.).abs() < 1e-9,
            "{} {floor}",
            last.floor
        );
        assert!(
            last.frechet > 2. * last.floor,
            "22 steps don't make a generator"
        );
        drop(trainer);
        fs::remove_dir_all(folder.path().join("run")).unwrap();
    }
    Ok(())
}

#[test]
fn an_evaluation_of_the_same_samples_says_the_same() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let train = Digits::builtin(80, &Rng::seed(8));
    let trainer = Trainer::new(small(Recipe::compact()), &train, folder.path())?;
    let mut trainer = judged(trainer)?;
    trainer.run()?;
    let evaluation = Evaluation::new(judge(), &train, &reference(), 60)?;
    let samples = trainer.samples(60, &Rng::seed(0))?;
    let judgement = trainer.judged().unwrap();
    assert_eq!(
        evaluation.report("compact", &samples, None)?.frechet,
        judgement.frechet
    );
    assert_eq!(evaluation.floor().frechet, judgement.floor);
    Ok(())
}

#[test]
fn many_samples_are_the_same_as_in_one_go() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = small(Recipe::dcgan().conditional());
    let mut trainer = Trainer::new(recipe, &digits(), folder.path())?;
    steps(&mut trainer, 3)?;
    let sampler = trainer.sampler();
    let labels = sampler.labels(1203).unwrap();
    let labels = Tensor::new(labels, &Device::Cpu)?;
    let noise = Rng::seed(7).normal((1203, 100))?;
    let expected = sampler
        .network()
        .forward(&with_class(&noise, &labels, 10)?)?;
    let values = |samples: &Tensor| samples.flatten_all()?.to_vec1::<f32>();
    let samples = sampler.samples(1203, &Rng::seed(7))?;
    assert_eq!(values(&samples)?, values(&expected)?);
    assert_eq!(sampler.samples(0, &Rng::seed(7))?.dims(), [0, 1, 28, 28]);
    Ok(())
}

/// A run whose distance rises in the end.
fn spoilt(run: &Path) -> Result<Trainer> {
    let recipe = Recipe {
        checkpoint_every: 3,
        keep_checkpoints: 1,
        ema_half_life: None,
        ..small(Recipe::dense().conditional())
    };
    let mut trainer = judged(Trainer::new(recipe, &digits(), run)?)?;
    spoil(&mut trainer)?;
    trainer.run()?;
    Ok(trainer)
}

/// The generator's rate is far too high from the 13th step on.
fn spoil(trainer: &mut Trainer) -> Result<()> {
    while trainer.steps() < 12 {
        trainer.advance()?;
    }
    trainer.set_learning_rate(0.5, 1e-6)
}

#[test]
fn the_best_checkpoint_stays_and_draws_what_was_judged() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trainer = spoilt(&run)?;
    let (step, frechet) = least(&distances(&run));
    assert!(step < 22, "{:?}", distances(&run));
    let best = trainer.best().unwrap();
    assert_eq!((best.step, best.images), (step, step * 8));
    assert_eq!(best.frechet, frechet);
    let before = trainer.judged();
    assert_eq!(
        before.map(|last| (last.step, last.frechet)),
        distances(&run).pop()
    );
    drop(trainer);
    let mut left: Vec<_> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["best.safetensors", "step-00000022.safetensors"]);

    let sampler = Sampler::best(&run)?;
    assert_eq!(sampler.recipe().classes, Some(10));
    let samples = sampler.samples(60, &Rng::seed(0))?;
    assert_eq!(distance(&samples)?, frechet);
    let weights = |network: &Network| network.parameters()[0].to_vec1::<f32>();
    assert_eq!(
        weights(Sampler::best(&run)?.network())?,
        weights(sampler.network())?
    );

    // A resumed trainer remembers it, with or without a judge.
    let trainer = Trainer::resume(&run, &digits())?;
    assert_eq!(trainer.best(), Some(best));
    let last = trainer.judged().unwrap();
    assert_eq!(Some(last), before);
    let newest = Sampler::newest(&run)?;
    assert_eq!(weights(newest.network())?, weights(trainer.generator())?);
    let trainer = judged(trainer)?;
    assert_eq!(trainer.best(), Some(best));
    assert_eq!(trainer.frechet()?, last.frechet);
    Ok(())
}

#[test]
fn the_best_is_of_the_average_where_there_is_one() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = small(Recipe::compact());
    let mut trainer = judged(Trainer::new(recipe, &digits(), folder.path())?)?;
    trainer.run()?;
    let samples = Sampler::best(folder.path())?.samples(60, &Rng::seed(0))?;
    assert_eq!(distance(&samples)?, trainer.best().unwrap().frechet);
    assert_eq!(
        least(&distances(folder.path())).1,
        trainer.best().unwrap().frechet
    );
    Ok(())
}

#[test]
fn a_judged_run_resumes_bit_for_bit_wherever_it_was_stopped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let recipe = small(Recipe::dcgan().conditional());
    let mut expected = judged(Trainer::new(recipe.clone(), &digits(), &whole)?)?;
    expected.run()?;
    // A checkpoint after the first number of steps; the rest, up to the second, is lost.
    for (saved, lost) in [
        (0, 9),
        (5, 8),
        (8, 9),
        (9, 16),
        (11, 15),
        (16, 18),
        (21, 22),
    ] {
        let run = folder.path().join(format!("{saved}-{lost}"));
        let mut trainer = judged(Trainer::new(recipe.clone(), &digits(), &run)?)?;
        steps(&mut trainer, saved)?;
        if saved > 0 {
            trainer.checkpoint()?;
        }
        // The last step of all would write a checkpoint: there, a kill comes before it.
        let end = run.join("checkpoints/step-00000022.safetensors");
        steps(&mut trainer, lost - saved)?;
        drop(trainer);
        if end.exists() {
            fs::remove_file(end).unwrap();
        }
        let mut trainer = judged(Trainer::resume(&run, &digits())?)?;
        assert_eq!(trainer.steps(), saved as u64);
        trainer.run()?;
        assert_eq!(timeless(&run), timeless(&whole), "{saved} {lost}");
        assert_eq!(trainer.best(), expected.best());
        assert_eq!(trainer.judged(), expected.judged());
        assert_eq!(weights(&trainer), weights(&expected));
    }
    Ok(())
}

#[test]
fn a_run_resumes_from_its_best_checkpoint_as_from_any_other() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let step = spoilt(&run)?.best().unwrap().step;
    let expected = timeless(&run);
    let checkpoints = run.join("checkpoints");
    fs::remove_file(checkpoints.join("step-00000022.safetensors")).unwrap();
    let there = checkpoints.join(format!("step-{step:08}.safetensors"));
    fs::copy(best_file(&run), there).unwrap();
    let mut trainer = judged(Trainer::resume(&run, &digits())?)?;
    assert_eq!(trainer.steps(), step);
    spoil(&mut trainer)?;
    trainer.run()?;
    assert_eq!(timeless(&run), expected);
    Ok(())
}

#[test]
fn a_damaged_best_checkpoint_is_named_and_does_not_stop_the_run() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let message = |result: Result<Sampler>| match result.err().expect("refused") {
        error @ (Error::Format { .. } | Error::NotFound(_)) => error.to_string(),
        error => panic!("{error}"),
    };
    assert!(message(Sampler::best(&run)).contains("run holds no run, which has a recipe.json"));
    let recipe = small(Recipe::dense());
    let mut trainer = Trainer::new(recipe, &digits(), &run)?;
    assert!(message(Sampler::best(&run)).contains("Sampler::newest("));
    assert!(message(Sampler::newest(&run)).contains("has no checkpoint yet"));
    trainer = judged(trainer)?;
    steps(&mut trainer, 12)?;
    trainer.checkpoint()?;
    drop(trainer);
    let mut bytes = fs::read(best_file(&run)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(best_file(&run), bytes).unwrap();
    let says = message(Sampler::best(&run));
    assert!(
        says.contains("best.safetensors") && says.contains("damaged"),
        "{says}"
    );
    assert!(Sampler::best(&run).is_err());
    // A whole file, but no best checkpoint.
    let aside = best_file(&run).with_extension("safetensors.damaged");
    for content in [
        best_file(&run),
        run.join("checkpoints/step-00000012.safetensors"),
    ] {
        fs::copy(content, best_file(&run)).unwrap();
        let trainer = Trainer::resume(&run, &digits())?;
        assert!(trainer.best().is_none() && aside.exists() && !best_file(&run).exists());
        fs::remove_file(&aside).unwrap();
        fs::write(best_file(&run), "no checkpoint").unwrap();
    }
    let mut trainer = judged(Trainer::resume(&run, &digits())?)?;
    trainer.run()?;
    let best = trainer.best().unwrap();
    assert!([16, 22].contains(&best.step));
    assert_eq!(
        distance(&Sampler::best(&run)?.samples(60, &Rng::seed(0))?)?,
        best.frechet
    );
    Ok(())
}

#[test]
fn a_best_checkpoint_that_cannot_be_written_is_made_up_for() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = judged(Trainer::new(
        small(Recipe::dense()),
        &digits(),
        folder.path(),
    )?)?;
    // A folder in its place: no file can be renamed to it.
    fs::create_dir_all(best_file(folder.path()).join("in the way")).unwrap();
    steps(&mut trainer, 7)?;
    let error = trainer.advance().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("best.safetensors"), "{error}");
    assert!(trainer.best().is_none());
    fs::remove_dir_all(best_file(folder.path())).unwrap();
    steps(&mut trainer, 4)?;
    // The judgement of the eighth step has become one of the next line's.
    let [(12, frechet)] = distances(folder.path())[..] else {
        panic!("{:?}", distances(folder.path()))
    };
    assert_eq!(trainer.best().unwrap().frechet, frechet);
    assert_eq!(timeless(folder.path()).len(), 2);
    let samples = Sampler::best(folder.path())?.samples(60, &Rng::seed(0))?;
    assert_eq!(distance(&samples)?, frechet);
    trainer.run()
}

#[test]
fn another_judge_judges_the_best_anew() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let before = spoilt(&run)?.best().unwrap();
    let other = Digits::builtin(70, &Rng::seed(6));
    let trainer = Trainer::resume(&run, &digits())?.judged_by(judge(), &other, EVERY)?;
    let best = trainer.best().unwrap();
    let samples = Sampler::best(&run)?.samples(70, &Rng::seed(0))?;
    let real = Gaussian::fit(&judge().features_of(&other)?)?;
    let expected = Gaussian::fit(&judge().features(&samples)?)?.distance(&real)?;
    assert_eq!((best.step, best.frechet), (before.step, expected));
    assert_ne!(best.frechet, before.frechet);
    Ok(())
}

#[test]
fn statistics_without_judgements_are_still_read() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    // An unjudged run writes neither new figures nor new entries.
    let mut trainer = Trainer::new(small(Recipe::dense()), &digits(), folder.path())?;
    trainer.run()?;
    let path = folder.path().join("stats.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("frechet"));
    let checkpoint = fs::read(folder.path().join("checkpoints/step-00000022.safetensors")).unwrap();
    assert!(!String::from_utf8_lossy(&checkpoint).contains("digit_gan.best"));
    let line = r#"{"step":500,"images":32000,"seconds":7.5,"d_loss":1.2,"d_penalty":0.0,"g_loss":1.0,"d_real":0.6,
        "d_fake":0.4,"d_right":0.7,"d_gradient_norm":1.0,"g_gradient_norm":0.5,"images_per_second":4300.0,
        "learning_rate":0.0002}"#;
    fs::write(&path, line.replace('\n', "") + "\n").unwrap();
    let stats = read_stats(folder.path())?;
    assert_eq!((stats[0].images, stats[0].frechet), (32_000, None));
    Ok(())
}

#[test]
fn a_judge_needs_something_to_compare_with() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let recipe = small(Recipe::dense());
        Trainer::new(recipe, &digits(), folder.path().join(name))
    };
    let says = |result: Result<Trainer>| result.err().expect("refused").to_string();
    let message = says(start("a")?.judged_by(judge(), &reference(), 0));
    assert!(
        message.contains("not 0: 60000 is once an epoch"),
        "{message}"
    );
    let one = Digits::builtin(1, &Rng::seed(1));
    let message = says(start("b")?.judged_by(judge(), &one, 10));
    assert!(message.contains("at least 2"), "{message}");
    let message = start("c")?.frechet().unwrap_err().to_string();
    assert!(message.contains("call trainer.judged_by"), "{message}");
    Ok(())
}

/// How many pixels of a part of a figure have a colour.
fn count(image: &image::RgbImage, rows: std::ops::Range<u32>, colour: [u8; 3]) -> usize {
    let pixels = rows.flat_map(|y| (0..image.width()).map(move |x| (x, y)));
    pixels.filter(|&(x, y)| image[(x, y)].0 == colour).count()
}

#[test]
fn runs_are_compared_by_it_in_a_panel_of_its_own() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let [good, bad, alone] = ["good", "bad", "alone"].map(|name| folder.path().join(name));
    // The second run stays above the first one, as in a log plot they are a constant apart.
    for (run, factor) in [(&good, 1.), (&bad, 4.), (&alone, f64::NAN)] {
        let line = |tick: u64| {
            let distance = factor * 400. / tick as f64;
            let distance = match distance.is_nan() {
                false => format!(r#","frechet":{distance},"frechet_floor":2.5"#),
                true => String::new(),
            };
            format!(
                r#"{{"step":{tick},"images":{tick}000,"seconds":1,"d_loss":1,"d_penalty":0,"g_loss":1,"d_real":0.6,"d_fake":0.4,"d_right":0.7,"d_gradient_norm":1,"g_gradient_norm":1,"images_per_second":1,"learning_rate":1e-4{distance}}}"#
            )
        };
        let lines: Vec<String> = (1..=40).map(line).collect();
        fs::create_dir(run).unwrap();
        fs::write(run.join("stats.jsonl"), lines.join("\n") + "\n").unwrap();
    }
    let draw = |runs: &[&PathBuf]| {
        let figure = plot::compare_runs(runs).unwrap();
        let image = image::load_from_memory(figure.bytes()).unwrap().to_rgb8();
        (image, figure.alt().to_owned())
    };
    let (unjudged, alt) = draw(&[&alone]);
    assert!(!alt.contains("Fréchet"));
    let (image, alt) = draw(&[&good, &bad, &alone]);
    assert!(alt.contains(
        "good ends at 40000 images with D loss 1.00 and G loss 1.00, Fréchet distance 10.00; bad"
    ));
    assert!(
        alt.contains("G loss 1.00, Fréchet distance 40.00; alone ends at"),
        "{alt}"
    );
    let panel = 250 * 2;
    assert_eq!(image.height(), unjudged.height() + panel);
    let screen = [760 * 2, 560 * 2];
    assert!(
        image.width() <= screen[0] && image.height() <= screen[1],
        "fits a screen"
    );
    // Losses are the same in all runs: the last one covers the others. Distances are not.
    let legend = 24 * 2 + 16;
    let (first, second) = (legend + panel, legend);
    let [blue, vermillion, green] = [[0, 114, 178], [213, 94, 0], [0, 158, 115]];
    let counts = |rows: std::ops::Range<u32>| {
        [blue, vermillion, green].map(|colour| count(&image, rows.clone(), colour))
    };
    let [_, _, losses] = counts(first..image.height());
    let [good, bad, alone] = counts(second..second + panel);
    assert!(
        losses > 1000 && good > 2000 && bad > 2000 && alone == 0,
        "{losses} {good} {bad}"
    );
    // The same curve, further up by a factor of 4 at every column: the axis is logarithmic.
    let middle = |x: u32, colour: [u8; 3]| {
        let rows: Vec<u32> = (second..second + panel)
            .filter(|&y| image[(x, y)].0 == colour)
            .collect();
        rows.iter().sum::<u32>() as f64 / rows.len() as f64
    };
    let apart = [300, 500, 800, 1300].map(|x| middle(x, blue) - middle(x, vermillion));
    assert!(
        apart
            .iter()
            .all(|gap| (gap - apart[0]).abs() < 6. && *gap > 30.),
        "{apart:?}"
    );
    Ok(())
}

#[test]
fn a_status_has_the_last_and_the_best_judgement() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let training = judged(Trainer::new(small(Recipe::dense()), &digits(), &run)?)?.in_background();
    training.pause_at(7)?;
    let status = training.status()?;
    assert!(status.judged.is_none() && !status.to_string().contains("Fréchet"));
    training.pause_at(20)?;
    let status = training.status()?;
    let seen = distances(&run);
    let (last, best) = (status.judged.unwrap(), status.best.unwrap());
    assert_eq!((last.step, last.frechet), seen[1]);
    assert_eq!((best.step, best.frechet), least(&seen));
    let expected = format!(
        "\nFréchet distance {:.2} after 128 images, best {:.2} after {}; real digits have {:.2}",
        last.frechet, best.frechet, best.images, last.floor
    );
    assert!(status.to_string().contains(&expected), "{status}");
    let trainer = training.wait()?;
    assert_eq!(trainer.judged().unwrap().step, 22);
    Ok(())
}

#[test]
fn lines_of_progress_have_a_column_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = process::printed(process::command_in(train_aloud, folder.path()));
    let floor = read_stats(folder.path().join("run")).unwrap()[1].frechet_floor;
    let notice = format!(
        "judged every 56 images: the Fréchet distance of 60 samples to 60 real digits; that of real training digits \
         is {:.2}",
        floor.unwrap()
    );
    assert!(text.contains(&notice), "{text}");
    let table = text.lines().skip_while(|line| !line.contains("D loss"));
    let table: Vec<&str> = table.take(7).collect();
    let width = table[0].chars().count();
    assert!(table[0].ends_with("left   Fréchet"), "{text}");
    assert!(
        table.iter().all(|line| line.chars().count() == width),
        "{text}"
    );
    let column = |line: &&str| line.chars().skip(width - 10).collect::<String>();
    let column: Vec<String> = table[1..].iter().map(column).collect();
    let expected = distances(&folder.path().join("run"));
    for (row, value) in [(1, expected[0].1), (3, expected[1].1), (5, expected[2].1)] {
        assert_eq!(column[row].trim(), format!("{value:.2}"), "{text}");
    }
    assert!(
        [0, 2, 4].iter().all(|&row| column[row].trim().is_empty()),
        "{text}"
    );
}

#[test]
#[ignore = "the process whose output the test above reads"]
fn train_aloud() {
    let run = process::folder().join("run");
    let trainer = Trainer::new(small(Recipe::dense()), &digits(), run).unwrap();
    judged(trainer).unwrap().run().unwrap();
}
