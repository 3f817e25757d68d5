//! Metrics against scipy and scikit-learn (tests/metrics.py), closed forms, and what they must tell apart.

#[path = "values.rs"]
mod values;

use digit_gan::metrics::{
    Classes, Copies, Features, Gaussian, Neighbourhoods, Overlap, asked_right, kernel_distance,
    nearest,
};
use digit_gan::prelude::*;
use values::message;

// ---------------------------------------------------------------- literals of tests/metrics.py

const FRECHET: f64 = 1.0099474;
const FRECHET_OF_FEW: f64 = 1.85262946;
const KERNEL: [f64; 2] = [0.527457593, 0.0345563719];
const OVERLAP: Overlap = Overlap {
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
const RIGHT: f64 = 0.126666667;

const DIM: usize = 16;

/// Values in [0, 1) that every language computes alike, and that look random.
fn noise(count: usize, salt: f64) -> Vec<f64> {
    let value = |i| ((12.9898 * (1 + i) as f64 + salt).sin() * 43758.5453).rem_euclid(1.);
    (0..count).map(value).collect()
}

fn points(count: usize, salt: f64, scale: f64, shift: f64) -> Features {
    let values = noise(count * DIM, salt).into_iter();
    let rows = values.map(|value| (scale * value + shift) as f32).collect();
    Features::new(rows, DIM, vec![]).unwrap()
}

fn reference() -> Features {
    points(200, 1., 1., 0.)
}

fn samples() -> Features {
    points(150, 2., 0.9, 0.3)
}

/// Images of one feature, 0, whose digits a judge sees with these probabilities.
fn judged(count: usize, salt: f64) -> Features {
    let row = |row: &[f64]| {
        let powers: Vec<f64> = row.iter().map(|x| (4. * x).exp()).collect();
        let sum: f64 = powers.iter().sum();
        std::array::from_fn(|i| (powers[i] / sum) as f32)
    };
    let probabilities = noise(count * 10, salt).chunks(10).map(row).collect();
    Features::new(vec![0.; count], 1, probabilities).unwrap()
}

/// The images in the order that the kernel distance makes theirs: block after block.
fn unshuffled(features: &Features, rng: &Rng) -> Features {
    let mut rows = vec![0.; features.rows().len()];
    for (i, place) in rng.permutation(features.len()).into_iter().enumerate() {
        rows[place * DIM..][..DIM].copy_from_slice(features.row(i));
    }
    Features::new(rows, DIM, vec![]).unwrap()
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
    let gaussian = Gaussian::of(&reference).unwrap();
    let distance = |features: &Features| {
        let other = Gaussian::of(features).unwrap();
        other.distance(&gaussian).unwrap()
    };
    assert_near(distance(&samples), FRECHET, 1e-6);
    let few = Features::new(samples.rows()[..10 * DIM].to_vec(), DIM, vec![]).unwrap();
    assert_near(distance(&few), FRECHET_OF_FEW, 1e-6);

    let rng = Rng::seed(0);
    let [x, y] = [&samples, &reference].map(|features| unshuffled(features, &rng));
    let kernel = kernel_distance(&x, &y).unwrap();
    assert_near(kernel.value, KERNEL[0], 1e-8);
    assert_near(kernel.standard_error, KERNEL[1], 1e-8);

    let overlap = Neighbourhoods::of(&reference).unwrap();
    let overlap = overlap.overlap(&samples).unwrap();
    assert_near(overlap.precision, OVERLAP.precision, 1e-8);
    assert_near(overlap.recall, OVERLAP.recall, 1e-8);
    assert_near(overlap.density, OVERLAP.density, 1e-8);
    assert_near(overlap.coverage, OVERLAP.coverage, 1e-8);

    let found = nearest(&samples, &reference).unwrap();
    for (found, (index, distance)) in found.iter().zip(NEAREST.iter().zip(DISTANCES)) {
        assert_eq!(found.index, *index);
        assert_near(found.distance.into(), distance, 1e-5);
    }
    let others = nearest(&points(300, 3., 1., 0.), &reference).unwrap();
    let copies = Copies::of(&found, &others).unwrap();
    assert_near(copies.samples, COPIES[0], 1e-6);
    assert_near(copies.held_out, COPIES[1], 1e-6);
    assert_near(copies.near, COPIES[2], 1e-8);
    assert_near(copies.ratio(), COPIES[0] / COPIES[1], 1e-6);

    let classes = Classes::of(&judged(150, 4.)).unwrap();
    let real = Classes::of(&judged(200, 5.)).unwrap();
    for (share, count) in classes.histogram.iter().zip(COUNTS) {
        assert_near(*share, f64::from(count) / 150., 1e-12);
    }
    assert_near(classes.confidence, CONFIDENCE, 1e-7);
    assert_near(classes.divergence(&real).unwrap(), DIVERGENCE, 1e-8);
    let asked: Vec<u32> = (0..150).map(|i| i % 10).collect();
    assert_near(asked_right(&judged(150, 4.), &asked).unwrap(), RIGHT, 1e-8);
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
    Features::new(rows, dim, vec![]).unwrap()
}

fn rows(rows: &[&[f32]]) -> Features {
    Features::new(rows.concat(), rows[0].len(), vec![]).unwrap()
}

#[test]
fn the_frechet_distance_of_known_gaussians_is_the_closed_form() {
    // In one dimension (m1 - m2)² + (s1 - s2)²: means 2 and 7, deviations 2^½ and 18^½.
    let one = Gaussian::of(&rows(&[&[1.], &[3.]])).unwrap();
    let other = Gaussian::of(&rows(&[&[4.], &[10.]])).unwrap();
    assert_near(one.distance(&other).unwrap(), 25. + 8., 1e-9);
    // Diagonal: a sum over the dimensions. Four points of a cross have covariances of 2 a² / 3.
    let cross = |a: f32, b: f32| rows(&[&[a, 0.], &[-a, 0.], &[0., b], &[0., -b]]);
    let one = Gaussian::of(&cross(1., 2.)).unwrap();
    let other = Gaussian::of(&cross(3., 5.)).unwrap();
    assert_near(one.distance(&other).unwrap(), 2. / 3. * (4. + 9.), 1e-9);
    // Fitted to many samples.
    let rng = Rng::seed(5);
    let one = Gaussian::of(&normal(&rng, 50_000, &[1., 2., 0.5], &[0., 1., 0.])).unwrap();
    let other = Gaussian::of(&normal(&rng, 50_000, &[2., 1., 0.5], &[1., 1., -1.])).unwrap();
    assert_near(one.distance(&other).unwrap(), 4., 0.1);
}

#[test]
fn the_frechet_distance_is_symmetric_zero_to_itself_and_takes_collapsed_samples() {
    let gaussian = |features: &Features| Gaussian::of(features).unwrap();
    let one = gaussian(&reference());
    let many = gaussian(&points(2000, 7., 0.9, 0.3));
    let singular = gaussian(&points(5, 6., 1., 0.5));
    let still = gaussian(&Features::new([0.25; DIM].repeat(3), DIM, vec![]).unwrap());
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
    let kernel = kernel_distance(&one, &other).unwrap();
    assert!(
        kernel.value.abs() < 4. * kernel.standard_error,
        "{kernel:?}"
    );
    let overlap = Neighbourhoods::of(&one).unwrap().overlap(&other).unwrap();
    assert_near(overlap.density, 1., 0.05);
    assert_near(overlap.coverage, 1. - 0.5f64.powi(5), 0.02);
    assert_near(overlap.precision, overlap.recall, 0.05);

    // Apart: each falls where it should.
    let wide = normal(&rng, 3000, &[2.; 8], &means);
    let kernel = kernel_distance(&one, &wide).unwrap();
    assert!(kernel.value > 10. * kernel.standard_error, "{kernel:?}");
    let overlap = Neighbourhoods::of(&one).unwrap().overlap(&wide).unwrap();
    assert!(
        overlap.precision < 0.4 && overlap.recall > 0.9,
        "{overlap:?}"
    );
}

/// Kinds in turn, as a conditional generator draws them, and kind after kind: blocks that took them by a rule would hold
/// one kind each, and be far from everything.
#[test]
fn the_kernel_distance_does_not_mind_the_order() {
    let kinds = |place: fn(usize) -> usize, salt| {
        let noise = noise(2000 * DIM, salt);
        let value = |i| (noise[i] + 3. * (place(i / DIM) % 10) as f64) as f32;
        Features::new((0..2000 * DIM).map(value).collect(), DIM, vec![]).unwrap()
    };
    let in_turn = kinds(|i| i, 1.);
    for other in [kinds(|i| i, 2.), kinds(|i| i / 200, 3.)] {
        let kernel = kernel_distance(&in_turn, &other).unwrap();
        assert!(
            kernel.value.abs() < 4. * kernel.standard_error,
            "{kernel:?}"
        );
    }
}

#[test]
fn the_kernel_distance_has_no_bias() {
    // The mean over many draws of two equal sets is 0 within its error; with the diagonal it would be 20 errors off.
    let rng = Rng::seed(12);
    let draw = || normal(&rng, 60, &[1.; 4], &[0.; 4]);
    let values: Vec<f64> = (0..400)
        .map(|_| kernel_distance(&draw(), &draw()).unwrap().value)
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
    let copied = Neighbourhoods::of(&far).unwrap().overlap(&far).unwrap();
    assert_eq!([copied.precision, copied.recall, copied.coverage], [1.; 3]);
    // One image again and again: balls without extent hold only that image.
    let again = far.row(0).repeat(300);
    let again = Features::new(again, DIM, vec![]).unwrap();
    let collapsed = Neighbourhoods::of(&far).unwrap().overlap(&again).unwrap();
    assert_eq!((collapsed.precision, collapsed.recall), (1., 1. / 300.));
    assert!(collapsed.coverage < 0.1, "{collapsed:?}");
}

#[test]
fn nearest_neighbours_are_those_of_a_plain_search_in_pixels_too() {
    let (few, many) = (
        Digits::builtin(30, &Rng::seed(1)),
        Digits::builtin(2500, &Rng::seed(2)),
    );
    let [queries, candidates] = [&few, &many].map(|digits| Features::pixels_of(digits).unwrap());
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
    let again = nearest(&Features::pixels(&batch).unwrap(), &queries).unwrap();
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
            let gaussian = Gaussian::of(&one).unwrap();
            (
                gaussian
                    .distance(&Gaussian::of(&other).unwrap())
                    .unwrap()
                    .to_bits(),
                kernel_distance(&one, &other).unwrap(),
                Neighbourhoods::of(&one).unwrap().overlap(&other).unwrap(),
                nearest(&one, &other).unwrap(),
            )
        })
    };
    assert_eq!(all(1), all(2));
    assert_eq!(all(1), all(5));
}

