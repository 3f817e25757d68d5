//! Signals that end a training.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use digit_gan::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of a training that was asked to end: `EX_TEMPFAIL` of sysexits.h, "try again".
pub const STOPPED: u8 = 75;

/// A flag that SIGTERM and Ctrl-C set. A second Ctrl-C ends the program at once; a scheduler may send SIGTERM twice.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register_conditional_default(SIGINT, stop.clone())
        .and_then(|_| flag::register(SIGINT, stop.clone()))
        .and_then(|_| flag::register(SIGTERM, stop.clone()))
        .map_err(|error| Error::Value(format!("cannot listen for signals: {error}")))?;
    Ok(stop)
}
