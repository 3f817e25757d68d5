//! What a user relies on when digits are read, drawn and batched.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::helpers::stripes::{SIZE, stripes};
use crate::helpers::values::message;
use crate::helpers::{allocations, process};
use digit_gan::data::{Digits, Source, Split, idx};
use digit_gan::rng::Rng;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

const PIXELS: usize = 28 * 28;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The error that reading these bytes as a file of images gives; panics if there is none.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images");
    fs::write(&path, bytes).unwrap();
    let error = idx::read_images(&path).unwrap_err().to_string();
    assert!(
        error.starts_with(path.to_str().unwrap()),
        "names no file: {error}"
    );
    error
}

fn read(bytes: &[u8]) -> digit_gan::Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, bytes).unwrap();
    idx::read_images(&path)
}

// ---------------------------------------------------------------- files

#[test]
fn each_kind_of_damage_is_named() {
    let good = idx::encode_images(&[7; 3 * PIXELS]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let mut corrupt = gzip(&good);
    let checksum = corrupt.len() - 8;
    corrupt[checksum] ^= 1;
    let mut longer = good.clone();
    longer.push(0);
    let cases = [
        (vec![], "found a file of 0 bytes"),
        (
            b"<!DOCTYPE html>".to_vec(),
            "begins with the bytes [3c, 21, 44, 4f]",
        ),
        (idx::encode_labels(&[1, 2, 3]), "swapped?"),
        (good[..10].to_vec(), "ends within its header"),
        (
            with(7, 4),
            "expected 3136 bytes after the header, as it says, but found 2352",
        ),
        (with(4, 255), "a header that says 4278190083 items"),
        (with(7, 0), "a header that says 0 items"),
        (with(11, 32), "images of 32x28"),
        (good[..good.len() - 1].to_vec(), "found 2351"),
        (longer.clone(), "found 2353"),
        (gzip(&longer), "found more"),
        (gzip(&good[..good.len() - 1]), "found 2351"),
        (gzip(&good)[..40].to_vec(), "data cut short"),
        (corrupt, "damaged data"),
    ];
    for (bytes, expected) in cases {
        let error = refusal(&bytes);
        assert!(
            error.contains(expected),
            "expected {expected:?} in: {error}"
        );
        assert!(
            error.contains("Replace the file"),
            "says no remedy: {error}"
        );
    }
}

#[test]
fn labels_above_nine_images_as_labels_and_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels");
    fs::write(&path, idx::encode_labels(&[3, 9, 17])).unwrap();
    let error = idx::read_labels(&path, 0..10).unwrap_err().to_string();
    assert!(error.contains("found label 17 at position 2"), "{error}");

    fs::write(&path, idx::encode_images(&[0; PIXELS])).unwrap();
    let error = idx::read_labels(&path, 0..10).unwrap_err().to_string();
    assert!(
        error.contains("found an IDX file of 28x28 images; are the two files swapped?"),
        "{error}"
    );

    let error = idx::read_labels(folder.path(), 0..10)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected an IDX file of labels but found a folder"),
        "{error}"
    );
}

#[test]
fn every_truncation_is_an_error() {
    let pixels: Vec<u8> = (0..2 * PIXELS).map(|i| (i * i % 251) as u8).collect();
    let plain = idx::encode_images(&pixels);
    for whole in [gzip(&plain), plain] {
        assert_eq!(read(&whole).unwrap(), pixels);
        for end in 0..whole.len() {
            assert!(
                read(&whole[..end]).is_err(),
                "cut at {end} of {} was accepted",
                whole.len()
            );
        }
    }
}

/// Anything at all, and headers that are right up to the numbers in them.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..4000);
    let claims = (any::<u32>(), bytes()).prop_map(|(items, body)| {
        let mut file = idx::encode_images(&[]);
        file[4..8].copy_from_slice(&(items >> (items % 32)).to_be_bytes());
        file.extend(body);
        file
    });
    prop_oneof![bytes(), claims]
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_right_within_bounded_memory(file in any_file(), zipped: bool) {
        let stored = if zipped { gzip(&file) } else { file.clone() };
        let (result, largest) = allocations::largest(|| read(&stored));
        // 64 KiB for the buffers of files and gzip.
        prop_assert!(largest <= 64 * 1024, "asked for {largest} bytes for a file of {}", stored.len());
        if let Ok(pixels) = result {
            prop_assert_eq!(idx::encode_images(&pixels), file);
        }
    }

    #[test]
    fn what_is_written_is_read(seed: u8, count in 1usize..9, zipped: bool) {
        let pixels: Vec<u8> = (0..count * PIXELS).map(|i| (i % 253) as u8 ^ seed).collect();
        let file = idx::encode_images(&pixels);
        prop_assert_eq!(read(&if zipped { gzip(&file) } else { file }).unwrap(), pixels);
    }
}

