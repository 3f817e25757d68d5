//! Checkpoints: all that a run needs to go on as if it had never stopped, in one file.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::folder::{Folder, checkpoints, entries, holds_run, no_run};
use super::judged::Best;
use super::stats::Tick;
use super::watch::Watch;
use crate::nn::{Contents, save_tensors};
use crate::recipe::Recipe;
use crate::{Error, Result, rng};

/// The header's entries: what is not a tensor, and what was being trained.
const STATE: &str = "digit_gan.state";
const RECIPE: &str = "digit_gan.recipe";
/// The entry that only the best checkpoint has.
const BEST_SO_FAR: &str = "digit_gan.best";
const EXTENSION: &str = "safetensors";
const BEST: &str = "best.safetensors";

/// What tensors are called, before the names of the variables.
pub(super) const GENERATOR: &str = "generator.";
pub(super) const DISCRIMINATOR: &str = "discriminator.";
pub(super) const AVERAGE: &str = "average.";
pub(super) const G_ADAM: &str = "g_adam.";
pub(super) const D_ADAM: &str = "d_adam.";

/// Where a run stands, beside its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub step: u64,
    /// Time spent in steps; all else here is the same in every run of the recipe.
    pub seconds: f64,
    /// Learning rates of generator and discriminator, before the schedule.
    pub rates: [f64; 2],
    pub rng: rng::State,
    /// The stream at the start of the epoch: the order of its digits follows from it.
    pub epoch: rng::State,
    /// Batches taken of that epoch.
    pub batches: usize,
    /// [`Digits::checksum`](crate::data::Digits::checksum).
    pub digits: u32,
    pub tick: Tick,
    pub watch: Watch,
}

/// Writes the checkpoint of a step, and removes the oldest ones beyond those that the recipe keeps.
pub(super) fn write(
    folder: &Folder,
    recipe: &Recipe,
    state: &State,
    tensors: &[(String, Tensor)],
) -> Result<PathBuf> {
    let path = path(folder, state.step);
    folder.sync_stats()?;
    let entries = [entry(&path, STATE, state)?, entry(&path, RECIPE, recipe)?];
    save_tensors(&path, tensors, entries)?;
    let all = list(&folder.checkpoints())?;
    for old in &all[..all.len().saturating_sub(recipe.keep)] {
        fs::remove_file(old).map_err(|source| Error::io(old, source))?;
    }
    Ok(path)
}

/// Writes the best checkpoint over the one that was the best so far. It does not count among those that are kept.
pub(super) fn write_best(
    folder: &Folder,
    recipe: &Recipe,
    state: &State,
    tensors: &[(String, Tensor)],
    best: &Best,
) -> Result<()> {
    let path = folder.checkpoints().join(BEST);
    let entries = [
        entry(&path, STATE, state)?,
        entry(&path, RECIPE, recipe)?,
        entry(&path, BEST_SO_FAR, best)?,
    ];
    save_tensors(&path, tensors, entries)
}

/// An entry of a checkpoint's header.
fn entry<'a>(path: &Path, key: &'a str, value: &impl Serialize) -> Result<(&'a str, String)> {
    let json = serde_json::to_string(value);
    let json = json.map_err(|error| Error::format(path, error.to_string()))?;
    Ok((key, json))
}

/// What the best checkpoint says of itself, none if there has been none. A damaged one is put aside, and `say` is told.
pub(super) fn best_so_far(folder: &Folder, mut say: impl FnMut(String)) -> Result<Option<Best>> {
    let path = folder.checkpoints().join(BEST);
    if !path.exists() {
        return Ok(None);
    }
    let best = read(&path).and_then(|(_, _, file)| parse(&path, &file, BEST_SO_FAR));
    match best {
        Err(error @ Error::Format { .. }) => {
            say(format!(
                "{error}. The best of what is still to come takes its place"
            ));
            put_aside(&[&path])?;
            Ok(None)
        }
        best => best.map(Some),
    }
}

