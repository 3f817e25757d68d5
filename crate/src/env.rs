//! Settings that a program's environment overrides.

use std::env::{self, VarError};
use std::fmt::Display;
use std::str::FromStr;

use crate::{Error, Result};

/// The value of an environment variable, or `default` where it is unset or empty.
///
/// ```
/// use digit_gan::env_or;
/// assert_eq!(env_or("DIGIT_GAN_DOCTEST_EPOCHS", 30)?, 30);
/// # Ok::<(), digit_gan::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a value that does not read as a `T`.
pub fn env_or<T: FromStr + Display>(name: &str, default: T) -> Result<T> {
    let value = match env::var(name) {
        Ok(value) => value,
        Err(VarError::NotPresent) => return Ok(default),
        Err(VarError::NotUnicode(value)) => value.to_string_lossy().into_owned(),
    };
    match value.trim() {
        "" => Ok(default),
        text => text.parse().map_err(|_| {
            let kind = std::any::type_name::<T>();
            Error::Value(format!(
                "the environment variable {name} is \"{text}\", expected a value of type {kind} such as \
                 {default}; set it to one, or unset it"
            ))
        }),
    }
}
