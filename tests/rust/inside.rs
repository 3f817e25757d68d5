//! Figures that look inside networks: signed values, distributions of logits, and what a convolution connects.

use std::io::Cursor;

use digit_gan::plot::Strip;
use digit_gan::prelude::*;
use image::{ImageReader, RgbImage};

const BLUE: [u8; 3] = [0, 114, 178];
const VERMILLION: [u8; 3] = [213, 94, 0];
const GREEN: [u8; 3] = [0, 158, 115];

fn decode(figure: &Figure) -> RgbImage {
    let reader = ImageReader::new(Cursor::new(figure.bytes())).with_guessed_format();
    reader.unwrap().decode().unwrap().to_rgb8()
}

/// Where a colour is: left, top, right and bottom of its pixels, and how many there are.
fn extent(image: &RgbImage, colour: [u8; 3]) -> ([u32; 4], usize) {
    let at = image
        .enumerate_pixels()
        .filter(|(_, _, pixel)| pixel.0 == colour);
    at.fold(
        ([u32::MAX, u32::MAX, 0, 0], 0),
        |([l, t, r, b], n), (x, y, _)| ([l.min(x), t.min(y), r.max(x), b.max(y)], n + 1),
    )
}

fn tensor(values: &[f32], shape: (usize, usize, usize, usize)) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

/// Height of the bar of colours below the strips.
const KEY: u32 = 60;

/// The strips without the bar of colours.
fn above_key(image: &RgbImage) -> RgbImage {
    image::imageops::crop_imm(image, 0, 0, image.width(), image.height() - KEY).to_image()
}

#[test]
fn signed_values_are_white_at_zero_blue_below_and_orange_above() {
    // Of two pictures of 2 x 2, the second has all the rest at half of the greatest magnitude.
    let values = tensor(&[-0.4, 0., 0., 0.4, 0.2, 0.2, -0.2, -0.2], (2, 1, 2, 2));
    let figure = plot::strips(&[Strip::signed("change", &values)], &["a", "b"]).unwrap();
    let image = decode(&figure);
    let picture = above_key(&image);
    let ([left, top, right, bottom], blue) = extent(&picture, BLUE);
    let side = right - left + 1;
    assert_eq!(
        (bottom - top + 1, blue),
        (side, (side * side) as usize),
        "one square of blue"
    );
    let ([start, below, ..], orange) = extent(&picture, VERMILLION);
    assert_eq!(
        (start, below, orange),
        (left + side, top + side, blue),
        "diagonally opposite"
    );
    assert_eq!(picture[(left + side + 3, top + 3)].0, [255; 3], "zero");
    let half = |full: [u8; 3]| full.map(|c| ((255. + f32::from(c)) / 2.).round() as u8);
    for (colour, y) in [(VERMILLION, top + 3), (BLUE, top + side + 3)] {
        let row: Vec<[u8; 3]> = (0..picture.width()).map(|x| picture[(x, y)].0).collect();
        assert!(row.contains(&half(colour)), "half of {colour:?}");
    }
    // The key below runs over both colours.
    let key = image.height() - KEY;
    let below = image::imageops::crop_imm(&image, 0, key, image.width(), KEY).to_image();
    assert!(extent(&below, BLUE).1 > 5 && extent(&below, VERMILLION).1 > 5);
    assert_eq!(
        figure.alt(),
        "1 row of 2 pictures. change: values from -0.40 to 0.40, in two colours. Columns: a, b."
    );
}

#[test]
fn pictures_of_different_sizes_stand_in_columns_of_one_width() {
    let (digit, filter) = (
        tensor(&[1.; 784], (1, 1, 28, 28)),
        tensor(&[1.; 16], (1, 1, 4, 4)),
    );
    let rows = [
        Strip::grey("digit", &digit),
        Strip::signed("filter", &filter),
    ];
    let figure = plot::strips(&rows, &[]).unwrap();
    let image = above_key(&decode(&figure));
    let ([left, top, right, bottom], _) = extent(&image, VERMILLION);
    // All of the digit is as white as the paper: the frame around it stands out.
    let [width, height] = [right - left + 1, bottom - top + 1];
    assert!(
        width >= 200 && height >= 200 && width.is_multiple_of(4),
        "{width} x {height}"
    );
    let frame = image[(left, top - 16)].0;
    assert_ne!(
        frame, [255; 3],
        "the lower frame of the digit above the filter"
    );
    assert_eq!(
        figure.alt(),
        "2 rows of 1 picture. digit: images in grey; filter: values from -1.0 to 1.0, in two colours."
    );
}

