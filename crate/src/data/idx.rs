//! IDX, the file format of MNIST: a magic number and the sizes, big-endian, then one byte per value.
//!
//! A file is checked before it is trusted: nothing is allocated on the word of its header, and an error says what was
//! expected, what was found and what to do.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::mnist::{FETCH, SIDE};
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
    read(path, Content::Images)
}

/// Reads a file of labels below `classes`, plain or gzip: one byte per label.
///
/// # Errors
/// As [`read_images`].
pub fn read_labels(path: &Path, classes: usize) -> Result<Vec<u8>> {
    let labels = read(path, Content::Labels)?;
    if let Some(at) = labels.iter().position(|&l| usize::from(l) >= classes) {
        let expected = format!("labels 0 to {}", classes.saturating_sub(1));
        let found = format!("label {} at position {at}", labels[at]);
        return Err(wrong(path, &expected, &found));
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

impl Content {
    fn magic(self) -> u32 {
        match self {
            Content::Images => 0x0803, // bytes, three dimensions
            Content::Labels => 0x0801, // bytes, one dimension
        }
    }

    fn name(self) -> &'static str {
        match self {
            Content::Images => "an IDX file of 28x28 images",
            Content::Labels => "an IDX file of labels",
        }
    }

    fn header_len(self) -> usize {
        match self {
            Content::Images => 16,
            Content::Labels => 8,
        }
    }

    fn item_len(self) -> usize {
        match self {
            Content::Images => SIDE * SIDE,
            Content::Labels => 1,
        }
    }
}

fn encode(content: Content, values: &[u8]) -> Vec<u8> {
    let items = (values.len() / content.item_len()) as u32;
    let mut file = Vec::with_capacity(content.header_len() + values.len());
    file.extend(content.magic().to_be_bytes());
    file.extend(items.to_be_bytes());
    if content == Content::Images {
        file.extend((SIDE as u32).to_be_bytes());
        file.extend((SIDE as u32).to_be_bytes());
    }
    file.extend(values);
    file
}

fn read(path: &Path, content: Content) -> Result<Vec<u8>> {
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
) -> Result<Vec<u8>> {
    let header = read_up_to(path, &mut file, content.header_len(), 0)?;
    let promised = check_header(path, &header, content)?;
    let expected = format!("{promised} bytes after the header, as it says,");
    let mut capacity = 0;
    if let Some(file_len) = file_len {
        let found = file_len.saturating_sub(header.len() as u64);
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
    Ok(values)
}

/// Returns how many bytes of values the header promises.
fn check_header(path: &Path, header: &[u8], content: Content) -> Result<usize> {
    let words: Vec<u32> = header
        .chunks_exact(4)
        .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let other = match content {
        Content::Images => Content::Labels,
        Content::Labels => Content::Images,
    };
    let wrong = |found: &str| Err(wrong(path, content.name(), found));
    match words.as_slice() {
        [] => wrong(&format!("a file of {} bytes", header.len())),
        [magic, ..] if *magic == other.magic() => {
            wrong(&format!("{}; are the two files swapped?", other.name()))
        }
        [magic, ..] if *magic != content.magic() => wrong(&format!(
            "something else that begins with the bytes {:02x?}",
            &header[..4]
        )),
        _ if header.len() < content.header_len() => wrong("a file that ends within its header"),
        [_, _, rows, columns] if [*rows, *columns] != [SIDE as u32; 2] => {
            wrong(&format!("images of {rows}x{columns}"))
        }
        [_, items, ..] if !(1..=MAX_ITEMS).contains(items) => wrong(&format!(
            "a header that says {items} items (1 to {MAX_ITEMS} are accepted)"
        )),
        [_, items, ..] => Ok(*items as usize * content.item_len()),
        [_] => wrong("a file that ends within its header"),
    }
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
    let message =
        format!("expected {expected} but found {found}. Replace the file: `{FETCH}` gets MNIST's.");
    Error::format(path, message)
}
