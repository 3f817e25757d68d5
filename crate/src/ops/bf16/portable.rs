//! The products in plain Rust: for CPUs that have no instructions for them, and what the others are tested against.

use super::tile::{EDGE, Sums, Tile, rest, rounded};
use crate::ops::elementwise::vectorised;

/// The pairs of two rows of values, low and high; or of one row of twice the length, `neighbours` in it, the first one high.
/// `second`: of what rounding leaves of them.
pub(super) fn round(
    [low, high]: [&[f32; EDGE]; 2],
    neighbours: bool,
    second: bool,
    pairs: &mut [u32; EDGE],
) {
    for (i, pair) in pairs.iter_mut().enumerate() {
        let [low, high] = match neighbours {
            false => [low[i], high[i]],
            true => {
                let row = if i < EDGE / 2 { low } else { high };
                [row[2 * i % EDGE + 1], row[2 * i % EDGE]]
            }
        };
        let of = |value| rounded(if second { rest(value) } else { value });
        *pair = of(low) | of(high) << 16;
    }
}

/// Adds to `sums` the product of two tiles whose values are paired by halves.
pub(super) fn multiply(a: &Tile, b: &Tile, sums: &mut Sums) {
    vectorised(|| {
        for (a, sums) in a.0.iter().zip(sums) {
            let [mut first, mut second] = [[0f32; EDGE]; 2];
            for (&a, b) in a.iter().zip(&b.0) {
                for j in 0..EDGE {
                    first[j] = flushed(low(a).mul_add(low(b[j]), first[j]));
                    second[j] = flushed(high(a).mul_add(high(b[j]), second[j]));
                }
            }
            for j in 0..EDGE {
                let both = flushed(first[j] + second[j]);
                sums[j] = flushed(sums[j] + both);
            }
        }
    });
}

#[inline(always)]
fn low(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

#[inline(always)]
fn high(pair: u32) -> f32 {
    f32::from_bits(pair & 0xffff_0000)
}

/// 0 for what is subnormal.
#[inline(always)]
fn flushed(value: f32) -> f32 {
    match value.to_bits() & 0x7f80_0000 {
        0 => f32::from_bits(value.to_bits() & 0x8000_0000),
        _ => value,
    }
}
