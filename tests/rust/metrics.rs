//! Metrics against scipy and scikit-learn (tests/reference/metrics.py), closed forms, and what they must tell apart.

use std::sync::Arc;

use crate::helpers::values::message;
use digit_gan::metrics::{
    Classes, Copies, Features, Gaussian, Neighbourhoods, Prdc, class_accuracy, kid, nearest,
};
use digit_gan::prelude::*;

// ---------------------------------------------------------------- literals of tests/reference/metrics.py

const FRECHET: f64 = 1.0099474;
const FRECHET_OF_FEW: f64 = 1.85262946;
const KID: [f64; 2] = [0.527457593, 0.0345563719];
const PRDC: Prdc = Prdc {
    precision: 0.533333333,
    recall: 0.17,
    density: 0.357333333,
    coverage: 0.38,
};
const NEAREST: [usize; 8] = [91, 142, 91, 129, 91, 189, 129, 185];
const DISTANCES: [f64; 4] = [1.21605, 0.986248, 1.05919, 1.00774];
const COPIES: [f64; 3] = [1.09864049, 0.964968542, 0.00666666667];
const COUNTS: [u32; 10] = [23, 19, 13, 9, 15, 14, 11, 14, 12, 20];
const CONFIDENCE: f64 = 0.299403842;
const DIVERGENCE: f64 = 0.0688976278;
const CLASS_ACCURACY: f64 = 0.126666667;

const DIM: usize = 16;

/// Values in [0, 1) that every language computes alike, and that look random.
fn noise(count: usize, salt: f64) -> Vec<f64> {
    let value = |i| ((12.9898 * (1 + i) as f64 + salt).sin() * 43758.5453).rem_euclid(1.);
    (0..count).map(value).collect()
}

fn points(count: usize, salt: f64, scale: f64, shift: f64) -> Features {
    let values = noise(count * DIM, salt).into_iter();
    let rows = values.map(|value| (scale * value + shift) as f32).collect();
    Features::new(rows, DIM).unwrap()
}

fn reference() -> Features {
    points(200, 1., 1., 0.)
}

fn samples() -> Features {
    points(150, 2., 0.9, 0.3)
}

/// The names of the classes: a, b, c, ...
fn names(classes: u8) -> Arc<[String]> {
    let letters = (0..classes).map(|class| char::from(b'a' + class));
    letters.map(String::from).collect()
}

/// Images of one feature, 0, whose ten classes a judge sees with these probabilities.
fn judged(count: usize, salt: f64) -> Features {
    let row = |row: &[f64]| {
        let powers: Vec<f64> = row.iter().map(|x| (4. * x).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(move |x| (x / sum) as f32)
    };
    let probabilities = noise(count * 10, salt).chunks(10).flat_map(row).collect();
    certain(count, probabilities, 10)
}

/// Images of one feature, 0, with these probabilities.
fn certain(count: usize, probabilities: Vec<f32>, classes: u8) -> Features {
    let features = Features::new(vec![0.; count], 1).unwrap();
    let judged = features.with_probabilities(probabilities, &names(classes));
    judged.unwrap()
}

/// The images in the order that the kernel distance makes theirs: block after block.
fn unshuffled(features: &Features, rng: &Rng) -> Features {
    let mut rows = vec![0.; features.rows().len()];
    for (i, place) in rng.permutation(features.len()).into_iter().enumerate() {
        rows[place * DIM..][..DIM].copy_from_slice(features.row(i));
    }
    Features::new(rows, DIM).unwrap()
}

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} instead of {expected} ± {tolerance}"
    );
}