// ---------------------------------------------------------------- places

/// Prints what `Digits::load` and `Digits::mnist` say in the folder and with the MNIST_DIR that [`load_in`] sets.
#[test]
#[ignore = "run by the tests below"]
fn says_what_it_loads() {
    println!();
    for load in [Digits::load, Digits::mnist] {
        match load(Split::Test) {
            Ok(digits) => println!("{digits}\nok {} {:?}", digits.len(), &digits.labels()[..3]),
            Err(error) => println!("error {error:?}"),
        }
    }
}

fn load_in(folder: &Path, mnist_dir: Option<&str>) -> String {
    let mut command = process::command(says_what_it_loads);
    command.current_dir(folder);
    match mnist_dir {
        Some(value) => command.env("MNIST_DIR", value),
        None => command.env_remove("MNIST_DIR"),
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stderr.is_empty(),
        "a cell's stderr counts as a failure: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn digit_gan_digits_keeps_the_first_ones() {
    let folder = tempfile::tempdir().unwrap();
    let said = |digits: &str| {
        let mut command = process::command(says_what_it_loads);
        command.current_dir(&folder).env_remove("MNIST_DIR");
        let output = command.env("DIGIT_GAN_DIGITS", digits).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let first_labels = |said: String, count: &str| {
        let (_, labels) = said.split_once(count).expect(&said);
        labels.lines().next().unwrap().to_owned()
    };
    let (all, few) = (said(""), said("601")); // a sixth of 601, rounded up
    assert_eq!(first_labels(few, "ok 101 "), first_labels(all, "ok 10000 "));
    for nonsense in ["0", "few"] {
        let error = said(nonsense);
        assert!(error.contains("DIGIT_GAN_DIGITS is"), "{error}");
    }
}

/// Three test digits labelled 7, 2, 1 in `folder`.
fn write_mnist(folder: &Path, images: &str, labels: &str) {
    fs::create_dir_all(folder).unwrap();
    let store = |name: &str, bytes: Vec<u8>| {
        let bytes = if name.ends_with(".gz") {
            gzip(&bytes)
        } else {
            bytes
        };
        fs::write(folder.join(name), bytes).unwrap();
    };
    store(images, idx::encode_images(&[9; 3 * PIXELS]));
    store(labels, idx::encode_labels(&[7, 2, 1]));
}

/// A clone with a notebooks folder in it.
fn a_clone() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let (notebooks, data) = (
        root.path().join("notebooks"),
        root.path().join("data/mnist"),
    );
    fs::create_dir(&notebooks).unwrap();
    (root, notebooks, data)
}

#[test]
fn a_notebook_finds_the_data_folder_of_its_clone() {
    for (images, labels) in [
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"),
    ] {
        let (root, notebooks, data) = a_clone();
        write_mnist(&data, images, labels);
        // A variable that is set to nothing counts as unset.
        let output = load_in(&notebooks, Some(""));
        assert!(
            output.contains("\n3 test digits: MNIST from ../data/mnist\nok 3 [7, 2, 1]\n"),
            "{output}"
        );
        // Twice by the test: the library itself prints nothing.
        assert_eq!(output.matches("3 test digits").count(), 2, "{output}");
        assert!(
            !output.contains(root.path().to_str().unwrap()),
            "an absolute path: {output}"
        );
        assert!(load_in(root.path(), None).contains("\n3 test digits: MNIST from data/mnist\n"));
    }
}

#[test]
fn mnist_dir_comes_first_and_is_never_ignored() {
    let (_root, notebooks, data) = a_clone();
    write_mnist(&data, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
    let output = load_in(&notebooks, Some("../data/mnist"));
    assert_eq!(
        output
            .matches("\n3 test digits: MNIST from MNIST_DIR\nok 3")
            .count(),
        2,
        "{output}"
    );
    let output = load_in(&notebooks, Some("/nowhere/mnist"));
    let error =
        "\nerror MNIST_DIR is /nowhere/mnist, where neither t10k-images-idx3-ubyte nor its .gz is.";
    assert_eq!(output.matches(error).count(), 2, "{output}");
}

#[test]
fn without_mnist_the_builtin_digits_say_so_and_mnist_by_name_says_how_to_get_it() {
    let (_root, notebooks, _) = a_clone();
    let output = load_in(&notebooks, None);
    assert!(
        output.contains("\n10000 test digits: built-in, drawn by digit-gan, not MNIST"),
        "{output}"
    );
    assert!(
        output.contains("`cargo run --release --features fetch -- fetch`"),
        "{output}"
    );
    let error = &output[output.find("error MNIST is not here").expect(&output)..];
    for part in ["MNIST_DIR", "data/mnist", "(1)", "(2)", "(3)"] {
        assert!(error.contains(part), "no {part} in: {error}");
    }
}

#[test]
fn a_pair_that_does_not_fit_is_refused() {
    let (_root, notebooks, data) = a_clone();
    write_mnist(&data, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
    fs::write(
        data.join("t10k-labels-idx1-ubyte"),
        idx::encode_labels(&[7, 2]),
    )
    .unwrap();
    let output = load_in(&notebooks, None);
    assert!(
        output.contains("error ../data/mnist/t10k-labels-idx1-ubyte: expected 3 labels"),
        "{output}"
    );
    assert!(
        output.contains("--features fetch -- fetch` or `make mnist` gets those of MNIST."),
        "says no remedy: {output}"
    );
    fs::remove_file(data.join("t10k-labels-idx1-ubyte")).unwrap();
    let output = load_in(&notebooks, None);
    assert!(
        output.contains("expected t10k-labels-idx1-ubyte or"),
        "{output}"
    );
}

#[test]
fn the_real_mnist_is_read() {
    if std::env::var_os("MNIST_DIR").is_none_or(|value| value.is_empty()) {
        println!("skipped: MNIST_DIR is not set");
        return;
    }
    let train = Digits::mnist(Split::Train).unwrap();
    let test = Digits::mnist(Split::Test).unwrap();
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!(
        (&train.labels()[..5], &test.labels()[..5]),
        (&[5, 0, 4, 1, 9][..], &[7, 2, 1, 0, 4][..])
    );
    let ink = train
        .image(0)
        .iter()
        .map(|&byte| u32::from(byte))
        .sum::<u32>();
    assert_eq!(ink, 27_525);
}

// ---------------------------------------------------------------- built-in digits

#[test]
fn builtin_digits_follow_from_the_seed_alone() {
    let with_threads = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let digits = pool.install(|| Digits::builtin(500, &Rng::seed(seed)));
        (
            (0..500)
                .flat_map(|i| digits.image(i).to_vec())
                .collect::<Vec<u8>>(),
            digits.labels().to_vec(),
        )
    };
    let one = with_threads(1, 3);
    assert!(
        one == with_threads(3, 3),
        "depends on the number of threads"
    );
    assert!(one.0 != with_threads(1, 4).0, "the seed has no effect");
}

#[test]
fn builtin_digits_are_balanced_shuffled_and_centred() {
    let digits = Digits::builtin(2000, &Rng::seed(5));
    assert_eq!((digits.len(), digits.source()), (2000, &Source::Builtin));
    for class in 0..10 {
        assert_eq!(
            digits
                .labels()
                .iter()
                .filter(|&&label| label == class)
                .count(),
            200
        );
    }
    assert!(
        digits
            .labels()
            .windows(2)
            .filter(|pair| pair[0] < pair[1])
            .count()
            < 1200,
        "in order"
    );
    for i in 0..digits.len() {
        let image = digits.image(i);
        let ink: f32 = image.iter().map(|&byte| f32::from(byte)).sum();
        let centre = |axis: fn(usize) -> usize| {
            image
                .iter()
                .enumerate()
                .map(|(at, &byte)| axis(at) as f32 * f32::from(byte))
                .sum::<f32>()
                / ink
        };
        assert!(
            (8.0..110.0).contains(&(ink / PIXELS as f32)),
            "digit {i} has mean ink {}",
            ink / 784.0
        );
        for middle in [centre(|at| at % 28), centre(|at| at / 28)] {
            assert!(
                (middle - 13.5).abs() < 3.0,
                "digit {i} has its centre at {middle}"
            );
        }
    }
}

/// The fraction of `unknown` whose nearest neighbour among `known` has their label.
fn nearest_neighbour_accuracy(known: &Digits, unknown: &Digits, count: usize) -> f32 {
    let distance = |a: &[u8], b: &[u8]| -> u32 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2))
            .sum()
    };
    let right = (0..count).filter(|&i| {
        let image = unknown.image(i);
        let nearest = (0..known.len())
            .min_by_key(|&k| distance(known.image(k), image))
            .unwrap();
        known.label(nearest) == unknown.label(i)
    });
    right.count() as f32 / count as f32
}

