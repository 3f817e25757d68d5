//! Ways through the latent space, directions in it, and the way back; numbers against numpy and scipy
//! (tests/reference/latent.py), gradients against finite differences.

use crate::helpers::values::{message, values};
use digit_gan::candle::{DType, Device, Tensor, Var};
use digit_gan::data::Digits;
use digit_gan::latent::{Directions, directions, project, slerp, truncate};
use digit_gan::nn::{Network, Sequential, with_class};
use digit_gan::plot::{self, Format};
use digit_gan::recipe::Recipe;
use digit_gan::rng::Rng;

// ---------------------------------------------------------------- literals of tests/reference/latent.py

const SLERP: [f32; 6] = [0.991335, 0.456362, -1.452778, 1.13323, 0.145055, -1.281864];
const VARIANCES: [f64; 2] = [0.080589, 0.551524];
const STRENGTHS: [f32; 4] = [2.09667, 1.17176, 0.2775, 0.05028];
const DIRECTIONS: [[f32; 4]; 2] = [
    [0.88021, -0.3498, 0.28413, -0.14878],
    [-0.41243, -0.3181, 0.85102, -0.06688],
];

// ----------------------------------------------------------------

/// scale * sin(2.1 i + 0.013 i² + salt): values that every language computes alike.
fn wave(shape: &[usize], salt: f64, scale: f64) -> Tensor {
    let value = |i: usize| (scale * (2.1 * i as f64 + 0.013 * (i * i) as f64 + salt).sin()) as f32;
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn tensor(rows: &[&[f32]]) -> Tensor {
    let values: Vec<f32> = rows.concat();
    Tensor::from_vec(values, (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
}

fn lengths(points: &Tensor) -> Vec<f32> {
    values(&points.sqr().unwrap().sum(1).unwrap().sqrt().unwrap())
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= tolerance,
            "{found:?}\nexpected {expected:?}"
        );
    }
}

#[test]
fn slerp_is_whites_on_the_shell() {
    let on_shell = |salt| {
        let point = wave(&[1, 6], salt, 1.);
        let length = f64::from(lengths(&point)[0]);
        (point * (2.5 / length)).unwrap()
    };
    let point = slerp(&on_shell(0.3), &on_shell(1.7), 0.3).unwrap();
    assert_close(&values(&point), &SLERP, 1e-5);
}

#[test]
fn slerp_goes_from_one_end_to_the_other_and_never_leaves_the_shell() {
    let rng = Rng::seed(1);
    let [a, b] = [
        rng.normal((50, 100)).unwrap(),
        rng.normal((50, 100)).unwrap(),
    ];
    assert_close(&values(&slerp(&a, &b, 0.).unwrap()), &values(&a), 1e-5);
    assert_close(&values(&slerp(&a, &b, 1.).unwrap()), &values(&b), 1e-5);
    let (from, to) = (lengths(&a), lengths(&b));
    for t in [0.1, 0.5, 0.8] {
        let even = |(from, to): (&f32, &f32)| from * (1. - t) + to * t;
        let expected: Vec<f32> = from.iter().zip(&to).map(even).collect();
        let found = lengths(&slerp(&a, &b, f64::from(t)).unwrap());
        assert_close(&found, &expected, 1e-4);
    }
}

#[test]
fn slerp_needs_no_angle() {
    let a = tensor(&[&[3., 0., 4.], &[0., 2., 0.], &[1., 1., 1.]]);
    // The same, the opposite, and one that differs from the same in the last digit only.
    let b = tensor(&[&[3., 0., 4.], &[-0., -2., -0.], &[1., 1., 1.0000001]]);
    let halfway = slerp(&a, &b, 0.5).unwrap();
    let rows = halfway.to_vec2::<f32>().unwrap();
    assert_close(&rows[0], &[3., 0., 4.], 1e-6);
    assert_close(&rows[2], &[1., 1., 1.], 1e-6);
    // A quarter turn to some side, at the same distance, and on to the other end.
    assert!(
        (lengths(&halfway)[1] - 2.).abs() < 1e-6 && rows[1][1].abs() < 1e-6,
        "{rows:?}"
    );
    let end = slerp(&a, &b, 1.).unwrap().to_vec2::<f32>().unwrap();
    assert_close(&end[1], &[0., -2., 0.], 1e-6);
}

#[test]
fn slerp_says_what_it_takes() {
    let (a, zero) = (
        wave(&[2, 3], 0., 1.),
        Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap(),
    );
    assert!(message(slerp(&a, &wave(&[1, 3], 0., 1.), 0.5)).contains("[2, 3] and [1, 3]"));
    assert!(message(slerp(&a, &zero, 0.5)).contains("point 0 of the noise is the origin"));
    assert!(message(slerp(&a, &a, f64::NAN)).contains("t is NaN"));
    let nan = (&zero / 0.).unwrap();
    assert!(message(slerp(&a, &nan, 0.5)).contains("point 0 of the noise holds NaN"));
    let images = Tensor::zeros((2, 1, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(message(slerp(&images, &images, 0.5)).contains("(n, latent), got [2, 1, 3]"));
}

#[test]
fn truncated_noise_is_a_truncated_normal() {
    let rng = Rng::seed(3);
    let noise = rng.normal((1000, 100)).unwrap();
    for (threshold, variance) in [0.5f32, 1.5].into_iter().zip(VARIANCES) {
        let cut = truncate(&noise, f64::from(threshold), &rng).unwrap();
        assert_eq!(cut.dims(), noise.dims());
        let (before, after) = (values(&noise), values(&cut));
        assert!(after.iter().all(|value| value.abs() <= threshold));
        // What was inside has stayed.
        let inside = before
            .iter()
            .zip(&after)
            .filter(|(x, _)| x.abs() <= threshold);
        assert!(inside.clone().count() > 30_000);
        assert!(inside.clone().all(|(before, after)| before == after));
        let moment = |values: &[f32], power| {
            values
                .iter()
                .map(|&x| f64::from(x).powi(power))
                .sum::<f64>()
                / values.len() as f64
        };
        assert!(moment(&after, 1).abs() < 0.01);
        assert!(
            (moment(&after, 2) / variance - 1.).abs() < 0.01,
            "{}",
            moment(&after, 2)
        );
        // The values drawn anew alone as well.
        let anew: Vec<f32> = before
            .iter()
            .zip(&after)
            .filter(|(x, y)| x != y)
            .map(|(_, &y)| y)
            .collect();
        let share = moment(&anew, 2) / variance;
        assert!((share - 1.).abs() < 0.03, "{share} of {}", anew.len());
    }
}

#[test]
fn truncation_ends_at_any_threshold_and_is_seeded() {
    let noise = Rng::seed(3).normal((10, 100)).unwrap();
    let cut = |threshold, seed| values(&truncate(&noise, threshold, &Rng::seed(seed)).unwrap());
    assert!(cut(1e-12, 1).iter().all(|value| value.abs() <= 1e-12));
    assert_eq!(cut(f64::INFINITY, 1), values(&noise));
    assert_eq!(cut(0.7, 1), cut(0.7, 1));
    assert_ne!(cut(0.7, 1), cut(0.7, 2));
    for threshold in [0., -1., f64::NAN] {
        let refused = message(truncate(&noise, threshold, &Rng::seed(1)));
        assert!(
            refused.contains(&format!("threshold is {threshold}")),
            "{refused}"
        );
    }
}

#[test]
fn directions_are_numpys() {
    let noise = wave(&[40, 4], 0.2, 1.4);
    let scales = tensor(&[&[3.], &[0.5], &[2.], &[1.]]);
    let mixing = wave(&[4, 9], 0.9, 1.).broadcast_mul(&scales).unwrap();
    let labels = Tensor::from_iter((0..40).map(|i| i % 2u32), &Device::Cpu).unwrap();
    let brighter = labels.to_dtype(DType::F32).unwrap().unsqueeze(1).unwrap();
    let images = noise.matmul(&mixing).unwrap().tanh().unwrap();
    let images = images
        .broadcast_add(&brighter)
        .unwrap()
        .reshape((40, 1, 3, 3))
        .unwrap();
    let found = directions(&noise, &images, Some(&labels)).unwrap();
    let strengths: Vec<f32> = found.strengths().iter().map(|&x| x as f32).collect();
    assert_close(&strengths, &STRENGTHS, 1e-4);
    for (i, expected) in DIRECTIONS.iter().enumerate() {
        assert_close(&values(&found.get(i).unwrap()), expected, 1e-4);
    }
}

/// 4000 samples of a generator whose images answer to two directions only, the weaker with more ink backwards.
fn two_directions() -> (Directions, [Tensor; 2]) {
    let noise = Rng::seed(5).normal((4000, 6)).unwrap();
    let along = [
        tensor(&[&[0.6, 0., 0.8, 0., 0., 0.]]),
        tensor(&[&[0., 1., 0., 0., 0., 0.]]),
    ];
    let answers = [tensor(&[&[3., 0., -1., 2.]]), tensor(&[&[0., -2., 0., 0.]])];
    let answer = |i: usize| {
        noise
            .matmul(&along[i].t().unwrap())
            .unwrap()
            .matmul(&answers[i])
            .unwrap()
    };
    let images = (answer(0) + answer(1)).unwrap();
    (directions(&noise, &images, None).unwrap(), along)
}

/// The iteration that finds eigenvalues neither runs forever nor ends in NaN.
#[test]
fn directions_of_images_that_differ_by_80_orders_of_magnitude_are_refused() {
    // Noise along each axis, there and back; the images, too, are opposite. Only axis 0 changes the first pixel.
    let latent = 10;
    let axes = Tensor::eye(latent, DType::F32, &Device::Cpu).unwrap();
    let tiny = (Rng::seed(1).normal((latent, latent)).unwrap() * 1e-42).unwrap();
    let mut images = tiny.to_vec2::<f32>().unwrap();
    images.iter_mut().for_each(|image| image[0] = 0.);
    images[0].fill(0.);
    images[0][0] = 1e38;
    let images = Tensor::new(images, &Device::Cpu).unwrap();
    let both = |there: &Tensor| Tensor::cat(&[there, &there.neg().unwrap()], 0).unwrap();
    let said = message(directions(&both(&axes), &both(&images), None));
    assert!(said.contains("orders of magnitude"), "{said}");
}

#[test]
fn directions_are_those_that_the_images_answer_to() {
    let (found, [first, second]) = two_directions();
    let strengths = found.strengths();
    assert!(
        (strengths[0] / 14f64.sqrt() - 1.).abs() < 0.05,
        "{strengths:?}"
    );
    assert!((strengths[1] / 2. - 1.).abs() < 0.05, "{strengths:?}");
    assert!(
        strengths[2] < 0.1 && strengths.is_sorted_by(|a, b| a >= b),
        "{strengths:?}"
    );
    assert_close(&values(&found.get(0).unwrap()), &values(&first), 0.05);
    assert_close(
        &values(&found.get(1).unwrap()),
        &values(&second.neg().unwrap()),
        0.05,
    );
    let all = Tensor::cat(
        &(0..6).map(|i| found.get(i).unwrap()).collect::<Vec<_>>(),
        0,
    )
    .unwrap();
    let products = values(&all.matmul(&all.t().unwrap()).unwrap());
    let identity: Vec<f32> = (0..36).map(|i| f32::from(u8::from(i % 7 == 0))).collect();
    assert_close(&products, &identity, 1e-5);
}

#[test]
fn classes_that_differ_are_no_direction() {
    let rng = Rng::seed(8);
    let noise = rng.normal((2000, 3)).unwrap();
    // Which class it is follows from the noise, as it never does where classes are asked for: the worst case.
    let labels: Vec<u32> = noise
        .to_vec2::<f32>()
        .unwrap()
        .iter()
        .map(|z| u32::from(z[2] > 0.))
        .collect();
    let labels = Tensor::new(labels, &Device::Cpu).unwrap();
    let bright = (labels.to_dtype(DType::F32).unwrap().unsqueeze(1).unwrap() * 50.).unwrap();
    let images = (noise.narrow(1, 0, 1).unwrap() + bright).unwrap();
    let with = directions(&noise, &images, Some(&labels)).unwrap();
    assert!(values(&with.get(0).unwrap())[0] > 0.99);
    let without = directions(&noise, &images, None).unwrap();
    assert!(values(&without.get(0).unwrap())[2] > 0.9);
}

#[test]
fn points_move_along_directions() {
    let (found, _) = two_directions();
    let noise = wave(&[3, 6], 0.4, 1.);
    let moved = found.moved(&noise, &[(0, 2.), (1, -0.5)]).unwrap();
    let [first, second] = [0, 1].map(|i| values(&found.get(i).unwrap()));
    let by: Vec<f32> = first
        .iter()
        .zip(&second)
        .map(|(a, b)| 2. * a - 0.5 * b)
        .collect();
    let expected: Vec<f32> = values(&noise)
        .chunks(6)
        .flat_map(|z| z.iter().zip(&by).map(|(z, by)| z + by))
        .collect();
    assert_close(&values(&moved), &expected, 1e-5);
    assert_eq!(values(&found.moved(&noise, &[]).unwrap()), values(&noise));
    assert!(message(found.moved(&noise, &[(6, 1.)])).contains("no direction 6"));
    assert!(message(found.moved(&wave(&[3, 5], 0., 1.), &[])).contains("(n, 6), not [3, 5]"));
}

#[test]
fn directions_say_what_they_take() {
    let noise = wave(&[4, 3], 0., 1.);
    let images = wave(&[4, 1, 2, 2], 0., 1.);
    let labels = |n: usize| Tensor::zeros(n, DType::U32, &Device::Cpu).unwrap();
    let fewer = message(directions(&noise, &wave(&[3, 1, 2, 2], 0., 1.), None));
    assert!(
        fewer.contains("[4, 3]") && fewer.contains("[3, 1, 2, 2]"),
        "{fewer}"
    );
    assert!(message(directions(&noise, &images, Some(&labels(3)))).contains("u32 of shape [4]"));
    let nan = (images.zeros_like().unwrap() / 0.).unwrap();
    assert!(message(directions(&noise, &nan, None)).contains("not finite"));
}

/// A generator as training leaves it: running statistics that are not 0 and 1.
fn generator(recipe: Recipe, rng: &Rng) -> Network {
    let generator = recipe.generator.build(rng).unwrap();
    let inputs = generator.config().input()[0];
    for _ in 0..3 {
        generator
            .forward_t(&rng.normal((32, inputs)).unwrap(), true)
            .unwrap();
    }
    generator
}

/// Two hidden layers, the second normalised, and few enough pixels for a test without full optimisation.
fn small(latent: usize) -> Network {
    let rng = Rng::seed(2);
    let network = Sequential::new("generator", [latent])
        .dense(40)
        .leaky_relu(0.2)
        .dense(60)
        .batch_norm(0.5)
        .leaky_relu(0.2)
        .dense(36)
        .tanh()
        .reshape([1, 6, 6])
        .build(&rng)
        .unwrap();
    for _ in 0..3 {
        network
            .forward_t(&rng.normal((32, latent)).unwrap(), true)
            .unwrap();
    }
    network
}

/// Noise reaches through the generator as the finished network computes it: what [`project`] follows.
#[test]
fn a_finished_generator_has_gradients_for_its_noise() {
    let rng = Rng::seed(11);
    let labels = Tensor::new(&[7u32, 0], &Device::Cpu).unwrap();
    for recipe in [
        Recipe::dense(),
        Recipe::compact(),
        Recipe::dcgan().conditional(),
    ] {
        let (name, classes) = (recipe.name.clone(), recipe.classes);
        let generator = generator(recipe, &rng);
        let weights = rng.normal((2, 1, 28, 28)).unwrap();
        let of = |noise: &Tensor| {
            let input = match classes {
                Some(classes) => with_class(noise, &labels, classes).unwrap(),
                None => noise.clone(),
            };
            let images = generator.forward(&input).unwrap();
            (images * &weights).unwrap().sum_all().unwrap()
        };
        let noise = Var::from_tensor(&rng.normal((2, 100)).unwrap()).unwrap();
        let gradients = of(&noise).backward().unwrap();
        let gradient = gradients.get(&noise).unwrap();
        assert!(generator.named_gradients(&gradients).unwrap().is_empty());
        // Along the gradient the difference is the largest, and drowns the least in single precision.
        let length = f64::from(lengths(&gradient.flatten_all().unwrap().unsqueeze(0).unwrap())[0]);
        let step = (gradient * (1e-2 / length)).unwrap();
        let value = |noise: Tensor| f64::from(of(&noise).to_scalar::<f32>().unwrap());
        let [ahead, behind] =
            [noise.as_tensor() + &step, noise.as_tensor() - &step].map(|z| value(z.unwrap()));
        let slope = (ahead - behind) / 2e-2;
        assert!(
            (slope / length - 1.).abs() < 0.02,
            "{name}: {slope} against {length}"
        );
    }
}

#[test]
fn an_image_of_the_generators_own_is_found_again() {
    let (generator, rng) = (small(8), Rng::seed(4));
    let target = generator.forward(&rng.normal((1, 8)).unwrap()).unwrap();
    let start = rng.normal((6, 8)).unwrap();
    let found = project(&generator, &target, &start, None, 200).unwrap();
    assert_eq!(
        (found.losses.len(), found.path.dims()),
        (201, &[201, 8][..])
    );
    // Between the points of its own length and the one behind the target lies a little.
    assert!(
        found.losses[200] < 0.02 * found.losses[0],
        "{:?}",
        found.losses
    );
    let least = found
        .last_losses
        .iter()
        .copied()
        .fold(f32::INFINITY, f32::min);
    assert_eq!(found.last_losses[found.start], least);
    assert_eq!((found.losses[200], found.last_losses.len()), (least, 6));
    // The path leads from the start to the noise, whose image it is, with the loss that is told.
    assert_eq!(
        values(&found.path.narrow(0, 0, 1).unwrap()),
        values(&start.narrow(0, found.start, 1).unwrap())
    );
    assert_eq!(
        values(&found.path.narrow(0, 200, 1).unwrap()),
        values(&found.noise)
    );
    assert_eq!(
        values(&generator.forward(&found.noise).unwrap()),
        values(&found.image)
    );
    let loss = (&found.image - &target)
        .unwrap()
        .sqr()
        .unwrap()
        .mean_all()
        .unwrap();
    assert!((loss.to_scalar::<f32>().unwrap() - least).abs() < 1e-6);
    let shell = lengths(&start)[found.start];
    assert_close(&lengths(&found.path), &[shell; 201], 1e-4);
    // Again: the same, to the bit.
    let again = project(&generator, &target, &start, None, 200).unwrap();
    assert_eq!(
        (values(&again.path), again.losses),
        (values(&found.path), found.losses)
    );
}

#[test]
fn starts_do_not_disturb_each_other_and_leave_the_generator_alone() {
    let (generator, rng) = (small(8), Rng::seed(6));
    let before = generator.named_parameters().unwrap();
    let target = generator.forward(&rng.normal((1, 8)).unwrap()).unwrap();
    let start = rng.normal((3, 8)).unwrap();
    let all = project(&generator, &target, &start, None, 20).unwrap();
    for i in 0..3 {
        let alone = project(
            &generator,
            &target,
            &start.narrow(0, i, 1).unwrap(),
            None,
            20,
        )
        .unwrap();
        assert!(
            (alone.last_losses[0] - all.last_losses[i]).abs() < 1e-4,
            "{i}"
        );
    }
    for ((_, before), (name, after)) in before.iter().zip(generator.named_parameters().unwrap()) {
        assert_eq!(values(before), values(&after), "{name}");
    }
}

#[test]
fn the_class_of_a_projection_is_the_one_asked_for() {
    let (generator, rng) = (small(8 + 3), Rng::seed(4));
    let label = |class: u32, n: usize| Tensor::new(vec![class; n], &Device::Cpu).unwrap();
    let noise = rng.normal((1, 8)).unwrap();
    let target = generator
        .forward(&with_class(&noise, &label(2, 1), 3).unwrap())
        .unwrap();
    let start = rng.normal((4, 8)).unwrap();
    let found = project(&generator, &target, &start, Some(&label(2, 4)), 150).unwrap();
    let image = generator
        .forward(&with_class(&found.noise, &label(2, 1), 3).unwrap())
        .unwrap();
    assert_eq!(values(&image), values(&found.image));
    assert!(found.losses[150] < 0.1 * found.losses[0]);
    // Asked of several classes at once, it tells which one it is.
    let labels = Tensor::new(vec![0u32, 1, 2, 0, 1, 2], &Device::Cpu).unwrap();
    let start = Tensor::cat(&[&noise; 6], 0).unwrap();
    let found = project(&generator, &target, &start, Some(&labels), 30).unwrap();
    assert_eq!(found.start % 3, 2, "{:?}", found.last_losses);
}

#[test]
fn projecting_says_what_it_takes() {
    let generator = small(8);
    let (target, start) = (wave(&[1, 6, 6], 0., 0.5), wave(&[2, 8], 0., 1.));
    let labels = Tensor::zeros(2, DType::U32, &Device::Cpu).unwrap();
    let says = |target: &Tensor, start: &Tensor, labels, steps| {
        message(project(&generator, target, start, labels, steps))
    };
    let shape = says(&wave(&[1, 28, 28], 0., 1.), &start, None, 5);
    assert!(
        shape.contains("[1, 6, 6]") && shape.contains("[1, 28, 28]"),
        "{shape}"
    );
    let wide = says(&target, &wave(&[2, 9], 0., 1.), None, 5);
    assert!(
        wide.contains("[8]") && wide.contains("9 numbers of noise"),
        "{wide}"
    );
    let told = says(&target, &start, Some(&labels), 5);
    assert!(told.contains("and a class"), "{told}");
    let untold = says(&target, &wave(&[2, 5], 0., 1.), None, 5);
    assert!(untold.contains("without a class"), "{untold}");
    let nan = (target.zeros_like().unwrap() / 0.).unwrap();
    assert!(says(&nan, &start, None, 5).contains("target holds values that are not finite"));
    let origin = start.zeros_like().unwrap();
    assert!(says(&target, &origin, None, 5).contains("origin"));
    assert!(says(&target, &start, None, usize::MAX).contains("at most 100000"));
    generator
        .set(
            "0.dense.weight",
            &(Tensor::ones((8, 40), DType::F32, &Device::Cpu).unwrap() * f64::NAN).unwrap(),
        )
        .unwrap();
    assert!(says(&target, &start, None, 3).contains("diverged"));
}

/// Digits as a generator gives them: (n, 1, 28, 28) in [-1, 1].
fn samples(digits: &Digits) -> Tensor {
    let bytes = (0..digits.len()).flat_map(|i| digits.image(i));
    let values: Vec<f32> = bytes.map(|&byte| f32::from(byte) / 127.5 - 1.).collect();
    Tensor::from_vec(values, (digits.len(), 1, 28, 28), &Device::Cpu).unwrap()
}

#[test]
fn a_walk_numbers_its_steps_and_rests_on_the_last() {
    let digits = samples(&Digits::builtin(30, &Rng::seed(2)));
    let frames: Vec<Tensor> = (0..5)
        .map(|i| digits.narrow(0, 6 * i, 6).unwrap())
        .collect();
    let figure = plot::walk_gif(&frames, 3).unwrap();
    assert_eq!(figure.format(), Format::Gif);
    assert_eq!(
        figure.alt(),
        "Animation: 6 generated digits in 2 rows of 3 change in 5 steps through the latent space."
    );
    let mut decoder = gif::DecodeOptions::new();
    decoder.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = decoder.read_info(figure.bytes()).unwrap();
    assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    assert_eq!((width, height), (3 * 29 + 1, 2 * 29 + 1 + 18));
    let (mut shown, mut delays, mut captions) = (vec![0u8; width * height], Vec::new(), Vec::new());
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        for (shown, rgba) in shown.iter_mut().zip(frame.buffer.chunks_exact(4)) {
            if rgba[3] > 0 {
                *shown = rgba[0];
            }
        }
        // The fifth digit, in the second row: within half a step of 15 greys.
        let expected = values(&frames[delays.len()].get(4).unwrap());
        for (at, value) in expected.iter().enumerate() {
            let found = shown[(1 + 29 + at / 28) * width + 1 + 29 + at % 28];
            let grey = (value + 1.) * 127.5;
            assert!(
                (f32::from(found) - grey).abs() < 10.,
                "frame {}, pixel {at}",
                delays.len()
            );
        }
        delays.push(frame.delay);
        captions.push(shown[width * (height - 18)..].to_vec());
    }
    assert_eq!(delays[..4], [8; 4]);
    assert!(delays[4] > 100, "{delays:?}");
    captions.dedup();
    assert_eq!(captions.len(), 5, "each frame has its own number under it");
    assert!(message(plot::walk_gif(&[], 3)).contains("no frames"));
    let uneven = [frames[0].clone(), digits.narrow(0, 0, 5).unwrap()];
    assert!(
        message(plot::walk_gif(&uneven, 3))
            .contains("frame 1 has 5 digits of 28x28 pixels, frame 0 has 6")
    );
}
