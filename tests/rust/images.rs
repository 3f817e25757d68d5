//! Folders of images: what is read, how it becomes like MNIST, and what is refused.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::helpers::allocations;
use crate::helpers::values::message;
use digit_gan::data::{Digits, ImageOptions, Ink, Resize, Source, Split};
use digit_gan::rng::Rng;
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageFormat, Luma, LumaA, RgbImage};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

const SIDE: usize = 28;

/// A dark L on light paper, 24x32 pixels: the same as that of `tests/images`.
fn letter() -> GrayImage {
    GrayImage::from_fn(24, 32, |x, y| {
        let stem = (10..14).contains(&x) && (4..28).contains(&y);
        let foot = (10..20).contains(&x) && (24..28).contains(&y);
        Luma([if stem || foot { 0 } else { 255 }])
    })
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

/// One of the images of `tests/images`.
fn stored(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images");
    fs::read(folder.join(name)).unwrap()
}

fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// A folder of one class, `7`, with one image.
fn folder_of(name: &str, bytes: impl AsRef<[u8]>) -> TempDir {
    let folder = tempdir().unwrap();
    put(folder.path(), &format!("7/{name}"), bytes);
    folder
}

/// The only image of a folder.
fn only(name: &str, bytes: impl AsRef<[u8]>, options: &ImageOptions) -> Vec<u8> {
    let folder = folder_of(name, bytes);
    let digits = Digits::from_folder_with(options, folder.path()).unwrap();
    assert_eq!(digits.len(), 1);
    digits.image(0).to_vec()
}

fn normal(image: impl Into<DynamicImage>) -> Vec<u8> {
    only("a.png", png(image), &ImageOptions::default())
}

/// Why a folder of this one file is refused.
fn refusal(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let folder = folder_of(name, bytes);
    let said = message(Digits::from_folder(folder.path()));
    assert!(said.contains(&format!("7/{name}: expected")), "{said}");
    assert!(said.contains("skip_broken: true"), "no remedy: {said}");
    said
}

fn with(resize: Resize) -> ImageOptions {
    ImageOptions {
        resize,
        ..ImageOptions::default()
    }
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    let sum: u32 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum();
    f64::from(sum) / a.len() as f64
}

// ---------------------------------------------------------------- like MNIST

/// Left, top, and behind the right and the bottom of the ink, less what is fainter than a third.
fn bounds(image: &[u8]) -> [usize; 4] {
    let ink = |at: &usize| image[*at] > 85;
    let lit: Vec<usize> = (0..image.len()).filter(ink).collect();
    let columns = || lit.iter().map(|at| at % SIDE);
    let rows = || lit.iter().map(|at| at / SIDE);
    [
        columns().min().unwrap(),
        rows().min().unwrap(),
        columns().max().unwrap() + 1,
        rows().max().unwrap() + 1,
    ]
}

#[test]
fn ink_is_20_pixels_long_light_and_centred_by_its_mass() {
    let image = normal(letter());
    let [left, top, right, bottom] = bounds(&image);
    // 10 x 24 pixels of ink, times 20/24.
    assert_eq!([right - left, bottom - top], [8, 20]);
    assert_eq!(image.iter().max(), Some(&255));
    let mass: f64 = image.iter().map(|&level| f64::from(level)).sum();
    for axis in [|at| at % SIDE, |at: usize| at / SIDE] {
        let moment = |(at, &level): (usize, &u8)| axis(at) as f64 * f64::from(level);
        let centre = image.iter().enumerate().map(moment).sum::<f64>() / mass;
        assert!((centre - 14.).abs() <= 0.5, "{centre}");
    }
    // Its foot is at the bottom right.
    let at = |x: usize, y: usize| image[(top + y) * SIDE + left + x];
    assert_eq!([at(1, 1), at(6, 18), at(6, 1)], [255, 255, 0]);
}

#[test]
fn mnists_own_digits_come_out_as_they_went_in() {
    if std::env::var_os("MNIST_DIR").is_none_or(|value| value.is_empty()) {
        println!("skipped: MNIST_DIR is not set");
        return;
    }
    let mnist = Digits::mnist(Split::Test).unwrap();
    let (mut same, all) = (0, 300);
    for i in 0..all {
        // With a margin, or they would be kept because of their size; every other one dark on light.
        let digit = GrayImage::from_vec(28, 28, mnist.image(i).to_vec()).unwrap();
        let mut page = GrayImage::new(50, 47);
        image::imageops::replace(&mut page, &digit, 17, 3);
        if i % 2 == 0 {
            image::imageops::invert(&mut page);
        }
        let made = normal(page);
        // The strongest of some digits is 254.
        same += usize::from(
            made.iter()
                .zip(mnist.image(i))
                .all(|(a, b)| a.abs_diff(*b) <= 1),
        );
    }
    assert_eq!(same, all);
}

#[test]
fn size_colour_contrast_and_a_shadow_do_not_matter() {
    let large =
        image::imageops::resize(&letter(), 1800, 2400, image::imageops::FilterType::Nearest);
    let expected = normal(large.clone());
    let drawn = |paper: fn(u32, u32) -> [u8; 3], ink: [u8; 3]| {
        RgbImage::from_fn(1800, 2400, |x, y| {
            let is_ink = large.get_pixel(x, y).0[0] == 0;
            image::Rgb(if is_ink { ink } else { paper(x, y) })
        })
    };
    let shadow = |x: u32, y: u32| {
        [
            200 - (x / 120) as u8,
            190 - (y / 160) as u8,
            180 - (x * y % 7) as u8,
        ]
    };
    let cases = [
        (
            "blue on white",
            normal(drawn(|_, _| [255; 3], [20, 30, 160])),
        ),
        (
            "yellow on black",
            normal(drawn(|_, _| [0; 3], [250, 220, 0])),
        ),
        ("pencil", normal(drawn(|_, _| [240; 3], [170, 170, 180]))),
        ("on paper in a shadow", normal(drawn(shadow, [60, 50, 50]))),
    ];
    for (name, image) in cases {
        let off = difference(&image, &expected);
        assert!(off < 4., "{name}: {off} levels of 255 off on average");
    }
}

#[test]
fn ink_may_touch_the_border_and_specks_do_not_count() {
    // Cut closely: the L fills its picture, and most of the border is ink.
    let close = image::imageops::crop_imm(&letter(), 10, 4, 10, 24).to_image();
    let dark = ImageOptions {
        ink: Ink::Dark,
        ..ImageOptions::default()
    };
    let [left, top, right, bottom] = bounds(&only("a.png", png(close), &dark));
    assert_eq!([right - left, bottom - top], [8, 20]);
    // A speck in a corner would make the L small.
    let mut dusty =
        image::imageops::resize(&letter(), 240, 320, image::imageops::FilterType::Nearest);
    dusty.put_pixel(3, 3, Luma([0]));
    dusty.put_pixel(4, 3, Luma([0]));
    let [left, top, right, bottom] = bounds(&normal(dusty));
    assert_eq!([right - left, bottom - top], [8, 20]);
}

#[test]
fn the_whole_picture_is_kept_in_proportion_by_a_plain_resize() {
    let mut light = letter();
    image::imageops::invert(&mut light);
    let image = only("a.png", png(light), &with(Resize::Plain));
    // 24x32 becomes 21x28, and the L, from 4 to 28 of 32, keeps its place: 3.5 to 24.5 of 28.
    let [left, top, right, bottom] = bounds(&image);
    assert!(top <= 3 && (24..=26).contains(&bottom), "{top} to {bottom}");
    assert!(
        (11..=13).contains(&left) && (20..=22).contains(&right),
        "{left} to {right}"
    );
}

#[test]
fn pictures_of_28x28_pixels_are_kept_unless_asked_otherwise() {
    let small = image::imageops::crop_imm(&letter(), 0, 0, 24, 28).to_image();
    let mut kept = GrayImage::from_pixel(28, 28, Luma([255]));
    image::imageops::replace(&mut kept, &small, 0, 0);
    let inverted: Vec<u8> = kept.as_raw().iter().map(|level| 255 - level).collect();
    assert_eq!(normal(kept.clone()), inverted);
    let folder = folder_of("a.png", png(kept.clone()));
    let said = Digits::from_folder(folder.path()).unwrap().to_string();
    assert!(said.contains("1 of 28x28 pixels, so kept"), "{said}");
    let [left, ..] = bounds(&only("a.png", png(kept), &with(Resize::Mnist)));
    assert!(left < 13, "the L is not centred: {left}");
}

#[test]
fn ink_and_paper_are_told_apart_picture_by_picture_and_counted() {
    let folder = tempdir().unwrap();
    let mut light = letter();
    image::imageops::invert(&mut light);
    put(folder.path(), "0/light.png", png(light.clone()));
    put(folder.path(), "0/dark.png", png(letter()));
    put(folder.path(), "0/dark too.png", png(letter()));
    let digits = Digits::from_folder(folder.path()).unwrap();
    assert_eq!(digits.image(0), digits.image(1));
    assert_eq!(digits.image(0), digits.image(2));
    let said = digits.to_string();
    assert!(
        said.contains("2 dark on light, so inverted; 1 light on dark"),
        "{said}"
    );
    // By name, nothing is looked at.
    let ink = ImageOptions {
        ink: Ink::Light,
        ..with(Resize::Plain)
    };
    assert_eq!(only("a.png", png(letter()), &ink)[0], 255);
}

#[test]
fn a_picture_whose_border_is_half_ink_follows_the_others() {
    let folder = tempdir().unwrap();
    // Ink on the left half: nobody can tell.
    let half = GrayImage::from_fn(40, 40, |x, _| Luma([if x < 21 { 30 } else { 220 }]));
    put(folder.path(), "0/half.png", png(half.clone()));
    let plain = with(Resize::Plain);
    let alone = Digits::from_folder_with(&plain, folder.path()).unwrap();
    assert_eq!(alone.image(0)[27], 220, "more of it is dark");
    put(folder.path(), "1/clear.png", png(letter()));
    let together = Digits::from_folder_with(&plain, folder.path()).unwrap();
    let half = (0..2).find(|&i| together.label(i) == 0).unwrap();
    assert_eq!(
        together.image(half)[27],
        35,
        "dark on light, as the clear one is"
    );
}

// ---------------------------------------------------------------- kinds of files

#[test]
fn each_format_and_kind_is_read_alike() {
    let expected = normal(letter());
    let colour = DynamicImage::from(letter()).into_rgb8();
    let deep = DynamicImage::from(letter()).into_luma16();
    let see_through = |ink: u8| {
        GrayAlphaImage::from_fn(24, 32, |x, y| match letter().get_pixel(x, y).0[0] {
            0 => LumaA([ink, 255]),
            _ => LumaA([ink, 0]),
        })
    };
    let lossless = [
        ("a.png", png(letter())),
        ("a.PNG", png(colour.clone())),
        ("a.bmp", encoded(letter(), ImageFormat::Bmp)),
        ("a.gif", encoded(colour.clone(), ImageFormat::Gif)),
        ("a.webp", encoded(colour.clone(), ImageFormat::WebP)),
        ("16 bits.png", png(deep)),
        ("black on nothing.png", png(see_through(0))),
        ("white on nothing.png", png(see_through(255))),
        ("a jpeg in truth.png", encoded(letter(), ImageFormat::Bmp)),
        // The first image of an animation; the second is blank.
        ("anim.gif", stored("anim.gif")),
        ("anim.png", stored("anim.png")),
        ("anim.webp", stored("anim.webp")),
    ];
    for (name, bytes) in lossless {
        assert_eq!(
            only(name, bytes, &ImageOptions::default()),
            expected,
            "{name}"
        );
    }
    let lossy = [
        ("a.jpg", encoded(letter(), ImageFormat::Jpeg)),
        ("a.jpeg", encoded(colour, ImageFormat::Jpeg)),
        ("cmyk.jpg", stored("cmyk.jpg")),
        ("progressive.jpg", stored("progressive.jpg")),
        ("upright as EXIF says.jpg", stored("rotated.jpg")),
        ("lossy.webp", stored("lossy.webp")),
    ];
    for (name, bytes) in lossy {
        let off = difference(&only(name, &bytes, &ImageOptions::default()), &expected);
        assert!(off < 12., "{name}: {off} levels of 255 off on average");
        let as_it_is = ImageOptions {
            ink: Ink::Light,
            ..with(Resize::Plain)
        };
        let paper = only(name, bytes, &as_it_is)[5];
        assert!(paper > 200, "{name} is inverted: its paper is {paper}");
    }
}

#[test]
fn what_is_no_image_or_shows_nothing_is_named() {
    let grey = GrayImage::from_pixel(30, 30, Luma([128]));
    let cases = [
        ("a.png", vec![], "found an empty file"),
        (
            "a.jpg",
            b"<!DOCTYPE html>".to_vec(),
            "begins with the bytes [3c, 21, 44, 4f]",
        ),
        (
            "a.png",
            b"II*\0\x08\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
            "found Tiff",
        ),
        ("a.png", png(grey), "pixels that are all alike"),
    ];
    for (name, bytes, expected) in cases {
        let said = refusal(name, bytes);
        assert!(said.contains(expected), "{said:?} lacks {expected:?}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let colour = DynamicImage::from(letter()).into_rgb8();
    let whole = [
        ("a.png", png(letter())),
        ("a.jpg", encoded(letter(), ImageFormat::Jpeg)),
        ("a.jpg", stored("progressive.jpg")),
        ("a.jpg", stored("rotated.jpg")),
        ("a.bmp", encoded(letter(), ImageFormat::Bmp)),
        ("a.webp", encoded(colour.clone(), ImageFormat::WebP)),
        ("a.webp", stored("lossy.webp")),
    ];
    for (name, bytes) in whole {
        let end = match name {
            "a.png" => bytes.len() - 12, // the mark at the end has no content
            _ => bytes.len() - 1,
        };
        for cut in (0..=end).rev().step_by(end / 40 + 1) {
            refusal(name, &bytes[..cut]);
        }
    }
}

/// A PNG whose header says it is this large, its checksum right.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(letter());
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes);
    hasher.finalize()
}

#[test]
fn bombs_are_refused_within_bounded_memory() {
    let patched = |mut bytes: Vec<u8>, at: usize, size: &[u8]| {
        bytes[at..at + size.len()].copy_from_slice(size);
        bytes
    };
    let jpeg = encoded(letter(), ImageFormat::Jpeg);
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    let gif = encoded(DynamicImage::from(letter()).into_rgb8(), ImageFormat::Gif);
    // A text of 1 GiB that its file holds in 1 MB.
    let mut text = png(letter());
    let content = {
        use std::io::Write;
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        (0..1 << 10).for_each(|_| zlib.write_all(&zeros).unwrap());
        [b"zTXta\0\0", &zlib.finish().unwrap()[..]].concat()
    };
    let length = (content.len() as u32 - 4).to_be_bytes();
    let chunk = [&length[..], &content, &crc32(&content).to_be_bytes()].concat();
    text.splice(33..33, chunk);
    let bombs = [
        ("wide.png", claiming(60_000, 60_000), "60000x60000 pixels"),
        ("wider.png", claiming(1 << 30, 1 << 30), ""),
        (
            "a.jpg",
            patched(jpeg, frame + 5, &[0xff; 4]),
            "65535x65535 pixels",
        ),
        ("a.gif", patched(gif, 6, &[0xff; 4]), "65535x65535 pixels"),
        (
            "a.bmp",
            patched(
                encoded(letter(), ImageFormat::Bmp),
                18,
                &[0, 0, 1, 0, 0, 0, 1, 0],
            ),
            "",
        ),
    ];
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    for (name, bytes, expected) in bombs {
        let folder = folder_of(name, bytes);
        let (result, largest) =
            one.install(|| allocations::largest(|| Digits::from_folder(folder.path())));
        let said = message(result);
        assert!(said.contains(expected), "{said:?} lacks {expected:?}");
        assert!(largest < 1 << 20, "{name}: asked for {largest} bytes");
    }
    let folder = folder_of("text.png", text);
    let (_, largest) = one.install(|| allocations::largest(|| Digits::from_folder(folder.path())));
    assert!(
        largest < 8 << 20,
        "a text in a PNG: asked for {largest} bytes"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damaged_bytes_are_read_or_refused(kind in 0usize..8, damage in prop::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let colour = DynamicImage::from(letter()).into_rgb8();
        let mut bytes = match kind {
            0 => png(letter()),
            1 => encoded(letter(), ImageFormat::Jpeg),
            2 => encoded(letter(), ImageFormat::Bmp),
            3 => encoded(colour, ImageFormat::Gif),
            4 => encoded(colour, ImageFormat::WebP),
            5 => stored("progressive.jpg"),
            6 => stored("lossy.webp"),
            _ => stored("anim.webp"),
        };
        for (at, byte) in damage {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        let folder = folder_of("a.png", &bytes);
        // No panic, no abort; a wrong level here and there is nobody's to notice.
        if let Ok(digits) = Digits::from_folder(folder.path()) {
            prop_assert_eq!(digits.image(0).len(), SIDE * SIDE);
        }
    }
}

// ---------------------------------------------------------------- folders

/// A folder with one image in each of these classes.
fn classes(names: &[&str]) -> TempDir {
    let folder = tempdir().unwrap();
    for name in names {
        put(folder.path(), &format!("{name}/a.png"), png(letter()));
    }
    folder
}

#[test]
fn classes_are_sorted_numbers_as_numbers() {
    let folder = classes(&["10", "9", "b", "0", "A", "a"]);
    let digits = Digits::from_folder(folder.path()).unwrap();
    assert_eq!(digits.class_names()[..], ["0", "9", "10", "A", "a", "b"]);
    let mut labels = digits.labels().to_vec();
    labels.sort_unstable();
    assert_eq!(labels, [0, 1, 2, 3, 4, 5]);
    let said = digits.to_string();
    let place = folder.path().display();
    assert!(
        said.starts_with(&format!(
            "6 images: from {place}, 6 classes of 1 images: 0, 9, 10, A, a, b\nall dark on light, so inverted"
        )),
        "{said}"
    );
    assert!(matches!(digits.source(), Source::Folder { found, .. } if found.inverted == 6));
}

#[test]
fn a_folder_without_subfolders_is_one_class() {
    let folder = tempdir().unwrap();
    let sevens = folder.path().join("sevens");
    put(&sevens, "a.png", png(letter()));
    put(&sevens, "b.bmp", encoded(letter(), ImageFormat::Bmp));
    let digits = Digits::from_folder(&sevens).unwrap();
    assert_eq!((digits.len(), digits.class_count()), (2, 1));
    assert_eq!(digits.class_name(0), "sevens");
}

#[test]
fn the_order_is_random_and_always_the_same() {
    let folder = tempdir().unwrap();
    for class in 0..4 {
        for i in 0..25 {
            let mut image = letter();
            image.put_pixel(10 + i % 4, 4 + i / 4, Luma([255]));
            put(folder.path(), &format!("{class}/{i}.png"), png(image));
        }
    }
    let read = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let digits = pool.install(|| Digits::from_folder(folder.path())).unwrap();
        let all: Vec<Vec<u8>> = (0..100).map(|i| digits.image(i).to_vec()).collect();
        (digits, all)
    };
    let ((digits, first), (_, again)) = (read(1), read(3));
    assert_eq!(first, again);
    let (train, held_out) = digits.hold_out(40).unwrap();
    for part in [&train, &held_out] {
        assert!((0..4).all(|class| part.labels().contains(&class)));
    }
    let place = folder.path().display();
    assert_eq!(
        held_out.to_string(),
        format!("40 held-out images: from {place}")
    );
}

#[test]
fn folders_that_are_not_of_classes_are_refused() {
    let both = classes(&["0"]);
    put(both.path(), "loose.png", png(letter()));
    let deep = tempdir().unwrap();
    put(deep.path(), "train/0/a.png", png(letter()));
    let empty = classes(&["0", "1"]);
    fs::create_dir(empty.path().join("2")).unwrap();
    put(empty.path(), "2/notes.heic", "");
    let many: Vec<String> = (0..63).map(|class| class.to_string()).collect();
    let many = classes(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let cases = [
        (both.path(), "found both: loose.png and 0"),
        (
            deep.path(),
            "train: expected the images of the class train but found a folder, 0",
        ),
        (
            empty.path(),
            "2: expected images (.png, .jpg, .webp, .bmp, .gif) but found none (and 1 file that is no image: 1 .heic)",
        ),
        (
            many.path(),
            "expected at most 62 classes, one a subfolder, but found 63",
        ),
        (
            Path::new("/nowhere/digits"),
            "expected a folder of images but found nothing there",
        ),
    ];
    for (folder, expected) in cases {
        let said = message(Digits::from_folder(folder));
        assert!(said.contains(expected), "{said:?} lacks {expected:?}");
    }
    let file = put(both.path(), "0/b.png", png(letter()));
    let said = message(Digits::from_folder(file));
    assert!(said.contains("but found a file"), "{said}");
    let nothing = tempdir().unwrap();
    let said = message(Digits::from_folder(nothing.path()));
    assert!(said.contains("but found none. Put some in"), "{said}");
}

#[test]
fn one_broken_file_is_named_or_skipped_and_counted() {
    let folder = tempdir().unwrap();
    for i in 0..30 {
        put(folder.path(), &format!("{}/{i}.png", i % 3), png(letter()));
    }
    put(folder.path(), "1/broken.png", &png(letter())[..60]);
    let said = message(Digits::from_folder(folder.path()));
    assert!(said.contains("cannot read 1 of 31:\n"), "{said}");
    assert!(
        said.contains("1/broken.png: expected a whole image"),
        "{said}"
    );
    let skipping = ImageOptions {
        skip_broken: true,
        ..Default::default()
    };
    let digits = Digits::from_folder_with(&skipping, folder.path()).unwrap();
    assert_eq!(digits.len(), 30);
    for i in 0..30 {
        assert_eq!(digits.image(i), normal(letter()));
    }
    let counts = |class| {
        digits
            .labels()
            .iter()
            .filter(|&&label| label == class)
            .count()
    };
    assert_eq!([0, 1, 2].map(counts), [10, 10, 10]);
    let said = digits.to_string();
    assert!(
        said.contains("\nskipped 1:\n") && said.contains("1/broken.png"),
        "{said}"
    );
    // Of many, a few are named.
    for i in 0..9 {
        put(folder.path(), &format!("2/{i:02}.jpg"), "no jpeg");
    }
    let said = message(Digits::from_folder(folder.path()));
    assert!(
        said.contains("cannot read 10 of 40") && said.contains("and 5 more"),
        "{said}"
    );
    // A class must not vanish.
    put(folder.path(), "3/only.png", "");
    let said = message(Digits::from_folder_with(&skipping, folder.path()));
    assert!(said.contains("there is a class without any"), "{said}");
}

#[test]
fn hidden_files_are_ignored_and_others_counted() {
    let folder = classes(&["0", "1"]);
    put(folder.path(), ".DS_Store", "");
    put(folder.path(), "0/.DS_Store", "");
    put(folder.path(), "0/._a.png", "");
    put(folder.path(), "__MACOSX/0/._a.png", "");
    put(folder.path(), ".git/config", "");
    put(folder.path(), "README", "");
    put(folder.path(), "0/labels.TXT", "");
    put(folder.path(), "1/more.txt", "");
    let digits = Digits::from_folder(folder.path()).unwrap();
    assert_eq!(digits.class_names()[..], ["0", "1"]);
    let said = digits.to_string();
    assert!(
        said.ends_with("\nignored 3 files that are no images: 2 .txt, 1 README"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_names_may_be_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    let elsewhere = folder_of("a.png", png(letter()));
    let folder = tempdir().unwrap();
    symlink(elsewhere.path().join("7"), folder.path().join("linked")).unwrap();
    let odd = folder.path().join("odd");
    fs::create_dir(&odd).unwrap();
    symlink(elsewhere.path().join("7/a.png"), odd.join("link.png")).unwrap();
    fs::write(odd.join(OsStr::from_bytes(b"\xff\xfe.png")), png(letter())).unwrap();
    let digits = Digits::from_folder(folder.path()).unwrap();
    assert_eq!((digits.len(), digits.class_count()), (3, 2));

    symlink("nowhere", odd.join("dangling.png")).unwrap();
    let said = message(Digits::from_folder(folder.path()));
    assert!(
        said.contains("cannot read 1 of 4") && said.contains("odd/dangling.png: No such file"),
        "{said}"
    );
    fs::remove_file(odd.join("dangling.png")).unwrap();

    fs::create_dir(folder.path().join(OsStr::from_bytes(b"\xff"))).unwrap();
    let said = message(Digits::from_folder(folder.path()));
    assert!(
        said.contains("expected the name of a class in UTF-8"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = classes(&["7"]);
    let pipe = folder.path().join("7/b.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: mkfifo is not here");
        return;
    }
    let said = message(Digits::from_folder(folder.path()));
    assert!(
        said.contains("b.png: expected an image but found no regular file"),
        "{said}"
    );
}

/// Anything that a generator needs: from a folder to batches and a recipe of as many classes.
#[test]
fn images_of_three_classes_train_a_conditional_recipe() {
    use crate::helpers::small::small;
    use digit_gan::recipe::Recipe;
    use digit_gan::train::Trainer;
    let folder = tempdir().unwrap();
    for i in 0..24 {
        put(
            folder.path(),
            &format!("{}/{i}.png", ["x", "y", "z"][i % 3]),
            png(letter()),
        );
    }
    let digits = Digits::from_folder(folder.path()).unwrap();
    let recipe = small(Recipe::lean().with_classes(digits.class_count()));
    let mut trainer = Trainer::new(recipe, &digits, folder.path().join("run"))
        .unwrap()
        .on_message(|_| {});
    trainer.step().unwrap();
    let samples = trainer.samples_of(&[2, 0], &Rng::seed(1)).unwrap();
    assert_eq!(samples.dims(), [2, 1, 28, 28]);

    let few = small(Recipe::lean().with_classes(2));
    let said = message(Trainer::new(few, &digits, folder.path().join("other")));
    assert!(said.contains(".with_classes(3)"), "{said}");
}
