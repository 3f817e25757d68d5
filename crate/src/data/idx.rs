//! IDX, the file format of MNIST: a magic number and the sizes, big-endian, then one byte per value. QMNIST has its labels
//! as rows of integers instead, of which the first is the class.
//!
//! A file is checked before it is trusted: nothing is allocated on the word of its header, and an error says what was
//! expected, what was found and what to do.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::{Dataset, Digits, SIDE, Split};
use crate::files::write_atomically;
use crate::{Error, Result};

/// Far above MNIST's 60,000 and EMNIST's 814,255: a larger number in a header is damage.
const MAX_ITEMS: u32 = 1_000_000;

#[derive(Clone, Copy, PartialEq)]
enum Content {
    Images,
    Labels,
}

/// Reads a file of 28x28 images, plain or gzip: one byte per pixel, image after image, row by row.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is not exactly such a file.
pub fn read_images(path: &Path) -> Result<Vec<u8>> {
    Ok(read(path, Content::Images)?.0)
}

/// Reads a file of labels, plain or gzip, that all lie in `expected`: one byte per label, or QMNIST's integers.
///
/// # Errors
/// As [`read_images`].
pub fn read_labels(path: &Path, expected: Range<u8>) -> Result<Vec<u8>> {
    let (bytes, layout) = read(path, Content::Labels)?;
    let mut labels = Vec::with_capacity(layout.items);
    for (at, item) in bytes.chunks_exact(layout.item_len).enumerate() {
        // A byte, or the first of a row of 32-bit integers.
        let label = item
            .iter()
            .take(4)
            .fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        match u8::try_from(label)
            .ok()
            .filter(|label| expected.contains(label))
        {
            Some(label) => labels.push(label),
            None => {
                let expected = format!("labels {} to {}", expected.start, expected.end - 1);
                let found = format!("label {label} at position {at}");
                return Err(wrong(path, &expected, &found));
            }
        }
    }
    Ok(labels)
}

/// The IDX file of 28x28 images whose pixels are given, as [`read_images`] returns them.
pub fn encode_images(pixels: &[u8]) -> Vec<u8> {
    encode(Content::Images, pixels)
}

/// The IDX file of the given labels.
pub fn encode_labels(labels: &[u8]) -> Vec<u8> {
    encode(Content::Labels, labels)
}

/// See [`Digits::save_idx`].
pub(super) fn save(digits: &Digits, folder: &Path) -> Result<[PathBuf; 2]> {
    let [_, height, width] = digits.image_shape();
    if [height, width] != [SIDE; 2] {
        return Err(Error::Shape(format!(
            "save_idx: expected images of {SIDE}x{SIDE} pixels, as MNIST's are, but these have {height}x{width}"
        )));
    }
    let paths = Dataset::Mnist
        .files(Split::Train)
        .map(|name| folder.join(name));
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(Error::Value(format!(
            "{} is there already: name another folder",
            path.display()
        )));
    }
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let pixels: Vec<u8> = (0..digits.len())
        .flat_map(|i| digits.image(i))
        .copied()
        .collect();
    let contents = [encode_images(&pixels), encode_labels(digits.labels())];
    for (path, content) in paths.iter().zip(contents) {
        write_atomically(path, |file| file.write_all(&content))?;
    }
    Ok(paths)
}

impl Content {
    fn name(self) -> &'static str {
        match self {
            Content::Images => "an IDX file of 28x28 images",
            Content::Labels => "an IDX file of labels",
        }
    }
}

/// The first four bytes: 8 for bytes or C for 32-bit integers, then the number of dimensions.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;
const LABEL_ROWS: u32 = 0x0C02;
/// The longest row of integers that is believed; QMNIST's have 8.
const MAX_COLUMNS: u32 = 64;

/// What a header says of the values behind it.
struct Layout {
    items: usize,
    item_len: usize,
}

fn encode(content: Content, values: &[u8]) -> Vec<u8> {
    let (magic, sizes, item_len) = match content {
        Content::Images => (IMAGES, &[SIDE as u32; 2][..], SIDE * SIDE),
        Content::Labels => (LABELS, &[][..], 1),
    };
    let items = (values.len() / item_len) as u32;
    let header = [magic, items].into_iter().chain(sizes.iter().copied());
    let mut file: Vec<u8> = header.flat_map(u32::to_be_bytes).collect();
    file.extend(values);
    file
}