#[test]
fn metrics_are_those_of_scipy_and_scikit_learn() {
    let (reference, samples) = (reference(), samples());
    let gaussian = Gaussian::fit(&reference).unwrap();
    let distance = |features: &Features| {
        let other = Gaussian::fit(features).unwrap();
        other.distance(&gaussian).unwrap()
    };
    assert_near(distance(&samples), FRECHET, 1e-6);
    let few = Features::new(samples.rows()[..10 * DIM].to_vec(), DIM).unwrap();
    assert_near(distance(&few), FRECHET_OF_FEW, 1e-6);

    let rng = Rng::seed(0);
    let [x, y] = [&samples, &reference].map(|features| unshuffled(features, &rng));
    let distance = kid(&x, &y).unwrap();
    assert_near(distance.value, KID[0], 1e-8);
    assert_near(distance.standard_error, KID[1], 1e-8);

    let prdc = Neighbourhoods::fit(&reference).unwrap();
    let prdc = prdc.prdc(&samples).unwrap();
    assert_near(prdc.precision, PRDC.precision, 1e-8);
    assert_near(prdc.recall, PRDC.recall, 1e-8);
    assert_near(prdc.density, PRDC.density, 1e-8);
    assert_near(prdc.coverage, PRDC.coverage, 1e-8);

    let found = nearest(&samples, &reference).unwrap();
    for (found, (index, distance)) in found.iter().zip(NEAREST.iter().zip(DISTANCES)) {
        assert_eq!(found.index, *index);
        assert_near(found.distance.into(), distance, 1e-5);
    }
    let others = nearest(&points(300, 3., 1., 0.), &reference).unwrap();
    let copies = Copies::from_neighbours(&found, &others).unwrap();
    assert_near(copies.samples, COPIES[0], 1e-6);
    assert_near(copies.held_out, COPIES[1], 1e-6);
    assert_near(copies.near, COPIES[2], 1e-8);
    assert_near(copies.ratio(), COPIES[0] / COPIES[1], 1e-6);

    let classes = Classes::from_features(&judged(150, 4.)).unwrap();
    let real = Classes::from_features(&judged(200, 5.)).unwrap();
    for (share, count) in classes.histogram.iter().zip(COUNTS) {
        assert_near(*share, f64::from(count) / 150., 1e-12);
    }
    assert_near(classes.confidence, CONFIDENCE, 1e-7);
    assert_near(classes.divergence(&real).unwrap(), DIVERGENCE, 1e-8);
    let asked: Vec<u32> = (0..150).map(|i| i % 10).collect();
    assert_near(
        class_accuracy(&judged(150, 4.), &asked).unwrap(),
        CLASS_ACCURACY,
        1e-8,
    );
}

// ---------------------------------------------------------------- closed forms and invariants

/// Standard normal features, each with its own deviation and mean.
fn normal(rng: &Rng, count: usize, deviations: &[f32], means: &[f32]) -> Features {
    let dim = deviations.len();
    let mut rows: Vec<f32> = rng.normal(count * dim).unwrap().to_vec1().unwrap();
    for row in rows.chunks_exact_mut(dim) {
        let scales = deviations.iter().zip(means);
        for (x, (deviation, mean)) in row.iter_mut().zip(scales) {
            *x = *x * deviation + mean;
        }
    }
    Features::new(rows, dim).unwrap()
}

fn rows(rows: &[&[f32]]) -> Features {
    Features::new(rows.concat(), rows[0].len()).unwrap()
}

#[test]
fn the_frechet_distance_of_known_gaussians_is_the_closed_form() {
    // In one dimension (m1 - m2)² + (s1 - s2)²: means 2 and 7, deviations 2^½ and 18^½.
    let one = Gaussian::fit(&rows(&[&[1.], &[3.]])).unwrap();
    let other = Gaussian::fit(&rows(&[&[4.], &[10.]])).unwrap();
    assert_near(one.distance(&other).unwrap(), 25. + 8., 1e-9);
    // Diagonal: a sum over the dimensions. Four points of a cross have covariances of 2 a² / 3.
    let cross = |a: f32, b: f32| rows(&[&[a, 0.], &[-a, 0.], &[0., b], &[0., -b]]);
    let one = Gaussian::fit(&cross(1., 2.)).unwrap();
    let other = Gaussian::fit(&cross(3., 5.)).unwrap();
    assert_near(one.distance(&other).unwrap(), 2. / 3. * (4. + 9.), 1e-9);
    // Fitted to many samples.
    let rng = Rng::seed(5);
    let one = Gaussian::fit(&normal(&rng, 50_000, &[1., 2., 0.5], &[0., 1., 0.])).unwrap();
    let other = Gaussian::fit(&normal(&rng, 50_000, &[2., 1., 0.5], &[1., 1., -1.])).unwrap();
    assert_near(one.distance(&other).unwrap(), 4., 0.1);
}