#[test]
fn builtin_digits_can_be_told_apart() {
    let known = Digits::builtin(3000, &Rng::seed(6));
    let accuracy = nearest_neighbour_accuracy(&known, &Digits::builtin(400, &Rng::seed(7)), 400);
    assert!(
        accuracy > 0.97,
        "built-in digits recognised by built-in digits: {accuracy}"
    );
    if std::env::var_os("MNIST_DIR").is_none_or(|value| value.is_empty()) {
        println!("skipped the comparison with MNIST: MNIST_DIR is not set");
        return;
    }
    let mnist = Digits::mnist(Split::Test).unwrap();
    let accuracy = nearest_neighbour_accuracy(&known, &mnist, 400);
    println!("MNIST recognised by built-in digits: {accuracy}");
    assert!(
        accuracy > 0.75,
        "MNIST recognised by built-in digits: {accuracy}"
    );
}

// ---------------------------------------------------------------- batches

#[test]
fn a_pass_shows_every_digit_once_in_a_new_order() {
    let rng = Rng::seed(8);
    let digits = Digits::builtin(100, &rng);
    let pass = |batch_size| -> Vec<Vec<f32>> {
        let mut images = vec![];
        for batch in digits.batches(batch_size, &rng) {
            let (pixels, labels) = batch.unwrap();
            assert_eq!(pixels.dims(), [batch_size, 1, 28, 28]);
            assert_eq!(labels.dims(), [batch_size]);
            let pixels = pixels
                .reshape((batch_size, PIXELS))
                .unwrap()
                .to_vec2::<f32>()
                .unwrap();
            for (image, label) in pixels.into_iter().zip(labels.to_vec1::<u32>().unwrap()) {
                let bytes: Vec<u8> = image
                    .iter()
                    .map(|x| ((x + 1.0) * 127.5).round() as u8)
                    .collect();
                let i = (0..100)
                    .find(|&i| digits.image(i) == bytes)
                    .expect("a digit of ours");
                assert_eq!(label, u32::from(digits.label(i)));
                images.push(image);
            }
        }
        images
    };
    let (first, second) = (pass(20), pass(20));
    assert_ne!(first, second, "the order is the same");
    let sorted = |mut images: Vec<Vec<f32>>| {
        images.sort_by(|a, b| a.partial_cmp(b).unwrap());
        images
    };
    let first = sorted(first);
    assert_eq!(first.len(), 100);
    assert_eq!(first, sorted(second));
    let range = first
        .iter()
        .flatten()
        .fold((0f32, 0f32), |(low, high), &x| (low.min(x), high.max(x)));
    assert_eq!(range, (-1.0, 1.0));
    assert_eq!(
        pass(30).len(),
        90,
        "the partial batch at the end is dropped"
    );
}