#[test]
fn strips_that_cannot_be_drawn_are_named() {
    let (four, three) = (
        tensor(&[0.; 16], (4, 1, 2, 2)),
        tensor(&[0.; 12], (3, 1, 2, 2)),
    );
    let says =
        |strips: &[Strip], columns: &[&str]| plot::strips(strips, columns).unwrap_err().to_string();
    let uneven = says(&[Strip::grey("a", &four), Strip::signed("b", &three)], &[]);
    assert!(
        uneven.contains("b: 3 where the first row has 4"),
        "{uneven}"
    );
    let titles = says(&[Strip::grey("a", &four)], &["one"]);
    assert!(titles.contains("titles of the columns: 1"), "{titles}");
    assert!(says(&[], &[]).contains("no rows"));
    let maps = tensor(&[0.; 16], (1, 4, 2, 2));
    let shape = says(&[Strip::signed("maps", &maps)], &[]);
    assert!(
        shape.contains("maps") && shape.contains("transpose(0, 1)"),
        "{shape}"
    );
    let nan = (&four / 0.).unwrap();
    let message = says(&[Strip::signed("gradient", &nan)], &[]);
    assert!(message.contains("gradient holds NaN"), "{message}");
    // All zero is white, not a division by zero.
    plot::strips(&[Strip::signed("gradient", &four)], &[]).unwrap();
}

/// `n` values around `mean`.
fn values(mean: f64, n: usize) -> Vec<f32> {
    let values = Rng::seed(1).normal(n).unwrap() * 0.3;
    (values.unwrap() + mean).unwrap().to_vec1().unwrap()
}

#[test]
fn histograms_of_all_panels_share_an_axis() {
    let panels = [
        ("apart", [values(3., 400), values(-3., 4000)]),
        ("together", [values(0., 400), values(0., 4000)]),
    ];
    let figure = plot::histograms("logit", ["real", "fake"], &panels).unwrap();
    let image = decode(&figure);
    let names = 2 * (24 + 10);
    let panel = |i: u32| {
        image::imageops::crop_imm(&image, 0, names + i * 184, image.width(), 184).to_image()
    };
    let (real, fake) = (BLUE, VERMILLION);
    let ([left, ..], _) = extent(&panel(0), real);
    let ([_, _, right, _], _) = extent(&panel(0), fake);
    assert!(
        left > right + 300,
        "real logits lie to the right of fake ones: {left} {right}"
    );
    let middle = |colour| {
        let ([left, _, right, _], n) = extent(&panel(1), colour);
        assert!(n > 100, "an outline");
        (left + right) / 2
    };
    let (a, b, centre) = (middle(real), middle(fake), image.width() / 2);
    assert!(
        a.abs_diff(centre) < 60 && b.abs_diff(centre) < 60,
        "{a} {b} {centre}"
    );
    // Ten times as many values make no higher bars.
    let top = |colour| extent(&panel(1), colour).0[1];
    assert!(
        top(real).abs_diff(top(fake)) < 60,
        "{} {}",
        top(real),
        top(fake)
    );
    let alt = figure.alt();
    assert!(
        alt.starts_with("Histograms of logit. apart: real around 3.0 ("),
        "{alt}"
    );
    assert!(
        alt.contains("fake around -3.0 (") && alt.contains("; together: real around"),
        "{alt}"
    );
}

#[test]
fn histograms_of_nothing_or_of_nan_are_refused() {
    let says = |panels: &[(&str, [Vec<f32>; 1])]| {
        plot::histograms("logit", ["real"], panels)
            .unwrap_err()
            .to_string()
    };
    assert!(says(&[]).contains("0 panels"));
    assert!(says(&[("start", [vec![]])]).contains("real of \"start\" has no values"));
    assert!(says(&[("start", [vec![1., f32::NAN]])]).contains("real of \"start\" holds NaN"));
    let many = plot::histograms("x", [""; 7], &[("", [[1.]; 7])]).unwrap_err();
    assert!(many.to_string().contains("1 to 6 sets"));
    plot::histograms("x", ["one"], &[("all alike", [[2.; 5]])]).unwrap();
}

