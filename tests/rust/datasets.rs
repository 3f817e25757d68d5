//! Data sets of MNIST's format under their own names.

use std::fs;
use std::path::Path;

use crate::helpers::process;
use digit_gan::data::{Dataset, Digits, Split, idx};
use digit_gan::plot;

const PIXELS: usize = 28 * 28;

/// Prints what loading says, of each data set and split, with the variables that the parent sets.
#[test]
#[ignore = "run by the tests below, and by those of Python on files that it has fetched"]
fn says_what_each_dataset_is() {
    println!();
    for dataset in Dataset::ALL {
        for split in [Split::Train, Split::Test] {
            match dataset.load(split) {
                Ok(digits) => {
                    let names = digits
                        .labels()
                        .iter()
                        .map(|&label| digits.class_name(label));
                    let names: Vec<&str> = names.take(5).collect();
                    println!("{digits} / {} / {}", digits.class_count(), names.join(" "));
                }
                Err(error) => println!("error {error:?}"),
            }
        }
    }
}

/// What loading says in a clone whose folder `data` holds these files.
fn said(files: &[(&str, Vec<u8>)]) -> String {
    let clone = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = clone.path().join("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let notebooks = clone.path().join("notebooks");
    fs::create_dir(&notebooks).unwrap();
    said_in(&notebooks, None)
}

fn said_in(folder: &Path, variable: Option<(&str, &Path)>) -> String {
    let mut command = process::command(says_what_each_dataset_is);
    command.current_dir(folder);
    for name in ["MNIST", "FASHION_MNIST", "KMNIST", "EMNIST", "QMNIST"] {
        command.env_remove(format!("{name}_DIR"));
    }
    command.envs(variable);
    process::printed(command)
}

fn images(count: usize) -> Vec<u8> {
    idx::encode_images(&vec![9; count * PIXELS])
}

/// QMNIST's form: 32-bit integers, eight in a row, the first of which is the class.
fn rows_of_integers(labels: &[i32]) -> Vec<u8> {
    let header = [0x0C02, labels.len() as i32, 8];
    let rows = labels
        .iter()
        .flat_map(|&label| [label, 4, 2437, 9, 1, 77, 0, -1]);
    header
        .into_iter()
        .chain(rows)
        .flat_map(i32::to_be_bytes)
        .collect()
}

#[test]
fn each_is_found_in_its_own_folder_and_called_by_its_name() {
    let output = said(&[
        ("mnist/train-images-idx3-ubyte", images(2)),
        ("mnist/train-labels-idx1-ubyte", idx::encode_labels(&[0, 9])),
        ("fashion-mnist/t10k-images-idx3-ubyte", images(2)),
        (
            "fashion-mnist/t10k-labels-idx1-ubyte",
            idx::encode_labels(&[9, 0]),
        ),
        ("kmnist/train-images-idx3-ubyte", images(2)),
        (
            "kmnist/train-labels-idx1-ubyte",
            idx::encode_labels(&[3, 1]),
        ),
        ("emnist/emnist-digits-train-images-idx3-ubyte", images(1)),
        (
            "emnist/emnist-digits-train-labels-idx1-ubyte",
            idx::encode_labels(&[5]),
        ),
        ("emnist/emnist-letters-test-images-idx3-ubyte", images(2)),
        (
            "emnist/emnist-letters-test-labels-idx1-ubyte",
            idx::encode_labels(&[1, 26]),
        ),
        ("emnist/emnist-balanced-train-images-idx3-ubyte", images(3)),
        (
            "emnist/emnist-balanced-train-labels-idx1-ubyte",
            idx::encode_labels(&[10, 36, 46]),
        ),
        ("qmnist/qmnist-test-images-idx3-ubyte", images(2)),
        (
            "qmnist/qmnist-test-labels-idx2-int",
            rows_of_integers(&[7, 2]),
        ),
    ]);
    for line in [
        "2 training digits: MNIST from ../data/mnist / 10 / 0 9",
        "2 test images: Fashion-MNIST from ../data/fashion-mnist / 10 / Ankle boot T-shirt/top",
        "2 training images: KMNIST from ../data/kmnist / 10 / tsu ki",
        "1 training digits: EMNIST digits from ../data/emnist / 10 / 5",
        "2 test letters: EMNIST letters from ../data/emnist / 26 / a z",
        "3 training images: EMNIST balanced from ../data/emnist / 47 / A a t",
        "2 test digits: QMNIST from ../data/qmnist / 10 / 7 2",
        "error KMNIST is not here. Looked in: the folder that KMNIST_DIR names (it is not set); data/kmnist",
    ] {
        assert!(
            output.contains(&format!("\n{line}")),
            "no {line:?} in: {output}"
        );
    }
    assert!(
        output.contains("(1) `make mnist SET=kmnist` downloads it"),
        "{output}"
    );
}

#[test]
fn a_variable_names_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train-images-idx3-ubyte"), images(1)).unwrap();
    fs::write(
        folder.path().join("train-labels-idx1-ubyte"),
        idx::encode_labels(&[4]),
    )
    .unwrap();
    let output = said_in(folder.path(), Some(("FASHION_MNIST_DIR", folder.path())));
    assert!(
        output.contains("\n1 training images: Fashion-MNIST from FASHION_MNIST_DIR / 10 / Coat")
    );
    let wrong =
        "FASHION_MNIST_DIR is /nowhere, where neither train-images-idx3-ubyte nor its .gz is";
    let output = said_in(
        folder.path(),
        Some(("FASHION_MNIST_DIR", Path::new("/nowhere"))),
    );
    assert!(output.contains(wrong), "{output}");
}

