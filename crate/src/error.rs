//! The one error of the crate.

use std::fmt;
use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, and what to do about it.
///
/// Its `Debug` is its `Display`: evcxr prints the `Debug` of a failed `?`, and a reader of a notebook wants
/// the sentence. The message includes that of its cause, so `source()` is the cause behind it.
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read or written; fix the path, the permissions or the disk.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file whose content is not what its name promises; the message says what was expected. Replace it.
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file that a newer version of the crate wrote; update the crate.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version, and what this program reads.
        message: String,
    },
    /// MNIST was asked for and is in none of the places looked in; the message lists them and the ways to
    /// provide it.
    NotFound(String),
    /// Shapes or sizes that do not fit; the message names the layer or argument and both shapes.
    Shape(String),
    /// A value outside its range; the message names it and the range.
    Value(String),
    /// A training that cannot continue: it has diverged, or its thread has panicked; the message says what to do.
    Training(String),
    /// The user has stopped the cell; see [`interrupt`](crate::interrupt). All variables of earlier cells are as the cell
    /// has left them: running it again continues from there.
    Interrupted,
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
            Error::Format { path, message } | Error::Newer { path, message } => {
                write!(f, "{}: {message}", path.display())
            }
            Error::NotFound(message)
            | Error::Shape(message)
            | Error::Value(message)
            | Error::Training(message) => f.write_str(message),
            Error::Interrupted => f.write_str("interrupted; variables are kept"),
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
            Error::Io { source, .. } => source.source(),
            Error::Candle(error) => error.source(),
            Error::Format { .. }
            | Error::Newer { .. }
            | Error::NotFound(_)
            | Error::Shape(_)
            | Error::Value(_)
            | Error::Training(_)
            | Error::Interrupted => None,
        }
    }
}

/// One of ours, unwrapped where candle has carried it (see below), or else [`Error::Candle`].
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        use candle_core::Error::{WithBacktrace, WrappedContext};
        match error {
            WithBacktrace { inner, .. } if matches!(*inner, WrappedContext { .. }) => {
                (*inner).into()
            }
            WrappedContext { wrapped, context } => match wrapped.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(wrapped) => Error::Candle(WrappedContext { wrapped, context }),
            },
            other => Error::Candle(other),
        }
    }
}

/// For what candle calls and passes on: its traits' methods, and backward passes.
impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            ours => candle_core::Error::WrappedContext {
                wrapped: Box::new(ours),
                context: "digit-gan".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    #[test]
    fn a_chain_of_causes_says_each_thing_once() {
        let io = || io::Error::other(io::Error::other("the disk is on fire"));
        let errors = [
            Error::io("run", io()),
            Error::Candle(io().into()),
            Error::Candle(candle_core::Error::Msg("no".into()).bt()),
            Error::Value("no".into()),
        ];
        for error in errors {
            let mut all = error.to_string();
            let mut cause = error.source();
            while let Some(next) = cause {
                assert!(!all.contains(&next.to_string()), "{all} / {next}");
                all += &next.to_string();
                cause = next.source();
            }
        }
    }
}
