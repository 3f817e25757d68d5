//! What a reader relies on in pictures of digits: the right pixels in the right place, words for those who
//! cannot see them, and clear errors.

use std::io::Cursor;
use std::ops::Range;

use crate::helpers::stripes::{SIZE, stripes};
use digit_gan::plot::Format;
use digit_gan::prelude::*;
use image::{DynamicImage, GenericImageView, ImageReader};

/// Black samples with one white pixel at (row, column) of the first.
fn lit(n: usize, row: usize, column: usize) -> Tensor {
    let mut values = vec![-1f32; n * 784];
    values[row * 28 + column] = 1.0;
    Tensor::from_vec(values, (n, 1, 28, 28), &Device::Cpu).unwrap()
}

fn snapshots(epochs: Range<usize>) -> Vec<Snapshot> {
    epochs
        .map(|epoch| Snapshot::new(epoch, lit(6, epoch % 28, 0)))
        .collect()
}

fn decode(figure: &Figure) -> DynamicImage {
    let reader = ImageReader::new(Cursor::new(figure.bytes())).with_guessed_format();
    reader.unwrap().decode().unwrap()
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

/// Where dark ink is in some columns and rows of a picture.
fn inked(image: &image::GrayImage, xs: Range<u32>, ys: Range<u32>) -> bool {
    let mut all = xs.flat_map(|x| ys.clone().map(move |y| (x, y)));
    all.any(|at| image[at].0[0] < 90)
}

#[test]
fn a_labelled_grid_has_titles_beside_its_rows_and_above_its_columns() {
    // every picture white, so that all ink is a title's
    let white = |n: usize| Tensor::ones((n, 1, 28, 28), DType::F32, &Device::Cpu).unwrap();
    let figure = plot::labelled_grid(&white(6), &["real", "fake"], &["a", "b", "c"]).unwrap();
    assert_eq!(
        figure.alt(),
        "6 pictures in 2 rows of 3. Rows: real, fake. Columns: a, b, c."
    );
    let image = decode(&figure).to_luma8();
    // 4 device pixels per pixel, separators of 2, margins of 16 on the right and below
    let cell = 4 * 28 + 2;
    let (left, top) = (
        image.width() - 16 - 3 * cell,
        image.height() - 16 - 2 * cell,
    );
    for row in 0..2 {
        let ys = top + row * cell..top + (row + 1) * cell;
        assert!(inked(&image, 0..left - 8, ys), "the title of row {row}");
    }
    assert!(
        !inked(&image, 0..left - 8, 0..top),
        "no title in the corner"
    );
    for column in 0..3 {
        let xs = left + column * cell..left + (column + 1) * cell;
        assert!(
            inked(&image, xs.clone(), 0..top - 2),
            "the title of column {column}"
        );
        assert!(
            !inked(&image, xs, top..image.height()),
            "nothing over the pictures"
        );
    }
    for at in [
        (left - 1, top + 50),
        (left + cell - 1, top + 50),
        (left + 50, top + cell - 1),
    ] {
        assert_eq!(image[at].0[0], 96, "a thin separator at {at:?}");
    }
}

#[test]
fn a_labelled_grid_keeps_each_picture_at_its_place_under_wide_titles() {
    let mut values = vec![-1f32; 4 * 784];
    values[2 * 784] = 1.; // the first pixel of the third: second row, first column
    let samples = Tensor::from_vec(values, (4, 1, 28, 28), &Device::Cpu).unwrap();
    let titles = ["a title that is wider than a picture", "two\nlines"];
    let figure = plot::labelled_grid(&samples, &[], &titles).unwrap();
    assert_eq!(
        figure.alt(),
        "4 pictures in 2 rows of 2. Columns: a title that is wider than a picture, two lines."
    );
    let image = decode(&figure).to_luma8();
    let black: Vec<_> = image
        .enumerate_pixels()
        .filter(|(_, _, grey)| grey.0[0] == 0)
        .collect();
    let places = 4 * 784 * 16 - 16;
    assert_eq!(
        black.len(),
        places,
        "all pictures are drawn, apart from each other"
    );
    let columns: Vec<u32> = (0..image.width())
        .filter(|&x| image[(x, image.height() - 20)].0[0] == 0)
        .collect();
    let (first, second) = (columns[0], columns[columns.len() - 1] - 111);
    assert!(
        second - first > 300,
        "as far apart as the title is wide: {first} {second}"
    );
    let bottom = image.height() - 16 - 2 - 28 * 4;
    assert_eq!(image[(first, bottom)].0[0], 255);
    assert_eq!(image[(second, bottom)].0[0], 0);

    let rows = plot::labelled_grid(&samples, &["one", "two"], &[]).unwrap();
    assert_eq!(rows.alt(), "4 pictures in 2 rows of 2. Rows: one, two.");
    assert!(decode(&rows).width() < image.width());
}

#[test]
fn titles_that_do_not_fit_the_samples_are_named() {
    let says = |n: usize, rows: &[&str], columns: &[&str]| {
        let grid = plot::labelled_grid(&lit(n, 0, 0), rows, columns);
        grid.unwrap_err().to_string()
    };
    let message = says(5, &["real", "fake"], &["a", "b", "c"]);
    assert!(
        message.contains("titles of 2 rows and 3 columns need 6 samples, got 5"),
        "{message}"
    );
    let message = says(5, &["real", "fake"], &[]);
    assert!(
        message.contains("a multiple of 2 samples, got 5"),
        "{message}"
    );
    for n in [1, 5] {
        let message = says(n, &[], &["a", "b"]);
        assert!(message.contains("a multiple of 2 samples"), "{message}");
    }
    let message = says(5, &[], &[]);
    assert!(message.contains("sample_grid"), "{message}");
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
fn epoch_grids_choose_the_first_the_last_and_some_between() {
    let figure = plot::epoch_grids(&snapshots(1..31), 3).unwrap();
    assert!(
        figure.alt().ends_with("after epochs 1, 3, 6, 13, 30."),
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
fn wrong_samples_are_named() {
    let says =
        |samples: &Tensor, columns| plot::sample_grid(samples, columns).unwrap_err().to_string();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for shape in [&[5, 784][..], &[5, 3, 28, 28], &[0, 1, 28, 28], &[28, 28]] {
        let message = says(&zeros(shape), 5);
        assert!(message.contains("(n, 1, height, width)"), "{message}");
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
            message.contains("epoch 2 has 4 digits of 28x28 pixels, epoch 1 has 6 digits"),
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
}

#[test]
fn pictures_of_any_size_are_drawn_whole() {
    // White in the last corner of each of 3: it would be missing, or elsewhere, if a side were taken for the other.
    let [height, width] = SIZE;
    let mut values = vec![-1f32; 3 * height * width];
    values
        .chunks_mut(height * width)
        .for_each(|image| image[height * width - 1] = 1.);
    let samples = Tensor::from_vec(values, (3, 1, height, width), &Device::Cpu).unwrap();
    let image = decode(&plot::sample_grid(&samples, 2).unwrap()).to_luma8();
    let gap = 2; // half of the scale, 4
    assert_eq!(
        image.dimensions(),
        (gap + 2 * (16 * 4 + gap), gap + 2 * (12 * 4 + gap))
    );
    let white = image.enumerate_pixels().filter(|pixel| pixel.2[0] == 255);
    assert_eq!(white.count(), 3 * 4 * 4);
    assert_eq!(image[(gap + 16 * 4 - 1, gap + 12 * 4 - 1)][0], 255);

    let large = plot::large_digit(&samples.get(0).unwrap()).unwrap();
    assert!(
        large.alt().starts_with("One digit of 12 x 16 pixels"),
        "{}",
        large.alt()
    );
    let labelled = plot::data_grid(&stripes(24, 12, 1), 2, 12).unwrap();
    assert!(
        labelled
            .alt()
            .ends_with("each under its label: a b c d e f g h i j k l a b c d e f g h i j k l."),
        "{}",
        labelled.alt()
    );

    let snapshots = [lit(3, 0, 0), samples].map(|samples| Snapshot::new(1, samples));
    let said = plot::training_gif(&snapshots, 2).unwrap_err().to_string();
    assert!(
        said.contains("3 digits of 12x16 pixels, epoch 1 has 3 digits of 28x28"),
        "{said}"
    );
}
