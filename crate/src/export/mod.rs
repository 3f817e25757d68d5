//! A generator as a folder for others: its files for each program that can run it, and a model card.

mod card;

use std::fs;
use std::path::Path;

use crate::data::Digits;
use crate::files::write_atomically;
use crate::metrics::Report;
use crate::nn::Python;
use crate::plot;
use crate::recipe::Recipe;
use crate::rng::Rng;
use crate::train::Sampler;
use crate::{Error, Result};

/// Rows of the picture of samples, and its columns where there are no classes.
const ROWS: usize = 5;
const COLUMNS: usize = 10;

/// A generator with what its model card says of it.
///
/// ```no_run
/// use digit_gan::export::Export;
/// use digit_gan::prelude::*;
/// let sampler = Sampler::best("runs/lean-7")?;
/// let (train, held_out) = Digits::load(Split::Train)?.hold_out(10_000)?;
/// Export::new("lean-7", &sampler).trained_on(&train).save("lean-7")?;
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone)]
pub struct Export<'a> {
    name: String,
    sampler: &'a Sampler,
    license: String,
    data: Option<&'a Digits>,
    report: Option<&'a Report>,
}

impl<'a> Export<'a> {
    /// A generator under this name. Without more, the card has the recipe, and the last judgement of a judged run.
    pub fn new(name: impl Into<String>, sampler: &'a Sampler) -> Self {
        Export {
            name: name.into(),
            sampler,
            license: "mit".into(),
            data: None,
            report: None,
        }
    }

    /// What the generator was trained on.
    pub fn trained_on(self, digits: &'a Digits) -> Self {
        let data = Some(digits);
        Export { data, ..self }
    }

    /// Its figures on test digits, beside those of real ones.
    pub fn measured(self, report: &'a Report) -> Self {
        let report = Some(report);
        Export { report, ..self }
    }

    /// The licence of the weights, as hubs call it: `mit`, if nothing else is said.
    pub fn license(self, license: impl Into<String>) -> Self {
        let license = license.into();
        Export { license, ..self }
    }

    /// Writes the folder, which is made if it is not there: `generator.safetensors` for this crate
    /// ([`Network::load`](crate::nn::Network::load)), `pytorch.safetensors` and `model.py` for PyTorch, with the feature
    /// `onnx` `generator.onnx` for any program that runs such files, `recipe.json`, `samples.png`, and the model card,
    /// `README.md`, with the header that model hubs read. Files of these names are replaced.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let (folder, sampler) = (folder.as_ref(), self.sampler);
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        sampler
            .network()
            .save(folder.join("generator.safetensors"))?;
        sampler.recipe().save(folder.join(Recipe::FILE))?;
        let pytorch = sampler.export_pytorch(folder.join("pytorch.safetensors"))?;
        write_text(&folder.join("model.py"), &pytorch.as_module())?;
        let columns = sampler.recipe().classes.unwrap_or(COLUMNS);
        let samples = sampler.samples(ROWS * columns, &Rng::seed(0))?;
        plot::sample_grid(&samples, columns)?.save(folder.join("samples.png"))?;
        let card = self.card(&pytorch, self.onnx(folder)?);
        write_text(&folder.join("README.md"), &card)
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, folder: &Path) -> Result<Option<Python>> {
        let path = folder.join("generator.onnx");
        self.sampler.export_onnx(path).map(Some)
    }

    #[cfg(not(feature = "onnx"))]
    fn onnx(&self, _: &Path) -> Result<Option<Python>> {
        Ok(None)
    }
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}
