//! A network's parameters and running statistics: as an optimizer takes them, and one by one.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::network::Network;
use super::variable::Variable;
use crate::{Error, Result, ops};

impl Network {
    /// The trainable parameters as an optimizer takes them: all in one row, in an order of the network's own. See
    /// [`Network::named_parameters`] for the parameters one by one.
    pub fn parameters(&self) -> Vec<Var> {
        vec![self.parameters.clone()]
    }

    /// The trainable parameters, each a copy under its name, in the order of the layers.
    pub fn named_parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let views = self.layout.split(&self.parameters.as_detached_tensor())?;
        let copied = |(name, view): (String, Tensor)| Ok((name, view.copy()?));
        views.into_iter().map(copied).collect()
    }

    /// The gradient of each parameter, from the result of a `backward()`; empty if the loss did not depend on them.
    pub fn named_gradients(&self, gradients: &GradStore) -> Result<Vec<(String, Tensor)>> {
        match gradients.get(&self.parameters) {
            Some(row) => self.layout.split(row),
            None => Ok(Vec::new()),
        }
    }

    /// A row of values that are given for each name and shape: of the parameters, or else of the running statistics.
    pub(super) fn row(
        &self,
        trainable: bool,
        values: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.layout
            .join(trainable, self.parameters.device(), values)
    }

    /// All variables with their values: the parameters and the running statistics. Many share the network's memory, and
    /// change with it.
    pub(super) fn variables(&self) -> impl Iterator<Item = Result<(String, Tensor)>> {
        self.layout.variables.iter().map(|variable| {
            let values = variable.cut(&self.row_of(variable).as_detached_tensor())?;
            Ok((variable.name.clone(), values))
        })
    }

    /// Replaces all variables by two rows made by [`Network::row`].
    pub(super) fn replace(&self, parameters: &Tensor, state: &Tensor) -> Result<()> {
        self.parameters.set(parameters)?;
        self.layout.version.bump();
        Ok(self.state.set(state)?)
    }

    /// Replaces one parameter or running statistic.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is none of this name and shape.
    pub fn set(&self, name: &str, values: &Tensor) -> Result<()> {
        let mut variables = self.layout.variables.iter();
        let found = variables.find(|variable| variable.name == name);
        let variable = found
            .filter(|variable| variable.shape == values.dims())
            .ok_or_else(|| {
                let network = &self.config.name;
                Error::Shape(format!(
                    "{network} has no {name} of shape {:?}",
                    values.dims()
                ))
            })?;
        let row = self.row_of(variable);
        let values = variable.values(values)?;
        let len = values.len();
        row.slice_set(
            &Tensor::from_vec(values, len, row.device())?,
            0,
            variable.offset,
        )?;
        if variable.trainable {
            self.layout.version.bump();
        }
        Ok(())
    }

    /// Whether all parameters and running statistics are finite.
    pub(crate) fn is_finite(&self) -> Result<bool> {
        // 0 times infinity is NaN.
        let nothing = |row: &Var| {
            (row.as_detached_tensor() * 0.)?
                .sum_all()?
                .to_scalar::<f32>()
        };
        Ok(nothing(&self.parameters)? == 0. && nothing(&self.state)? == 0.)
    }

    /// Moves all variables, running statistics too, by this fraction of the way to those of a network of the same
    /// description.
    pub(crate) fn move_towards(&self, other: &Network, fraction: f64) -> Result<()> {
        ops::average(&self.parameters, &other.parameters, fraction)?;
        self.layout.version.bump();
        Ok(ops::average(&self.state, &other.state, fraction)?)
    }

    /// The row that holds a variable.
    fn row_of(&self, variable: &Variable) -> &Var {
        match variable.trainable {
            true => &self.parameters,
            false => &self.state,
        }
    }
}