#[test]
fn emnist_is_turned_upright_and_others_are_not() {
    // In the first row from the left, as the file of EMNIST has it; upright, it is in the first column from the top.
    let image: Vec<u8> = (0..PIXELS)
        .map(|at| if at < 28 { at as u8 + 1 } else { 0 })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
    for start in ["t10k", "emnist-letters-test"] {
        put(
            &format!("{start}-images-idx3-ubyte"),
            idx::encode_images(&image),
        );
        put(
            &format!("{start}-labels-idx1-ubyte"),
            idx::encode_labels(&[1]),
        );
    }
    let mut command = process::command_in(prints_the_left_column, folder.path());
    command
        .env("EMNIST_DIR", folder.path())
        .env("KMNIST_DIR", folder.path());
    let output = process::printed(command);
    assert!(output.contains("\nEMNIST letters [1, 2, 3]\n"), "{output}");
    assert!(output.contains("\nKMNIST [1, 0, 0]\n"), "{output}");
}

#[test]
#[ignore = "run by the test above"]
fn prints_the_left_column() {
    println!();
    for dataset in [Dataset::EmnistLetters, Dataset::Kmnist] {
        let digits = dataset.load(Split::Test).unwrap();
        let column = [0, 28, 56].map(|at| digits.image(0)[at]);
        println!("{dataset} {column:?}");
    }
}

#[test]
fn labels_outside_the_classes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels");
    let cases = [
        (
            idx::encode_labels(&[1, 0]),
            1..27,
            "labels 1 to 26 but found label 0 at position 1",
        ),
        (
            rows_of_integers(&[3, 10]),
            0..10,
            "labels 0 to 9 but found label 10 at position 1",
        ),
        (
            rows_of_integers(&[-1]),
            0..10,
            "found label 4294967295 at position 0",
        ),
    ];
    for (bytes, expected, found) in cases {
        fs::write(&path, bytes).unwrap();
        let error = idx::read_labels(&path, expected).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    fs::write(&path, rows_of_integers(&[3, 9])).unwrap();
    assert_eq!(idx::read_labels(&path, 0..10).unwrap(), [3, 9]);
    // A row too short by a byte, and a row that is no row.
    let whole = rows_of_integers(&[3]);
    for (bytes, found) in [
        (whole[..whole.len() - 1].to_vec(), "but found 31"),
        (
            [&whole[..11], &[0], &whole[12..]].concat(),
            "rows of 0 integers",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = idx::read_labels(&path, 0..10).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
}

#[test]
fn class_names_are_as_many_as_published() {
    let counts = Dataset::ALL.map(|dataset| dataset.class_names().len());
    assert_eq!(counts, [10, 10, 10, 10, 26, 47, 10]);
    let mut names = Dataset::EmnistBalanced.class_names();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 47);
}

#[test]
fn long_names_of_classes_do_not_run_into_each_other() {
    let names = Dataset::FashionMnist.class_names();
    let labels: Vec<u8> = vec![0, 9, 0, 9];
    let digits = Digits::new(vec![0; 4 * PIXELS], [28, 28], labels, names).unwrap();
    let figure = plot::data_grid(&digits, 1, 4).unwrap();
    let picture = image::load_from_memory(figure.bytes())
        .unwrap()
        .into_luma8();
    // The black squares lie below, and a white line between two of them reaches up through the names.
    let bottom = picture.height() - 20;
    let black = |x: &u32| picture.get_pixel(*x, bottom).0[0] == 0;
    let edges: Vec<u32> = (1..picture.width())
        .filter(|x| black(x) != black(&(x - 1)))
        .collect();
    assert_eq!(edges.len(), 8, "four squares: {edges:?}");
    for gap in edges[1..7].chunks(2) {
        let middle = (gap[0] + gap[1]) / 2;
        assert!((0..bottom).all(|y| picture.get_pixel(middle, y).0[0] == 255));
    }
}
