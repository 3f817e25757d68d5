//! Completion in shells.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};
use digit_gan::Result;

use crate::Arguments;

/// Prints completions for a shell
#[derive(Args)]
#[command(
    after_help = "Example:\n  digit-gan completions bash > ~/.local/share/bash-completion/completions/digit-gan"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<()> {
        let (mut command, mut script) = (Arguments::command(), Vec::new());
        generate(self.shell, &mut command, "digit-gan", &mut script);
        let _ = io::stdout().write_all(&script);
        Ok(())
    }
}
