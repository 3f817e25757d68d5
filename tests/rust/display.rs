//! How values show themselves in a cell and leave it for a file.

use crate::helpers::process;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use digit_gan::Setup;
use digit_gan::prelude::*;

/// Black samples with one white pixel at (row, column) of the first.
fn lit(n: usize, row: usize, column: usize) -> Tensor {
    let mut values = vec![-1f32; n * 784];
    values[row * 28 + column] = 1.0;
    Tensor::from_vec(values, (n, 1, 28, 28), &Device::Cpu).unwrap()
}

#[test]
fn html_carries_the_picture_and_its_words() {
    let figure = plot::sample_grid(&lit(2, 0, 0), 2).unwrap();
    let html = figure.html();
    assert!(
        html.starts_with("<img alt=\"2 generated digits in a row.\" width=\"115\""),
        "{html:.80}"
    );
    let (_, encoded) = html.split_once("src=\"data:image/png;base64,").unwrap();
    let encoded = encoded.strip_suffix("\">").unwrap();
    assert_eq!(STANDARD.decode(encoded).unwrap(), figure.bytes());
}

#[test]
fn a_saved_file_is_the_figure_and_replaces_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let figure = plot::sample_grid(&lit(2, 0, 0), 2).unwrap();
    let path = folder.path().join("samples.PNG");
    std::fs::write(&path, "older").unwrap();
    figure.save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), figure.bytes());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing else is left"
    );
}

#[test]
fn saving_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let figure = plot::training_gif(&[Snapshot::new(1, lit(2, 0, 0))], 2).unwrap();
    let says = |path: &str| {
        figure
            .save(folder.path().join(path))
            .unwrap_err()
            .to_string()
    };
    assert!(
        says("run.png").contains("saved as GIF"),
        "{}",
        says("run.png")
    );
    assert!(says("run").contains(".gif"), "{}", says("run"));
    assert!(
        says("absent/run.gif").contains("absent/run.gif"),
        "{}",
        says("absent/run.gif")
    );
    std::fs::create_dir(folder.path().join("taken.gif")).unwrap();
    assert!(says("taken.gif").contains("taken.gif"));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no half-written file: {left:?}");
}

#[test]
fn environment_variables_are_read_or_explained() {
    // PATH stands for a set variable: changing the environment of a test would disturb its neighbours.
    let message = env_or("PATH", 30usize).unwrap_err().to_string();
    assert!(
        message.contains("PATH") && message.contains("usize") && message.contains("30"),
        "{message}"
    );
    assert_eq!(env_or("DIGIT_GAN_NEVER_SET", 0.5).unwrap(), 0.5);
    assert_eq!(
        env_or("PATH", String::new()).unwrap(),
        std::env::var("PATH").unwrap()
    );
}

#[test]
fn setup_tells_a_slow_kernel_how_to_fix_it() {
    let slow = Setup {
        threads: 1,
        optimised: false,
    }
    .to_string();
    for part in [
        "1 thread,",
        "4 times slower",
        "make lab",
        "environment.yml",
        ":build_env CARGO_PROFILE_DEV_OPT_LEVEL=3",
    ] {
        assert!(slow.contains(part), "{part} in {slow}");
    }
    let fast = Setup {
        optimised: true,
        ..setup()
    }
    .to_string();
    assert!(fast.ends_with("compiled at full speed"), "{fast}");
    assert_eq!(fast.lines().count(), 1);
    let manifest = include_str!("../../crate/Cargo.toml");
    let pinned = manifest
        .lines()
        .find_map(|line| line.strip_prefix("candle-core = \"="))
        .unwrap();
    let candle = format!("candle {},", pinned.trim_end_matches('"'));
    assert!(
        fast.contains("digit-gan 0.") && fast.contains(&candle),
        "{fast}"
    );
    assert_eq!(
        setup().optimised,
        !cfg!(debug_assertions),
        "tests are built as cargo's profile says"
    );
}

#[test]
fn a_figure_shows_itself_as_html_and_in_words() {
    let printed = process::printed(process::command(prints_a_figure));
    let html = plot::sample_grid(&lit(2, 0, 0), 2).unwrap().html();
    let block = format!("\nEVCXR_BEGIN_CONTENT text/html\n{html}\nEVCXR_END_CONTENT\n");
    assert!(printed.contains(&block), "{printed}");
    assert!(
        printed.contains("text/plain\n2 generated digits in a row.\n"),
        "{printed}"
    );
    assert_eq!(printed.matches("EVCXR_BEGIN_CONTENT").count(), 2);
}

#[test]
#[ignore = "run by a_figure_shows_itself_as_html_and_in_words"]
fn prints_a_figure() {
    println!();
    plot::sample_grid(&lit(2, 0, 0), 2).unwrap().evcxr_display();
}

#[test]
fn a_summary_shows_itself_as_a_table_and_as_text() {
    let printed = process::printed(process::command(prints_a_summary));
    for part in [
        "EVCXR_BEGIN_CONTENT text/html\n<table><caption",
        "<b>a &lt;b&gt; &quot;c&quot;: input [100]</b>",
        "<td style=\"text-align: right\">25 856</td>",
        "</table>\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/plain\n",
        "a <b> \"c\": input [100]",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    // header, layer, footer
    assert_eq!(printed.matches("<tr>").count(), 3, "{printed}");
}

#[test]
#[ignore = "run by a_summary_shows_itself_as_a_table_and_as_text"]
fn prints_a_summary() {
    println!();
    let network = Sequential::new("a <b> \"c\"", [100]).dense(256);
    network
        .build(&Rng::seed(1))
        .unwrap()
        .summary()
        .evcxr_display();
}
