//! What a notebook runs on: versions, threads, and whether the kernel compiles at full speed.

use std::fmt;

use candle_core::utils::get_num_threads;

use crate::display::{Content, Show, evcxr_display};

/// The version of candle that Cargo.toml pins.
const CANDLE: &str = "0.11.1";

/// What a notebook runs on, with a hint where the kernel compiles for less than full speed.
///
/// ```
/// println!("{}", digit_gan::setup());
/// ```
pub fn setup() -> Setup {
    let optimised = env!("DIGIT_GAN_OPT_LEVEL") == "3" && !cfg!(debug_assertions);
    Setup {
        threads: get_num_threads(),
        optimised,
    }
}

/// See [`setup`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// CPU threads that candle computes with.
    pub threads: usize,
    /// Whether the crate is compiled at full speed.
    pub optimised: bool,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "digit-gan {} on candle {}, CPU with {} thread{}, ",
            env!("CARGO_PKG_VERSION"),
            CANDLE,
            self.threads,
            if self.threads == 1 { "" } else { "s" },
        )?;
        f.write_str(if self.optimised {
            "compiled at full speed"
        } else {
            SLOW
        })
    }
}

const SLOW: &str = "\
compiled without full optimisation: all results are right, but training is about 4 times slower.
To fix that, start Jupyter with `make lab`; or, in a conda environment made from environment.yml, choose the
kernel \"Rust\"; or put these lines before `:dep` and restart the kernel:
:build_env CARGO_PROFILE_DEV_OPT_LEVEL=3
:build_env CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false
:build_env CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false";

impl Show for Setup {
    fn content(&self) -> Content {
        Content::text(self.to_string())
    }
}

evcxr_display!(Setup);
