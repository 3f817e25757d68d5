//! Training in the background: watched, paused, changed, stopped, dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::helpers::process;
use crate::helpers::small::{digits, small};
use digit_gan::display::Show;
use digit_gan::prelude::*;
use digit_gan::record::read_stats;
use digit_gan::{Error, Result};

/// Endless, as seen from a test.
fn long(recipe: Recipe) -> Recipe {
    Recipe {
        total_images: 80_000_000,
        grid_every: 1_000_000,
        checkpoint_every: 1_000_000,
        ..small(recipe)
    }
}

fn until(mut done: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < patience, "waited for a minute");
        sleep(Duration::from_millis(1));
    }
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    trainer.discriminator().parameters()[0]
        .to_vec1::<f32>()
        .unwrap()
}

#[test]
fn a_run_pauses_where_it_is_told_to() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        total_images: 40 * 8,
        batch_size: 8,
        ..small(Recipe::dense())
    };
    let run = |name: &str| Trainer::new(recipe.clone(), &digits(), folder.path().join(name));
    let training = run("paused")?.in_background();
    for step in [5, 12] {
        training.pause_at(step)?;
        let status = training.status()?;
        assert!(status.paused && status.steps() == step);
    }
    training.pause_at(3)?;
    assert_eq!(training.status()?.steps(), 12, "it is past");
    training.pause_at(1000)?; // the recipe ends before
    assert!(training.status()?.is_finished());
    let mut straight = run("straight")?;
    straight.run()?;
    assert_eq!(weights(&training.stop()?), weights(&straight));
    Ok(())
}

#[test]
fn a_run_can_be_watched_paused_changed_and_stopped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let training =
        Trainer::new(long(Recipe::dense().conditional()), &digits(), &run)?.in_background();
    let first = training.status()?;
    until(|| training.status().unwrap().steps() > first.steps() + 10);

    training.pause()?;
    let paused = training.status()?;
    assert!(
        paused.paused
            && paused
                .to_string()
                .contains("dense-conditional: paused, step ")
    );
    sleep(Duration::from_millis(50));
    let still = training.status()?;
    assert_eq!(still.steps(), paused.steps(), "nothing moves");
    assert_eq!(still.samples.bytes(), paused.samples.bytes());
    assert_ne!(
        first.samples.bytes(),
        paused.samples.bytes(),
        "it has learnt"
    );
    let content = still.content();
    let html = content.as_html().unwrap();
    assert!(
        html.contains("dense-conditional: paused") && html.contains("<img alt=\"100 generated")
    );

    training.set_learning_rate(1e-3, 1e-4)?;
    assert!(training.set_learning_rate(-1., 1e-4).is_err());
    training.resume()?;
    until(|| training.status().unwrap().steps() > paused.steps() + 10);
    assert!(!training.status()?.paused);
    let trainer = training.stop()?;
    let rates: Vec<f64> = read_stats(&run)?
        .iter()
        .map(|stats| stats.learning_rate)
        .collect();
    let before = Recipe::dense().g_adam.learning_rate;
    assert_eq!((rates[0], rates[rates.len() - 1]), (before, 1e-3));
    assert!(trainer.steps() > paused.steps() + 10);
    Ok(())
}

#[test]
fn a_watched_run_equals_an_unwatched_one() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        total_images: 60 * 8,
        ..small(Recipe::dcgan())
    };
    let mut alone = Trainer::new(recipe.clone(), &digits(), folder.path().join("alone"))?;
    alone.run()?;
    let training = Trainer::new(recipe, &digits(), folder.path().join("watched"))?.in_background();
    training.status()?;
    training.pause()?;
    training.status()?;
    let trainer = training.stop()?; // stops a paused one, too
    assert!(!trainer.is_finished());
    let training = trainer.in_background();
    training.pause()?;
    let watched = training.wait()?; // resumes a paused one
    assert!(watched.is_finished());
    assert_eq!(weights(&watched), weights(&alone));
    assert_eq!(
        watched.samples(4, &Rng::seed(1))?.values(),
        alone.samples(4, &Rng::seed(1))?.values()
    );
    Ok(())
}

trait Values {
    fn values(&self) -> Vec<f32>;
}

