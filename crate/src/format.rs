//! The version of the files that the crate writes.
//!
//! Version 1 is of the time before files said so; it named some values differently. A file of an older version is read,
//! with defaults for what it lacks. A newer one is refused in these words.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// What this program writes, and the newest that it reads.
const VERSION: u32 = 2;

/// A field of JSON files that holds the version: writes this program's, refuses to read a newer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format;

impl Format {
    /// What a file's header holds.
    pub(crate) fn header() -> String {
        VERSION.to_string()
    }

    /// Errors unless the file at `path`, with this in its header, is one that this program reads.
    pub(crate) fn check_header(path: &Path, header: Option<&str>) -> crate::Result<()> {
        let Some(header) = header else {
            return Ok(()); // version 1
        };
        let version = header.parse();
        let version = version.map_err(|_| {
            Error::format(
                path,
                format!("its format version is \"{header}\", not a number"),
            )
        })?;
        check_file(path, version)
    }

    /// The same for a JSON file with this text, whatever else it holds: a newer one may have fields of any kind.
    pub(crate) fn check_json(path: &Path, text: &str) -> crate::Result<()> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        match serde_json::from_str(text) {
            Ok(Versioned { format }) => check_file(path, format),
            Err(_) => Ok(()), // version 1, or another file
        }
    }
}

fn check_file(path: &Path, version: u32) -> crate::Result<()> {
    check(version).map_err(|message| Error::Newer {
        path: path.into(),
        message,
    })
}

fn check(version: u32) -> Result<(), String> {
    match version {
        ..=VERSION => Ok(()),
        newer => Err(format!(
            "it was written by a newer version of digit-gan (format {newer}); this one reads formats up to {VERSION}: \
             update digit-gan"
        )),
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        VERSION.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        check(u32::deserialize(value)?).map_err(de::Error::custom)?;
        Ok(Format)
    }
}
