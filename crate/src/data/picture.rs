//! One image file, decoded to grey levels within bounded memory.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::sync::Mutex;

use image::{
    DynamicImage, GrayAlphaImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader,
    Limits,
};

/// What the names of image files end in.
pub(super) const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];
/// The largest file that is opened; a JPEG decoder holds it whole.
const MAX_FILE: u64 = 128 << 20;
/// The most bytes that an image may decode to: 89 megapixels in colour.
const MAX_DECODED: u64 = 256 << 20;
/// Images that decode to more than this are decoded one at a time.
const LARGE: u64 = 32 << 20;

/// Decodes the image at `path`, upright as its EXIF data says, the first one of an animation. What is transparent
/// becomes paper. The error is a reason: what was expected and what was found.
pub(super) fn read(path: &Path) -> Result<GrayImage, String> {
    // Before opening: opening a pipe waits for its other end.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("expected an image but found no regular file".into());
    }
    if metadata.len() > MAX_FILE {
        let (most, found) = (MAX_FILE >> 20, metadata.len() >> 20);
        return Err(format!(
            "expected a file of at most {most} MiB but found {found} MiB"
        ));
    }
    let mut file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let format = kind(&mut file)?;
    check_end(&mut file, format)?;
    decode(file, format).map(grey)
}

/// By content, not by name: many a `.png` is a JPEG.
fn kind(file: &mut BufReader<File>) -> Result<ImageFormat, String> {
    let expected = "expected a PNG, JPEG, WebP, BMP or GIF image but found";
    let mut start = Vec::new();
    file.by_ref()
        .take(16)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .map_err(|error| error.to_string())?;
    let format = image::guess_format(&start);
    let known = format.as_ref().is_ok_and(|format| format.reading_enabled());
    match format {
        _ if start.is_empty() => Err(format!("{expected} an empty file")),
        Ok(format) if known => Ok(format),
        Ok(format) => Err(format!("{expected} {format:?}")),
        Err(_) => Err(format!(
            "{expected} something else that begins with the bytes {:02x?}",
            &start[..start.len().min(4)]
        )),
    }
}

/// Refuses a file that is cut short where its decoder would make something up for the rest.
///
/// The last scan of a JPEG then has no end: the marker FF D9 cannot occur within one. A WebP says its length.
fn check_end(file: &mut BufReader<File>, format: ImageFormat) -> Result<(), String> {
    if !matches!(format, ImageFormat::Jpeg | ImageFormat::WebP) {
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .and_then(|_| file.rewind())
        .map_err(|error| error.to_string())?;
    let last = |marker| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    let is_whole = match format {
        ImageFormat::Jpeg => last(0xda).is_some_and(|scan| last(0xd9) > Some(scan)),
        _ => bytes[4..]
            .first_chunk()
            .is_some_and(|&length| u32::from_le_bytes(length) as usize <= bytes.len() - 8),
    };
    match is_whole {
        true => Ok(()),
        false => Err(format!(
            "expected a whole {format:?} image but found one that is cut short"
        )),
    }
}

fn decode(file: BufReader<File>, format: ImageFormat) -> Result<DynamicImage, String> {
    static ONE_LARGE_IMAGE: Mutex<()> = Mutex::new(());
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    let mut reader = ImageReader::with_format(file, format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let ((width, height), bytes) = (decoder.dimensions(), decoder.total_bytes());
    if bytes > MAX_DECODED {
        let most = MAX_DECODED >> 20;
        return Err(format!(
            "expected an image that decodes to at most {most} MiB but found one of {width}x{height} pixels"
        ));
    }
    let _one_at_a_time = (bytes > LARGE).then(|| ONE_LARGE_IMAGE.lock());
    // A camera's note, which no other pixel depends on: one that cannot be read counts as none.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).map_err(reason)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(image)
}

fn reason(error: ImageError) -> String {
    format!("expected a whole image but found a damaged one ({error})")
}

fn grey(image: DynamicImage) -> GrayImage {
    if image.has_alpha() {
        on_paper(&image.into_luma_alpha8())
    } else {
        image.into_luma8()
    }
}

/// Lays what is drawn on white paper, or on black if it is light itself.
fn on_paper(image: &GrayAlphaImage) -> GrayImage {
    let drawn = |sum: [u64; 2], [grey, alpha]: [u8; 2]| {
        let alpha = u64::from(alpha);
        [sum[0] + u64::from(grey) * alpha, sum[1] + alpha]
    };
    let [sum, weight] = image.pixels().map(|pixel| pixel.0).fold([0; 2], drawn);
    let paper: u32 = if sum > 128 * weight { 0 } else { 255 };
    let laid = image.pixels().map(|pixel| {
        let [grey, alpha] = pixel.0.map(u32::from);
        ((grey * alpha + paper * (255 - alpha) + 127) / 255) as u8
    });
    let (width, height) = image.dimensions();
    GrayImage::from_vec(width, height, laid.collect()).expect("a byte for each pixel")
}
