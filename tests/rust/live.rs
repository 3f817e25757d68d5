//! What the notebooks' kernel is told while a cell runs, and how a cell stops.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use digit_gan::display::{Content, Show};
use digit_gan::prelude::*;
use digit_gan::{Error, Result};
use serde_json::{Value, json};

use crate::helpers::process;
use crate::helpers::small::{digits, small};

const TOKEN: &str = "0123abcd";

/// The process that runs the cells of the notebooks' kernel.
fn cell<Test>(test: Test) -> Command {
    let mut command = process::command(test);
    command.env("DIGIT_GAN_LIVE", TOKEN);
    command
}

/// The messages among what was printed.
fn messages(printed: &str) -> Vec<Value> {
    let start = format!("\x1b]digit-gan;{TOKEN};");
    let lines = printed.lines().filter_map(|line| line.split_once(&start));
    lines
        .map(|(_, message)| serde_json::from_str(message).unwrap())
        .collect()
}

struct Count(u32);

impl Show for Count {
    fn content(&self) -> Content {
        Content::text(format!("counted to {}", self.0)).with_html(format!("<b>{}</b>", self.0))
    }
}

fn grid() -> Figure {
    plot::sample_grid(
        &Tensor::zeros((3, 1, 28, 28), DType::F32, &Device::Cpu).unwrap(),
        3,
    )
    .unwrap()
}

#[test]
fn a_display_is_shown_once_and_then_replaced() {
    let printed = process::printed(cell(counts));
    let messages = messages(&printed);
    let kinds: Vec<&Value> = messages.iter().map(|message| &message["type"]).collect();
    assert_eq!(kinds, ["display", "update", "update", "display"]);
    let (one, other) = (&messages[0]["id"], &messages[3]["id"]);
    assert!(messages[..3].iter().all(|message| message["id"] == *one));
    assert_ne!(one, other, "two displays of a cell");
    assert_eq!(
        messages[2]["data"],
        json!({"text/plain": "counted to 3", "text/html": "<b>3</b>"})
    );
    assert!(!printed.contains("EVCXR"), "{printed}");
}

#[test]
#[ignore = "run by a_display_is_shown_once_and_then_replaced and by others"]
fn counts() {
    let mut live = Live::new();
    for i in 1..=3 {
        live.show(&Count(i));
    }
    Live::new().show(&Count(9));
}

#[test]
fn frames_are_made_only_when_one_is_due() {
    for command in [cell(counts_fast), process::command(counts_fast)] {
        let printed = process::printed(command);
        assert!(
            printed.contains("counted to 0"),
            "the first is seen at once: {printed}"
        );
        let made = printed
            .lines()
            .find_map(|line| line.strip_prefix("made "))
            .unwrap();
        assert_eq!(made, "1", "{printed}");
    }
}

#[test]
#[ignore = "run by frames_are_made_only_when_one_is_due"]
fn counts_fast() {
    println!();
    let (mut live, mut made) = (Live::new(), 0);
    for i in 0..10_000 {
        let count = || {
            made += 1;
            Ok(Count(i))
        };
        live.update(count).unwrap();
    }
    println!("made {made}");
}

#[test]
fn without_the_kernel_a_line_of_text_is_printed() {
    let printed = process::printed(process::command(counts));
    assert!(
        printed.contains("\ncounted to 1\ncounted to 2\ncounted to 3\n"),
        "{printed}"
    );
    assert!(
        !printed.contains('\x1b') && !printed.contains("EVCXR"),
        "{printed}"
    );

    let mut evcxr = process::command(counts);
    evcxr.env("EVCXR_IS_RUNTIME", "1");
    let printed = process::printed(evcxr);
    assert!(
        printed.contains("EVCXR_BEGIN_CONTENT text/html\n<b>3</b>\nEVCXR_END_CONTENT\n"),
        "{printed}"
    );
}