#[test]
fn the_frechet_distance_is_symmetric_zero_to_itself_and_takes_collapsed_samples() {
    let gaussian = |features: &Features| Gaussian::fit(features).unwrap();
    let one = gaussian(&reference());
    let many = gaussian(&points(2000, 7., 0.9, 0.3));
    let singular = gaussian(&points(5, 6., 1., 0.5));
    let still = gaussian(&Features::new([0.25; DIM].repeat(3), DIM).unwrap());
    for a in [&one, &many, &singular, &still] {
        assert_near(a.distance(a).unwrap(), 0., 1e-6);
        for b in [&one, &many, &singular, &still] {
            let (there, back) = (a.distance(b).unwrap(), b.distance(a).unwrap());
            assert_near(there, back, 1e-6);
        }
    }
    // A point: the other's variances and the means alone are left.
    let reference = reference();
    let from = |j: usize| {
        let column: Vec<f64> = (0..200).map(|i| reference.row(i)[j].into()).collect();
        let mean = column.iter().sum::<f64>() / 200.;
        let squares = column.iter().map(|x| (x - mean).powi(2));
        squares.sum::<f64>() / 199. + (mean - 0.25).powi(2)
    };
    let expected: f64 = (0..DIM).map(from).sum();
    assert_near(one.distance(&still).unwrap(), expected, 1e-6);
}

#[test]
fn two_samples_of_one_kind_reach_the_ideal_of_every_metric() {
    let rng = Rng::seed(11);
    let (deviations, means) = ([1.; 8], [3.; 8]);
    let one = normal(&rng, 3000, &deviations, &means);
    let other = normal(&rng, 3000, &deviations, &means);
    let distance = kid(&one, &other).unwrap();
    assert!(
        distance.value.abs() < 4. * distance.standard_error,
        "{distance:?}"
    );
    let prdc = Neighbourhoods::fit(&one).unwrap().prdc(&other).unwrap();
    assert_near(prdc.density, 1., 0.05);
    assert_near(prdc.coverage, 1. - 0.5f64.powi(5), 0.02);
    assert_near(prdc.precision, prdc.recall, 0.05);

    // Apart: each falls where it should.
    let wide = normal(&rng, 3000, &[2.; 8], &means);
    let distance = kid(&one, &wide).unwrap();
    assert!(
        distance.value > 10. * distance.standard_error,
        "{distance:?}"
    );
    let prdc = Neighbourhoods::fit(&one).unwrap().prdc(&wide).unwrap();
    assert!(prdc.precision < 0.4 && prdc.recall > 0.9, "{prdc:?}");
}

/// Kinds in turn, as a conditional generator draws them, and kind after kind: blocks that took them by a rule would hold
/// one kind each, and be far from everything.
#[test]
fn the_kernel_distance_does_not_mind_the_order() {
    let kinds = |place: fn(usize) -> usize, salt| {
        let noise = noise(2000 * DIM, salt);
        let value = |i| (noise[i] + 3. * (place(i / DIM) % 10) as f64) as f32;
        Features::new((0..2000 * DIM).map(value).collect(), DIM).unwrap()
    };
    let in_turn = kinds(|i| i, 1.);
    for other in [kinds(|i| i, 2.), kinds(|i| i / 200, 3.)] {
        let distance = kid(&in_turn, &other).unwrap();
        assert!(
            distance.value.abs() < 4. * distance.standard_error,
            "{distance:?}"
        );
    }
}

#[test]
fn the_kernel_distance_has_no_bias() {
    // The mean over many draws of two equal sets is 0 within its error; with the diagonal it would be 20 errors off.
    let rng = Rng::seed(12);
    let draw = || normal(&rng, 60, &[1.; 4], &[0.; 4]);
    let values: Vec<f64> = (0..400)
        .map(|_| kid(&draw(), &draw()).unwrap().value)
        .collect();
    let mean = values.iter().sum::<f64>() / 400.;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / 399.;
    assert_near(mean, 0., 3. * (variance / 400.).sqrt());
}