fn read(path: &Path, content: Content) -> Result<(Vec<u8>, Layout)> {
    let io_error = |error| Error::io(path, error);
    // Before opening: opening a pipe waits for its other end.
    let metadata = path.metadata().map_err(io_error)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() {
            "a folder"
        } else {
            "something that is no regular file"
        };
        return Err(wrong(path, content.name(), found));
    }
    let mut file = BufReader::new(File::open(path).map_err(io_error)?);
    // By content, not by name: browsers unpack a download and keep its name.
    if file
        .fill_buf()
        .map_err(io_error)?
        .starts_with(&[0x1f, 0x8b])
    {
        parse(path, MultiGzDecoder::new(file), None, content)
    } else {
        parse(path, file, Some(metadata.len()), content)
    }
}

/// `file_len` is unknown for gzip; memory then grows with the bytes that really come out, up to the number
/// that the header promises.
fn parse(
    path: &Path,
    mut file: impl Read,
    file_len: Option<u64>,
    content: Content,
) -> Result<(Vec<u8>, Layout)> {
    let (header_len, layout) = read_header(path, &mut file, content)?;
    let promised = layout.items * layout.item_len;
    let expected = format!("{promised} bytes after the header, as it says,");
    let mut capacity = 0;
    if let Some(file_len) = file_len {
        let found = file_len.saturating_sub(header_len);
        if found != promised as u64 {
            return Err(wrong(path, &expected, &found.to_string()));
        }
        capacity = promised;
    }
    // One more than promised, so that a longer file shows, and gzip's checksum at the end is reached.
    let mut values = read_up_to(path, &mut file, promised + 1, capacity + 1)?;
    if values.len() != promised {
        let found = if values.len() > promised {
            "more".into()
        } else {
            values.len().to_string()
        };
        return Err(wrong(path, &expected, &found));
    }
    values.shrink_to_fit();
    Ok((values, layout))
}

/// Reads the header, checks it, and returns its length with what it says.
fn read_header(path: &Path, file: &mut impl Read, content: Content) -> Result<(u64, Layout)> {
    let wrong = |found: &str| Err(wrong(path, content.name(), found));
    let magic = read_up_to(path, file, 4, 0)?;
    let Ok(bytes) = <[u8; 4]>::try_from(&magic[..]) else {
        return wrong(&format!("a file of {} bytes", magic.len()));
    };
    let magic = u32::from_be_bytes(bytes);
    let (found, dimensions) = match magic {
        IMAGES => (Content::Images, 3),
        LABELS => (Content::Labels, 1),
        LABEL_ROWS => (Content::Labels, 2),
        _ => {
            return wrong(&format!(
                "something else that begins with the bytes {bytes:02x?}"
            ));
        }
    };
    if found != content {
        return wrong(&format!("{}; are the two files swapped?", found.name()));
    }
    let rest = read_up_to(path, file, 4 * dimensions, 0)?;
    if rest.len() < 4 * dimensions {
        return wrong("a file that ends within its header");
    }
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| rest[4 * at + i]));
    let item_len = match magic {
        IMAGES if [word(1), word(2)] == [SIDE as u32; 2] => SIDE * SIDE,
        IMAGES => return wrong(&format!("images of {}x{}", word(1), word(2))),
        LABELS => 1,
        _ if (1..=MAX_COLUMNS).contains(&word(1)) => 4 * word(1) as usize,
        _ => return wrong(&format!("rows of {} integers", word(1))),
    };
    if !(1..=MAX_ITEMS).contains(&word(0)) {
        return wrong(&format!(
            "a header that says {} items (1 to {MAX_ITEMS} are accepted)",
            word(0)
        ));
    }
    let items = word(0) as usize;
    Ok((4 + rest.len() as u64, Layout { items, item_len }))
}

fn read_up_to(path: &Path, file: &mut impl Read, limit: usize, capacity: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(capacity);
    match file.take(limit as u64).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => match error.kind() {
            // What flate2 reports for a broken stream.
            io::ErrorKind::UnexpectedEof => {
                Err(wrong(path, "complete gzip data", "data cut short"))
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                Err(wrong(path, "gzip data", &format!("damaged data ({error})")))
            }
            _ => Err(Error::io(path, error)),
        },
    }
}

fn wrong(path: &Path, expected: &str, found: &str) -> Error {
    Error::format(
        path,
        format!("expected {expected} but found {found}. Replace the file."),
    )
}
