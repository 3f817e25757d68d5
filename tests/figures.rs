//! What a reader of a notebook relies on in figures: the right pixels in the right place, words for those who
//! cannot see them, files that equal what was shown, and clear errors.

use std::io::Cursor;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use digit_gan::display::Setup;
use digit_gan::plot::Format;
use digit_gan::prelude::*;
use image::{DynamicImage, GenericImageView, ImageReader};

/// Black samples with one white pixel at (row, column) of the first.
fn lit(n: usize, row: usize, column: usize) -> Tensor {
    let mut values = vec![-1f32; n * 784];
    values[row * 28 + column] = 1.0;
    Tensor::from_vec(values, (n, 1, 28, 28), &Device::Cpu).unwrap()
}

fn snapshots(epochs: std::ops::Range<usize>) -> Vec<Snapshot> {
    epochs
        .map(|epoch| Snapshot::new(epoch, lit(6, epoch % 28, 0)))
        .collect()
}

fn scalar(value: f32) -> Tensor {
    Tensor::new(value, &Device::Cpu).unwrap()
}

fn history(steps: usize) -> History {
    let mut history = History::new(3, steps / 3);
    let noise = Rng::seed(3).uniform(steps, -0.3, 0.3).unwrap();
    let noise = noise.to_vec1::<f32>().unwrap();
    let logits = Tensor::zeros((4, 1), DType::F32, &Device::Cpu).unwrap();
    for (step, noise) in noise.iter().enumerate() {
        let share = step as f32 / steps as f32;
        let (d, g) = (scalar(1.4 - share + noise), scalar(0.7 + share - noise));
        history.push(&d, &g, &logits, &logits).unwrap();
    }
    history
}

fn decode(figure: &Figure) -> DynamicImage {
    let reader = ImageReader::new(Cursor::new(figure.bytes())).with_guessed_format();
    reader.unwrap().decode().unwrap()
}

/// How often a colour occurs.
fn count(image: &DynamicImage, colour: [u8; 3]) -> usize {
    image
        .to_rgb8()
        .pixels()
        .filter(|pixel| pixel.0 == colour)
        .count()
}

#[test]
fn a_sample_grid_shows_each_pixel_where_it_belongs() {
    let figure = plot::sample_grid(&lit(5, 3, 7), 4).unwrap();
    let image = decode(&figure);
    // 4 device pixels per pixel, gaps of 2: 4 digits across, 2 down
    assert_eq!(image.dimensions(), (2 + 4 * 114, 2 + 2 * 114));
    assert_eq!(image.color(), image::ColorType::L8);
    let image = image.to_luma8();
    let white: Vec<_> = image
        .enumerate_pixels()
        .filter(|(_, _, p)| p[0] == 255)
        .collect();
    assert_eq!(white.len(), 16, "one pixel of the first digit, enlarged");
    let (left, top) = (2 + 7 * 4, 2 + 3 * 4);
    for (x, y, _) in white {
        assert!(
            (left..left + 4).contains(&x) && (top..top + 4).contains(&y),
            "{x}, {y}"
        );
    }
    assert_eq!(image[(0, 0)][0], image[(115, 50)][0], "separators");
    assert!(
        (64..192).contains(&image[(0, 0)][0]),
        "seen on light and on dark pages"
    );
    assert_eq!(image[(2 + 3 * 114 + 1, 3)][0], 0, "the fourth digit");
    assert_eq!(figure.alt(), "5 generated digits in 2 rows of 4.");
}

#[test]
fn grey_levels_run_from_minus_one_to_one() {
    let values: Vec<f32> = (0..784)
        .map(|i| [-2.0, -1.0, 0.0, 1.0, 2.0][i.min(4)])
        .collect();
    let sample = Tensor::from_vec(values, (1, 1, 28, 28), &Device::Cpu).unwrap();
    let image = decode(&plot::sample_grid(&sample, 10).unwrap()).to_luma8();
    let greys: Vec<u8> = (0..5).map(|i| image[(2 + 4 * i, 2)][0]).collect();
    assert_eq!(greys, [0, 0, 128, 255, 255]);
}

