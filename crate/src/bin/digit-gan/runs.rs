//! The runs of a sweep in a table.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use digit_gan::prelude::*;
use digit_gan::record::{Stats, read_stats};
use digit_gan::{Error, Result};

use crate::run::{RUNS, name};
use crate::say;

/// Lists runs: how far each one is, and how near its digits are to real ones
///
/// It reads what the runs have written and computes nothing, so that it can be called while they train. The distance is
/// that of the best checkpoint of a judged run, to the held-out digits; `evaluate` measures on the test digits.
#[derive(Args)]
#[command(after_help = "Examples:\n  digit-gan runs\n  digit-gan runs sweep/lean-1 sweep/lean-2")]
pub struct Runs {
    /// Folders of runs [default: all in runs/]
    runs: Vec<PathBuf>,
}

struct Line {
    name: String,
    recipe: Recipe,
    stats: Vec<Stats>,
}

impl Runs {
    pub fn run(self) -> Result<()> {
        let runs = match self.runs.is_empty() {
            true => all(Path::new(RUNS))?,
            false => self.runs,
        };
        let lines = runs.iter().map(|run| Line::read(run));
        let lines = lines.collect::<Result<Vec<_>>>()?;
        say(table(&lines).join("\n"));
        let floors = lines.iter().filter_map(|line| line.best()?.frechet_floor);
        if let Some(floor) = floors.reduce(f64::min) {
            say(format!("real digits have a distance of {floor:.1}"));
        }
        for seeds in by_recipe(&lines) {
            say(seeds);
        }
        Ok(())
    }
}

impl Line {
    fn read(run: &Path) -> Result<Self> {
        let stats = match read_stats(run) {
            // It has only just begun.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
            stats => stats?,
        };
        Ok(Line {
            name: name(run),
            recipe: Recipe::load(run.join("recipe.json"))?,
            stats,
        })
    }

    fn images(&self) -> u64 {
        self.stats.last().map_or(0, |stats| stats.images)
    }

    fn is_finished(&self) -> bool {
        self.images() >= self.recipe.total_images
    }

    fn best(&self) -> Option<&Stats> {
        let judged = self.stats.iter().filter(|stats| stats.frechet.is_some());
        judged.min_by(|a, b| f64::total_cmp(&distance(a), &distance(b)))
    }

    fn cells(&self) -> [String; 5] {
        let seconds = self.stats.last().map_or(0., |stats| stats.seconds) as u64;
        let best = self.best();
        [
            self.name.clone(),
            match self.is_finished() {
                true => self.images().to_string(),
                false => format!("{} of {}", self.images(), self.recipe.total_images),
            },
            format!("{}:{:02}", seconds / 60, seconds % 60),
            best.map_or("-".into(), |best| format!("{:.1}", distance(best))),
            best.map_or("-".into(), |best| best.images.to_string()),
        ]
    }
}

fn distance(stats: &Stats) -> f64 {
    stats.frechet.unwrap_or(f64::NAN)
}

/// The folders that hold a run, in the order of their names.
fn all(runs: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("recipe.json").exists())
        .collect();
    found.sort();
    match found.is_empty() {
        true => Err(Error::NotFound(format!(
            "there is no run in {}/: name the folders of some",
            runs.display()
        ))),
        false => Ok(found),
    }
}

/// Columns as wide as their widest cell; names to the left, numbers to the right.
fn table(lines: &[Line]) -> Vec<String> {
    let header = ["run", "images", "time", "distance", "at images"].map(String::from);
    let rows: Vec<_> = [header]
        .into_iter()
        .chain(lines.iter().map(Line::cells))
        .collect();
    let width = |column: usize| {
        let widths = rows
            .iter()
            .map(|row: &[String; 5]| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let padded = |row: &[String; 5]| {
        let numbers = (1..5).map(|column| format!("{:>1$}", row[column], width(column)));
        [format!("{:1$}", row[0], width(0))]
            .into_iter()
            .chain(numbers)
            .collect::<Vec<_>>()
            .join("  ")
    };
    rows.iter().map(padded).collect()
}

/// A line for each recipe of which several finished runs were judged, that differ in the seed alone.
fn by_recipe(lines: &[Line]) -> Vec<String> {
    let mut groups: Vec<(Recipe, Vec<f64>)> = Vec::new();
    for line in lines.iter().filter(|line| line.is_finished()) {
        let (mut recipe, Some(best)) = (line.recipe.clone(), line.best()) else {
            continue;
        };
        recipe.seed = 0;
        match groups.iter_mut().find(|(other, _)| *other == recipe) {
            Some((_, distances)) => distances.push(distance(best)),
            None => groups.push((recipe, vec![distance(best)])),
        }
    }
    let several = groups.iter().filter(|(_, distances)| distances.len() > 1);
    let words = several.map(|(recipe, distances)| {
        let n = distances.len();
        let mean = distances.iter().sum::<f64>() / n as f64;
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let most = distances.iter().copied().fold(0., f64::max);
        format!(
            "{}, {n} seeds: {mean:.1} on average, from {least:.1} to {most:.1}",
            recipe.name
        )
    });
    words.collect()
}
