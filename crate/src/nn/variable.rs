//! Where a network's variables lie: all parameters in one row, all running statistics in another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use candle_core::{Device, Tensor, TensorId, Var};

use crate::Result;
use crate::ops::Version;
use crate::team::lock;

/// Where a layer's variable lies.
#[derive(Debug)]
pub(super) struct Variable {
    /// Layer number, layer and role: `0.dense.weight`.
    pub name: String,
    pub layer: usize,
    pub shape: Vec<usize>,
    pub trainable: bool,
    /// Its first value among the parameters, or else among the running statistics.
    pub offset: usize,
}

impl Variable {
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The variable, cut from the row that holds it. Convolutions' weights, in candle's order (a, b, kernel, kernel),
    /// lie there as (kernel, kernel, b, a): each tap is a matrix.
    pub(super) fn cut(&self, row: &Tensor) -> Result<Tensor> {
        let values = row.narrow(0, self.offset, self.len())?;
        Ok(match self.shape[..] {
            [a, b, h, w] => values
                .reshape((h, w, b, a))?
                .permute((3, 2, 0, 1))?
                .contiguous()?,
            _ => values.reshape(self.shape.as_slice())?,
        })
    }

    /// The values in the order of the row, from a tensor of the variable's shape.
    pub(super) fn values(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        let ordered = match self.shape.len() {
            4 => tensor.permute((2, 3, 1, 0))?,
            _ => tensor.clone(),
        };
        Ok(ordered.flatten_all()?.to_vec1()?)
    }
}

/// What a row of parameters holds: an optimizer is given the row alone, and finds here the names for its files.
pub(crate) struct Layout {
    pub version: Arc<Version>,
    pub(super) variables: Arc<Vec<Variable>>,
}

/// The layouts of the networks that are alive.
static LAYOUTS: Mutex<Option<HashMap<TensorId, Weak<Layout>>>> = Mutex::new(None);

impl Layout {
    /// The layout of the row of a network of this name.
    pub(super) fn new(name: &str, row: &Var, variables: Arc<Vec<Variable>>) -> Arc<Self> {
        let layout = Arc::new(Layout {
            version: Version::new(name),
            variables,
        });
        let mut layouts = lock(&LAYOUTS);
        let layouts = layouts.get_or_insert_default();
        layouts.retain(|_, layout| layout.strong_count() > 0);
        layouts.insert(row.id(), Arc::downgrade(&layout));
        layout
    }

    /// The layout of a row of parameters; none for other variables.
    pub(crate) fn of(row: &Var) -> Option<Arc<Self>> {
        let layouts = lock(&LAYOUTS);
        layouts.as_ref()?.get(&row.id())?.upgrade()
    }

    pub(super) fn of_kind(&self, trainable: bool) -> impl Iterator<Item = &Variable> {
        self.variables
            .iter()
            .filter(move |variable| variable.trainable == trainable)
    }

    /// The values of a row in the order of the parameters, each parameter's under its name; many share the row's memory.
    pub(crate) fn split(&self, row: &Tensor) -> Result<Vec<(String, Tensor)>> {
        self.of_kind(true)
            .map(|variable| Ok((variable.name.clone(), variable.cut(row)?)))
            .collect()
    }

    /// A row of the values that are given for each name and shape: of the parameters, as [`Layout::split`] takes it
    /// apart, or of the running statistics.
    pub(crate) fn join(
        &self,
        trainable: bool,
        device: &Device,
        mut values: impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut row = Vec::new();
        for variable in self.of_kind(trainable) {
            row.extend(variable.values(&values(&variable.name, &variable.shape)?)?);
        }
        let len = row.len();
        Ok(Tensor::from_vec(row, len, device)?)
    }
}
