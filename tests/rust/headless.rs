//! The program `digit-gan`, and the sweep that runs it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::helpers::values::message;
use digit_gan::data::idx;
use digit_gan::prelude::*;
use digit_gan::record::read_stats;

fn program(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_digit-gan"));
    command.arg(subcommand);
    command
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
    let mut command = program("train");
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
    let output = program("train")
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
    judge();
    let judge = |every: &str| {
        let mut command = program("train");
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
    let mut trainer = Trainer::resume(&run, &train_digits).unwrap();
    trainer = trainer.judged_by(self::judge(), &held_out, 128).unwrap();
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
            &["--recipe", "lean", "--set", "loss=wasserstein"],
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
            .env("DIGIT_GAN", env!("CARGO_BIN_EXE_digit-gan"))
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

/// The judge of 160 of 200 built-in digits, trained once for all tests here.
fn judge() -> &'static Judge {
    static JUDGE: OnceLock<Judge> = OnceLock::new();
    JUDGE.get_or_init(|| {
        let (train, held_out) = Digits::builtin(200, &Rng::seed(0)).hold_out(40).unwrap();
        Judge::open(env!("CARGO_TARGET_TMPDIR"), &train, &held_out).unwrap()
    })
}

/// A run of 3 steps that this judge has measured.
fn judged_run(recipe: &str, folder: &Path) -> PathBuf {
    judge();
    let run = folder.join(format!("{recipe}-1"));
    let mut command = program("train");
    command
        .args(["--recipe", recipe, "--images", "192", "--builtin", "200"])
        .args(["--set", "log_every=1", "--hold-out", "40"])
        .args(["--judge", env!("CARGO_TARGET_TMPDIR"), "--out"])
        .arg(&run);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    run
}

#[test]
#[cfg(unix)]
fn a_signal_ends_a_training_with_a_checkpoint_and_a_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--recipe", "dense", "--images", "12800", "--builtin", "100"];
    let quiet = ["--set", "log_every=1", "--set", "checkpoint_every=100000"];
    let command = |run: &str| {
        let mut command = program("train");
        command.args(arguments).args(quiet);
        command.arg("--out").arg(folder.path().join(run));
        command
    };
    for signal in ["-TERM", "-INT"] {
        let run = folder.path().join(signal);
        let mut child = command(signal).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.trim_start().starts_with("3 "));
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        assert_eq!(child.wait().unwrap().code(), Some(75), "{rest:?}");
        let last = rest.last().unwrap();
        assert!(last.contains("the same command resumes from"), "{last}");
        let steps = read_stats(&run).unwrap().last().unwrap().step;
        assert!((3..200).contains(&steps), "{steps}");

        let output = command(signal).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let resumed = format!("resumed at step {steps} ");
        assert!(
            text(&output).contains(&resumed),
            "{resumed}: {}",
            text(&output)
        );
    }
    assert!(command("whole").output().unwrap().status.success());
    let weights = |run: &str| {
        let sampler = Sampler::newest(folder.path().join(run)).unwrap();
        assert_eq!(sampler.images(), 12_800);
        sampler.network().parameters()[0].to_vec1::<f32>().unwrap()
    };
    for stopped in ["-TERM", "-INT"] {
        assert_eq!(weights(stopped), weights("whole"));
    }
}

