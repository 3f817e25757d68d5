//! Checkpoints: all that a run needs to go on as if it had never stopped, in one file.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::folder::{Folder, entries};
use super::stats::Tick;
use super::watch::Watch;
use crate::nn::{Contents, save_tensors};
use crate::recipe::Recipe;
use crate::{Error, Result, rng};

/// The header's entries: what is not a tensor, and what was being trained.
const STATE: &str = "digit_gan.state";
const RECIPE: &str = "digit_gan.recipe";
const EXTENSION: &str = "safetensors";

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
    let json = |value: serde_json::Result<String>| {
        value.map_err(|error| Error::format(&path, error.to_string()))
    };
    let header = [
        (STATE, json(serde_json::to_string(state))?),
        (RECIPE, json(serde_json::to_string(recipe))?),
    ];
    folder.sync_stats()?;
    save_tensors(&path, tensors, header)?;
    let all = list(folder)?;
    for old in &all[..all.len().saturating_sub(recipe.keep)] {
        fs::remove_file(old).map_err(|source| Error::io(old, source))?;
    }
    Ok(path)
}

/// The newest checkpoint that is whole, none if there has been none. Damaged ones are put aside, and `say` is told.
///
/// Errors if all of them are damaged, or if it belongs to another recipe.
pub(super) fn newest(
    folder: &Folder,
    recipe: &Recipe,
    mut say: impl FnMut(String),
) -> Result<Option<(PathBuf, State, Contents)>> {
    let all = list(folder)?;
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

fn read(path: &Path) -> Result<(State, Recipe, Contents)> {
    let contents = Contents::read(path)?;
    if !contents.checked {
        return Err(Error::format(
            path,
            "holds no checksum: damaged, or not a checkpoint",
        ));
    }
    let entry = |key| {
        let missing = || Error::format(path, format!("holds no {key}: not a checkpoint"));
        contents.header(key).ok_or_else(missing)
    };
    let damaged = |error: serde_json::Error| {
        Error::format(
            path,
            format!("expected the state of a run: {error}; another version's?"),
        )
    };
    let state = serde_json::from_str(entry(STATE)?).map_err(damaged)?;
    let recipe = serde_json::from_str(entry(RECIPE)?).map_err(damaged)?;
    Ok((state, recipe, contents))
}

/// The newest checkpoint's path, whole or not, for messages.
pub(super) fn last(folder: &Folder) -> Option<PathBuf> {
    list(folder).ok()?.pop()
}

fn path(folder: &Folder, step: u64) -> PathBuf {
    folder
        .checkpoints()
        .join(format!("step-{step:08}.{EXTENSION}"))
}

/// All checkpoints, the oldest first.
fn list(folder: &Folder) -> Result<Vec<PathBuf>> {
    let step = |path: &PathBuf| -> Option<u64> {
        let number = path.file_stem()?.to_str()?.strip_prefix("step-")?;
        number
            .parse()
            .ok()
            .filter(|_| path.extension().is_some_and(|e| e == EXTENSION))
    };
    let all = entries(&folder.checkpoints())?;
    let mut numbered: Vec<_> = all
        .into_iter()
        .filter_map(|path| Some((step(&path)?, path)))
        .collect();
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}
