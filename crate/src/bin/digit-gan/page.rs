//! A run's generator in a page that draws.

use std::path::PathBuf;

use clap::Args;
use digit_gan::draw::DrawingPage;
use digit_gan::prelude::*;
use digit_gan::{Error, Result};

use crate::run::Run;
use crate::say;

/// Samples from which the directions of the sliders are found.
const SAMPLES: usize = 5_000;

/// Writes a page in which the generator draws, one HTML file of at most 4 MB that needs no network
///
/// It has a button for each class, sliders for the directions in which digits change most and for truncation, a walk, a
/// number to be written, and a sheet to be saved as PNG.
#[derive(Args)]
#[command(after_help = AFTER)]
pub struct Page {
    #[command(flatten)]
    run: Run,
    /// The file, name.html
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A slider for each name, 8 at most: the first one moves digits along the strongest direction, and so on
    #[arg(
        long,
        value_name = "NAME,NAME,...",
        value_delimiter = ',',
        default_value = "direction 1,direction 2,direction 3"
    )]
    sliders: Vec<String>,
    /// The names of the classes, in order [default: 0, 1, 2, ...]
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',')]
    classes: Option<Vec<String>>,
}

const AFTER: &str = "\
Examples:
  digit-gan page --run runs/lean-conditional-7 --out digits.html
  digit-gan page --run runs/lean-conditional-7 --out digits.html --sliders slant,weight     # once you have seen what they do";

impl Page {
    pub fn run(self) -> Result<()> {
        let (run, sampler) = self.run.open()?;
        let page = self.of_generator(&sampler)?;
        let page = page.directions(&strongest(&sampler)?, &self.sliders)?;
        page.save(&self.out)?;
        say(format!(
            "wrote {} from {}\n{}",
            self.out.display(),
            run.display(),
            page.about()
        ));
        Ok(())
    }

    fn of_generator(&self, sampler: &Sampler) -> Result<DrawingPage> {
        let (generator, classes) = (sampler.network(), sampler.recipe().classes);
        match (&self.classes, classes) {
            (Some(names), _) if names.len() != classes.unwrap_or(0) => Err(Error::Value(format!(
                "--classes has {} names, and the run has {} classes",
                names.len(),
                classes.unwrap_or(0)
            ))),
            (Some(names), _) => DrawingPage::conditional(generator, names),
            (None, Some(count)) => DrawingPage::conditional(generator, 0..count),
            (None, None) => DrawingPage::new(generator),
        }
    }
}

/// The directions in which the generator's digits change most, the strongest first.
fn strongest(sampler: &Sampler) -> Result<latent::Directions> {
    let (recipe, rng) = (sampler.recipe(), Rng::seed(0));
    let noise = rng.normal((SAMPLES, recipe.latent_dim))?;
    let labels = sampler.labels(SAMPLES);
    let labels = labels.map(|labels| Tensor::new(labels, &Device::Cpu));
    let labels = labels.transpose()?;
    // The samples of this very noise: samples() draws it from the same seed.
    let images = sampler.samples(SAMPLES, &Rng::seed(0))?;
    latent::directions(&noise, &images, labels.as_ref())
}
