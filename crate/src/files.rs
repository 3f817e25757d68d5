//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// How the names of files end that are being written.
const TEMPORARY: &str = ".tmp";

/// Writes a file through a temporary one beside it, synced and then renamed: whatever stops the program or
/// fills the disk, `path` holds its old content or the new one, never half of it. Once this returns, the new one
/// survives a power cut as well.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written; what was there before is still there.
pub fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::Value(format!("{}: not the name of a file", path.display())))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}{TEMPORARY}", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = (|| {
        let mut file = BufWriter::new(File::create(&temporary)?);
        content(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(path)
    })();
    written.map_err(|source| {
        // The error that matters is the first one; a temporary file that cannot be removed does no harm.
        let _ = fs::remove_file(&temporary);
        Error::io(path, source)
    })
}

/// Makes the new name of `path` last: on Unix a folder's entries are synced apart from the files.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Whether the name is one of a file that [`write_atomically`] was writing; if no program does so now, it was killed.
pub(crate) fn is_temporary(path: &Path) -> bool {
    path.to_string_lossy().ends_with(TEMPORARY)
}
