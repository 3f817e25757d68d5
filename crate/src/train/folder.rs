//! The folder of a run: what lies where, and that only one program trains in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::stats::{Stats, parse};
use crate::files::{is_temporary, write_atomically};
use crate::plot::Figure;
use crate::recipe::Recipe;
use crate::{Error, Result};

const RECIPE: &str = "recipe.json";
pub(super) const STATS: &str = "stats.jsonl";
const GRIDS: &str = "grids";
const CHECKPOINTS: &str = "checkpoints";
const LOCK: &str = "lock";

/// An open run. While it lives, nobody else opens the folder: the system lifts the lock of a program that was killed.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder of a new run, with its recipe. Errors if it holds a run or anything else.
    pub fn create(path: &Path, recipe: &Recipe) -> Result<Self> {
        make(path)?;
        if path.join(RECIPE).exists() {
            return Err(Error::Value(format!(
                "{0} holds a run already: go on with it by Trainer::resume(\"{0}\", &digits)?, or name a new folder",
                path.display()
            )));
        }
        // What a program killed at this point has left does not count.
        let ours = |entry: &Path| entry.ends_with(LOCK) || is_temporary(entry);
        if let Some(other) = entries(path)?.iter().find(|entry| !ours(entry)) {
            return Err(Error::Value(format!(
                "{}: expected a new or empty folder for the run, but it holds {}",
                path.display(),
                other.file_name().unwrap_or_default().display()
            )));
        }
        let folder = Folder::lock(path)?;
        // The recipe comes first: from here on the folder holds a run, wherever its making is interrupted.
        recipe.save(path.join(RECIPE))?;
        make(&path.join(GRIDS))?;
        make(&path.join(CHECKPOINTS))?;
        Ok(folder)
    }

    /// Opens the folder of a run, and removes what a killed program has left half-written.
    pub fn open(path: &Path) -> Result<Self> {
        if !holds_run(path) {
            return Err(no_run(path));
        }
        let folder = Folder::lock(path)?;
        for part in [path, &path.join(GRIDS), &path.join(CHECKPOINTS)] {
            make(part)?;
            for left in entries(part)?.iter().filter(|entry| is_temporary(entry)) {
                fs::remove_file(left).map_err(|source| Error::io(left, source))?;
            }
        }
        Ok(folder)
    }

    fn lock(path: &Path) -> Result<Self> {
        let name = path.join(LOCK);
        let file = File::create(&name).map_err(|source| Error::io(&name, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Value(format!(
                    "{} is in use by another trainer, of this program or another: wait for it, stop it, or drop() it",
                    path.display()
                )));
            }
            // Some network file systems cannot lock; that is no reason not to train there.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(Error::io(&name, error)),
        }
        Ok(Folder {
            path: path.into(),
            _lock: file,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn checkpoints(&self) -> PathBuf {
        checkpoints(&self.path)
    }

    /// The recipe that the run was started with.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::load(self.path.join(RECIPE))
    }

    /// Adds a line of statistics.
    pub fn append(&self, stats: &Stats) -> Result<()> {
        let path = self.path.join(STATS);
        let json = serde_json::to_string(stats)
            .map_err(|error| Error::format(&path, error.to_string()))?;
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            let length = file.metadata()?.len();
            // One write: a kill cuts a line short at most, and only the last one.
            file.write_all(format!("{json}\n").as_bytes())
                // Half a line on a full disk would spoil the next one.
                .inspect_err(|_| drop(file.set_len(length)))
        };
        write().map_err(|source| Error::io(&path, source))
    }

    /// Makes the lines of statistics last, before a checkpoint that counts on them.
    pub fn sync_stats(&self) -> Result<()> {
        let path = self.path.join(STATS);
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(&path, error)),
            _ => Ok(()),
        }
    }

    /// Drops the lines of statistics after a step, which the run will write again, and returns the others.
    pub fn cut_stats(&self, step: u64) -> Result<Vec<Stats>> {
        let path = self.path.join(STATS);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&path, error)),
        };
        let mut lines = parse(&path, &text)?;
        lines.retain(|stats| stats.step <= step);
        let kept = text.split_inclusive('\n').take(lines.len());
        let end: usize = kept.map(str::len).sum();
        if end < text.len() {
            write_atomically(&path, |file| file.write_all(&text.as_bytes()[..end]))?;
        }
        Ok(lines)
    }

    /// Saves a grid of what the generator draws after a step.
    pub fn save_grid(&self, step: u64, grid: &Figure) -> Result<()> {
        grid.save(self.path.join(GRIDS).join(format!("step-{step:08}.png")))
    }
}

/// Whether a run was started in this folder.
pub(super) fn holds_run(path: &Path) -> bool {
    path.join(RECIPE).exists()
}

pub(super) fn no_run(path: &Path) -> Error {
    Error::NotFound(format!(
        "{0} holds no run, which has a {RECIPE}: start one by Trainer::new(recipe, &digits, \"{0}\")?",
        path.display()
    ))
}

/// Where the run in a folder keeps its checkpoints.
pub(super) fn checkpoints(run: &Path) -> PathBuf {
    run.join(CHECKPOINTS)
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::io(folder, source);
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect()
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))
}
