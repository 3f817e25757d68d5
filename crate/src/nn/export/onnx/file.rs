//! ONNX's file: the messages of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>, as far as we write them.

use std::path::Path;

use candle_core::{DType, Tensor};
use prost::Message;

use super::{Attribute, Node};
use crate::Result;
use crate::files::write_atomically;
use crate::nn::Network;
use crate::nn::export::Python;
use crate::nn::export::python::Library;

/// Of 2021: what every runtime of today reads.
const IR_VERSION: i64 = 8;
const OPERATORS: i64 = 17;
const INPUT: &str = "input";
const OUTPUT: &str = "output";

impl Network {
    /// Writes the network as an ONNX file, for any program that runs such files. It takes batches of any size as `input`,
    /// and gives `output`: what [`Network::forward`] computes, to within rounding. Returns the lines of Python that run it
    /// with onnxruntime; they show themselves in a cell. Needs the feature `onnx`.
    ///
    /// A class-conditional network takes or gives classes beside its input: [`Python::with_classes`] says how.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when the file cannot be written.
    pub fn export_onnx(&self, path: impl AsRef<Path>) -> Result<Python> {
        let path = path.as_ref();
        let mut nodes = self.in_parts(|kind, input, vars| kind.in_onnx(input, vars))?;
        if nodes.is_empty() {
            nodes.push(Node::new("Identity"));
        }
        let value = |name: &str, shape: &[usize]| ValueInfo::batches(name, shape);
        let mut graph = Graph {
            name: self.name().into(),
            input: vec![value(INPUT, self.config().input())],
            output: vec![value(OUTPUT, self.output())],
            ..Graph::default()
        };
        let last = nodes.len() - 1;
        for (i, node) in nodes.into_iter().enumerate() {
            graph.add(i, node, i == last)?;
        }
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            opset_import: vec![Operators { version: OPERATORS }],
        };
        let bytes = model.encode_to_vec();
        write_atomically(path, |file| file.write_all(&bytes))?;
        Ok(Python::new(Library::OnnxRuntime, self, String::new(), path))
    }
}

impl Graph {
    /// Adds the operator at place `i` of the chain.
    fn add(&mut self, i: usize, node: Node, last: bool) -> Result<()> {
        let before = self.node.last().map(|node| node.output.clone());
        let mut input = before.unwrap_or(vec![INPUT.into()]);
        for (name, values) in node.inputs {
            // An input that is left out has no name.
            let name = values
                .as_ref()
                .map_or(String::new(), |_| format!("{i}.{name}"));
            if let Some(values) = values {
                self.initializer.push(Values::new(&name, &values)?);
            }
            input.push(name);
        }
        let output = if last { OUTPUT.into() } else { format!("{i}") };
        self.node.push(Operation {
            input,
            output: vec![output],
            name: format!("{i}.{}", node.op),
            op_type: node.op.into(),
            attribute: node.attributes.into_iter().map(Setting::new).collect(),
        });
        Ok(())
    }
}

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<Operators>,
}

#[derive(Clone, PartialEq, Message)]
struct Operators {
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Operation>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Values>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

/// NodeProto.
#[derive(Clone, PartialEq, Message)]
struct Operation {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Setting>,
}

/// AttributeProto. A 0 is written as well: a reader looks whether the value is there.
#[derive(Clone, PartialEq, Message)]
struct Setting {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    s: Option<Vec<u8>>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

impl Setting {
    fn new((name, value): (&str, Attribute)) -> Self {
        let setting = Setting {
            name: name.into(),
            ..Setting::default()
        };
        match value {
            Attribute::Float(f) => Setting {
                f: Some(f),
                kind: 1,
                ..setting
            },
            Attribute::Text(s) => Setting {
                s: Some(s.into()),
                kind: 3,
                ..setting
            },
            Attribute::Ints(ints) => Setting {
                ints,
                kind: 7,
                ..setting
            },
        }
    }
}

/// TensorProto.
#[derive(Clone, PartialEq, Message)]
struct Values {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

/// Of data types: f32, i64.
const FLOAT: i32 = 1;
const INT64: i32 = 7;

impl Values {
    fn new(name: &str, values: &Tensor) -> Result<Self> {
        let flat = values.flatten_all()?;
        let (data_type, raw_data) = match values.dtype() {
            DType::I64 => {
                let values = flat.to_vec1::<i64>()?;
                (INT64, values.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            _ => {
                let values = flat.to_vec1::<f32>()?;
                (FLOAT, values.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
        };
        Ok(Values {
            dims: values.dims().iter().map(|&size| size as i64).collect(),
            data_type,
            name: name.into(),
            raw_data,
        })
    }
}

/// ValueInfoProto: the name of an input or output, and its shape.
#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

/// A size, or the name of one that is free.
#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

impl ValueInfo {
    /// f32 values of this shape for each sample of a batch, whose size is free.
    fn batches(name: &str, shape: &[usize]) -> Self {
        let batch = Dimension {
            name: Some("batch".into()),
            value: None,
        };
        let size = |&size: &usize| Dimension {
            value: Some(size as i64),
            name: None,
        };
        let dim = std::iter::once(batch)
            .chain(shape.iter().map(size))
            .collect();
        let tensor = TensorType {
            elem_type: FLOAT,
            shape: Some(Shape { dim }),
        };
        ValueInfo {
            name: name.into(),
            kind: Some(Type {
                tensor: Some(tensor),
            }),
        }
    }
}