#[test]
fn a_data_grid_has_a_label_above_every_digit() {
    let digits = Digits::builtin(12, &Rng::seed(1));
    let figure = plot::data_grid(&digits, 2, 5).unwrap();
    let image = decode(&figure).to_luma8();
    let labels: Vec<String> = digits.labels()[..10].iter().map(u8::to_string).collect();
    assert_eq!(
        figure.alt(),
        format!(
            "10 digits in 2 rows of 5, each under its label: {}.",
            labels.join(" ")
        )
    );
    // 3 device pixels per pixel and 12 between digits; a label's 40 lines above each
    let (row, cell) = (40 + 84 + 6, 84 + 12);
    for i in 0..10u32 {
        let (left, top) = (12 + i % 5 * cell, i / 5 * row);
        let dark = |x: u32, y: u32| image[(x, y)][0] < 90;
        let inked = (left..left + 84)
            .filter(|&x| (top..top + 38).any(|y| dark(x, y)))
            .count();
        assert!((4..24).contains(&inked), "label {i} is {inked} pixels wide");
        let pixels = digits.image(i as usize);
        for (at, grey) in (0u32..).zip(pixels) {
            let (x, y) = (left + at % 28 * 3 + 1, top + 40 + at / 28 * 3 + 1);
            assert_eq!(image[(x, y)][0], *grey, "digit {i}, pixel {at}");
        }
    }
}

#[test]
fn a_large_digit_stands_on_its_axes() {
    let figure = plot::large_digit(&lit(1, 5, 10)).unwrap();
    let image = decode(&figure).to_luma8();
    let white = |x: u32, y: u32| image[(x, y)][0] == 255;
    let (left, top) = (2 * 52, 2 * 12);
    for (x, y) in [(0, 0), (19, 0), (0, 19), (19, 19)] {
        assert!(white(left + 10 * 20 + x, top + 5 * 20 + y));
    }
    assert!(!white(left + 10 * 20 - 1, top + 5 * 20 + 5));
    assert!(!white(left + 10 * 20 + 5, top + 6 * 20));
    // a tick under the middle of columns 0, 5, ... and none elsewhere
    let under = top + 560 + 5;
    let ticks: Vec<u32> = (0..28)
        .filter(|c| !white(left + c * 20 + 10, under))
        .collect();
    assert_eq!(ticks, [0, 5, 10, 15, 20, 25]);
    let beside: Vec<u32> = (0..28)
        .filter(|r| !white(left - 5, top + r * 20 + 10))
        .collect();
    assert_eq!(beside, [0, 5, 10, 15, 20, 25]);
    for shape in [vec![28, 28], vec![1, 28, 28]] {
        let same = lit(1, 5, 10).reshape(shape).unwrap();
        assert_eq!(plot::large_digit(&same).unwrap().bytes(), figure.bytes());
    }
}

#[test]
fn loss_curves_are_coloured_named_and_light() {
    let figure = plot::loss_curves(&history(30_000)).unwrap();
    assert!(
        figure.bytes().len() < 60_000,
        "{} bytes",
        figure.bytes().len()
    );
    let image = decode(&figure);
    for colour in [[0, 114, 178], [213, 94, 0]] {
        assert!(
            count(&image, colour) > 2000,
            "{colour:?} in legend and curve"
        );
        let legend = image.crop_imm(0, 0, image.width(), 60);
        assert!(count(&legend, colour) > 200, "{colour:?} in the legend");
    }
    let alt = figure.alt();
    assert!(
        alt.starts_with("Losses over 3 epochs of training: the discriminator from 1.3"),
        "{alt}"
    );
    assert!(alt.contains("the generator from 0.7"), "{alt}");
}

#[test]
fn curves_go_where_the_losses_go() {
    let image = decode(&plot::loss_curves(&history(3000)).unwrap()).to_rgb8();
    // mean height of a colour within some columns, in the plot below the legend
    let height = |colour: [u8; 3], columns: std::ops::Range<u32>| {
        let ys: Vec<u32> = columns
            .flat_map(|x| (70..600).map(move |y| (x, y)))
            .filter(|&at| image[at].0 == colour)
            .map(|(_, y)| y)
            .collect();
        ys.iter().sum::<u32>() as f32 / ys.len() as f32
    };
    let (discriminator, generator) = ([213, 94, 0], [0, 114, 178]);
    let (early, late) = (180..300, 1300..1420);
    assert!(height(discriminator, early.clone()) < height(generator, early.clone()));
    assert!(height(discriminator, late.clone()) > height(generator, late.clone()));
    assert!(height(discriminator, early) < height(discriminator, late));
}

