//! Weights as text in a page: numbers of half precision, deflated.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use half::f16;

use crate::Result;

/// Bits behind the binary point of a number of half precision.
pub(super) const HALF: u32 = 10;

/// The nearest number of half precision whose fraction has no more than `bits` bits. Weights with fewer bits deflate better.
pub(super) fn rounded(value: f32, bits: u32) -> f16 {
    let dropped = f32::MANTISSA_DIGITS - 1 - bits;
    // To the nearest; in the middle to the even one, as f16 does.
    let even = value.to_bits() >> dropped & 1;
    let nearest = value.to_bits() + (1 << (dropped - 1)) - 1 + even;
    f16::from_f32(f32::from_bits(nearest >> dropped << dropped))
}

/// The text that `weightsOf` in `generator.js` reads. Signs and exponents, of which few are frequent, lie apart from the
/// fractions: deflated, they take a third less.
pub(super) fn pack(weights: &[f16]) -> Result<String> {
    let byte = |i: usize| weights.iter().map(move |weight| weight.to_be_bytes()[i]);
    let planes: Vec<u8> = byte(0).chain(byte(1)).collect();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let deflated = encoder.write_all(&planes).and_then(|()| encoder.finish());
    let deflated = deflated.map_err(|error| crate::Error::io("a page's weights", error))?;
    Ok(as_text(&deflated))
}

/// Characters that mean something in HTML, in JSON or to MathJax: `"$&'-<>\` and the backtick. Without them, 85 of the printable
/// ones are left.
const MEANING: [u8; 9] = [34, 36, 38, 39, 45, 60, 62, 92, 96];

/// Base85: five characters for four bytes, where base64 takes more than five. The last group is as long as its bytes need.
fn as_text(bytes: &[u8]) -> String {
    let characters: Vec<u8> = (b'!'..=b'~')
        .filter(|character| !MEANING.contains(character))
        .collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(4) * 5);
    for group in bytes.chunks(4) {
        let mut four = [0; 4];
        four[..group.len()].copy_from_slice(group);
        let value = u32::from_be_bytes(four);
        let digits = (0..5).rev().map(|place| value / 85u32.pow(place) % 85);
        text.extend(
            digits
                .take(group.len() + 1)
                .map(|digit| char::from(characters[digit as usize])),
        );
    }
    text
}
