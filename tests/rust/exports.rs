//! Networks for other programs. What PyTorch and onnxruntime make of the files, tests/python/test_export.py runs.

use std::collections::HashMap;
use std::path::Path;

use digit_gan::Result;
use digit_gan::candle::{DType, Device, safetensors};
use digit_gan::export::Export;
use digit_gan::nn::{BatchNorm, Conv2d, ConvTranspose2d, Layer, Padding, Python};
use digit_gan::prelude::*;

use crate::helpers::judge::{judge, reference};
use crate::helpers::process;
use crate::helpers::small::{digits, small};
use crate::helpers::values::{message, values};

/// With biases and the like that differ from the initial zeros and ones, which hide mistakes, and running statistics that
/// are those of a batch, as in a network that was trained.
fn network(description: &Sequential) -> Network {
    let rng = Rng::seed(5);
    let network = description.build(&rng).unwrap();
    for (name, values) in network.named_parameters().unwrap() {
        if values.rank() == 1 {
            let noise = rng.normal(values.shape()).unwrap();
            let moved = (values + (noise * 0.1).unwrap()).unwrap();
            network.set(&name, &moved).unwrap();
        }
    }
    let at_once = description.layers().iter().cloned().map(|mut layer| {
        if let Layer::BatchNorm(norm) = &mut layer {
            norm.momentum = 0.;
        }
        layer
    });
    let empty = Sequential::new(description.name(), description.input());
    let twin = at_once.fold(empty, Sequential::layer).build(&rng).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    network.save(file.path()).unwrap();
    twin.restore(file.path()).unwrap();
    let x = rng.normal([&[16], description.input()].concat()).unwrap();
    twin.forward_t(&x, true).unwrap();
    twin.save(file.path()).unwrap();
    network.restore(file.path()).unwrap();
    network
}

/// Both networks of every recipe with a name, and some with what those do not have.
fn networks() -> Vec<(String, Sequential, Option<usize>)> {
    let mut all = Vec::new();
    for name in ["dense", "dcgan", "compact", "lean"] {
        for name in [name.to_string(), format!("{name}-conditional")] {
            let recipe = Recipe::named(&name).unwrap();
            all.push((
                format!("{name}-generator"),
                recipe.generator,
                recipe.classes,
            ));
            let discriminator = recipe.discriminator;
            all.push((
                format!("{name}-discriminator"),
                discriminator,
                recipe.classes,
            ));
        }
    }
    let down = Conv2d {
        channels: 4,
        kernel: 3,
        stride: 2,
        padding: Padding::Sides([[0, 0], [1, 1]]),
        bias: true,
    };
    let up = ConvTranspose2d {
        channels: 3,
        kernel: 5,
        stride: 3,
        padding: Padding::Sides([[1, 2], [0, 3]]),
        output_padding: 2,
        bias: false,
    };
    let others = [
        Sequential::new("even kernels", [2, 7, 6])
            .conv2d(3, 4, 1)
            .relu()
            .conv_transpose2d(4, 2, 1)
            .batch_norm(0.5)
            .conv2d(2, 4, 3)
            .conv_transpose2d(1, 1, 2),
        Sequential::new("sides", [2, 9, 8])
            .layer(down)
            .leaky_relu(0.3)
            .layer(up),
        Sequential::new("pools", [2, 7, 9])
            .upsample2d(3)
            .conv2d(3, 3, 1)
            .max_pool2d(2)
            .dropout(0.4)
            .layer(BatchNorm {
                momentum: 0.9,
                epsilon: 1e-3,
            })
            .flatten()
            .dense(4)
            .no_bias(),
        Sequential::new("shapes", [6, 4])
            .batch_norm(0.7)
            .reshape([3, 2, 4])
            .reshape([24])
            .dense(8)
            .reshape([8])
            .reshape([2, 2, 2])
            .tanh(),
        Sequential::new("nothing", [3]).dropout(0.5),
    ];
    let named = others.map(|network| (network.name().replace(' ', "-"), network, None));
    all.extend(named);
    all
}