#[test]
fn equal_images_are_at_distance_0_wherever_they_lie() {
    // Far from the origin, where |a|² + |b|² - 2ab in f32 is off by more than the points are apart.
    let far = points(300, 8., 1e-2, 1e3);
    for (i, found) in nearest(&far, &far).unwrap().into_iter().enumerate() {
        assert_eq!((found.index, found.distance), (i, 0.));
    }
    let copied = Neighbourhoods::fit(&far).unwrap().prdc(&far).unwrap();
    assert_eq!([copied.precision, copied.recall, copied.coverage], [1.; 3]);
    // One image again and again: balls without extent hold only that image.
    let again = far.row(0).repeat(300);
    let again = Features::new(again, DIM).unwrap();
    let collapsed = Neighbourhoods::fit(&far).unwrap().prdc(&again).unwrap();
    assert_eq!((collapsed.precision, collapsed.recall), (1., 1. / 300.));
    assert!(collapsed.coverage < 0.1, "{collapsed:?}");
}

#[test]
fn nearest_neighbours_are_those_of_a_plain_search_in_pixels_too() {
    let (few, many) = (
        Digits::builtin(30, &Rng::seed(1)),
        Digits::builtin(2500, &Rng::seed(2)),
    );
    let [queries, candidates] = [&few, &many].map(|digits| Features::from_digits(digits).unwrap());
    let found = nearest(&queries, &candidates).unwrap();
    for (i, found) in found.iter().enumerate() {
        let square = |j: usize| {
            let pairs = few.image(i).iter().zip(many.image(j));
            pairs
                .map(|(&a, &b)| i64::from(a).abs_diff(b.into()).pow(2))
                .sum::<u64>()
        };
        let best = (0..many.len()).min_by_key(|&j| square(j)).unwrap();
        assert_eq!(found.index, best);
        assert_near(
            found.distance.into(),
            (square(best) as f64).sqrt() / 127.5,
            1e-4,
        );
    }
    let batch = few.batches(30, &Rng::seed(3)).next().unwrap().unwrap().0;
    let again = nearest(&Features::from_pixels(&batch).unwrap(), &queries).unwrap();
    assert!(
        again.iter().all(|found| found.distance == 0.),
        "pixels of one kind"
    );
}

#[test]
fn metrics_do_not_depend_on_the_number_of_threads() {
    let rng = Rng::seed(21);
    let deviations: Vec<f32> = (1..100).map(|i| 1. / i as f32).collect();
    let means = vec![1.; 99];
    let one = normal(&rng, 2100, &deviations, &means);
    let other = normal(&rng, 2300, &deviations, &means);
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let gaussian = Gaussian::fit(&one).unwrap();
            (
                gaussian
                    .distance(&Gaussian::fit(&other).unwrap())
                    .unwrap()
                    .to_bits(),
                kid(&one, &other).unwrap(),
                Neighbourhoods::fit(&one).unwrap().prdc(&other).unwrap(),
                nearest(&one, &other).unwrap(),
            )
        })
    };
    assert_eq!(all(1), all(2));
    assert_eq!(all(1), all(5));
}

// ---------------------------------------------------------------- any number of classes

#[test]
fn classes_are_counted_whatever_their_number() {
    for classes in [3, 12] {
        // As many images of a class as its number, and the last class twice as sure as not.
        let asked: Vec<u32> = (0..classes)
            .flat_map(|class| vec![class; class as usize])
            .collect();
        let row = |&class: &u32| (0..classes).map(move |i| if i == class { 0.75 } else { 0.01 });
        let probabilities: Vec<f32> = asked.iter().flat_map(row).collect();
        let features = certain(asked.len(), probabilities.clone(), classes as u8);
        let found = Classes::from_features(&features).unwrap();
        assert_eq!(found.names, names(classes as u8));
        let total = asked.len() as f64;
        for (class, fraction) in found.histogram.iter().enumerate() {
            assert_near(*fraction, class as f64 / total, 1e-12);
        }
        assert_near(found.confidence, 0.75, 1e-7);
        assert_eq!(class_accuracy(&features, &asked).unwrap(), 1.);
        let said = message(class_accuracy(&features, &vec![classes; asked.len()]));
        assert!(said.contains(&format!("from 0 to {}, but found {classes}", classes - 1)));
        // Of one class only, against all of them: -ln of its fraction.
        let row = (0..classes).map(|i| f32::from(u8::from(i == 1)));
        let one = Classes::from_features(&certain(1, row.collect(), classes as u8)).unwrap();
        assert_near(one.divergence(&found).unwrap(), total.ln(), 1e-12);
    }
}

