//! Built-in digits: strokes of a pen on 28x28 pixels, so that everything runs where MNIST is not.
//!
//! A digit is a glyph ([`super::glyphs`]) whose points are moved a little, bent, slanted and turned, then drawn with
//! a round pen and placed as MNIST's digits are: fitted into 20x20 pixels, its centre of mass in the middle.

use std::f32::consts::TAU;

use rand::Rng as _;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::glyphs::{GLYPHS, Point, Stroke};
use super::{CLASSES, SIDE};
use crate::rng::Rng;

const PIXELS: usize = SIDE * SIDE;
/// Straight pieces per curve between two points of a stroke.
const PIECES: usize = 6;

/// Draws `n` digits: their pixels and labels, 0-9 equally often, in random order.
pub(super) fn draw(n: usize, rng: &Rng) -> (Vec<u8>, Vec<u8>) {
    let labels: Vec<u8> = rng
        .permutation(n)
        .into_iter()
        .map(|i| (i % CLASSES) as u8)
        .collect();
    let source = rng.own();
    let mut images = vec![0; n * PIXELS];
    images
        .par_chunks_exact_mut(PIXELS)
        .zip(&labels)
        .enumerate()
        .for_each(|(i, (image, &label))| {
            // A stream for each digit: the same whichever thread draws it.
            let mut rng = source.clone();
            rng.set_stream(i as u64);
            draw_one(image, label, &mut rng);
        });
    (images, labels)
}

fn draw_one(image: &mut [u8], label: u8, rng: &mut ChaCha8Rng) {
    let glyph = GLYPHS[usize::from(label)]
        .choose(rng)
        .expect("each digit has a glyph");
    let hand = Hand::new(rng);
    let mut lines: Vec<Vec<Point>> = glyph.iter().map(|stroke| hand.write(stroke, rng)).collect();
    place(&mut lines, hand.pen, rng);
    // Signed distance in pixels of each pixel's centre from the nearest edge of the ink.
    let mut distance = [f32::MAX; PIXELS];
    for line in &lines {
        for pair in line.windows(2) {
            press(&mut distance, pair[0], pair[1], hand.pen);
        }
    }
    for (pixel, distance) in image.iter_mut().zip(distance) {
        *pixel = ((0.5 - distance / hand.softness).clamp(0.0, 1.0) * 255.0) as u8;
    }
}

/// How one digit is written: the same for all of its strokes.
struct Hand {
    jitter: f32,
    bend: [f32; 2],
    phase: [f32; 2],
    /// The rows of a 2x2 matrix: width, slant and rotation.
    matrix: [Point; 2],
    /// Radius of the pen in pixels.
    pen: f32,
    /// Width in pixels of the edge from ink to paper.
    softness: f32,
}

impl Hand {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let width = 1.15 + 0.18 * normal(rng).clamp(-2.0, 2.0);
        let slant = 0.14 + 0.20 * normal(rng).clamp(-2.0, 2.0);
        let (sin, cos) = (0.08 * normal(rng)).sin_cos();
        Hand {
            jitter: rng.random_range(0.012..0.042),
            bend: [0.035 * normal(rng), 0.035 * normal(rng)],
            phase: [rng.random_range(0.0..TAU), rng.random_range(0.0..TAU)],
            // Rotation times slant; y points down, so that a slant to the right moves the lower part left.
            matrix: [
                [cos * width, -cos * slant - sin],
                [sin * width, -sin * slant + cos],
            ],
            pen: (1.30 + 0.33 * normal(rng)).clamp(0.75, 2.00),
            softness: rng.random_range(1.0..1.6),
        }
    }

    /// The stroke as this hand writes it: a line of straight pieces, still in the glyph's units.
    fn write(&self, stroke: &Stroke, rng: &mut ChaCha8Rng) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::with_capacity(stroke.len());
        for (i, point) in stroke.iter().enumerate() {
            // A repeated point is a corner and must stay one.
            match points.last() {
                Some(&last) if stroke[i - 1] == *point => points.push(last),
                _ => points.push(self.shift(*point, rng)),
            }
        }
        smooth(&points)
    }

    fn shift(&self, [x, y]: Point, rng: &mut ChaCha8Rng) -> Point {
        let x = x + self.jitter * normal(rng) + self.bend[0] * (4.0 * y + self.phase[0]).sin();
        let y = y + self.jitter * normal(rng) + self.bend[1] * (4.0 * x + self.phase[1]).sin();
        self.matrix.map(|[a, b]| a * x + b * y)
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}

/// A Catmull-Rom curve through the points, with corners where a point is repeated.
fn smooth(points: &[Point]) -> Vec<Point> {
    let mut line = vec![points[0]];
    for i in 1..points.len() {
        let (from, to) = (points[i - 1], points[i]);
        if from == to {
            continue;
        }
        let before = points[i.saturating_sub(2)];
        let after = points[(i + 1).min(points.len() - 1)];
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            line.push([0, 1].map(|axis| {
                let [a, b, c, d] = [before, from, to, after].map(|point| point[axis]);
                b + 0.5
                    * t
                    * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
            }));
        }
    }
    line
}

/// Scales and moves the lines so that the ink fits into about 20x20 pixels, its centre of mass in the middle.
fn place(lines: &mut [Vec<Point>], pen: f32, rng: &mut ChaCha8Rng) {
    let points = || lines.iter().flatten();
    let extent = [0, 1].map(|axis| {
        let (low, high) = points().fold((f32::MAX, f32::MIN), |(low, high), point| {
            (low.min(point[axis]), high.max(point[axis]))
        });
        high - low
    });
    let scale = (rng.random_range(18.5..20.0) - 2.0 * pen) / extent[0].max(extent[1]);
    let (mut mass, mut moment) = (0.0, [0.0; 2]);
    for pair in lines.iter().flat_map(|line| line.windows(2)) {
        let length = (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]);
        mass += length;
        for axis in [0, 1] {
            moment[axis] += length * 0.5 * (pair[0][axis] + pair[1][axis]);
        }
    }
    let middle = [0, 1].map(|_| (SIDE as f32 - 1.0) / 2.0 + 0.4 * normal(rng));
    for point in lines.iter_mut().flatten() {
        for axis in [0, 1] {
            point[axis] = middle[axis] + scale * (point[axis] - moment[axis] / mass);
        }
    }
}

/// Presses a round pen along the line from `a` to `b`: lowers the distances of the pixels near it.
fn press(distance: &mut [f32; PIXELS], a: Point, b: Point, pen: f32) {
    let reach = pen + 1.0;
    let range = |axis: usize| {
        let low = (a[axis].min(b[axis]) - reach).ceil().max(0.0) as usize;
        let high = (a[axis].max(b[axis]) + reach + 1.0).clamp(0.0, SIDE as f32) as usize;
        low..high
    };
    let along = [b[0] - a[0], b[1] - a[1]];
    let scale = 1.0 / (along[0] * along[0] + along[1] * along[1]).max(1e-12);
    for y in range(1) {
        for x in range(0) {
            let to = [x as f32 - a[0], y as f32 - a[1]];
            let t = ((to[0] * along[0] + to[1] * along[1]) * scale).clamp(0.0, 1.0);
            let (dx, dy) = (to[0] - t * along[0], to[1] - t * along[1]);
            let edge = (dx * dx + dy * dy).sqrt() - pen;
            let pixel = &mut distance[y * SIDE + x];
            *pixel = pixel.min(edge);
        }
    }
}
