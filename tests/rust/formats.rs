//! Files of other versions: those of version 1 are read, those of a newer one are refused and left as they are.
//!
//! `tests/formats/v1` was written at commit 8e78c55, before files said their version, by the program in `write.rs`
//! there.

use std::fs;
use std::path::{Path, PathBuf};

use digit_gan::prelude::*;
use digit_gan::record::{Stats, read_stats};
use digit_gan::{Error, Result};

use crate::helpers::small::{digits, small};

fn old() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/formats/v1")
}

fn weights(network: &Network) -> Vec<f32> {
    network.parameters()[0].to_vec1().unwrap()
}

/// The largest difference, which is 0 on the machine that wrote the files: others add in another order.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0., f32::max)
}

#[test]
fn a_run_of_version_1_resumes_as_if_it_had_never_stopped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    fs::create_dir(run.join("checkpoints")).unwrap();
    for name in [
        "recipe.json",
        "stats.jsonl",
        "checkpoints/best.safetensors",
        "checkpoints/step-00000007.safetensors",
    ] {
        fs::copy(old().join("run").join(name), run.join(name)).unwrap();
    }
    let mut trainer = Trainer::resume(run, &digits())?;
    let recipe = trainer.recipe().clone();
    assert_eq!((trainer.steps(), trainer.best().unwrap().step), (7, 8));
    assert_eq!((recipe.total_images, recipe.log_every), (96, 4));
    assert_eq!(
        (recipe.ema_half_life, recipe.keep_checkpoints),
        (Some(40.), 2)
    );
    let noise = recipe.instance_noise.unwrap();
    assert_eq!((noise.std, noise.fraction), (0.3, 0.7));
    trainer.run()?;

    let expected = Network::load(old().join("generator.safetensors"), &Rng::seed(1))?;
    let apart = apart(&weights(trainer.generator()), &weights(&expected));
    println!("weights differ by up to {apart:e}");
    assert!(apart < 1e-4, "{apart}");
    let expected = fs::read_to_string(old().join("end.jsonl")).unwrap();
    let expected: Vec<Stats> = expected
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lines = read_stats(run)?;
    assert_eq!(lines.len(), 3);
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!((line.step, line.images), (expected.step, expected.images));
        for (value, expected) in [
            (line.d_loss, expected.d_loss),
            (line.d_penalty, expected.d_penalty),
            (line.g_loss, expected.g_loss),
            (line.d_accuracy.unwrap(), expected.d_accuracy.unwrap()),
            (line.learning_rate, expected.learning_rate),
        ] {
            assert!((value - expected).abs() < 1e-3, "{line:?}");
        }
    }
    // What it writes is of this version.
    drop(trainer);
    let checkpoint = run.join("checkpoints/step-00000012.safetensors");
    assert!(String::from_utf8_lossy(&fs::read(checkpoint).unwrap()).contains("digit_gan.format"));
    assert!(Trainer::resume_with(&recipe, &digits(), run)?.is_finished());
    Ok(())
}

#[test]
fn networks_and_optimizers_of_version_1_are_read() -> Result<()> {
    let network = Network::load(old().join("line.safetensors"), &Rng::seed(1))?;
    let mut adam = Adam::new(network.parameters(), 0.05, 0.9)?;
    adam.restore(old().join("adam.safetensors"))?;
    let x = Rng::seed(2).normal((4, 1))?;
    adam.step(&network.forward_t(&x, true)?.sqr()?.mean_all()?)?;
    let expected = Network::load(old().join("line-after.safetensors"), &Rng::seed(1))?;
    let apart = apart(&weights(&network), &weights(&expected));
    assert!(apart < 1e-6, "{apart}");
    Ok(())
}

const NEWER: &str =
    "written by a newer version of digit-gan (format 3); this one reads formats up to 2: update";

#[test]
fn a_recipe_of_a_newer_version_is_refused_in_these_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.json");
    Recipe::dense().save(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let newer = text.replace("\"format\": 2,", "\"mood\": \"sunny\",\n  \"format\": 3,");
    assert_ne!(newer, text);
    fs::write(&path, newer).unwrap();
    let error = Recipe::load(&path).unwrap_err();
    assert!(matches!(error, Error::Newer { .. }), "{error}");
    assert!(error.to_string().contains(NEWER), "{error}");
}

/// The file as a newer version would have written it, with the checksum that it then has.
fn make_newer(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let mut replace = |from: &str, skip: usize, to: &str| {
        let found = bytes.windows(from.len()).position(|w| w == from.as_bytes());
        let at = found.expect(from) + skip;
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes.clone()
    };
    let (format, checksum) = ("digit_gan.format\":\"2", "digit_gan.crc32\":\"");
    replace(format, format.len() - 1, "3");
    let blank = replace(checksum, checksum.len(), "00000000");
    let sum = format!("{:08x}", crc32fast::hash(&blank));
    replace(checksum, checksum.len(), &sum);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_checkpoint_of_a_newer_version_is_refused_and_kept() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let mut trainer = Trainer::new(small(Recipe::dense()), &digits(), run)?;
    trainer.advance()?;
    let older = trainer.checkpoint()?;
    trainer.advance()?;
    let newest = trainer.checkpoint()?;
    let network = run.join("network.safetensors");
    trainer.generator().save(&network)?;
    drop(trainer);
    make_newer(&network);
    let error = Network::load(&network, &Rng::seed(1)).err().unwrap();
    assert!(matches!(error, Error::Newer { .. }), "{error}");
    make_newer(&newest);
    let error = Trainer::resume(run, &digits()).err().unwrap();
    assert!(matches!(error, Error::Newer { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains(NEWER) && message.contains("step-00000002.safetensors"),
        "{message}"
    );
    assert!(newest.exists() && older.exists(), "nothing is renamed");
    Ok(())
}
