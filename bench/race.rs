//! Draws the distances of judged runs over the seconds of their training: `race PICTURE "NAME=MS=RUN"...`, with the
//! milliseconds of a step.

use digit_gan::prelude::*;
use digit_gan::record::read_stats;
use digit_gan::{Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let picture = arguments.next().unwrap_or_default();
    let runs: Vec<String> = arguments.collect();
    let mut curves = Vec::new();
    let mut floor = 0.;
    for run in &runs {
        let parts: Vec<&str> = run.splitn(3, '=').collect();
        let [name, step, folder] = parts[..] else {
            return Err(Error::Value(format!("{run}: expected NAME=MS=RUN")));
        };
        let step: f64 = step
            .parse()
            .map_err(|_| Error::Value(format!("{step}: expected milliseconds")))?;
        let lines = read_stats(folder)?;
        floor = lines
            .iter()
            .find_map(|line| line.frechet_floor)
            .unwrap_or(floor);
        let points = lines
            .iter()
            .filter_map(|line| Some((line.step as f64 * step / 1000., line.frechet?)));
        curves.push((name, points.collect::<Vec<_>>()));
    }
    let axes = ["seconds of training", "Fréchet distance"];
    plot::log_lines(axes, &curves, &[("real digits", floor)])?.save(picture)
}