/// The newest checkpoint that is whole, none if there has been none. Damaged ones are put aside, and `say` is told.
///
/// Errors if all of them are damaged, or if it belongs to another recipe.
pub(super) fn newest(
    folder: &Folder,
    recipe: &Recipe,
    mut say: impl FnMut(String),
) -> Result<Option<(PathBuf, State, Contents)>> {
    let all = list(&folder.checkpoints())?;
    let mut damaged = Vec::new();
    for path in all.iter().rev() {
        match read(path) {
            Ok((state, saved, contents)) => {
                let differences = recipe.differences(&saved)?;
                if !differences.is_empty() {
                    let message = format!(
                        "belongs to another recipe than the run's: {}",
                        differences.join("; ")
                    );
                    return Err(Error::format(path, message));
                }
                if !damaged.is_empty() {
                    say(format!("going on from {}", path.display()));
                }
                put_aside(&damaged)?;
                return Ok(Some((path.clone(), state, contents)));
            }
            Err(error @ Error::Format { .. }) => {
                say(error.to_string());
                damaged.push(path);
            }
            Err(error) => return Err(error),
        }
    }
    match all.last() {
        None => Ok(None),
        Some(last) => Err(Error::format(
            last,
            format!(
                "this checkpoint and all others of the run ({} in all) are damaged: restore one from a copy, or \
                 delete the run's folder and train anew",
                all.len()
            ),
        )),
    }
}

/// Renames damaged checkpoints, so that they are not counted among those that are kept.
fn put_aside(damaged: &[&PathBuf]) -> Result<()> {
    damaged.iter().try_for_each(|path| {
        let aside = path.with_extension(format!("{EXTENSION}.damaged"));
        fs::rename(path, aside).map_err(|source| Error::io(*path, source))
    })
}

pub(super) fn read(path: &Path) -> Result<(State, Recipe, Contents)> {
    let contents = Contents::read(path)?;
    if !contents.checked {
        return Err(Error::format(
            path,
            "holds no checksum: damaged, or not a checkpoint",
        ));
    }
    let state = parse(path, &contents, STATE)?;
    let recipe = parse(path, &contents, RECIPE)?;
    Ok((state, recipe, contents))
}

/// The value of a header's entry.
fn parse<T: DeserializeOwned>(path: &Path, contents: &Contents, key: &str) -> Result<T> {
    let missing = || Error::format(path, format!("holds no {key}: not a checkpoint"));
    let json = contents.header(key).ok_or_else(missing)?;
    serde_json::from_str(json).map_err(|error| {
        Error::format(
            path,
            format!("expected the state of a run: {error}; another version's?"),
        )
    })
}

/// The path of a run's newest checkpoint, whole or not, without opening the run.
pub(super) fn last(run: &Path) -> Result<PathBuf> {
    if !holds_run(run) {
        return Err(no_run(run));
    }
    let none = || {
        Error::NotFound(format!(
            "{} has no checkpoint yet: train on, or call trainer.checkpoint()?",
            run.display()
        ))
    };
    list(&checkpoints(run))?.pop().ok_or_else(none)
}

/// The path of a run's best checkpoint, whole or not, without opening the run.
pub(super) fn best(run: &Path) -> Result<PathBuf> {
    if !holds_run(run) {
        return Err(no_run(run));
    }
    let path = checkpoints(run).join(BEST);
    match path.exists() {
        true => Ok(path),
        false => Err(Error::NotFound(format!(
            "{0} has no best checkpoint, as nobody has judged the run: train it with trainer.judged_by(), or take \
             Sampler::newest(\"{0}\")?",
            run.display()
        ))),
    }
}

fn path(folder: &Folder, step: u64) -> PathBuf {
    folder
        .checkpoints()
        .join(format!("step-{step:08}.{EXTENSION}"))
}

/// All checkpoints but the best, the oldest first.
fn list(checkpoints: &Path) -> Result<Vec<PathBuf>> {
    let step = |path: &PathBuf| -> Option<u64> {
        let number = path.file_stem()?.to_str()?.strip_prefix("step-")?;
        number
            .parse()
            .ok()
            .filter(|_| path.extension().is_some_and(|e| e == EXTENSION))
    };
    let all = entries(checkpoints)?;
    let mut numbered: Vec<_> = all
        .into_iter()
        .filter_map(|path| Some((step(&path)?, path)))
        .collect();
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}