#[test]
fn batches_follow_from_the_seed() {
    let digits = Digits::builtin(64, &Rng::seed(9));
    let labels = |seed: u64| {
        let (_, labels) = digits
            .batches(64, &Rng::seed(seed))
            .next()
            .unwrap()
            .unwrap();
        labels.to_vec1::<u32>().unwrap()
    };
    assert_eq!(labels(1), labels(1));
    assert_ne!(labels(1), labels(2));
}

#[test]
fn an_impossible_batch_size_is_one_error() {
    let rng = Rng::seed(10);
    for (count, batch_size) in [(10, 0), (10, 11), (0, 1)] {
        let mut batches = Digits::builtin(count, &rng).batches(batch_size, &rng);
        let error = batches.next().unwrap().unwrap_err().to_string();
        assert!(error.contains(&format!("from 1 to {count}")), "{error}");
        assert!(batches.next().is_none());
    }
}

// ---------------------------------------------------------------- held-out digits, other kinds of digits

#[test]
fn the_last_digits_are_held_out() {
    let all = Digits::builtin(60, &Rng::seed(11));
    let (train, held_out) = all.hold_out(10).unwrap();
    assert_eq!((train.len(), held_out.len()), (50, 10));
    for i in 0..60 {
        let (part, at) = if i < 50 {
            (&train, i)
        } else {
            (&held_out, i - 50)
        };
        assert_eq!(
            (part.image(at), part.label(at)),
            (all.image(i), all.label(i))
        );
    }
    assert_eq!(
        (train.labels(), held_out.labels()),
        all.labels().split_at(50)
    );
    // Batches are of their own digits alone.
    let rng = Rng::seed(12);
    let mut seen: Vec<u32> = held_out
        .batches(5, &rng)
        .flat_map(|b| b.unwrap().1.to_vec1().unwrap())
        .collect();
    let mut labels: Vec<u32> = held_out
        .labels()
        .iter()
        .map(|&label| label.into())
        .collect();
    seen.sort_unstable();
    labels.sort_unstable();
    assert_eq!(seen, labels);
    assert!(
        held_out
            .to_string()
            .starts_with("10 held-out digits: built-in")
    );
    assert!(train.to_string().starts_with("50 digits: built-in"));
    // Out of a part again.
    let (_, last) = held_out.hold_out(1).unwrap();
    assert_eq!(last.image(0), all.image(59));
    for count in [0, 60, usize::MAX] {
        let said = message(all.hold_out(count));
        assert!(said.contains("at least one of 60 digits"), "{said}");
        assert!(said.contains(&format!("asked for {count}")), "{said}");
    }
}