#[test]
fn a_figure_is_one_picture_with_its_size_and_its_words() {
    let messages = messages(&process::printed(cell(shows_figures)));
    let [png, gif, scrubber] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert!(messages.iter().all(|message| message["type"] == "result"));
    let data = |message: &Value, mime: &str| message["data"][mime].as_str().map(String::from);

    assert_eq!(data(png, "text/html"), None, "a picture is stored once");
    let bytes = STANDARD.decode(data(png, "image/png").unwrap()).unwrap();
    assert_eq!(bytes, grid().bytes());
    let alt = "3 generated digits in a row.";
    assert_eq!(data(png, "text/plain").as_deref(), Some(alt));
    let about = &png["metadata"]["image/png"];
    assert_eq!(about["alt"], alt);
    let (width, height) = (
        about["width"].as_f64().unwrap(),
        about["height"].as_f64().unwrap(),
    );
    let picture = image::load_from_memory(&bytes).unwrap();
    assert_eq!(width, f64::from(grid().width()));
    let (real, told) = (
        f64::from(picture.width()) / f64::from(picture.height()),
        width / height,
    );
    assert!((real - told).abs() < 0.02, "{real} {told}");

    let html = data(gif, "text/html").unwrap();
    assert!(
        html.contains("src=\"data:image/gif;base64,"),
        "it moves: {html:.99}"
    );
    let still = STANDARD.decode(data(gif, "image/png").unwrap()).unwrap();
    let still = image::load_from_memory(&still).unwrap();
    let width = gif["metadata"]["image/png"]["width"].as_u64().unwrap();
    assert_eq!(
        u64::from(2 * still.width()),
        width,
        "stored small, shown twice as wide"
    );

    assert!(data(scrubber, "text/html").unwrap().contains("<script>"));
    assert_eq!(data(scrubber, "image/png"), None, "it is in the HTML");
}

#[test]
#[ignore = "run by a_figure_is_one_picture_with_its_size_and_its_words"]
fn shows_figures() {
    println!();
    grid().evcxr_display();
    let samples = Tensor::zeros((3, 1, 28, 28), DType::F32, &Device::Cpu).unwrap();
    plot::training_gif(&[Snapshot::new(1, samples.clone())], 3)
        .unwrap()
        .evcxr_display();
    plot::scrub(&[("one", grid())]).unwrap().evcxr_display();
}

#[test]
fn a_loop_stops_and_all_it_has_learnt_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let flag = folder.path().join("stop");
    let mut command = cell(loops);
    command
        .env("DIGIT_GAN_INTERRUPT", &flag)
        .env("DIGIT_GAN_TEST_FOLDER", folder.path());
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let begun = folder.path().join("begun");
    let patience = Instant::now();
    while !begun.exists() {
        assert!(patience.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5));
    }
    fs::write(&flag, "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let messages = messages(&printed);
    assert!(
        messages
            .iter()
            .any(|message| message["type"] == "listening"),
        "the kernel learns that the loop will stop: {printed}"
    );
    let last = &messages
        .iter()
        .rfind(|message| message["type"] == "update")
        .unwrap()["data"];
    let done = printed
        .lines()
        .find_map(|line| line.strip_prefix("done: "))
        .unwrap();
    assert_eq!(
        last["text/plain"],
        format!("counted to {done}"),
        "the last state is shown"
    );
}

#[test]
#[ignore = "run by a_loop_stops_and_all_it_has_learnt_is_kept"]
fn loops() {
    let folder = process::folder();
    let (rng, mut done) = (Rng::seed(1), 0);
    let digits = Digits::builtin(20, &rng);
    let mut live = Live::new();
    let mut endless = || -> Result<()> {
        loop {
            for batch in digits.batches(2, &rng) {
                batch?;
                done += 1;
                sleep(Duration::from_millis(6));
                live.update(|| Ok(Count(done)))?;
            }
            fs::write(folder.join("begun"), "").unwrap();
        }
    };
    let error = endless().unwrap_err();
    assert!(matches!(error, Error::Interrupted));
    assert_eq!(format!("{error:?}"), "interrupted; variables are kept");
    println!("\ndone: {done}");

    // As long as the kernel has not handed over another cell, everything stops; no pass continues by itself.
    let (first, rest) = {
        let mut batches = digits.batches(2, &rng);
        (batches.next(), batches.count())
    };
    assert!(matches!(first, Some(Err(Error::Interrupted))));
    assert_eq!(rest, 0);
    fs::remove_file(std::env::var_os("DIGIT_GAN_INTERRUPT").unwrap()).unwrap();
    sleep(Duration::from_millis(10));
    assert_eq!(digits.batches(2, &rng).filter(Result::is_ok).count(), 10);
}

/// Asks the running cell to stop, as the kernel does, and takes it back.
fn stop(on: bool) {
    let flag = std::env::var_os("DIGIT_GAN_INTERRUPT").unwrap();
    match on {
        true => fs::write(flag, "").unwrap(),
        false => fs::remove_file(flag).unwrap(),
    }
    sleep(Duration::from_millis(10));
}

/// A process whose cells can be stopped; its folder lives as long as the first value.
fn stoppable<Test>(test: Test) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = cell(test);
    command
        .env("DIGIT_GAN_INTERRUPT", folder.path().join("stop"))
        .env("DIGIT_GAN_TEST_FOLDER", folder.path());
    (folder, command)
}

