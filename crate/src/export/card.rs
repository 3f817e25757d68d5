//! The model card: a README with a header that model hubs read
//! (<https://huggingface.co/docs/hub/model-cards>).

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Export;
use crate::data::{Digits, Source};
use crate::metrics::Report;
use crate::nn::Python;
use crate::record::Judgement;

/// A figure in the header: its type, its name, and its value.
type Metric = (&'static str, &'static str, fn(&Report) -> Option<f64>);

const METRICS: [Metric; 8] = [
    ("frechet_distance", FRECHET, |r| Some(r.frechet)),
    ("kid", "kernel distance (KID)", |r| Some(r.kid.value)),
    ("precision", "precision", |r| Some(r.prdc.precision)),
    ("recall", "recall", |r| Some(r.prdc.recall)),
    ("density", "density", |r| Some(r.prdc.density)),
    ("coverage", "coverage", |r| Some(r.prdc.coverage)),
    ("divergence", "divergence of classes", |r| {
        Some(r.divergence)
    }),
    ("class_accuracy", "class accuracy", |r| r.class_accuracy),
];
const FRECHET: &str = "Fréchet distance in the features of a classifier of digits";
const TASK: &str = "unconditional-image-generation";

impl Export<'_> {
    pub(super) fn card(&self, pytorch: &Python, onnx: Option<Python>) -> String {
        let mut sections = vec![
            format!("---\n{}\n---", self.header(onnx.is_some())),
            format!("# {}", self.name),
            self.summary(),
            "![Images drawn by the generator](samples.png)".into(),
            format!("## Figures\n\n{}", self.figures()),
            format!(
                "## Recipe\n\n`recipe.json` is all of it.\n\n```text\n{}\n```",
                self.sampler.recipe()
            ),
            format!("## In Rust\n\n```rust\n{}\n```", self.rust()),
            format!(
                "## In PyTorch\n\n`model.py` builds the network and loads `pytorch.safetensors`.\n\n\
                 ```python\nimport torch\nfrom torch import nn\n\nfrom model import {}\n\n{}\n```",
                pytorch.name(),
                pytorch.calling()
            ),
        ];
        if let Some(onnx) = onnx {
            sections.push(format!(
                "## In onnxruntime\n\n```python\n{}\n```",
                onnx.beside()
            ));
        }
        sections.push(format!("## Licence\n\n{}", self.license));
        sections.join("\n\n") + "\n"
    }

    fn header(&self, onnx: bool) -> String {
        let formats = ["safetensors", "pytorch"].into_iter();
        let formats = formats.chain(onnx.then_some("onnx"));
        let tags: Vec<&str> = ["gan", "digits"].into_iter().chain(formats).collect();
        let mut header = Map::new();
        let mut put = |key: &str, value: Value| header.insert(key.into(), value);
        put("license", json!(self.license));
        put("library_name", json!("digit-gan"));
        put("pipeline_tag", json!(TASK));
        put("tags", json!(tags));
        let data = self.data.and_then(published);
        if let Some(data) = data {
            put("datasets", json!([slug(data)]));
        }
        let metrics = self.metrics();
        if !metrics.is_empty() {
            let name = data.unwrap_or("images of its own");
            let dataset = json!({"name": name, "type": slug(name), "split": self.split()});
            let result = json!({"task": {"type": TASK}, "dataset": dataset, "metrics": metrics});
            put(
                "model-index",
                json!([{"name": self.name, "results": [result]}]),
            );
        }
        yaml(&header.into(), 0)
    }

    /// Each with the value of real images beside it, the floor.
    fn metrics(&self) -> Vec<Value> {
        let metric = |kind: &str,
                      name: &str,
                      value: f64,
                      floor: Option<f64>,
                      samples: Option<usize>| {
            let rounded = |value: f64| (value * 1e4).round() / 1e4;
            let (value, floor) = (rounded(value), floor.map(rounded));
            json!({"type": kind, "name": name, "value": value, "args": {"floor": floor, "samples": samples}})
        };
        if let Some(report) = self.report {
            let of = |&(kind, name, value): &Metric| {
                let floor = report.floor.as_deref().and_then(value);
                let value = value(report).filter(|value| value.is_finite())?;
                Some(metric(kind, name, value, floor, Some(report.samples)))
            };
            return METRICS.iter().filter_map(of).collect();
        }
        let judged = self.sampler.judged();
        let of = |Judgement { frechet, floor, .. }| {
            metric("frechet_distance", FRECHET, frechet, Some(floor), None)
        };
        judged.map(of).into_iter().collect()
    }

    fn split(&self) -> &'static str {
        match self.report {
            Some(_) => "test",
            None => "held-out",
        }
    }

    fn summary(&self) -> String {
        let recipe = self.sampler.recipe();
        let [_, height, width] = recipe.discriminator.input() else {
            unreachable!("a recipe that was trained draws images")
        };
        let what = match recipe.classes {
            Some(classes) => format!(
                "a class, one of {classes}, and {} numbers of noise",
                recipe.latent_dim
            ),
            None => format!("{} numbers of noise", recipe.latent_dim),
        };
        let images = self.sampler.images();
        let data = match self.data {
            Some(data) => format!(" It was trained on {}.", described(data)),
            None => String::new(),
        };
        format!(
            "A GAN's generator, trained by digit-gan with the recipe {}: from {what} to a grey image of {height}x{width} \
             pixels in [-1, 1].{data} Its discriminator saw {images} real images.",
            recipe.name
        )
    }

    fn figures(&self) -> String {
        if let Some(report) = self.report {
            return report.markdown();
        }
        match self.sampler.judged() {
            Some(Judgement { frechet, floor, .. }) => format!(
                "| | this generator | real training images, the floor |\n|---|---:|---:|\n\
                 | {FRECHET} | {frechet:.2} | {floor:.2} |\n\n\
                 Measured against images that were held out of training. They also chose the checkpoint, so that images \
                 which nothing was chosen by usually give a larger distance."
            ),
            None => "The generator has not been measured.".into(),
        }
    }

    fn rust(&self) -> String {
        let recipe = self.sampler.recipe();
        let input = match recipe.classes {
            Some(classes) => format!(
                "let labels = Tensor::arange(0u32, {classes}, &Device::Cpu)?;\n\
                 let noise = with_class(&rng.normal(({classes}, {}))?, &labels, {classes})?;",
                recipe.latent_dim
            ),
            None => format!("let noise = rng.normal((16, {}))?;", recipe.latent_dim),
        };
        format!(
            "use digit_gan::prelude::*;\n\nlet rng = Rng::seed(1);\n\
             let generator = Network::load(\"generator.safetensors\", &rng)?;\n{input}\n\
             let images = generator.forward(&noise)?;\nplot::sample_grid(&images, 8)?.save(\"images.png\")?;"
        )
    }
}

