//! What a run remembers, and how its curves show it.

use std::io::Cursor;

use digit_gan::prelude::*;
use image::{DynamicImage, ImageReader};

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
    let history = history(30_000);
    let (d, g) = (history.d_loss[0], history.g_loss[0]);
    let course = format!("Losses over 3 epochs of training: the discriminator from {d:.2} to");
    assert!(
        alt.starts_with(&course),
        "the running mean starts where the run does: {alt}"
    );
    assert!(
        alt.contains(&format!("the generator from {g:.2} to")),
        "{alt}"
    );
    assert!(
        alt.ends_with("Dashed: 1.39 = 2 log 2 and 0.69 = log 2."),
        "{alt}"
    );
}

/// The rows in which a dashed line runs through some columns, each as the middle of its thickness.
fn dashes(image: &DynamicImage, xs: std::ops::Range<u32>) -> Vec<f32> {
    let image = image.to_rgb8();
    let is_grey =
        |[red, green, blue]: [u8; 3]| red == green && green == blue && (110..140).contains(&red);
    let is_dashed = |y: &u32| {
        let grey = xs.clone().filter(|&x| is_grey(image[(x, *y)].0));
        grey.count() > xs.len() / 3
    };
    let rows: Vec<u32> = (0..image.height()).filter(is_dashed).collect();
    let lines = rows.chunk_by(|a, b| b - a == 1);
    lines
        .map(|line| line.iter().sum::<u32>() as f32 / line.len() as f32)
        .collect()
}

#[test]
fn the_losses_of_an_undecided_discriminator_are_marked() {
    let mut history = History::new(1, 600);
    let logits = Tensor::zeros((4, 1), DType::F32, &Device::Cpu).unwrap();
    for _ in 0..600 {
        history
            .push(&scalar(2.), &scalar(0.), &logits, &logits)
            .unwrap();
    }
    let image = decode(&plot::loss_curves(&history).unwrap());
    // The first hundred steps, and the whole run
    for xs in [160..380, 700..1300] {
        let lines = dashes(&image, xs);
        let [upper, lower] = lines[..] else {
            panic!("expected two dashed lines, found {lines:?}");
        };
        // The axis begins at 0, as far below log 2 as 2 log 2 is above.
        let bottom = lower + (lower - upper);
        assert!((600. ..660.).contains(&bottom), "the axis: {bottom}");
    }
    history.loss = GanLoss::Hinge;
    let figure = plot::loss_curves(&history).unwrap();
    assert!(!figure.alt().contains("Dashed"), "{}", figure.alt());
    assert!(
        dashes(&decode(&figure), 700..1300).is_empty(),
        "of probabilities only"
    );
}

#[test]
fn the_first_hundred_steps_are_seen() {
    // the generator's loss falls within fifty steps of six thousand: a hundredth of the width
    let mut history = History::new(1, 6000);
    let logits = Tensor::zeros((4, 1), DType::F32, &Device::Cpu).unwrap();
    for step in 0..6000 {
        let loss = if step < 50 { 3. } else { 1. };
        history
            .push(&scalar(1.), &scalar(loss), &logits, &logits)
            .unwrap();
    }
    let image = decode(&plot::loss_curves(&history).unwrap()).to_rgb8();
    let middle = |xs: std::ops::Range<u32>| {
        let rows: Vec<u32> = xs
            .flat_map(|x| (80..640).map(move |y| (x, y)))
            .filter(|&at| image[at].0 == [0, 114, 178])
            .map(|at| at.1)
            .collect();
        rows.iter().sum::<u32>() as f32 / rows.len() as f32
    };
    let (early, late) = (middle(140..240), middle(320..420));
    assert!(
        early + 150. < late,
        "{early} {late}: half of the panel is above"
    );
    assert!(middle(640..680) < late + 20., "{}", middle(640..680));
}