#[test]
#[ignore = "writes what tests/python/test_export.py runs"]
fn written() -> Result<()> {
    let folder = process::folder();
    for (name, description, classes) in networks() {
        let network = network(&description);
        let x = Rng::seed(6).normal([&[5], description.input()].concat())?;
        let (y, exact) = (network.forward(&x)?, network.reference().forward(&x)?);
        let outputs = HashMap::from([("x", x), ("y", y), ("reference", exact)]);
        safetensors::save(&outputs, folder.join(format!("{name}.batch")))?;
        let save = |python: Python, kind: &str| -> Result<()> {
            let python = match classes {
                Some(classes) => python.with_classes(classes)?,
                None => python,
            };
            std::fs::write(folder.join(format!("{name}.{kind}.py")), python.to_string()).unwrap();
            Ok(())
        };
        let file = folder.join(format!("{name}.safetensors"));
        save(network.export_pytorch(file)?, "pytorch")?;
        #[cfg(feature = "onnx")]
        save(
            network.export_onnx(folder.join(format!("{name}.onnx")))?,
            "onnx",
        )?;
    }
    for recipe in [Recipe::dense(), Recipe::lean().conditional()] {
        let name = recipe.name.clone();
        let mut trainer =
            Trainer::new(small(recipe), &digits(), folder.join(format!("{name}-run")))?;
        trainer.run()?;
        let sampler = trainer.sampler();
        let evaluation = Evaluation::new(judge(), &digits(), &reference(), 50)?;
        let samples = sampler.samples(50, &Rng::seed(0))?;
        let report = evaluation.report(&name, &samples, sampler.labels(50).as_deref())?;
        let data = digits();
        let export = Export::new(&name, &sampler).trained_on(&data);
        export.measured(&report).save(folder.join(&name))?;
    }
    Ok(())
}

const LEAN: &str = r#"import torch
from safetensors.torch import load_file
from torch import nn

generator = nn.Sequential(
    nn.Linear(110, 512, bias=False),
    nn.BatchNorm1d(512),
    nn.LeakyReLU(0.2),
    nn.Linear(512, 3136, bias=False),
    nn.BatchNorm1d(3136),
    nn.LeakyReLU(0.2),
    nn.Unflatten(1, (64, 7, 7)),
    nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False),
    nn.BatchNorm2d(32),
    nn.LeakyReLU(0.2),
    nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
    nn.Tanh(),
)
generator.load_state_dict(load_file("lean.safetensors"))
generator.eval()

labels = torch.arange(16) % 10
x = torch.randn(16, 100)
x = torch.cat([x, nn.functional.one_hot(labels, 10)], 1)
with torch.no_grad():
    y = generator(x)  # (16, 1, 28, 28)"#;

#[test]
fn the_lines_are_those_that_one_would_write() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let network = network(&Recipe::lean().conditional().generator);
    let path = folder.path().join("lean.safetensors");
    let lines = network.export_pytorch(&path)?.with_classes(10)?.to_string();
    assert_eq!(
        lines
            .replace(folder.path().to_str().unwrap(), "")
            .replace("\"/", "\""),
        LEAN
    );
    Ok(())
}

#[test]
fn the_readme_shows_the_lines_of_the_lean_generator() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("generator.safetensors");
    let lines = network(&Recipe::lean().generator).export_pytorch(&path)?;
    let lines = lines
        .to_string()
        .replace(path.to_str().unwrap(), "generator.safetensors");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    assert!(
        readme.contains(&format!("```python\n{lines}\n```")),
        "{lines}"
    );
    Ok(())
}

