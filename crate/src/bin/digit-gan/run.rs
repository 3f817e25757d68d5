//! Which run to draw from.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use digit_gan::prelude::*;
use digit_gan::{Error, Result};

/// Where runs are looked for if none is named.
pub const RUNS: &str = "runs";

#[derive(Args)]
pub struct Run {
    /// The run's folder [default: the run in runs/ that was trained last]
    #[arg(long, value_name = "FOLDER")]
    run: Option<PathBuf>,
    /// The newest checkpoint, also where a judged run has kept its best one
    #[arg(long)]
    newest: bool,
}

impl Run {
    /// The folder, and its generator.
    pub fn open(&self) -> Result<(PathBuf, Sampler)> {
        let folder = match &self.run {
            Some(folder) => folder.clone(),
            None => last_trained(Path::new(RUNS)).ok_or_else(|| {
                Error::NotFound(format!("there is no run in {RUNS}/: name one with --run"))
            })?,
        };
        let sampler = sampler(&folder, self.newest)?;
        Ok((folder, sampler))
    }
}

/// The best generator of a run, or the newest one.
pub fn sampler(run: &Path, newest: bool) -> Result<Sampler> {
    match Sampler::best(run) {
        Err(Error::NotFound(_)) => Sampler::newest(run),
        _ if newest => Sampler::newest(run),
        best => best,
    }
}

/// What a run is called: its folder.
pub fn name(run: &Path) -> String {
    let name = run.file_name().unwrap_or(run.as_os_str());
    name.to_string_lossy().into()
}

fn last_trained(runs: &Path) -> Option<PathBuf> {
    let runs = fs::read_dir(runs).ok()?.flatten().map(|entry| entry.path());
    let trained = runs.filter_map(|run| {
        let changed = run.join("checkpoints").metadata().ok()?.modified().ok()?;
        Some((changed, run))
    });
    trained.max().map(|(_, run)| run)
}
