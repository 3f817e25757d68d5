//! Networks as ONNX has them: a chain of operators, and the weights.

#[cfg(feature = "onnx")]
mod file;

use candle_core::Tensor;

/// An operator of ONNX. Its first input is what the operator before it gives.
#[cfg_attr(not(feature = "onnx"), expect(dead_code))]
pub(in crate::nn) struct Node {
    op: &'static str,
    /// The inputs behind the first; none for one that is left out.
    inputs: Vec<(&'static str, Option<Tensor>)>,
    attributes: Vec<(&'static str, Attribute)>,
}

#[cfg_attr(not(feature = "onnx"), expect(dead_code))]
enum Attribute {
    Float(f32),
    Ints(Vec<i64>),
    Text(&'static str),
}

impl Node {
    pub fn new(op: &'static str) -> Self {
        Node {
            op,
            inputs: Vec::new(),
            attributes: Vec::new(),
        }
    }

    pub fn input(mut self, name: &'static str, values: Tensor) -> Self {
        self.inputs.push((name, Some(values)));
        self
    }

    pub fn no_input(mut self) -> Self {
        self.inputs.push(("", None));
        self
    }

    /// A weight, and a bias if there is one.
    pub fn weights(self, vars: &[Tensor]) -> Self {
        let named = ["weight", "bias"].into_iter().zip(vars);
        named.fold(self, |node, (name, values)| {
            node.input(name, values.clone())
        })
    }

    pub fn float(mut self, name: &'static str, value: f64) -> Self {
        let value = Attribute::Float(value as f32);
        self.attributes.push((name, value));
        self
    }

    pub fn ints(mut self, name: &'static str, values: impl AsRef<[usize]>) -> Self {
        let values = values.as_ref().iter().map(|&value| value as i64);
        let values = Attribute::Ints(values.collect());
        self.attributes.push((name, values));
        self
    }

    pub fn text(mut self, name: &'static str, value: &'static str) -> Self {
        self.attributes.push((name, Attribute::Text(value)));
        self
    }
}
