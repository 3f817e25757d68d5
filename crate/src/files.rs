//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes a file through a temporary one beside it, synced and then renamed: whatever stops the program or
/// fills the disk, `path` holds its old content or the new one, never half of it.
pub(crate) fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::Value(format!("{}: not the name of a file", path.display())))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = (|| {
        let mut file = BufWriter::new(File::create(&temporary)?);
        content(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|source| {
        // The error that matters is the first one; a temporary file that cannot be removed does no harm.
        let _ = fs::remove_file(&temporary);
        Error::io(path, source)
    })
}