#[test]
fn loss_curves_of_few_steps_or_wild_losses_are_drawn() {
    let logits = Tensor::zeros((4, 1), DType::F32, &Device::Cpu).unwrap();
    for losses in [
        vec![0.7],
        vec![0.0, 0.0],
        vec![-5.0, -7.0, 3.0],
        vec![1e30, -1e30, 0.0],
    ] {
        let mut history = History::new(1, 0);
        for loss in &losses {
            let loss = scalar(*loss);
            history.push(&loss, &loss, &logits, &logits).unwrap();
        }
        let figure = plot::loss_curves(&history).unwrap();
        assert!(count(&decode(&figure), [0, 114, 178]) > 1000, "{losses:?}");
    }
}

#[test]
fn epoch_grids_choose_the_first_the_last_and_some_between() {
    let figure = plot::epoch_grids(&snapshots(1..31), 3).unwrap();
    assert!(
        figure.alt().ends_with("after epochs 1, 8, 16, 23, 30."),
        "{}",
        figure.alt()
    );
    let all = plot::epoch_grids(&snapshots(1..4), 3).unwrap();
    assert!(
        all.alt().ends_with("after epochs 1, 2, 3."),
        "{}",
        all.alt()
    );
    // the lit pixel walks down one row per epoch
    let image = decode(&all).to_luma8();
    let (cell, title, space) = (28 * 4 + 2, 44, 24);
    let grid = 3 * cell + 2;
    for i in 0..3 {
        let left = space + i * (grid + space) + 2;
        assert_eq!(image[(left, title + 2 + (i + 1) * 4)][0], 255);
        assert_eq!(image[(left, title + 2 + i * 4)][0], 0);
    }
    assert_eq!(image.width(), 3 * (grid + space) + space);
}

#[test]
fn a_training_gif_plays_every_epoch_and_rests_on_the_last() {
    let figure = plot::training_gif(&snapshots(1..31), 3).unwrap();
    assert_eq!(figure.format(), Format::Gif);
    let mut decoder = gif::DecodeOptions::new();
    decoder.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = decoder.read_info(figure.bytes()).unwrap();
    assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
    let (width, height) = (decoder.width() as usize, decoder.height() as usize);
    assert_eq!((width, height), (3 * 29 + 1, 2 * 29 + 1 + 18));
    let mut shown = vec![0; width * height];
    let (mut delays, mut captions) = (Vec::new(), Vec::new());
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        for (shown, rgba) in shown.iter_mut().zip(frame.buffer.chunks_exact(4)) {
            if rgba[3] > 0 {
                *shown = rgba[0];
            }
        }
        delays.push(frame.delay);
        captions.push(shown[width * (height - 18)..].to_vec());
        // the lit pixel walks down one row per epoch, and leaves none behind
        let lit: Vec<usize> = (0..28)
            .filter(|row| shown[(1 + row) * width + 1] == 255)
            .collect();
        assert_eq!(lit, [delays.len() % 28], "epoch {}", delays.len());
    }
    assert_eq!(delays.len(), 30);
    assert!(delays[..29].iter().all(|&delay| delay == 30), "{delays:?}");
    assert!(delays[29] > 150, "{delays:?}");
    captions.dedup();
    assert_eq!(
        captions.len(),
        30,
        "each frame has its own epoch written under it"
    );
    assert!(figure.alt().contains("epoch 1 to 30"), "{}", figure.alt());
}

#[test]
fn a_gif_of_a_whole_run_stays_small() {
    let (digits, rng) = (Digits::builtin(1200, &Rng::seed(1)), Rng::seed(2));
    // as in training: noise first, then other digits in every epoch, with fewer and fewer specks
    let frame = |epoch: usize| {
        let first = 40 * (epoch - 1);
        let bytes = (first..first + 40).flat_map(|i| digits.image(i));
        let clean: Vec<f32> = bytes.map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
        let clean = Tensor::from_vec(clean, (40, 1, 28, 28), &Device::Cpu).unwrap();
        let specks = rng.normal((40, 1, 28, 28)).unwrap() / (epoch * epoch) as f64;
        Snapshot::new(epoch, (clean + specks.unwrap()).unwrap())
    };
    let run: Vec<Snapshot> = (1..31).map(frame).collect();
    let bytes = plot::training_gif(&run, 10).unwrap().bytes().len();
    assert!(bytes < 400_000, "{bytes} bytes");
}