#[test]
fn a_stride_is_drawn_as_the_layer_computes_it() {
    let images = Tensor::zeros((1, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
    for (kernel, stride, padding) in [(4, 2, 1), (3, 1, 0), (5, 2, 2), (3, 3, 1)] {
        let weights = Tensor::zeros((1, 1, kernel, kernel), DType::F32, &Device::Cpu).unwrap();
        let output = images.conv2d(&weights, padding, stride, 1, 1).unwrap();
        let figure = plot::stride(8, kernel, stride, padding).unwrap();
        let side = output.dim(3).unwrap();
        let formula = format!("(8 + 2 × {padding} - {kernel}) / {stride} + 1 = {side}");
        assert!(figure.alt().contains(&formula), "{}", figure.alt());
    }
    // A window has the colour of its output, and is as many cells wide as the kernel.
    let image = decode(&plot::stride(8, 4, 2, 1).unwrap());
    let arrows = image.width() * 3 / 5;
    let input = image::imageops::crop_imm(&image, 0, 0, arrows, image.height()).to_image();
    let output = image::imageops::crop_imm(&image, arrows, 0, arrows, image.height()).to_image();
    let span = |image, colour| {
        let ([left, _, right, _], n) = extent(image, colour);
        assert!(n > 0, "{colour:?} is missing");
        (left, right - left)
    };
    let (_, window) = span(&input, GREEN);
    let (_, cell) = span(&output, GREEN);
    assert!(window.abs_diff(4 * cell) < 16, "{window} {cell}");
    let (first, second) = (span(&input, BLUE).0, span(&input, VERMILLION).0);
    assert!(
        (second - first).abs_diff(2 * cell) < 8,
        "{first} {second} {cell}"
    );
}

#[test]
fn a_stride_that_no_layer_has_is_refused() {
    for (size, kernel, stride, padding) in [
        (0, 1, 1, 0),
        (8, 0, 1, 0),
        (8, 4, 0, 1),
        (2, 5, 1, 1),
        (40, 4, 2, 1),
        (8, 4, 2, usize::MAX),
    ] {
        let message = plot::stride(size, kernel, stride, padding)
            .unwrap_err()
            .to_string();
        assert!(message.contains("a kernel that fits"), "{message}");
    }
}

#[test]
fn a_history_keeps_logits_step_by_step_and_gradient_norms() {
    let logits = |value: f32, n: usize| Tensor::full(value, (n, 1), &Device::Cpu).unwrap();
    let loss = Tensor::new(1f32, &Device::Cpu).unwrap();
    let mut history = History::new(1, 3);
    for step in 0..3 {
        let (real, fake) = (logits(step as f32, 4), logits(-(step as f32), 2));
        history.push(&loss, &loss, &real, &fake).unwrap();
    }
    let [real, fake] = history.logits(1..3).unwrap();
    assert_eq!(
        (real, fake),
        (
            &[1., 1., 1., 1., 2., 2., 2., 2.][..],
            &[-1., -1., -2., -2.][..]
        )
    );
    for steps in [0..4, 2..2, 3..4] {
        let message = history.logits(steps).unwrap_err().to_string();
        assert!(message.contains("from 0 to 3"), "{message}");
    }

    let weight = Var::new(&[3f32, 4.], &Device::Cpu).unwrap();
    let [mut d_adam, mut g_adam] =
        [0, 1].map(|_| Adam::new(vec![weight.clone()], 0.1, 0.5).unwrap());
    d_adam
        .step(&(weight.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap())
        .unwrap();
    g_adam.step(&weight.sum_all().unwrap()).unwrap();
    history.push_gradient_norms(&d_adam, &g_adam).unwrap();
    assert_eq!(history.d_gradient_norm, [5.]);
    assert!((history.g_gradient_norm[0] - 2f32.sqrt()).abs() < 1e-6);
}