/// What it was trained on, wherever it lies.
fn described(data: &Digits) -> String {
    let count = data.count_and_part();
    let last = |path: &str| {
        Path::new(path)
            .file_name()
            .map(|name| name.display().to_string())
    };
    match data.source() {
        Source::Dataset { dataset, .. } => format!("{count} of {dataset}"),
        Source::Folder { folder: path, .. } | Source::Page { page: path } => {
            format!("{count} from {}", last(path).unwrap_or(path.clone()))
        }
        Source::Builtin => format!("{count} that digit-gan itself has drawn"),
        Source::Memory => count,
    }
}

/// The name of data that others have as well.
fn published(data: &Digits) -> Option<&'static str> {
    match data.source() {
        Source::Dataset { dataset, .. } => Some(dataset.name()),
        _ => None,
    }
}

/// As hubs name data: lower case, words joined by hyphens.
fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// A value in YAML, lists and maps a line for each entry, all else as JSON has it, which YAML contains.
fn yaml(value: &Value, indent: usize) -> String {
    let space = " ".repeat(indent);
    let below = |value: &Value| match value {
        Value::Object(_) | Value::Array(_) => format!("\n{}", yaml(value, indent + 2)),
        other => format!(" {other}"),
    };
    let lines: Vec<String> = match value {
        Value::Object(entries) => {
            let line = |(key, value)| format!("{space}{key}:{}", below(value));
            entries.iter().map(line).collect()
        }
        Value::Array(entries) => {
            let line = |entry| {
                let text = yaml(entry, indent + 2);
                format!("{space}- {}", text.trim_start())
            };
            entries.iter().map(line).collect()
        }
        other => return other.to_string(),
    };
    lines.join("\n")
}
