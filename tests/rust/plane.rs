//! What a reader relies on in pictures of the plane: points, surface and arrows lie where they belong, frames in their order.

use std::io::Cursor;

use digit_gan::plot::{Plane, planes};
use digit_gan::prelude::*;
use image::{ImageReader, RgbImage};

const REAL: [u8; 3] = [0, 114, 178];
const FAKE: [u8; 3] = [213, 94, 0];
const INK: [u8; 3] = [38, 38, 38];

fn decode(figure: &Figure) -> RgbImage {
    let reader = ImageReader::new(Cursor::new(figure.bytes())).with_guessed_format();
    reader.unwrap().decode().unwrap().to_rgb8()
}

fn points(points: &[[f32; 2]]) -> Tensor {
    Tensor::from_vec(points.concat(), (points.len(), 2), &Device::Cpu).unwrap()
}

fn plane() -> Plane {
    Plane::new("plane", -3.0..3.0)
}

/// The square of a figure of one plane: its left, its top and its side, from the frame around it.
fn square(image: &RgbImage) -> [u32; 3] {
    let inked = |x: u32, y: u32| image[(x, y)].0 == INK;
    let column = |x: u32| (0..image.height()).filter(|&y| inked(x, y)).count();
    let row = |y: u32| (0..image.width()).filter(|&x| inked(x, y)).count();
    let left = (0..image.width()).find(|&x| column(x) > 400).unwrap();
    let right = (0..image.width()).rfind(|&x| column(x) > 400).unwrap();
    let top = (0..image.height()).find(|&y| row(y) > 400).unwrap();
    [left, top, right - left]
}

/// The middle of all pixels of a colour within the square, as a point of the plane.
fn middle(image: &RgbImage, colour: [u8; 3]) -> [f64; 2] {
    let [left, top, side] = square(image);
    let inside = image
        .enumerate_pixels()
        .filter(|(_, y, pixel)| *y > top && pixel.0 == colour);
    let places: Vec<[f64; 2]> = inside.map(|(x, y, _)| [x.into(), y.into()]).collect();
    let mean =
        |axis: usize| places.iter().map(|place| place[axis]).sum::<f64>() / places.len() as f64;
    let unit = f64::from(side) / 6.;
    [
        (mean(0) - f64::from(left)) / unit - 3.,
        3. - (mean(1) - f64::from(top)) / unit,
    ]
}

#[test]
fn points_lie_where_they_belong_and_those_outside_are_left_out() {
    let real = points(&[[-2., 1.], [9., 0.], [0., -9.]]);
    let figure = planes(&[plane()
        .real(&real)
        .unwrap()
        .fake(&points(&[[1., -2.]]))
        .unwrap()])
    .unwrap();
    let image = decode(&figure);
    for (colour, expected) in [(REAL, [-2., 1.]), (FAKE, [1., -2.])] {
        let found = middle(&image, colour);
        for axis in 0..2 {
            assert!(
                (found[axis] - expected[axis]).abs() < 0.03,
                "{found:?} {expected:?}"
            );
        }
    }
    assert!(
        figure
            .alt()
            .starts_with("plane: 3 real points around (2.33, -2.67), 1 fake points"),
        "{}",
        figure.alt()
    );
}

#[test]
fn a_surface_begins_at_the_lower_left_and_is_white_at_one_half() {
    // Low at the lower left corner only, high at the upper right corner only.
    let surface = Tensor::new(&[[0f32, 0.5], [0.5, 1.]], &Device::Cpu).unwrap();
    let figure = planes(&[plane().surface(&surface).unwrap()]).unwrap();
    let image = decode(&figure);
    let [left, top, side] = square(&image);
    let at = |x: f64, y: f64| {
        let place = |part: f64| (part * f64::from(side - 1)) as u32;
        image[(
            left + 2 + place(x).min(side - 4),
            top + 2 + place(1. - y).min(side - 4),
        )]
            .0
    };
    let is_red = |[red, _, blue]: [u8; 3]| red > blue + 30;
    let is_blue = |[red, _, blue]: [u8; 3]| blue > red + 30;
    assert!(
        is_red(at(0., 0.)) && is_blue(at(1., 1.)),
        "{:?} {:?}",
        at(0., 0.),
        at(1., 1.)
    );
    for corner in [at(0., 1.), at(1., 0.), at(0.5, 0.5)] {
        assert_eq!(corner, [255; 3]);
    }
    assert!(
        figure.alt().contains("a surface from 0.00 to 1.00"),
        "{}",
        figure.alt()
    );
}