// ---------------------------------------------------------------- refusals

#[test]
fn bad_input_is_named() {
    let of = |count: usize, dim: usize| Features::new(vec![0.; count * dim], dim).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let images = (zeros(&[2, 1, 28, 28]) * f64::NAN).unwrap();
    let real = Classes::from_features(&judged(200, 5.)).unwrap();
    let seven = [0., 0., 0., 0., 0., 0., 0., 1., 0., 0.];
    let sevens = certain(2, seven.repeat(2), 10);
    let sevens = Classes::from_features(&sevens).unwrap();
    let three = Classes::from_features(&certain(1, vec![0., 1., 0.], 3)).unwrap();
    let neighbourhoods = Neighbourhoods::fit(&of(6, 4)).unwrap();
    let gaussian = |dim| Gaussian::fit(&of(2, dim)).unwrap();
    let said = [
        (
            message(Features::new(vec![], 4)),
            "at least one row of 4 values",
        ),
        (message(Features::new(vec![0.; 7], 4)), "found 7 values"),
        (message(Features::new(vec![0.; 8], 0)), "row of 0 values"),
        (
            message(of(2, 4).with_probabilities(vec![0.1; 30], &names(10))),
            "each of 2 images, but found 30 values",
        ),
        (
            message(Features::new(vec![0., f32::NAN], 1)),
            "image 1 has a value that is not finite",
        ),
        (
            message(Features::new(vec![0., f32::INFINITY], 1)),
            "image 1 has a value that is not finite",
        ),
        (message(Features::from_pixels(&images)), "image 0"),
        (
            message(Features::from_pixels(&zeros(&[2, 28, 28]))),
            "(n, channels, height, width)",
        ),
        (
            message(Features::from_pixels(&zeros(&[0, 1, 28, 28]))),
            "n at least 1",
        ),
        (
            message(Gaussian::fit(&of(1, 4))),
            "at least 2 images, but found 1",
        ),
        (message(gaussian(4).distance(&gaussian(5))), "found 4 and 5"),
        (
            message(kid(&of(19, 4), &of(50, 4))),
            "at least 20 images, but found 19",
        ),
        (message(kid(&of(50, 4), &of(50, 3))), "found 4 and 3"),
        (
            message(Neighbourhoods::fit(&of(5, 4))),
            "at least 6 images, but found 5",
        ),
        (
            message(neighbourhoods.prdc(&of(3, 4))),
            "at least 4 images, but found 3",
        ),
        (message(neighbourhoods.prdc(&of(9, 7))), "found 4 and 7"),
        (message(nearest(&of(2, 4), &of(2, 5))), "found 4 and 5"),
        (
            message(Classes::from_features(&of(2, 4))),
            "take Judge::features()",
        ),
        (
            message(real.divergence(&sevens)),
            "the reference holds no a",
        ),
        (
            message(real.divergence(&three)),
            "the reference's 3 classes, but found 10",
        ),
        (
            message(class_accuracy(&judged(3, 1.), &[1, 2])),
            "expected 3 labels",
        ),
        (
            message(class_accuracy(&judged(2, 1.), &[1, 10])),
            "but found 10",
        ),
        (
            message(Copies::from_neighbours(&[], &[])),
            "but found 0 and 0",
        ),
    ];
    for (said, expected) in said {
        assert!(said.contains(expected), "{said:?} lacks {expected:?}");
    }
    assert_near(
        sevens.divergence(&real).unwrap(),
        -real.histogram[7].ln(),
        1e-12,
    );
}