#[test]
fn runs_of_cross_entropy_are_compared_with_an_undecided_discriminator() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, loss: GanLoss| {
        let run = folder.path().join(name);
        std::fs::create_dir(&run).unwrap();
        let recipe = Recipe {
            loss,
            ..Recipe::dense()
        };
        recipe.save(run.join("recipe.json")).unwrap();
        let line = |step: u32| {
            format!(
                r#"{{"step":{step},"images":{step},"epoch":{step},"seconds":1,"d_loss":2,"d_penalty":0,"g_loss":2,"d_real":0.6,"d_fake":0.4,"d_accuracy":0.7,"d_gradient_norm":1,"g_gradient_norm":1,"images_per_second":1,"learning_rate":1e-4}}"#
            )
        };
        let lines: Vec<String> = (0..9).map(line).collect();
        std::fs::write(run.join("stats.jsonl"), lines.join("\n") + "\n").unwrap();
        run
    };
    let runs = [
        run("usual", GanLoss::NonSaturating),
        run("hinge", GanLoss::Hinge),
    ];
    let marks = |run: &std::path::PathBuf| {
        let image = decode(&plot::compare_runs(&[run]).unwrap());
        // the panels of D loss, G loss, D accuracy
        [120..460, 630..970, 1140..1480].map(|xs| dashes(&image, xs))
    };
    let [d, g, accuracy] = marks(&runs[0]);
    assert_eq!((d.len(), g.len(), accuracy.len()), (1, 1, 1));
    assert!(d[0] + 50. < g[0], "2 log 2 is above log 2: {d:?} {g:?}");
    let [d, g, accuracy] = marks(&runs[1]);
    assert_eq!(
        (d.len(), g.len(), accuracy.len()),
        (0, 0, 1),
        "no probabilities"
    );
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
fn a_judged_history_has_a_second_panel() {
    let mut history = history(300);
    let without = decode(&plot::loss_curves(&history).unwrap());
    history.judged(120., 2.1).unwrap();
    let figure = plot::loss_curves(&history).unwrap();
    assert!(decode(&figure).height() > without.height() + 300);
    assert!(
        figure
            .alt()
            .contains("; the Fréchet distance ends at 120.00."),
        "{}",
        figure.alt()
    );
    let below = |figure: &Figure| {
        let image = decode(figure);
        let (top, height) = (without.height(), image.height() - without.height());
        count(
            &image.crop_imm(0, top, image.width(), height),
            [0, 114, 178],
        )
    };
    let dot = below(&figure);
    let logits = Tensor::zeros((4, 1), DType::F32, &Device::Cpu).unwrap();
    for _ in 0..300 {
        history
            .push(&scalar(1.), &scalar(1.), &logits, &logits)
            .unwrap();
    }
    history.judged(60., 2.1).unwrap();
    assert_eq!(history.frechet, [(300, 120.), (600, 60.)]);
    let line = below(&plot::loss_curves(&history).unwrap());
    assert!(dot > 50 && line > 10 * dot, "{dot} {line}");
    for wrong in [f64::NAN, f64::INFINITY, -1.] {
        let message = history.judged(wrong, 2.1).unwrap_err().to_string();
        assert!(message.contains("0 or more"), "{message}");
    }
    assert_eq!(history.frechet.len(), 2);
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
fn an_empty_history_is_named() {
    let message = plot::loss_curves(&History::new(3, 10))
        .unwrap_err()
        .to_string();
    assert!(message.contains("train first"), "{message}");
}

/// Columns and rows in which a colour occurs, below the legend.
fn places(image: &DynamicImage, colour: [u8; 3]) -> Vec<(u32, u32)> {
    let image = image.to_rgb8();
    let inked = image.enumerate_pixels().filter(|p| p.2.0 == colour);
    inked
        .map(|(x, y, _)| (x, y))
        .filter(|&(_, y)| y > 70)
        .collect()
}

const BLUE: [u8; 3] = [0, 114, 178];
const VERMILLION: [u8; 3] = [213, 94, 0];

#[test]
fn lines_go_through_their_points() {
    let rising: Vec<(f64, f64)> = (0..=100).map(|i| (i.into(), i.into())).collect();
    let level = vec![(0., 20.), (100., 20.)];
    let curves = [("rising", &rising), ("level", &level)];
    let figure = plot::lines(["step", "norm"], &curves, &[("half", 50.)]).unwrap();
    let image = decode(&figure);
    let line = places(&image, BLUE);
    let row_at = |column: u32| line.iter().find(|p| p.0 == column).expect("no gap").1;
    let left = line.iter().map(|p| p.0).min().unwrap();
    let right = line.iter().map(|p| p.0).max().unwrap();
    let at = |share: f64| row_at(left + (share * f64::from(right - left)) as u32);
    let (bottom, top) = (at(0.01), at(0.99));
    let middle = (bottom + top) / 2;
    assert!(top + 300 < bottom, "it rises from {bottom} to {top}");
    assert!(at(0.5).abs_diff(middle) < 8, "{} {middle}", at(0.5));
    let level: Vec<u32> = places(&image, VERMILLION).iter().map(|p| p.1).collect();
    let mean = level.iter().sum::<u32>() / level.len() as u32;
    // The curves cross where the rising one has come a fifth of its way: the axis is shared.
    let crossing = (at(0.1) + at(0.3)) / 2;
    assert!(mean.abs_diff(crossing) < 8, "{mean} {crossing}");
    assert_eq!(
        figure.alt(),
        "norm over step. rising: from 0 at 0 to 100 at 100; level: from 20 at 0 to 20 at 100. Marked: half at 50."
    );
}

#[test]
fn a_mark_is_a_dashed_level_that_the_axis_makes_room_for() {
    let low = [(0., 1.), (1., 2.)];
    let without = decode(&plot::lines(["x", "y"], &[("low", low)], &[]).unwrap());
    let with = decode(&plot::lines(["x", "y"], &[("low", low)], &[("far", 30.)]).unwrap());
    let height = |image: &DynamicImage| {
        let rows: Vec<u32> = places(image, BLUE).iter().map(|p| p.1).collect();
        rows.iter().max().unwrap() - rows.iter().min().unwrap()
    };
    assert!(
        height(&without) > 5 * height(&with),
        "{} {}",
        height(&without),
        height(&with)
    );
    // The dashes: grey runs of one row, from the left end of the plot to the right.
    let grey = with.to_rgb8();
    let mark = |y: u32| {
        let dark = |x: &u32| (90..160).contains(&grey[(*x, y)].0[0]);
        (120..grey.width() - 40).filter(dark).count()
    };
    let dashes = (20..300).map(mark).max().unwrap();
    assert!((600..1100).contains(&dashes), "{dashes}");
}

#[test]
fn a_logarithmic_axis_gives_each_decade_the_same_room() {
    let decades: Vec<(f64, f64)> = (-6..=2).map(|i| (i.into(), 10f64.powi(i))).collect();
    let figure = plot::log_lines(["x", "y"], &[("decades", &decades)], &[]).unwrap();
    let line = places(&decode(&figure), BLUE);
    let row_at = |column: u32| line.iter().find(|p| p.0 == column).unwrap().1;
    let left = line.iter().map(|p| p.0).min().unwrap() + 8; // past half of the first dot
    let right = line.iter().map(|p| p.0).max().unwrap() - 8;
    let (first, last) = (row_at(left), row_at(right));
    let middle = row_at((left + right) / 2);
    assert!(
        middle.abs_diff((first + last) / 2) < 12,
        "{first} {middle} {last}"
    );
    assert!(
        figure.alt().contains("from 1e-6 at -6 to 100 at 2"),
        "{}",
        figure.alt()
    );
    let linear = plot::lines(["x", "y"], &[("decades", &decades)], &[]).unwrap();
    assert_ne!(linear.bytes(), figure.bytes());
}

#[test]
fn lines_of_few_points_or_equal_values_are_drawn() {
    for points in [
        vec![(3., 5.)],
        vec![(0., 0.), (1., 0.)],
        vec![(2., -1e9), (2., 1e9)],
    ] {
        let figure = plot::lines(["x", "y"], &[("one", &points)], &[]).unwrap();
        assert!(places(&decode(&figure), BLUE).len() > 60, "{points:?}");
    }
}

#[test]
fn lines_name_what_cannot_be_drawn() {
    let fine = vec![(0., 1.)];
    let says = |curves: &[(&str, &Vec<(f64, f64)>)], marks: &[(&str, f64)]| {
        plot::lines(["x", "y"], curves, marks)
            .unwrap_err()
            .to_string()
    };
    assert!(says(&[], &[]).contains("expected 1 to 6 curves"));
    assert!(says(&[("a", &fine); 7], &[]).contains("not 7"));
    let message = says(&[("fine", &fine), ("empty", &vec![])], &[]);
    assert!(message.contains("\"empty\" has no points"), "{message}");
    let message = says(&[("loss", &vec![(0., 1.), (1., f64::NAN)])], &[]);
    assert!(message.contains("\"loss\" holds (1, NaN)"), "{message}");
    let message = says(&[("fine", &fine)], &[("floor", f64::INFINITY)]);
    assert!(message.contains("\"floor\" lies at inf"), "{message}");
    for (curves, marks) in [(vec![(0., 0.)], 1.), (vec![(0., 1.)], -2.)] {
        let message = plot::log_lines(["x", "y"], &[("a", curves)], &[("mark", marks)]);
        let message = message.unwrap_err().to_string();
        assert!(message.contains("use lines"), "{message}");
    }
}