#[test]
fn an_arrow_leads_from_its_point_and_ends_at_the_edge() {
    let from = points(&[[0., 0.]]);
    let ends = |by: [f32; 2]| {
        let image = decode(&planes(&[plane().arrows(&from, &points(&[by])).unwrap()]).unwrap());
        let [left, top, side] = square(&image);
        let inner = image.enumerate_pixels().filter(|(x, y, pixel)| {
            (left + 3..left + side - 3).contains(x)
                && (top + 3..top + side - 3).contains(y)
                && pixel.0 == INK
        });
        let xs: Vec<u32> = inner.map(|(x, _, _)| x - left).collect();
        let unit = f64::from(side) / 6.;
        [xs.iter().min(), xs.iter().max()].map(|x| f64::from(*x.unwrap()) / unit - 3.)
    };
    let [start, end] = ends([1.5, 0.]);
    assert!(
        start.abs() < 0.05 && (end - 1.5).abs() < 0.05,
        "{start} {end}"
    );
    let [start, end] = ends([-50., 1.]);
    assert!(start < -2.9 && end < 0.05, "{start} {end}");
}

#[test]
fn frames_are_small() {
    let rng = Rng::seed(1);
    let cloud = || rng.normal((250, 2)).unwrap();
    let surface = rng.uniform((8, 8), 0., 1.).unwrap();
    let plane = || {
        plane()
            .surface(&surface)
            .unwrap()
            .real(&cloud())
            .unwrap()
            .fake(&cloud())
            .unwrap()
    };
    let figure = planes(&[plane(), plane()]).unwrap();
    assert!(
        figure.bytes().len() < 60_000,
        "{} bytes",
        figure.bytes().len()
    );
    assert!((700..800).contains(&figure.width()), "{}", figure.width());
}

#[test]
fn what_is_no_plane_is_named() {
    let says = |wrong: digit_gan::Result<Plane>| wrong.unwrap_err().to_string();
    let flat = Tensor::zeros((3, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(says(plane().real(&flat)).contains("a tensor (n, 2), got [3, 3]"));
    assert!(
        says(plane().fake(&points(&[[0., 0.], [0., f32::NAN]])))
            .contains("number 1 of the fake points holds NaN")
    );
    assert!(says(plane().surface(&points(&[[0., 1.5]]))).contains("2 x 2 values or more"));
    assert!(says(plane().surface(&points(&[[0., 1.5], [0., 0.]]))).contains("holds 1.5"));
    let lone = plane().arrows(&points(&[[0., 0.]]), &points(&[[0., 0.], [1., 1.]]));
    assert!(says(lone).contains("1 arrows begin"));
    assert!(
        planes(&[])
            .unwrap_err()
            .to_string()
            .contains("expected 1 to 3 planes")
    );
    for square in [1.0..1.0, 2.0..1.0, 0.0..f64::INFINITY] {
        let message = planes(&[Plane::new("odd", square)])
            .unwrap_err()
            .to_string();
        assert!(message.contains("\"odd\""), "{message}");
    }
}

#[test]
fn a_scrubber_holds_every_frame_once_and_shows_the_last() {
    let frame = |x: f32| planes(&[plane().real(&points(&[[x, 0.]])).unwrap()]).unwrap();
    let frames: Vec<(String, Figure)> = (0..3)
        .map(|i| (format!("step {i}"), frame(i as f32)))
        .collect();
    let scrubber = plot::scrub(&frames).unwrap();
    assert_eq!(scrubber.picture().bytes(), frames[2].1.bytes());
    let html = scrubber.html();
    assert_eq!(html.matches("data:image/png;base64,").count(), 3);
    assert_eq!(
        html.matches("<img").count(),
        1,
        "one picture where scripts don't run"
    );
    for word in ["step 0", "step 1", "step 2"] {
        assert!(html.contains(word), "{word}");
    }
    let folder = tempfile::tempdir().unwrap();
    let message = scrubber
        .save(folder.path().join("a.png"))
        .unwrap_err()
        .to_string();
    assert!(message.contains(".html"), "{message}");
    scrubber.save(folder.path().join("a.html")).unwrap();
    let none: [(String, Figure); 0] = [];
    assert!(
        plot::scrub(&none)
            .unwrap_err()
            .to_string()
            .contains("no frames")
    );
}
