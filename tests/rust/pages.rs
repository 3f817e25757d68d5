//! Pages of handwriting, cut into digits.

use std::fs;
use std::path::PathBuf;

use crate::helpers::values::message;
use digit_gan::data::{Digits, Ink, Page};
use digit_gan::plot;
use digit_gan::rng::Rng;
use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};
use tempfile::{TempDir, tempdir};

/// Pixels from one digit to the next, and from one row to the next.
const CELL: [i64; 2] = [90, 120];
const SIZE: [u32; 2] = [800, 600];

/// Ink (255) on an empty page (0): rows of built-in digits, each row of one class, `per_row` digits of 64 pixels.
fn ink(rows: u8, per_row: usize, slant: i64) -> GrayImage {
    let digits = Digits::builtin(400, &Rng::seed(3));
    let mut page = GrayImage::new(SIZE[0], SIZE[1]);
    for row in 0..rows {
        let of_class = (0..digits.len()).filter(|&i| digits.label(i) == row);
        for (column, i) in of_class.take(per_row).enumerate() {
            let digit = GrayImage::from_vec(28, 28, digits.image(i).to_vec()).unwrap();
            let digit = imageops::resize(&digit, 90, 90, FilterType::Triangle);
            let (x, y) = (column as i64, i64::from(row));
            let (left, top) = (30 + CELL[0] * x, 20 + CELL[1] * y + slant * x);
            lighten(&mut page, &digit, left, top);
        }
    }
    page
}

fn lighten(page: &mut GrayImage, digit: &GrayImage, left: i64, top: i64) {
    for (x, y, level) in digit.enumerate_pixels() {
        let (x, y) = (left as u32 + x, top as u32 + y);
        if x < page.width() && y < page.height() {
            let under = page.get_pixel_mut(x, y);
            under.0[0] = under.0[0].max(level.0[0]);
        }
    }
}

/// The ink in grey on paper that is darker at the bottom right, with the texture of paper.
fn photographed(ink: &GrayImage) -> GrayImage {
    GrayImage::from_fn(ink.width(), ink.height(), |x, y| {
        let shadow =
            90. * f64::from(x) / f64::from(ink.width()) * f64::from(y) / f64::from(ink.height());
        let texture = f64::from((x * 7919 + y * 104_729) % 13);
        let paper = 220. - shadow - texture;
        let covered = f64::from(ink.get_pixel(x, y).0[0]) / 255.;
        Luma([(paper - covered * (paper - 50.)) as u8])
    })
}

fn saved(page: &GrayImage) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("page.png");
    page.save(&path).unwrap();
    (folder, path)
}

fn open(page: &GrayImage) -> Page {
    let (_folder, path) = saved(page);
    Page::open(path).unwrap()
}

fn counts(page: &Page) -> Vec<usize> {
    page.rows().iter().map(Vec::len).collect()
}

#[test]
fn digits_are_found_in_rows_whatever_the_paper() {
    let clean = ink(4, 7, 0);
    let mut dark_on_light = clean.clone();
    imageops::invert(&mut dark_on_light);
    for (name, picture) in [
        ("light on dark", clean.clone()),
        ("dark on light", dark_on_light),
        ("a photograph", photographed(&clean)),
        ("slanting down", photographed(&ink(4, 7, 9))),
        ("slanting up", photographed(&ink(4, 7, -2))),
    ] {
        let page = open(&picture);
        assert_eq!(counts(&page), [7; 4], "{name}: {page}");
        assert_eq!(
            page.to_string(),
            "28 digits cut from page.png, in 4 rows of 7, 7, 7, 7"
        );
    }
}

#[test]
fn a_crop_is_the_digit_as_mnist_would_have_it() {
    let page = open(&photographed(&ink(3, 7, 0)));
    let digits = Digits::builtin(400, &Rng::seed(3));
    for (class, row) in (0u8..).zip(page.rows()) {
        let drawn = (0..digits.len()).filter(|&i| digits.label(i) == class);
        for ((column, crop), i) in row.iter().enumerate().zip(drawn) {
            // Its box lies in its cell.
            let [left, top, width, height] = crop.bounds.map(|side| side as i64);
            let (x, y) = (
                30 + CELL[0] * column as i64,
                20 + CELL[1] * i64::from(class),
            );
            assert!(left >= x && left + width <= x + 90, "{:?}", crop.bounds);
            assert!(top >= y && top + height <= y + 90, "{:?}", crop.bounds);
            // And its pixels are the digit's, but for where it lies and what the photograph took.
            let closest = (-2..=2)
                .flat_map(|down| (-2..=2).map(move |right| (right, down)))
                .map(|shift| difference(crop.pixels(), digits.image(i), shift))
                .fold(f64::MAX, f64::min);
            assert!(
                closest < 25.,
                "digit {column} of row {class}: {closest} levels of 255 off"
            );
        }
    }
}

fn difference(a: &[u8], b: &[u8], (right, down): (i64, i64)) -> f64 {
    let of_b = |x: i64, y: i64| match ((0..28).contains(&x), (0..28).contains(&y)) {
        (true, true) => b[(y * 28 + x) as usize],
        _ => 0,
    };
    let off = |(at, &level): (usize, &u8)| {
        let (x, y) = (at as i64 % 28 + right, at as i64 / 28 + down);
        f64::from(level.abs_diff(of_b(x, y)))
    };
    a.iter().enumerate().map(off).sum::<f64>() / a.len() as f64
}