#[test]
fn html_carries_the_picture_and_its_words() {
    let figure = plot::sample_grid(&lit(2, 0, 0), 2).unwrap();
    let html = figure.html();
    assert!(
        html.starts_with("<img alt=\"2 generated digits in a row.\" width=\"115\""),
        "{html:.80}"
    );
    let (_, encoded) = html.split_once("src=\"data:image/png;base64,").unwrap();
    let encoded = encoded.strip_suffix("\">").unwrap();
    assert_eq!(STANDARD.decode(encoded).unwrap(), figure.bytes());
}

#[test]
fn a_saved_file_is_the_figure_and_replaces_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let figure = plot::sample_grid(&lit(2, 0, 0), 2).unwrap();
    let path = folder.path().join("samples.PNG");
    std::fs::write(&path, "older").unwrap();
    figure.save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), figure.bytes());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing else is left"
    );
}

#[test]
fn saving_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let figure = plot::training_gif(&snapshots(1..3), 2).unwrap();
    let says = |path: &str| {
        figure
            .save(folder.path().join(path))
            .unwrap_err()
            .to_string()
    };
    assert!(
        says("run.png").contains("saved as GIF"),
        "{}",
        says("run.png")
    );
    assert!(says("run").contains(".gif"), "{}", says("run"));
    assert!(
        says("absent/run.gif").contains("absent/run.gif"),
        "{}",
        says("absent/run.gif")
    );
    std::fs::create_dir(folder.path().join("taken.gif")).unwrap();
    assert!(says("taken.gif").contains("taken.gif"));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no half-written file: {left:?}");
}

#[test]
fn wrong_samples_are_named() {
    let says =
        |samples: &Tensor, columns| plot::sample_grid(samples, columns).unwrap_err().to_string();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for shape in [&[5, 784][..], &[5, 3, 28, 28], &[0, 1, 28, 28], &[28, 28]] {
        let message = says(&zeros(shape), 5);
        assert!(message.contains("(n, 1, 28, 28)"), "{message}");
        assert!(message.contains(&format!("{shape:?}")), "{message}");
    }
    assert!(says(&lit(3, 0, 0), 0).contains("columns is 0"));
    let nan = (zeros(&[2, 1, 28, 28]) / 0.0).unwrap();
    assert!(
        says(&nan, 2).contains("sample 0 holds NaN"),
        "{}",
        says(&nan, 2)
    );

    let several = plot::large_digit(&lit(3, 0, 0)).unwrap_err().to_string();
    assert!(
        several.contains("one sample") && several.contains("[3, 1, 28, 28]"),
        "{several}"
    );

    let digits = Digits::builtin(6, &Rng::seed(1));
    for (rows, columns) in [(2, 4), (0, 3), (3, 0), (usize::MAX, 2)] {
        let message = plot::data_grid(&digits, rows, columns)
            .unwrap_err()
            .to_string();
        assert!(message.contains("data set has 6"), "{message}");
    }

    let none = plot::training_gif(&[], 4).unwrap_err().to_string();
    assert!(none.contains("no snapshots"), "{none}");
    let mut uneven = snapshots(1..3);
    uneven[1].samples = lit(4, 0, 0);
    for message in [
        plot::training_gif(&uneven, 3).unwrap_err().to_string(),
        plot::epoch_grids(&uneven, 3).unwrap_err().to_string(),
    ] {
        assert!(
            message.contains("epoch 2 has 4 samples, epoch 1 has 6"),
            "{message}"
        );
    }
    let huge = plot::training_gif(
        &[Snapshot {
            epoch: 1,
            samples: zeros(&[2600, 1, 28, 28]),
        }],
        1,
    );
    assert!(
        huge.unwrap_err()
            .to_string()
            .contains("more than a GIF can hold")
    );
    let untrained = plot::loss_curves(&History::new(3, 10))
        .unwrap_err()
        .to_string();
    assert!(untrained.contains("train first"), "{untrained}");
}