#[test]
fn the_file_has_the_names_and_layouts_of_pytorch() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.safetensors");
    let network = network(&Recipe::lean().discriminator);
    network.export_pytorch(&path)?;
    let file = safetensors::load(&path, &Device::Cpu)?;
    let mut names: Vec<&str> = file.keys().map(String::as_str).collect();
    names.sort_unstable();
    let of_norm = [
        "bias",
        "num_batches_tracked",
        "running_mean",
        "running_var",
        "weight",
    ];
    let norm = |i: usize| of_norm.map(|name| format!("{i}.{name}"));
    let weights = |i: usize| [format!("{i}.bias"), format!("{i}.weight")];
    let mut expected = vec!["2.weight".to_string(), "6.weight".into()];
    expected.extend([weights(0), weights(9)].concat());
    expected.extend([norm(3), norm(7)].concat());
    expected.sort_unstable();
    assert_eq!(names, expected);
    let parameters: HashMap<_, _> = network.named_parameters()?.into_iter().collect();
    let dense = &parameters["6.dense.weight"];
    assert_eq!(values(&file["6.weight"]), values(&dense.t()?));
    assert_eq!(
        values(&file["0.weight"]),
        values(&parameters["0.conv2d.weight"])
    );
    assert_eq!(file["3.num_batches_tracked"].dtype(), DType::I64);
    assert!(file["3.num_batches_tracked"].dims().is_empty());
    Ok(())
}

#[test]
fn what_cannot_be_exported_is_told() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let deep = Sequential::new("deep", [2, 1, 1, 1, 3]).batch_norm(0.9);
    let text = message(network(&deep).export_pytorch(&path));
    assert!(
        text.contains("up to 4 dimensions, not of [2, 1, 1, 1, 3]"),
        "{text}"
    );
    let python = network(&Recipe::dense().generator).export_pytorch(&path)?;
    let text = message(python.with_classes(100));
    assert!(text.contains("more than 100 inputs"), "{text}");
    let text = message(network(&deep).export_pytorch(Path::new("/nowhere/x.safetensors")));
    assert!(text.contains("dimensions"), "{text}");
    Ok(())
}

#[test]
fn a_sampler_knows_the_classes_of_its_generator() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for (recipe, asked) in [
        (Recipe::dense(), false),
        (Recipe::dense().conditional(), true),
    ] {
        let run = folder.path().join(&recipe.name);
        let trainer = Trainer::new(small(recipe), &digits(), &run)?;
        let lines = trainer
            .sampler()
            .export_pytorch(run.join("generator.safetensors"))?;
        assert_eq!(
            lines.to_string().contains("one_hot(labels, 10)"),
            asked,
            "{lines}"
        );
    }
    Ok(())
}

#[test]
fn a_card_says_what_is_known_and_no_more() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(small(Recipe::dense()), &digits(), folder.path().join("run"))?;
    let out = folder.path().join("out");
    let card = |export: Export| -> Result<String> {
        export.save(&out)?;
        Ok(std::fs::read_to_string(out.join("README.md")).unwrap())
    };
    let text = card(Export::new("it", &trainer.sampler()))?;
    assert!(
        text.starts_with("---\nlibrary_name: \"digit-gan\"\nlicense: \"mit\"\n"),
        "{text}"
    );
    for unknown in ["model-index", "datasets", "It was trained on"] {
        assert!(!text.contains(unknown), "{unknown}: {text}");
    }
    assert!(
        text.contains("The generator has not been measured."),
        "{text}"
    );

    trainer = trainer.judged_by(judge(), &reference(), 8)?;
    trainer.run()?;
    let sampler = Sampler::best(trainer.folder())?;
    let best = trainer.best().unwrap();
    assert_eq!(
        (sampler.judged(), sampler.images()),
        (Some(best), best.images)
    );
    assert!(sampler.was_trained_on(&digits()) && !sampler.was_trained_on(&reference()));
    let text = card(
        Export::new("it", &sampler)
            .license("cc0-1.0")
            .trained_on(&digits()),
    )?;
    assert!(text.contains("license: \"cc0-1.0\""), "{text}");
    assert!(
        text.contains(&format!("| {:.2} | {:.2} |", best.frechet, best.floor)),
        "{text}"
    );
    assert!(
        text.contains("trained on 50 digits that digit-gan itself has drawn"),
        "{text}"
    );

    let generator = Network::load(out.join("generator.safetensors"), &Rng::seed(1))?;
    let noise = Rng::seed(2).normal((3, 100))?;
    let expected = sampler.network().forward(&noise)?;
    assert_eq!(values(&generator.forward(&noise)?), values(&expected));
    assert_eq!(&Recipe::load(out.join("recipe.json"))?, sampler.recipe());
    Ok(())
}
