//! A finished picture: encoded bytes, what they show in words, and how large they are meant to be.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::display::{Content, Show, evcxr_display, image};
use crate::files::write_atomically;
use crate::{Error, Result};

/// How a [`Figure`] is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A still picture.
    Png,
    /// A moving picture.
    Gif,
}

impl Format {
    /// The file name's extension, and the end of the MIME type.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Gif => "gif",
        }
    }
}

/// A picture that shows itself as the last expression of a cell.
#[derive(Clone)]
pub struct Figure {
    bytes: Vec<u8>,
    format: Format,
    alt: String,
    /// Width and height in CSS pixels.
    size: [u32; 2],
    /// The last frame of an animation, as PNG: for clients that show no GIF.
    still: Option<Vec<u8>>,
}

impl Figure {
    /// `size` is width and height in CSS pixels.
    pub(super) fn new(bytes: Vec<u8>, format: Format, alt: String, size: [u32; 2]) -> Self {
        Figure {
            bytes,
            format,
            alt,
            size,
            still: None,
        }
    }

    pub(super) fn with_still(self, png: Vec<u8>) -> Self {
        let still = Some(png);
        Figure { still, ..self }
    }

    /// The encoded picture, as [`save`](Figure::save) writes it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// PNG, or GIF for an animation.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the picture shows, in words, for those who cannot see it.
    pub fn alt(&self) -> &str {
        &self.alt
    }

    /// How wide the picture is meant to be shown, in CSS pixels.
    pub fn width(&self) -> u32 {
        self.size[0]
    }

    /// An `<img>` element that carries the whole picture and its words.
    pub fn html(&self) -> String {
        // An animation is stored small; smoothing would blur its enlarged pixels.
        let rendering = match self.format {
            Format::Png => "auto",
            Format::Gif => "pixelated",
        };
        let (format, base64) = (self.format.extension(), STANDARD.encode(&self.bytes));
        image(format, &base64, &self.alt, self.width(), rendering)
    }

    /// The picture as an address that holds all of it.
    pub(super) fn data_url(&self) -> String {
        let (format, base64) = (self.format.extension(), STANDARD.encode(&self.bytes));
        format!("data:image/{format};base64,{base64}")
    }

    /// Writes the picture to a file whose extension is its format, `.png` or `.gif`. A file of that name is
    /// replaced once the new one is complete.
    ///
    /// # Errors
    /// [`Error::Value`] for another extension, [`Error::Io`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let expected = self.format.extension();
        let fits = |extension: &OsStr| extension.eq_ignore_ascii_case(expected);
        if !path.extension().is_some_and(fits) {
            return Err(Error::Value(format!(
                "{}: this figure is saved as {}; name the file with the extension .{expected}",
                path.display(),
                expected.to_uppercase(),
            )));
        }
        write_atomically(path, |file| file.write_all(&self.bytes))
    }
}

/// A PNG as it is. A GIF as HTML, which moves where `image/gif` would not be known, with its last frame for print.
impl Show for Figure {
    fn content(&self) -> Content {
        let content = Content::text(&self.alt);
        let content = match self.format {
            Format::Png => content.with_png(&self.bytes, self.size),
            Format::Gif => content.with_html(self.html()),
        };
        match &self.still {
            Some(still) => content.with_png(still, self.size),
            None => content,
        }
    }
}

evcxr_display!(Figure);

/// The words, not the bytes: a failed assertion in a cell stays readable.
impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kib = self.bytes.len().div_ceil(1024);
        write!(f, "Figure({:?}, {kib} KiB: {})", self.format, self.alt)
    }
}