#[test]
fn a_diverged_step_stops_with_advice_and_is_not_recorded() {
    let mut history = history(6);
    let logits = Tensor::zeros((4, 1), DType::F32, &Device::Cpu).unwrap();
    let pushed = history.push(&scalar(1.0), &scalar(f32::NAN), &logits, &logits);
    let message = pushed.unwrap_err().to_string();
    assert!(
        message.contains("generator's loss is NaN at step 7"),
        "{message}"
    );
    assert!(message.contains("learning rate"), "{message}");
    assert_eq!((history.d_loss.len(), history.g_loss.len()), (6, 6));
    let infinite = (logits.ones_like().unwrap() / 0.0).unwrap();
    let unreduced = history.push(&logits, &scalar(1.0), &logits, &infinite);
    assert!(
        unreduced
            .unwrap_err()
            .to_string()
            .contains("got shape [4, 1]")
    );
}

#[test]
fn scores_are_mean_probabilities() {
    let mut history = History::new(1, 1);
    let logits = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu).unwrap();
    let (real, fake) = (logits([0.0, 100.0]), logits([-100.0, -100.0]));
    history
        .push(&scalar(1.0), &scalar(2.0), &real, &fake)
        .unwrap();
    assert_eq!((history.d_real[0], history.d_fake[0]), (0.75, 0.0));
}

#[test]
fn environment_variables_are_read_or_explained() {
    // PATH stands for a set variable: changing the environment of a test would disturb its neighbours.
    let message = env_or("PATH", 30usize).unwrap_err().to_string();
    assert!(
        message.contains("PATH") && message.contains("usize") && message.contains("30"),
        "{message}"
    );
    assert_eq!(env_or("DIGIT_GAN_NEVER_SET", 0.5).unwrap(), 0.5);
    assert_eq!(
        env_or("PATH", String::new()).unwrap(),
        std::env::var("PATH").unwrap()
    );
}

#[test]
fn setup_tells_a_slow_kernel_how_to_mend() {
    let slow = Setup {
        threads: 1,
        optimised: false,
    }
    .to_string();
    for part in [
        "1 thread,",
        "4 times slower",
        "make lab",
        "environment.yml",
        ":build_env CARGO_PROFILE_DEV_OPT_LEVEL=3",
    ] {
        assert!(slow.contains(part), "{part} in {slow}");
    }
    let fast = Setup {
        optimised: true,
        ..setup()
    }
    .to_string();
    assert!(fast.ends_with("compiled at full speed"), "{fast}");
    assert_eq!(fast.lines().count(), 1);
    assert!(
        fast.contains("digit-gan 0.") && fast.contains("candle 0."),
        "{fast}"
    );
    assert_eq!(
        setup().optimised,
        !cfg!(debug_assertions),
        "tests are built as cargo's profile says"
    );
}

/// What `evcxr_display` prints, seen from outside as the kernel sees it.
fn printed_by(test: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_figure_shows_itself_as_one_block() {
    let printed = printed_by("prints_a_figure");
    let html = plot::sample_grid(&lit(2, 0, 0), 2).unwrap().html();
    let block = format!("\nEVCXR_BEGIN_CONTENT text/html\n{html}\nEVCXR_END_CONTENT\n");
    assert!(printed.contains(&block), "{printed}");
    assert_eq!(printed.matches("EVCXR_BEGIN_CONTENT").count(), 1);
}

#[test]
#[ignore = "run by a_figure_shows_itself_as_one_block"]
fn prints_a_figure() {
    println!();
    plot::sample_grid(&lit(2, 0, 0), 2).unwrap().evcxr_display();
}

#[test]
fn a_summary_shows_itself_as_a_table_and_as_text() {
    let printed = printed_by("prints_a_summary");
    for part in [
        "EVCXR_BEGIN_CONTENT text/html\n<table><caption",
        "<b>a &lt;b&gt; &quot;c&quot;: input [100]</b>",
        "<td style=\"text-align: right\">25 856</td>",
        "</table>\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/plain\n",
        "a <b> \"c\": input [100]",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    // header, layer, footer
    assert_eq!(printed.matches("<tr>").count(), 3, "{printed}");
}

#[test]
#[ignore = "run by a_summary_shows_itself_as_a_table_and_as_text"]
fn prints_a_summary() {
    println!();
    let network = Sequential::new("a <b> \"c\"", [100]).dense(256);
    network
        .build(&Rng::seed(1))
        .unwrap()
        .summary()
        .evcxr_display();
}