// ---------------------------------------------------------------- refusals

#[test]
fn bad_input_is_named() {
    let of = |count: usize, dim: usize| Features::new(vec![0.; count * dim], dim, vec![]).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let images = (zeros(&[2, 1, 28, 28]) * f64::NAN).unwrap();
    let real = Classes::of(&judged(200, 5.)).unwrap();
    let sevens = Features::new(
        vec![0.; 2],
        1,
        vec![[0., 0., 0., 0., 0., 0., 0., 1., 0., 0.]; 2],
    );
    let sevens = Classes::of(&sevens.unwrap()).unwrap();
    let neighbourhoods = Neighbourhoods::of(&of(6, 4)).unwrap();
    let gaussian = |dim| Gaussian::of(&of(2, dim)).unwrap();
    let said = [
        (
            message(Features::new(vec![], 4, vec![])),
            "at least one row of 4 values",
        ),
        (
            message(Features::new(vec![0.; 7], 4, vec![])),
            "found 7 values",
        ),
        (
            message(Features::new(vec![0.; 8], 0, vec![])),
            "row of 0 values",
        ),
        (
            message(Features::new(vec![0.; 8], 4, vec![[0.1; 10]; 3])),
            "of 2 images",
        ),
        (
            message(Features::new(vec![0., f32::NAN], 1, vec![])),
            "image 1 has a value that is not finite",
        ),
        (
            message(Features::new(vec![0., f32::INFINITY], 1, vec![])),
            "image 1 has a value that is not finite",
        ),
        (message(Features::pixels(&images)), "image 0"),
        (
            message(Features::pixels(&zeros(&[2, 28, 28]))),
            "(n, 1, 28, 28)",
        ),
        (
            message(Features::pixels(&zeros(&[0, 1, 28, 28]))),
            "n at least 1",
        ),
        (
            message(Gaussian::of(&of(1, 4))),
            "at least 2 images, but found 1",
        ),
        (message(gaussian(4).distance(&gaussian(5))), "found 4 and 5"),
        (
            message(kernel_distance(&of(19, 4), &of(50, 4))),
            "at least 20 images, but found 19",
        ),
        (
            message(kernel_distance(&of(50, 4), &of(50, 3))),
            "found 4 and 3",
        ),
        (
            message(Neighbourhoods::of(&of(5, 4))),
            "at least 6 images, but found 5",
        ),
        (
            message(neighbourhoods.overlap(&of(3, 4))),
            "at least 4 images, but found 3",
        ),
        (message(neighbourhoods.overlap(&of(9, 7))), "found 4 and 7"),
        (message(nearest(&of(2, 4), &of(2, 5))), "found 4 and 5"),
        (message(Classes::of(&of(2, 4))), "take Judge::features()"),
        (
            message(real.divergence(&sevens)),
            "the reference holds no 0",
        ),
        (
            message(asked_right(&judged(3, 1.), &[1, 2])),
            "expected 3 labels",
        ),
        (
            message(asked_right(&judged(2, 1.), &[1, 10])),
            "but found 10",
        ),
        (message(Copies::of(&[], &[])), "but found 0 and 0"),
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
