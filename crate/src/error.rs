//! The one error of the crate.

use std::fmt;
use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, and what to do about it.
///
/// Its `Debug` is its `Display`: evcxr prints the `Debug` of a failed `?`, and a reader of a notebook wants
/// the sentence.
pub enum Error {
    /// A file that cannot be read or written; mend the path, the permissions or the disk.
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file whose content is not what its name promises; the message says what was expected. Replace it.
    Format { path: PathBuf, message: String },
    /// MNIST was asked for and is in none of the places looked in; the message lists them and the ways to
    /// provide it.
    NotFound(String),
    /// Shapes or sizes that do not fit; the message names the layer or argument and both shapes.
    Shape(String),
    /// A value outside its range; the message names it and the range.
    Value(String),
    /// A training that cannot go on: it has diverged, or its thread has panicked; the message names the last checkpoint.
    Training(String),
    /// candle refused an operation.
    Candle(candle_core::Error),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Error::Format {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Error::Format { path, message } => write!(f, "{}: {message}", path.display()),
            Error::NotFound(message)
            | Error::Shape(message)
            | Error::Value(message)
            | Error::Training(message) => f.write_str(message),
            Error::Candle(error) => f.write_str(&without_backtrace(error)),
        }
    }
}

/// candle appends a backtrace of forty lines where evcxr's RUST_BACKTRACE=1 asks for it.
fn without_backtrace(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(inner),
        other => other.to_string(),
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Candle(error) => Some(error),
            _ => None,
        }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Error::Candle(error)
    }
}
