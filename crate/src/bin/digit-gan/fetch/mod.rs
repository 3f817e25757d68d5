//! MNIST from the Hugging Face hub.

#[cfg(feature = "fetch")]
mod hub;

use std::path::PathBuf;

use clap::Args;
use digit_gan::{Error, Result};

/// Downloads MNIST from the Hugging Face hub, once, and keeps it as IDX files
///
/// `make mnist` fetches it from other mirrors, and other data sets too.
#[derive(Args)]
pub struct Fetch {
    /// Where to keep it [default: data/mnist, where it is looked for]
    folder: Option<PathBuf>,
    /// Seconds without a byte after which an attempt is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// How the program calls itself to download
    #[arg(long, hide = true, requires = "folder")]
    download: bool,
}

impl Fetch {
    pub fn run(self) -> Result<()> {
        self.fetch().map_err(Error::NotFound)
    }

    #[cfg(feature = "fetch")]
    fn fetch(self) -> std::result::Result<(), String> {
        match (self.folder, self.download) {
            (Some(folder), true) => hub::download(&folder),
            (folder, _) => hub::fetch(&folder.unwrap_or_else(hub::data_folder), self.patience),
        }
    }

    #[cfg(not(feature = "fetch"))]
    fn fetch(self) -> std::result::Result<(), String> {
        let Fetch {
            folder: _,
            patience: _,
            download: _,
        } = self;
        Err(
            "this digit-gan was built without its downloader, which has more dependencies than all else: \
             `cargo install --path crate --features fetch` builds it with that, and `make mnist` needs none of it"
                .into(),
        )
    }
}