#[test]
fn a_training_shows_bar_losses_and_samples() {
    let messages = messages(&process::printed(cell(trains)));
    let frames: Vec<&Value> = messages
        .iter()
        .filter(|m| m["type"] != "listening")
        .collect();
    assert!(frames.len() >= 2);
    let last = &frames[frames.len() - 1]["data"];
    let text = last["text/plain"].as_str().unwrap();
    assert!(text.starts_with("100% · epoch 2 of 2 · "), "{text}");
    assert!(
        text.ends_with("\nD loss 1.400 · G loss 0.700 · D(real) 0.50 · D(fake) 0.50"),
        "{text}"
    );
    assert!(!text.contains(" left"), "{text}");
    let html = last["text/html"].as_str().unwrap();
    for part in [
        "<progress max=\"100\" value=\"100.0\" aria-label=\"training\"",
        "alt=\"Losses so far: discriminator 1.40, generator 0.70\"",
        "alt=\"40 generated digits in 4 rows of 10",
        "max-width: 100%",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(
        html.len() < 20_000,
        "small enough to commit: {}",
        html.len()
    );
}

#[test]
#[ignore = "run by a_training_shows_bar_losses_and_samples"]
fn trains() {
    let scalar = |value: f32| Tensor::new(value, &Device::Cpu).unwrap();
    let logits = Tensor::zeros((8, 1), DType::F32, &Device::Cpu).unwrap();
    let (mut history, mut live) = (History::new(2, 5), Live::new());
    for _epoch in history.remaining_epochs() {
        for _ in 0..5 {
            history
                .push(&scalar(1.4), &scalar(0.7), &logits, &logits)
                .unwrap();
            live.training(&history, || {
                Tensor::zeros((40, 1, 28, 28), DType::F32, &Device::Cpu)
            })
            .unwrap();
        }
    }
}

#[test]
fn a_stopped_run_resumes_as_if_it_had_not_been_stopped() {
    let (_folder, command) = stoppable(stops_a_run);
    let printed = process::printed(command);
    let messages = messages(&printed);
    let frames = |kind: &str| {
        messages
            .iter()
            .filter(|message| message["type"] == kind)
            .count()
    };
    assert_eq!(frames("display"), 2, "one of each call of run");
    let last = messages
        .iter()
        .rfind(|message| message["type"] != "listening")
        .unwrap();
    let text = last["data"]["text/plain"].as_str().unwrap();
    assert!(text.contains(": finished, step 22"), "{text}");
    assert!(
        !printed.contains("images/s   elapsed"),
        "no table beside the display: {printed}"
    );
}

#[test]
#[ignore = "run by a_stopped_run_resumes_as_if_it_had_not_been_stopped"]
fn stops_a_run() {
    let digits = digits();
    let start = |name: &str| {
        Trainer::new(
            small(Recipe::compact()),
            &digits,
            process::folder().join(name),
        )
        .unwrap()
    };
    let mut whole = start("whole");
    whole.run().unwrap();

    let mut stopped = start("stopped");
    for _ in 0..4 {
        stopped.advance().unwrap();
    }
    stop(true);
    assert!(matches!(stopped.advance(), Err(Error::Interrupted)));
    assert!(matches!(
        stopped.samples(10, &Rng::seed(1)),
        Err(Error::Interrupted)
    ));
    stop(false);
    stopped.run().unwrap();
    let weights = |trainer: &Trainer| {
        trainer
            .samples(4, &Rng::seed(2))
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    assert_eq!(weights(&whole), weights(&stopped));
}

#[test]
fn stopping_a_cell_that_waits_for_a_run_stops_neither_nor_loses_it() {
    let (_folder, command) = stoppable(stops_waiting);
    let messages = messages(&process::printed(command));
    assert!(messages.iter().any(|message| message["type"] == "display"));
}

#[test]
#[ignore = "run by stopping_a_cell_that_waits_for_a_run_stops_neither_nor_loses_it"]
fn stops_waiting() {
    let recipe = Recipe {
        total_images: 800_000,
        ..small(Recipe::compact())
    };
    let training = Trainer::new(recipe, &digits(), process::folder().join("run"))
        .unwrap()
        .in_background();
    training.pause_at(3).unwrap();
    stop(true);
    assert!(matches!(training.watch(), Err(Error::Interrupted)));
    assert!(matches!(training.pause_at(90_000), Err(Error::Interrupted)));
    assert!(matches!(training.wait(), Err(Error::Interrupted)));
    stop(false);
    let before = training.status().unwrap().steps();
    sleep(Duration::from_millis(300));
    assert!(training.status().unwrap().steps() > before, "it trains");
    assert!(training.stop().unwrap().steps() > before);
}
