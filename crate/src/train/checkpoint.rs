//! Checkpoints: the files from which a run resumes as if it had never stopped.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::message::Reporter;
use super::sampler::Past;
use super::state::Header;
use crate::files::entries;
use crate::nn::{Contents, save_tensors};
use crate::recipe::Recipe;
use crate::record::Judgement;
use crate::{Error, Result};

/// The entries of the file's header: what is not a tensor, and what was being trained.
const STATE: &str = "digit_gan.state";
const RECIPE: &str = "digit_gan.recipe";
/// The entry that only the best checkpoint has.
const BEST: &str = "digit_gan.best";
const EXTENSION: &str = "safetensors";
const BEST_NAME: &str = "best.safetensors";

/// A checkpoint as it was read.
pub(super) struct Checkpoint {
    pub path: PathBuf,
    pub header: Header,
    pub recipe: Recipe,
    pub contents: Contents,
}

/// What the header of the best checkpoint says of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Best {
    pub judgement: Judgement,
    /// The same for judgements that can be compared: by one judge, with the same digits.
    #[serde(alias = "jury")]
    pub judge: u32,
}

/// The checkpoints of a run, in a folder of their own.
pub(super) struct Checkpoints(PathBuf);

impl Checkpoints {
    pub fn of_run(run: &Path) -> Self {
        Checkpoints(run.join("checkpoints"))
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Whether a file of this name is one of them.
    pub fn is_name(name: &str) -> bool {
        name == BEST_NAME || step_of(name).is_some()
    }

    /// Writes the checkpoint of a step, and removes the oldest ones beyond those that the recipe keeps.
    pub fn write(
        &self,
        recipe: &Recipe,
        header: &Header,
        tensors: &[(String, Tensor)],
    ) -> Result<PathBuf> {
        let path = self.0.join(format!("step-{:08}.{EXTENSION}", header.step));
        let entries = [entry(&path, STATE, header)?, entry(&path, RECIPE, recipe)?];
        save_tensors(&path, tensors, entries)?;
        let all = self.list()?;
        for old in &all[..all.len().saturating_sub(recipe.keep_checkpoints)] {
            fs::remove_file(old).map_err(|source| Error::io(old, source))?;
        }
        Ok(path)
    }

    /// Writes the best checkpoint over the one that was the best so far. It does not count among those that are kept.
    pub fn write_best(
        &self,
        recipe: &Recipe,
        header: &Header,
        tensors: &[(String, Tensor)],
        best: &Best,
    ) -> Result<()> {
        let path = self.0.join(BEST_NAME);
        let entries = [
            entry(&path, STATE, header)?,
            entry(&path, RECIPE, recipe)?,
            entry(&path, BEST, best)?,
        ];
        save_tensors(&path, tensors, entries)
    }

    /// What the best checkpoint says of itself, none if there has been none. A damaged one is renamed, and reported.
    pub fn best_so_far(&self, reporter: &mut Reporter) -> Result<Option<Best>> {
        let path = self.0.join(BEST_NAME);
        if !path.exists() {
            return Ok(None);
        }
        match Checkpoint::read(&path).and_then(|best| parse(&path, &best.contents, BEST)) {
            Err(error @ Error::Format { .. }) => {
                reporter.notice(format!(
                    "{error}. The best of what is still to come replaces it"
                ));
                rename_damaged(&[path])?;
                Ok(None)
            }
            best => best.map(Some),
        }
    }

    /// The newest checkpoint that is whole, none if there has been none. Damaged ones are renamed, and reported.
    ///
    /// Errors if all of them are damaged, or if it belongs to another recipe.
    pub fn newest(&self, recipe: &Recipe, reporter: &mut Reporter) -> Result<Option<Checkpoint>> {
        let all = self.list()?;
        let mut damaged = Vec::new();
        for path in all.iter().rev() {
            match Checkpoint::read(path) {
                Ok(checkpoint) => {
                    checkpoint.check_recipe(recipe)?;
                    rename_damaged(&damaged)?;
                    return Ok(Some(checkpoint));
                }
                Err(error @ Error::Format { .. }) => {
                    reporter.notice(error.to_string());
                    damaged.push(path.clone());
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

    /// The path of the newest checkpoint, whole or not.
    pub fn newest_path(&self) -> Result<Option<PathBuf>> {
        Ok(self.list()?.pop())
    }

    /// The path of the best checkpoint, whole or not.
    pub fn best_path(&self) -> Option<PathBuf> {
        Some(self.0.join(BEST_NAME)).filter(|path| path.exists())
    }

    /// All checkpoints but the best, the oldest first.
    fn list(&self) -> Result<Vec<PathBuf>> {
        let numbered = |path: PathBuf| Some((step_of(path.file_name()?.to_str()?)?, path));
        let mut numbered: Vec<_> = entries(&self.0)?.into_iter().filter_map(numbered).collect();
        numbered.sort();
        Ok(numbered.into_iter().map(|(_, path)| path).collect())
    }
}

impl Checkpoint {
    pub fn read(path: &Path) -> Result<Self> {
        let contents = Contents::read(path)?;
        if !contents.checked {
            return Err(Error::format(
                path,
                "holds no checksum: damaged, or not a checkpoint",
            ));
        }
        Ok(Checkpoint {
            path: path.into(),
            header: parse(path, &contents, STATE)?,
            recipe: parse(path, &contents, RECIPE)?,
            contents,
        })
    }

    /// What the generator has behind it; a judgement, if it is a best checkpoint.
    pub fn past(&self) -> Result<Past> {
        let best = self.contents.header(BEST);
        let best = best.map(|_| parse::<Best>(&self.path, &self.contents, BEST));
        let images = self.recipe.images_per_step();
        Ok(Past {
            images: self.header.step.saturating_mul(images),
            digits: self.header.digits,
            judged: best.transpose()?.map(|best| best.judgement),
        })
    }

    fn check_recipe(&self, recipe: &Recipe) -> Result<()> {
        let differences = recipe
            .at_length_of(&self.recipe)
            .differences(&self.recipe)?;
        if differences.is_empty() {
            return Ok(());
        }
        let differences = differences.join("; ");
        let message = format!("belongs to another recipe than the run's: {differences}");
        Err(Error::format(&self.path, message))
    }
}

/// The step that a checkpoint of this name is of.
fn step_of(name: &str) -> Option<u64> {
    let number = name
        .strip_prefix("step-")?
        .strip_suffix(EXTENSION)?
        .strip_suffix('.')?;
    number.parse().ok()
}

/// An entry of a checkpoint's header.
fn entry<'a>(path: &Path, key: &'a str, value: &impl Serialize) -> Result<(&'a str, String)> {
    let json = serde_json::to_string(value);
    let json = json.map_err(|error| Error::format(path, error.to_string()))?;
    Ok((key, json))
}

/// The value of a header's entry.
fn parse<T: DeserializeOwned>(path: &Path, contents: &Contents, key: &str) -> Result<T> {
    let missing = || Error::format(path, format!("holds no {key}: not a checkpoint"));
    let json = contents.header(key).ok_or_else(missing)?;
    serde_json::from_str(json)
        .map_err(|error| Error::format(path, format!("expected the state of a run: {error}")))
}

/// Renames damaged checkpoints, so that they are not counted among those that are kept.
fn rename_damaged(damaged: &[PathBuf]) -> Result<()> {
    damaged.iter().try_for_each(|path| {
        let aside = path.with_extension(format!("{EXTENSION}.damaged"));
        fs::rename(path, aside).map_err(|source| Error::io(path, source))
    })
}