#[test]
fn a_number_is_drawn_and_files_are_read_as_mnist() {
    let folder = tempfile::tempdir().unwrap();
    let run = judged_run("dense-conditional", folder.path());
    let sample = |arguments: &[&str], out: &str| {
        let mut command = program("sample");
        command.current_dir(folder.path()).args(arguments);
        command.args(["--out", out]).output().unwrap()
    };
    let output = sample(
        &["--run", run.to_str().unwrap(), "--digits", "2026"],
        "year.png",
    );
    assert!(
        text(&output).contains("year.png: 4 generated digits in a row"),
        "{}",
        text(&output)
    );
    let drawn = std::fs::read(folder.path().join("year.png")).unwrap();
    let sampler = Sampler::best(&run).unwrap();
    let samples = sampler.samples_of(&[2, 0, 2, 6], &Rng::seed(0)).unwrap();
    assert_eq!(drawn, plot::sample_grid(&samples, 4).unwrap().bytes());

    // Without --run: the run in runs/ that was trained last.
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    let output = sample(&["-n", "30"], "idx");
    assert!(text(&output).contains("there is no run in runs/: name one with --run"));
    std::fs::rename(&run, folder.path().join("runs/it")).unwrap();
    let output = sample(&["-n", "30"], "idx/");
    assert!(output.status.success(), "{}", text(&output));
    let path = |name: &str| folder.path().join("idx").join(name);
    let labels = idx::read_labels(&path("train-labels-idx1-ubyte"), 0..10).unwrap();
    assert_eq!(labels[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    let pixels = idx::read_images(&path("train-images-idx3-ubyte")).unwrap();
    let expected = sampler.digits(30, &Rng::seed(0)).unwrap();
    assert_eq!(
        (labels.len(), &pixels[29 * 784..]),
        (30, expected.image(29))
    );

    for (arguments, out, expected) in [
        (&["-n", "30"][..], "idx", "is there already"),
        (
            &["--digits", "20x6"],
            "x.png",
            "expected a number, such as 2026",
        ),
        (&["-n", "30"], "x.jpg", "extension .png"),
        (&["--run", "nowhere"], "x.png", "holds no run"),
    ] {
        let output = sample(arguments, out);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
}

#[test]
fn a_run_is_exported_with_what_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = judged_run("dense", folder.path());
    let export = |arguments: &[&str]| {
        let out = folder.path().join("out");
        let mut command = program("export");
        command
            .arg("--run")
            .arg(&run)
            .arg("--out")
            .arg(&out)
            .args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        (
            text(&output),
            std::fs::read_to_string(out.join("README.md")).unwrap(),
        )
    };
    let (_, card) = export(&["--builtin", "200", "--hold-out", "40"]);
    assert!(
        card.contains("trained on 160 digits that digit-gan itself has drawn"),
        "{card}"
    );
    assert!(
        card.contains("Its discriminator saw 192 real images"),
        "{card}"
    );
    assert!(card.contains("held out of training"), "{card}");
    let judge = ["--judge", env!("CARGO_TARGET_TMPDIR"), "--samples", "100"];
    let measured = ["--builtin", "200", "--hold-out", "40", "--measure"];
    let (_, card) = export(&[&measured[..], &judge].concat());
    assert!(
        card.contains("| metric | dense-1 | real digits | better |"),
        "{card}"
    );
    let (said, card) = export(&["--builtin", "100"]);
    assert!(
        said.contains("not the images that the run was trained on"),
        "{said}"
    );
    assert!(!card.contains("trained on 100"), "{card}");
}

#[test]
fn a_page_is_written_from_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let trained = |name: &str, inputs: usize, units: usize| {
        let generator = Sequential::new("generator", [inputs]).dense(units).relu();
        let mut recipe = Recipe::named(name).unwrap();
        recipe.generator = generator.dense(784).tanh().reshape([1, 28, 28]);
        recipe.total_images = 128;
        let run = folder.path().join(format!("{name}-{units}"));
        let digits = Digits::builtin(100, &Rng::seed(0));
        let mut trainer = Trainer::new(recipe, &digits, &run).unwrap();
        trainer.run().unwrap();
        run
    };
    let plain = trained("dense", 100, 32);
    let wide = trained("dense", 100, 4_000);
    let conditional = trained("dense-conditional", 110, 32);
    let page = |run: &Path, arguments: &[&str]| {
        let mut command = program("page");
        command.current_dir(folder.path());
        command.arg("--run").arg(run).args(arguments);
        command.output().unwrap()
    };
    let output = page(&conditional, &["--out", "digits.html"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("no pixel differs by more than"),
        "{}",
        text(&output)
    );
    let html = std::fs::read_to_string(folder.path().join("digits.html")).unwrap();
    let holds = |part: &str| html.contains(&part.replace('"', "&quot;"));
    assert!(holds(
        r#""classes":["0","1","2","3","4","5","6","7","8","9"]"#
    ));
    assert!(holds(r#""name":"direction 3""#) && !holds("direction 4"));
    // The strongest direction is the one that latent::directions finds.
    let sampler = Sampler::newest(&conditional).unwrap();
    let (noise, labels) = (
        Rng::seed(0).normal((5_000, 100)).unwrap(),
        sampler.labels(5_000).unwrap(),
    );
    let labels = Tensor::new(labels, &Device::Cpu).unwrap();
    let images = sampler.samples(5_000, &Rng::seed(0)).unwrap();
    let directions = latent::directions(&noise, &images, Some(&labels)).unwrap();
    let first = directions.get(0).unwrap().flatten_all().unwrap();
    let first: Vec<f32> = first.to_vec1().unwrap();
    let (_, written) = html.split_once("&quot;values&quot;:[").unwrap();
    let written: Vec<f32> = written
        .split([',', ']'])
        .take(100)
        .map(|value| value.parse().unwrap())
        .collect();
    assert!(
        written
            .iter()
            .zip(&first)
            .all(|(a, b)| (a - b).abs() < 1e-5)
    );

    let output = page(
        &plain,
        &["--out", "plain.html", "--sliders", "slant,weight"],
    );
    assert!(output.status.success(), "{}", text(&output));
    let html = std::fs::read_to_string(folder.path().join("plain.html")).unwrap();
    assert!(html.contains("slant") && html.contains("&quot;classes&quot;:[]"));

    for (run, arguments, expected) in [
        (
            &wide,
            &["--out", "x.html"][..],
            "Train a narrower generator",
        ),
        (&plain, &["--out", "x.png"], ".html"),
        (
            &plain,
            &["--out", "x.html", "--classes", "a,b"],
            "2 names, and the run has 0 classes",
        ),
        (
            &conditional,
            &["--out", "x.html", "--sliders", "a,b,c,d,e,f,g,h,i"],
            "8 sliders",
        ),
    ] {
        let output = page(run, arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
    assert!(!folder.path().join("x.html").exists());
}

#[test]
fn runs_are_listed_with_the_best_that_they_reached() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let lines = |seed: u64, lines: &[(u64, Option<f64>)]| {
        let run = runs.join(format!("lean-{seed}"));
        std::fs::create_dir_all(&run).unwrap();
        let mut recipe = Recipe::lean();
        (recipe.seed, recipe.total_images) = (seed, 1_000);
        recipe.save(run.join("recipe.json")).unwrap();
        let stats = lines.iter().map(|(images, frechet)| {
            let frechet = frechet.map_or("null".into(), |frechet| frechet.to_string());
            format!(
                r#"{{"step":1,"images":{images},"seconds":{images},"d_loss":1,"d_penalty":0,"g_loss":1,"d_real":1,"d_fake":0,"d_accuracy":1,"d_gradient_norm":1,"g_gradient_norm":1,"images_per_second":1,"learning_rate":1,"frechet":{frechet},"frechet_floor":2.5}}"#
            ) + "\n"
        });
        let stats: String = stats.collect();
        if !stats.is_empty() {
            std::fs::write(run.join("stats.jsonl"), stats).unwrap();
        }
    };
    lines(1, &[(400, Some(12.)), (800, Some(8.)), (1_000, Some(9.))]);
    lines(2, &[(500, None), (1_000, Some(10.))]);
    lines(3, &[(400, Some(1.))]);
    lines(4, &[]);
    std::fs::create_dir(runs.join("judge")).unwrap();
    let output = program("runs").current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    let rows: Vec<Vec<&str>> = said
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let rows: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
    assert_eq!(
        rows,
        [
            "run images time distance at images",
            "lean-1 1000 16:40 8.0 800",
            "lean-2 1000 16:40 10.0 1000",
            "lean-3 400 of 1000 6:40 1.0 400",
            "lean-4 0 of 1000 0:00 - -",
            "real digits have a distance of 2.5",
            "lean, 2 seeds: 9.0 on average, from 8.0 to 10.0",
        ]
    );
    let output = program("runs").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("recipe.json"), "{}", text(&output));
    let output = program("runs").current_dir(&runs).output().unwrap();
    assert!(
        text(&output).contains("there is no run in runs/"),
        "{}",
        text(&output)
    );
}

#[test]
fn finished_runs_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["dense", "dense-conditional"].map(|recipe| judged_run(recipe, folder.path()));
    let mut command = program("evaluate");
    command
        .args(&runs)
        .args(["--builtin", "200", "--hold-out", "40", "--samples", "100"]);
    let output = command
        .args(["--judge", env!("CARGO_TARGET_TMPDIR")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let header = text(&output);
    let header = header
        .lines()
        .find(|line| line.starts_with("metric"))
        .unwrap();
    let columns = [
        "metric",
        "dense-1",
        "dense-conditional-1",
        "real",
        "digits",
        "better",
    ];
    assert_eq!(header.split_whitespace().collect::<Vec<_>>(), columns);
}

#[test]
fn a_folder_of_images_decides_on_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let digits = Digits::builtin(60, &Rng::seed(2));
    for i in 0..digits.len() {
        let class = folder.path().join("images").join(["a", "b", "c"][i % 3]);
        std::fs::create_dir_all(&class).unwrap();
        let image = image::GrayImage::from_raw(28, 28, digits.image(i).to_vec()).unwrap();
        image.save(class.join(format!("{i}.png"))).unwrap();
    }
    let out = folder.path().join("run");
    let images = folder.path().join("images");
    let train = |data: &str| {
        let mut command = program("train");
        command.args([
            "--recipe",
            "dense-conditional",
            "--images",
            "32",
            "--data",
            data,
        ]);
        command
            .args(["--set", "batch_size=16", "--out"])
            .arg(&out)
            .output()
            .unwrap()
    };
    let output = train(images.to_str().unwrap());
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(
        Recipe::load(out.join("recipe.json")).unwrap().classes,
        Some(3)
    );
    let output = train("absent");
    assert!(text(&output).contains("--data absent: expected a folder of images"));
}

#[test]
fn help_lists_the_subcommands_and_what_exit_codes_mean() {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_digit-gan"))
            .args(arguments)
            .output();
        let output = output.unwrap();
        (output.status.code(), text(&output))
    };
    let (code, all) = help(&["--help"]);
    assert_eq!(code, Some(0));
    for part in [
        "train",
        "evaluate",
        "sample",
        "export",
        "page",
        "runs",
        "fetch",
        "completions",
        "75",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    for subcommand in ["train", "evaluate", "sample", "export", "page", "runs"] {
        let (code, text) = help(&[subcommand, "--help"]);
        assert_eq!(code, Some(0));
        assert!(text.contains(&format!("digit-gan {subcommand} ")), "{text}");
    }
    assert_eq!(help(&["dance"]).0, Some(2));
    let (code, script) = help(&["completions", "bash"]);
    assert!(
        code == Some(0) && script.contains("-o default digit-gan"),
        "{script}"
    );
}
