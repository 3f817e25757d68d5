//! Training without a notebook: the example `train`, and the sweep that runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::helpers::values::message;
use digit_gan::prelude::*;
use digit_gan::record::read_stats;

/// The example, as it now is: `cargo test` builds examples beside the tests, but not where one test alone is asked for.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "train", "--manifest-path"]);
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    if target.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    target.join(format!("examples/train{}", std::env::consts::EXE_SUFFIX))
}

const SHORT: [&str; 6] = [
    "--images",
    "192",
    "--builtin",
    "100",
    "--set",
    "log_every=2",
];

fn train(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(program());
    command.args(SHORT).args(arguments).arg("--out").arg(out);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into()
}

#[test]
fn a_run_is_finished_once_and_then_found_finished() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("runs/dense-7");
    let arguments = [
        "--recipe",
        "dense",
        "--seed",
        "7",
        "--set",
        "loss=least_squares",
    ];
    let output = train(&arguments, &out);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("finished: 192 images"),
        "{}",
        text(&output)
    );
    let recipe = Recipe::load(out.join("recipe.json")).unwrap();
    assert_eq!((recipe.seed, recipe.loss), (7, GanLoss::LeastSquares));
    let steps: Vec<u64> = read_stats(&out)
        .unwrap()
        .iter()
        .map(|stats| stats.step)
        .collect();
    assert_eq!(steps, [2, 3]);

    let output = train(&arguments, &out);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("resumed at step 3"),
        "{}",
        text(&output)
    );
    assert_eq!(read_stats(&out).unwrap().len(), 2);

    // The run's own file is a configuration for another one.
    let config = out.join("recipe.json");
    let again = folder.path().join("again");
    let output = Command::new(program())
        .args(["--builtin", "100", "--config"])
        .arg(config)
        .arg("--out")
        .arg(&again)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(Recipe::load(again.join("recipe.json")).unwrap(), recipe);
    let losses = |run: &Path| -> Vec<f64> {
        read_stats(run)
            .unwrap()
            .iter()
            .map(|stats| stats.g_loss)
            .collect()
    };
    assert_eq!(losses(&out), losses(&again));
}

#[test]
fn a_run_is_judged_if_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let judge = |every: &str| {
        let mut command = Command::new(program());
        command
            .args(["--recipe", "dense", "--images", "192", "--builtin", "200"])
            .args(["--set", "log_every=1", "--judge-every", every])
            .args(["--hold-out", "40"])
            .args(["--judge", env!("CARGO_TARGET_TMPDIR"), "--out"])
            .arg(folder.path().join(every));
        command.output().unwrap()
    };
    let lines = |every: &str| -> Vec<bool> {
        let stats = read_stats(folder.path().join(every)).unwrap();
        stats.iter().map(|line| line.frechet.is_some()).collect()
    };
    let output = judge("128");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("judged every 128 images"),
        "{}",
        text(&output)
    );
    assert_eq!(lines("128"), [false, true, true]);
    let run = folder.path().join("128");
    assert!(Sampler::best(&run).is_ok());
    // Judged on digits that neither the run nor the judge was trained on.
    let all = Digits::builtin(200, &Rng::seed(0));
    let (train_digits, held_out) = all.hold_out(40).unwrap();
    let judge_of = Judge::open(env!("CARGO_TARGET_TMPDIR"), &train_digits, &held_out).unwrap();
    let mut trainer = Trainer::resume(&run, &train_digits).unwrap();
    trainer = trainer.judged_by(&judge_of, &held_out, 128).unwrap();
    let last = read_stats(&run).unwrap().pop().unwrap();
    assert_eq!(Some(trainer.frechet().unwrap()), last.frechet);
    drop(trainer);
    let other = message(Trainer::resume(&run, &all));
    assert!(other.contains("other digits"), "{other}");
    let output = judge("0");
    assert!(
        !output.status.success() && text(&output).contains("not 0"),
        "{}",
        text(&output)
    );
    let output = train(&["--recipe", "dense", "--judge-every", "64"], folder.path());
    assert!(
        !output.status.success() && text(&output).contains("--judge"),
        "{}",
        text(&output)
    );
}

#[test]
fn mistakes_are_told_in_a_line_and_in_the_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    assert!(train(&["--recipe", "dense"], &out).status.success());
    for (arguments, expected) in [
        (
            &["--recipe", "dense", "--seed", "9"][..],
            "seed: the run has 1, not 9",
        ),
        (
            &["--recipe", "dence"],
            "there is no recipe \"dence\": dense, dcgan, compact, lean",
        ),
        (
            &["--recipe", "dense", "--set", "loss"],
            "expected KEY=VALUE",
        ),
        (
            &["--recipe", "dense", "--set", "loss=wasserstein"],
            "without a penalty",
        ),
        (
            &["--recipe", "dense", "--set", "batch=2"],
            "no value \"batch\"",
        ),
        (&["--config", "absent.json"], "absent.json: No such file"),
        (&[], "--recipe"),
    ] {
        let output = train(arguments, &out);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            text(&output).contains(expected),
            "{arguments:?}: {}",
            text(&output)
        );
        assert!(!text(&output).contains("panicked"));
    }
}

#[test]
#[cfg(unix)]
fn a_sweep_runs_a_recipe_and_a_seed_for_each_task() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweep/slurm.sh");
    let task = |number: Option<&str>| {
        let mut command = Command::new(&script);
        command
            .args(SHORT)
            .args(["--set", "batch_size=16"])
            .env("TRAIN", program())
            .env("RUNS", folder.path())
            .env("RECIPES", "dense dense-conditional")
            .env("SEEDS", "1 2 3");
        if let Some(number) = number {
            command
                .env("SLURM_ARRAY_TASK_ID", number)
                .env("SLURM_CPUS_PER_TASK", "1");
        }
        command.output().unwrap()
    };
    for number in ["1", "5"] {
        let output = task(Some(number));
        assert!(output.status.success(), "{}", text(&output));
    }
    for (run, classes, seed) in [("dense-2", None, 2), ("dense-conditional-3", Some(10), 3)] {
        let recipe = Recipe::load(folder.path().join(run).join("recipe.json")).unwrap();
        assert_eq!(
            (recipe.classes, recipe.seed, recipe.batch_size),
            (classes, seed, 16)
        );
        assert_eq!(read_stats(folder.path().join(run)).unwrap().len(), 6);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    let output = task(Some("6"));
    assert!(
        !output.status.success() && text(&output).contains("--array=0-5"),
        "{}",
        text(&output)
    );
    let output = task(None);
    assert!(
        !output.status.success() && text(&output).contains("submit this with sbatch"),
        "{}",
        text(&output)
    );
}