impl Values for Tensor {
    fn values(&self) -> Vec<f32> {
        self.flatten_all().unwrap().to_vec1().unwrap()
    }
}

#[test]
fn a_dropped_training_leaves_a_checkpoint_of_its_last_step() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for pause in [false, true] {
        let trainer = match pause {
            false => Trainer::new(long(Recipe::dense()), &digits(), &run)?,
            true => Trainer::resume(&run, &digits())?,
        };
        let before = trainer.steps();
        let training = trainer.in_background();
        until(|| training.status().unwrap().steps() > before + 5);
        if pause {
            training.pause()?;
        }
        let seen = training.status()?.steps();
        drop(training);
        // The folder is free again, and nothing is lost.
        assert!(Trainer::resume(&run, &digits())?.steps() >= seen);
    }
    Ok(())
}

#[test]
fn a_finished_training_still_answers() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let trainer = Trainer::new(small(Recipe::dense()), &digits(), folder.path().join("run"))?;
    let training = trainer.in_background();
    until(|| !training.is_running());
    let status = training.status()?;
    assert!(
        status.is_finished()
            && status
                .to_string()
                .contains("dense: finished, step 22, 176 of 176 images (100%)")
    );
    training.pause()?;
    training.resume()?;
    training.set_learning_rate(1e-4, 1e-4)?;
    assert!(training.wait()?.is_finished());
    Ok(())
}

#[test]
fn the_error_that_ends_a_training_reaches_every_caller() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut trainer = Trainer::new(long(Recipe::dense()), &digits(), &run)?;
    trainer.advance()?;
    let checkpoint = trainer.checkpoint()?.display().to_string();
    trainer.set_learning_rate(1e30, 1e30)?;
    let training = trainer.in_background();
    until(|| training.status().is_err());
    for result in [
        training.status().map(drop),
        training.pause(),
        training.resume(),
    ] {
        let error = result.unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Training(_)));
        assert!(
            message.contains("diverged") && message.contains(&checkpoint),
            "{message}"
        );
    }
    assert!(training.wait().is_err());
    assert_eq!(Trainer::resume(&run, &digits())?.steps(), 1);
    Ok(())
}

#[test]
fn waiting_prints_the_lines_of_progress() {
    let folder = tempfile::tempdir().unwrap();
    let output = process::command_in(wait_for_it, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let at = text
        .find("    step     images   D loss")
        .unwrap_or_else(|| panic!("{text}"));
    let lines: Vec<&str> = text[at..].lines().skip(1).take(6).collect();
    let starts: Vec<&str> = lines
        .iter()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(starts, ["4", "8", "12", "16", "20", "22"], "{text}");
    assert!(
        lines
            .iter()
            .all(|line| line.len() == text[at..].lines().next().unwrap().len()),
        "{text}"
    );
    assert!(output.stderr.is_empty(), "notices go to stdout");
}

#[test]
#[ignore = "the process whose output the test above reads"]
fn wait_for_it() {
    let run = process::folder().join("run");
    let trainer = Trainer::new(small(Recipe::dense()), &digits(), run).unwrap();
    trainer.in_background().wait().unwrap();
}

#[test]
fn training_continues_when_stdout_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = process::command_in(train_without_a_reader, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("ready")));
    drop(lines);
    fs::write(folder.path().join("closed"), "").unwrap();
    child.wait().unwrap(); // its status is that of the test's own output, which fails too
    let steps = fs::read_to_string(folder.path().join("steps"));
    assert_eq!(steps.unwrap_or_default(), "22 22");
}

#[test]
#[ignore = "the process of the test above"]
fn train_without_a_reader() {
    let folder = process::folder();
    println!("ready");
    until(|| folder.join("closed").exists());
    let trainer = |name: &str| Trainer::new(small(Recipe::dense()), &digits(), folder.join(name));
    let mut here = trainer("here").unwrap();
    here.run().unwrap();
    let background = trainer("background").unwrap().in_background();
    let steps = [here.steps(), background.wait().unwrap().steps()];
    fs::write(folder.join("steps"), format!("{} {}", steps[0], steps[1])).unwrap();
}
