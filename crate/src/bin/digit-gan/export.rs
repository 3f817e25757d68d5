//! A run's generator for other programs.

use std::path::PathBuf;

use clap::Args;
use digit_gan::Result;
use digit_gan::export::Export as Folder;

use crate::evaluate::Protocol;
use crate::run::{Run, name};
use crate::say;

/// Writes a generator for PyTorch, ONNX and this crate, with a model card
///
/// The folder holds generator.safetensors for this crate, pytorch.safetensors and model.py for PyTorch, generator.onnx,
/// recipe.json, samples.png, and README.md, a model card with the header that model hubs read.
#[derive(Args)]
#[command(after_help = "Example:\n  digit-gan export --run runs/lean-7 --out lean-7 --measure")]
pub struct Export {
    #[command(flatten)]
    run: Run,
    /// The folder to write
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Measure the generator on the test digits first, as `evaluate` does, for the model card. Otherwise it has the distance
    /// that a judged run was chosen by
    #[arg(long)]
    measure: bool,
    /// The licence of the weights, as model hubs call it
    #[arg(long, default_value = "mit")]
    license: String,
    #[command(flatten)]
    protocol: Protocol,
}

impl Export {
    pub fn run(self) -> Result<()> {
        let (run, sampler) = self.run.open()?;
        let name = name(&run);
        let mut folder = Folder::new(&name, &sampler).license(self.license);
        let train = self.protocol.training_digits_of(&sampler)?;
        match &train {
            Some(digits) => folder = folder.trained_on(digits),
            None => say(
                "these are not the images that the run was trained on, so that the card does not name them: see --data \
                 and --hold-out",
            ),
        }
        let report;
        if self.measure {
            let measuring = self.protocol.begin()?;
            report = measuring.report(&name, &sampler)?;
            folder = folder.measured(&report);
        }
        folder.save(&self.out)?;
        say(format!(
            "exported {} to {}",
            run.display(),
            self.out.display()
        ));
        Ok(())
    }
}
