//! The folder of a run: what lies where, and that only one program trains in it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoints;
use crate::files::{entries, target_of_temporary};
use crate::plot::Figure;
use crate::recipe::Recipe;
use crate::record::StatsFile;
use crate::{Error, Result};

const GRIDS: &str = "grids";
const LOCK: &str = "lock";

/// An open run. While it lives, no other program opens the folder: the system lifts the lock of one that was killed.
pub(super) struct Folder {
    path: PathBuf,
    pub stats: StatsFile,
    pub checkpoints: Checkpoints,
    /// None where the file system cannot lock.
    pub lock: Option<File>,
}

impl Folder {
    /// Makes the folder of a new run, with its recipe. Errors if it holds a run or anything else.
    pub fn create(path: &Path, recipe: &Recipe) -> Result<Self> {
        make(path)?;
        if holds_run(path) {
            return Err(Error::Value(format!(
                "{0} holds a run already: resume it by Trainer::resume(\"{0}\", &digits)?, or name a new folder",
                path.display()
            )));
        }
        // What a program killed at this point has left does not count.
        let ours = |entry: &Path| entry.ends_with(LOCK) || is_leftover(entry);
        if let Some(other) = entries(path)?.iter().find(|entry| !ours(entry)) {
            return Err(Error::Value(format!(
                "{}: expected a new or empty folder for the run, but it holds {}",
                path.display(),
                other.file_name().unwrap_or_default().display()
            )));
        }
        let folder = Folder::lock(path)?;
        // The recipe comes first: from here on the folder holds a run, even if making the rest is interrupted.
        recipe.save(path.join(Recipe::FILE))?;
        make(&path.join(GRIDS))?;
        make(folder.checkpoints.folder())?;
        Ok(folder)
    }

    /// Opens the folder of a run, and removes what a killed program has left half-written.
    pub fn open(path: &Path) -> Result<Self> {
        check_run(path)?;
        let folder = Folder::lock(path)?;
        for part in [path, &path.join(GRIDS), folder.checkpoints.folder()] {
            make(part)?;
            for left in entries(part)?.iter().filter(|entry| is_leftover(entry)) {
                fs::remove_file(left).map_err(|source| Error::io(left, source))?;
            }
        }
        Ok(folder)
    }

    fn lock(path: &Path) -> Result<Self> {
        let name = path.join(LOCK);
        let file = File::create(&name).map_err(|source| Error::io(&name, source))?;
        let lock = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Value(format!(
                    "{} is in use by another trainer, of this program or another: wait for it, stop it, or drop() it",
                    path.display()
                )));
            }
            // Network file systems say in many ways that they cannot lock; that is no reason not to train there.
            Err(TryLockError::Error(_)) => None,
        };
        Ok(Folder {
            path: path.into(),
            stats: StatsFile::of_run(path),
            checkpoints: Checkpoints::of_run(path),
            lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe that the run was started with.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::load(self.path.join(Recipe::FILE))
    }

    /// Writes the recipe of a run that is prolonged.
    pub fn prolong(&self, recipe: &Recipe) -> Result<()> {
        recipe.save(self.path.join(Recipe::FILE))
    }

    /// Saves a grid of what the generator draws after a step.
    pub fn save_grid(&self, step: u64, grid: &Figure) -> Result<()> {
        grid.save(self.path.join(GRIDS).join(format!("step-{step:08}.png")))
    }
}

/// Whether a run was started in this folder.
pub(super) fn holds_run(path: &Path) -> bool {
    path.join(Recipe::FILE).exists()
}

/// Errors unless a run was started in this folder.
pub(super) fn check_run(path: &Path) -> Result<()> {
    if holds_run(path) {
        return Ok(());
    }
    Err(Error::NotFound(format!(
        "{0} holds no run, which has a {1}: start one by Trainer::new(recipe, &digits, \"{0}\")?",
        path.display(),
        Recipe::FILE
    )))
}

/// Whether this is a half-written file of a run. Whatever else ends in `.tmp` belongs to the user.
fn is_leftover(path: &Path) -> bool {
    target_of_temporary(path).is_some_and(|name| {
        let grid = || name.starts_with("step-") && name.ends_with(".png");
        [Recipe::FILE, StatsFile::NAME].contains(&name) || Checkpoints::is_name(name) || grid()
    })
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))
}
