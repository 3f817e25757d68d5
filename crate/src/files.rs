//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// How the names of files end that are being written.
const TEMPORARY: &str = ".tmp";

/// Writes a file through a temporary one beside it, synced and then renamed: whatever stops the program or fills the
/// disk, `path` holds its old content or the new one, never half of it. Once this returns, the new one survives a
/// power cut as well, where the file system can sync a folder.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written; what was there before is still there.
pub fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let written = (|| {
        let mut file = BufWriter::new(temporary(path)?);
        content(&mut file)?;
        let file = file.into_inner()?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The file is there. Some file systems cannot sync the folder's entry of it: that is not a failure.
        let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
        Ok(())
    })();
    written.map_err(|source| Error::io(path, source))
}

/// A new file beside `path`, of a name that no other thread, program or computer uses. It removes itself unless it is
/// renamed.
fn temporary(path: &Path) -> std::io::Result<NamedTempFile> {
    let invalid = || std::io::Error::other("not the name of a file");
    let mut prefix = path.file_name().ok_or_else(invalid)?.to_os_string();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::{fs::Permissions, os::unix::fs::PermissionsExt};
        // Those of any new file, less the umask; a temporary file's own would keep others from reading it.
        builder.permissions(Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The name of the file that [`write_atomically`] was writing under this temporary name. If no program does so now, it
/// was killed.
pub(crate) fn target_of_temporary(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_suffix(TEMPORARY)?;
    let (target, token) = name.rsplit_once('.')?;
    // Six random characters; version 0.1 wrote the process id.
    let ours = token.len() == 6 && token.bytes().all(|b| b.is_ascii_alphanumeric());
    (ours || token.bytes().all(|b| b.is_ascii_digit())).then_some(target)
}

/// The paths of all that a folder holds.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::io(folder, source);
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect()
}