#[test]
fn specks_and_ruled_lines_are_left_out_and_broken_strokes_put_together() {
    let mut page = ink(2, 5, 0);
    for (x, y) in [(700, 40), (701, 40), (640, 300), (20, 500)] {
        page.put_pixel(x, y, Luma([255]));
    }
    for x in 0..SIZE[0] {
        page.put_pixel(x, 400, Luma([255]));
    }
    // A 7 whose bar is off, and an 8 of two rings, each a piece of its own.
    for x in 560..600 {
        (40..46).for_each(|y| page.put_pixel(x, y, Luma([255])));
    }
    for y in 52..100 {
        (590..597).for_each(|x| page.put_pixel(x, y, Luma([255])));
    }
    assert_eq!(counts(&open(&page)), [6, 5]);
}

#[test]
fn digits_that_touch_are_one_wide_box() {
    let mut page = ink(1, 3, 0);
    // A line from the second digit to the third.
    for x in 160..260 {
        (62..66).for_each(|y| page.put_pixel(x, y, Luma([255])));
    }
    let page = open(&page);
    assert_eq!(counts(&page), [2], "{page}");
    let wide: Vec<bool> = page.rows()[0].iter().map(|crop| crop.is_wide).collect();
    assert_eq!(wide, [false, true]);
    assert_eq!(
        page.to_string(),
        "2 digits cut from page.png, in 1 row of 2; 1 box is too wide for one digit"
    );
}

#[test]
fn labels_make_digits_or_a_folder_of_them() {
    let (folder, path) = saved(&ink(3, 6, 0));
    let page = Page::open(&path).unwrap();
    let labels = page.labels_by_row(&["10", "9", "b"]).unwrap();
    let digits = page.digits(&labels).unwrap();
    assert_eq!(digits.class_names()[..], ["9", "10", "b"]);
    assert_eq!(digits.labels()[..7], [1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(digits.to_string(), "18 images: cut from page.png");

    let to = folder.path().join("mine");
    page.save(&labels, &to).unwrap();
    let read = Digits::from_folder(&to).unwrap();
    assert_eq!((read.len(), read.class_names()), (18, digits.class_names()));
    // Each is there as it was cut.
    let pairs = |of: &Digits| {
        let mut pairs: Vec<_> = (0..18)
            .map(|i| (of.label(i), of.image(i).to_vec()))
            .collect();
        pairs.sort();
        pairs
    };
    assert_eq!(pairs(&read), pairs(&digits));
    // A second page adds to it.
    let other = folder.path().join("other.png");
    fs::copy(&path, &other).unwrap();
    Page::open(other).unwrap().save(&labels, &to).unwrap();
    assert_eq!(Digits::from_folder(&to).unwrap().len(), 36);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (folder, path) = saved(&ink(2, 3, 0));
    let page = Page::open(&path).unwrap();
    let said = message(page.labels_by_row(&["0"]));
    assert!(
        said.contains("a name for each of the 2 rows of page.png, but found 1"),
        "{said}"
    );
    let said = message(page.digits(&["0"; 5]));
    assert!(
        said.contains("a label for each of the 6 digits of page.png, but found 5"),
        "{said}"
    );
    for label in ["", "..", "a/b"] {
        let said = message(page.save(&[label; 6], folder.path()));
        assert!(said.contains("labels that can name a folder"), "{said}");
    }
    let blank = GrayImage::from_fn(300, 200, |x, y| Luma([200 + ((x * 31 + y * 17) % 9) as u8]));
    let (_folder, blank) = saved(&blank);
    for opened in [Page::open(&blank), Page::open_with(Ink::Dark, &blank)] {
        assert!(
            message(opened).contains("page.png: expected a page with handwriting but found no ink")
        );
    }
    let text = folder.path().join("page.txt");
    fs::write(&text, "0123456789").unwrap();
    assert!(message(Page::open(text)).contains("expected a PNG, JPEG, WebP, BMP or GIF image"));
}

#[test]
fn the_figure_has_a_box_around_each_digit() {
    let page = open(&photographed(&ink(2, 3, 0)));
    let figure = plot::page_boxes(&page).unwrap();
    assert_eq!(
        figure.alt(),
        "6 digits cut from page.png, in 2 rows of 3, 3."
    );
    let picture = image::load_from_memory(figure.bytes()).unwrap().into_rgb8();
    // The page is 1600 device pixels wide, behind a margin for the numbers of the rows.
    let margin = picture.width() - 1600;
    for crop in page.rows().iter().flatten() {
        let [left, top, width, height] = crop.bounds.map(|side| 2 * side as u32);
        for (x, y) in [
            (left, top + height / 2),
            (left + width / 2, top),
            (left + width, top + height / 2),
        ] {
            let near = |dx: u32, dy: u32| picture.get_pixel(margin + x + dx - 1, y + dy - 1).0;
            let blue = |[r, _, b]: [u8; 3]| b > r + 60;
            let found = (0..3).any(|dx| (0..3).any(|dy| blue(near(dx, dy))));
            assert!(found, "no edge at {x}, {y}");
        }
    }
}
