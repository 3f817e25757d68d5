//! An optimizer as a file.

use std::path::Path;

use candle_core::Tensor;

use super::adam::Adam;
use crate::nn::{Contents, save_tensors};
use crate::ops;
use crate::{Error, Result};

/// What the moments are called in a file, behind the name of their variable.
const MOMENTS: [&str; 2] = ["first", "second"];
/// What a variable that is no network's is called there.
const OWN: &str = "variable";
/// The header's entry that holds the number of steps.
const STEPS: &str = "digit_gan.adam.steps";

impl Adam {
    /// Writes the moments and the number of steps as a safetensors file, atomically. Those of a network carry the names
    /// of its parameters, those of other variables their place among the variables.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let steps = self.steps.to_string();
        save_tensors(path.as_ref(), &self.tensors("")?, [(STEPS, steps)])
    }

    /// Takes up the moments and the number of steps of a file, so that training resumes as if it had never stopped. Every
    /// name and shape is compared first: an error leaves the optimizer as it was.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it was not written by [`Adam::save`] for variables
    /// of these names and shapes.
    pub fn restore(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut file = Contents::read(path)?;
        let steps = file.header(STEPS).and_then(|steps| steps.parse().ok());
        let steps = steps.ok_or_else(|| {
            Error::format(
                path,
                "holds no number of steps: not written by an optimizer's save()",
            )
        })?;
        let moments = self.moments(&mut file, path, "")?;
        file.all_taken(path)?;
        self.set(moments, steps);
        Ok(())
    }

    /// The moments, each under the name of its variable behind `prefix`: to be written at once, as they share the
    /// optimizer's memory.
    pub(crate) fn tensors(&self, prefix: &str) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::new();
        for (moment, suffix) in MOMENTS.iter().enumerate() {
            for (place, slot) in self.slots.iter().enumerate() {
                let prefix = self.prefix(prefix, place);
                let row = &slot.moments[moment];
                let named = match &slot.layout {
                    Some(layout) => layout.split(row)?,
                    None => vec![(OWN.into(), row.clone())],
                };
                let named = named.into_iter();
                tensors.extend(named.map(|(name, x)| (format!("{prefix}{name}.{suffix}"), x)));
            }
        }
        Ok(tensors)
    }

    /// Takes the moments under `prefix` from the file, and the number of steps behind them.
    pub(crate) fn take(
        &mut self,
        file: &mut Contents,
        path: &Path,
        prefix: &str,
        steps: u64,
    ) -> Result<()> {
        let moments = self.moments(file, path, prefix)?;
        self.set(moments, steps);
        Ok(())
    }

    fn set(&mut self, moments: Vec<[Tensor; 2]>, steps: u64) {
        for (slot, moments) in self.slots.iter_mut().zip(moments) {
            moments.iter().for_each(ops::prefer_large_pages);
            slot.moments = moments;
        }
        self.steps = steps;
    }

    fn moments(&self, file: &mut Contents, path: &Path, prefix: &str) -> Result<Vec<[Tensor; 2]>> {
        let mut all = Vec::new();
        for (place, slot) in self.slots.iter().enumerate() {
            let prefix = self.prefix(prefix, place);
            let device = slot.var.device();
            let mut row = |suffix: &str| {
                let mut take = |name: &str, shape: &[usize]| {
                    file.take(path, &format!("{prefix}{name}.{suffix}"), shape)
                };
                match &slot.layout {
                    Some(layout) => layout.join(true, device, take),
                    None => Ok(take(OWN, slot.var.dims())?.to_device(device)?),
                }
            };
            all.push([row(MOMENTS[0])?, row(MOMENTS[1])?]);
        }
        Ok(all)
    }

    /// Names are unique within a network, so that only several variables need their place before it.
    fn prefix(&self, prefix: &str, place: usize) -> String {
        match self.slots.len() {
            1 => prefix.into(),
            _ => format!("{prefix}{place}."),
        }
    }
}