#[test]
#[should_panic(expected = "digit 50 of 50")]
fn an_index_does_not_reach_into_the_held_out_digits() {
    let (train, _) = Digits::builtin(60, &Rng::seed(11)).hold_out(10).unwrap();
    train.image(50);
}

#[test]
fn digits_may_have_any_size_and_number_of_classes() {
    for classes in [3, 12] {
        let digits = stripes(50, classes, 1);
        assert_eq!(
            (digits.class_count(), digits.image_shape()),
            (classes.into(), [1, 12, 16])
        );
        assert_eq!(
            (digits.class_name(2), digits.source()),
            ("c", &Source::Memory)
        );
        let (images, labels) = digits.batches(20, &Rng::seed(1)).next().unwrap().unwrap();
        assert_eq!(
            (images.dims(), labels.dims()),
            (&[20, 1, 12, 16][..], &[20][..])
        );
        assert_eq!(digits.to_string(), "50 digits: from memory");
    }
    let names = |n: usize| (0..n).map(|i| i.to_string());
    let refused = [
        (
            Digits::new(vec![0; 383], SIZE, vec![0; 2], names(1)),
            "expected 12x16 bytes for each of 2 labels, but found 383",
        ),
        (
            Digits::new(vec![], [0, 9], vec![], names(1)),
            "expected 0x9 bytes",
        ),
        (
            Digits::new(vec![], [usize::MAX, 9], vec![0], names(1)),
            "but found 0",
        ),
        (
            Digits::new(vec![0; 2], [1, 1], vec![0, 3], names(3)),
            "found label 3 at position 1",
        ),
        (
            Digits::new(vec![], [1, 1], vec![], names(257)),
            "the names of 257",
        ),
    ];
    for (result, expected) in refused {
        let said = message(result);
        assert!(said.contains(expected), "{said:?} lacks {expected:?}");
    }
}

#[test]
fn digits_are_saved_as_files_of_mnist() -> digit_gan::Result<()> {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data/mine");
    let digits = Digits::builtin(12, &Rng::seed(1));
    let [images, labels] = digits.save_idx(&folder)?;
    assert!(
        images.ends_with("train-images-idx3-ubyte") && labels.ends_with("train-labels-idx1-ubyte")
    );
    assert_eq!(idx::read_labels(&labels, 0..10)?, digits.labels());
    assert_eq!(idx::read_images(&images)?[11 * 784..], *digits.image(11));
    let text = message(digits.save_idx(&folder));
    assert!(
        text.contains("idx3-ubyte is there already: name another folder"),
        "{text}"
    );
    let text = message(stripes(4, 2, 1).save_idx(root.path()));
    assert!(
        text.contains("28x28 pixels, as MNIST's are, but these have 12x16"),
        "{text}"
    );
    Ok(())
}
