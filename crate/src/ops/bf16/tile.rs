//! Tiles: 16 by 32 values of an operand, which a unit multiplies at once.

use super::unit::Unit;
use crate::ops::elementwise::vectorised;

/// Rows or columns of a tile.
pub(crate) const EDGE: usize = 16;
/// Products of a tile's row and column.
pub(crate) const BLOCK: usize = 2 * EDGE;

/// Pairs of bfloat16. As a left operand (row, pair of the sum), as a right one (pair of the sum, column).
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Tile(pub [[u32; EDGE]; EDGE]);

impl Default for Tile {
    fn default() -> Self {
        Tile([[0; EDGE]; EDGE])
    }
}

/// 16 sums by 16.
pub(super) type Sums = [[f32; EDGE]; EDGE];

/// The nearest bfloat16, ties to even, in the low half; what is subnormal is 0.
#[inline(always)]
pub(super) fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let exponent = bits & 0x7f80_0000;
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40; // rounding could make an infinity of a NaN
    let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
    let sign = (bits >> 16) & 0x8000;
    match (exponent == 0, is_nan) {
        (true, _) => sign,
        (_, true) => quiet,
        _ => nearest,
    }
}

/// What rounding leaves of a value.
#[inline(always)]
pub(super) fn rest(value: f32) -> f32 {
    value - f32::from_bits(rounded(value) << 16)
}

/// Which of a block's values share a pair: those that a unit multiplies at the same time, or one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pairing {
    /// Value i of the first half (low) and value i of the second half (high): the halves are summed side by side.
    Halves,
    /// Value 2i (high) and value 2i + 1 (low): a pair is summed high value first.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Neighbours,
}

impl Pairing {
    /// The places in the block of pair `i`: low and high.
    fn places(self, i: usize) -> [usize; 2] {
        match self {
            Pairing::Halves => [i, EDGE + i],
            Pairing::Neighbours => [2 * i + 1, 2 * i],
        }
    }
}

/// Up to 16 rows of up to 16 values, and where the next 16 of the sum are: what a tile is packed from.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    /// Values from a row to the next one.
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
}

impl<'a> Rows<'a> {
    /// 16 values of a row from a column on, if there are as many.
    #[inline(always)]
    fn whole(&self, row: usize, column: usize) -> &'a [f32; EDGE] {
        let values = &self.values[row * self.stride + column..];
        values.first_chunk().expect("a whole row")
    }

    /// As many as there are, and zeros.
    fn filled(&self, row: usize, column: usize) -> [f32; EDGE] {
        let mut filled = [0.; EDGE];
        if row < self.rows && column < self.columns {
            let count = EDGE.min(self.columns - column);
            let values = &self.values[row * self.stride + column..];
            filled[..count].copy_from_slice(&values[..count]);
        }
        filled
    }
}

impl Tile {
    /// Packs up to [`BLOCK`] rows of up to [`EDGE`] values, which the sum goes down: (pair, column). Or, `across`, up to
    /// [`EDGE`] rows of up to [`BLOCK`] values, along which it goes: (row, pair). `second`: what rounding has left of them.
    pub(super) fn pack(&mut self, from: Rows, across: bool, second: bool, unit: Unit) {
        let pairing = unit.pairing();
        let places = |i: usize| match (across, pairing) {
            (true, _) => [(i, 0), (i, EDGE)],
            (false, pairing) => pairing.places(i).map(|row| (row, 0)),
        };
        let neighbours = across && pairing == Pairing::Neighbours;
        let size = if across { [EDGE, BLOCK] } else { [BLOCK, EDGE] };
        if [from.rows, from.columns] == size {
            let rows = |i| places(i).map(|(row, column)| from.whole(row, column));
            return unit.round(rows, neighbours, second, &mut self.0);
        }
        let mut padded = [[[0.; EDGE]; 2]; EDGE];
        for (i, padded) in padded.iter_mut().enumerate() {
            *padded = places(i).map(|(row, column)| from.filled(row, column));
        }
        unit.round(|i| padded[i].each_ref(), neighbours, second, &mut self.0);
    }

    pub(super) fn transpose(&mut self) {
        transpose(&mut self.0);
    }
}

/// Turns 16 x 16 values over: halves, then quarters of them, change places.
pub(super) fn transpose<T: Copy>(values: &mut [[T; EDGE]; EDGE]) {
    vectorised(|| {
        exchange::<T, 8>(values);
        exchange::<T, 4>(values);
        exchange::<T, 2>(values);
        exchange::<T, 1>(values);
    });
}

/// In squares of twice this size, exchanges the upper right and the lower left quarter.
#[inline(always)]
fn exchange<T: Copy, const SIZE: usize>(values: &mut [[T; EDGE]; EDGE]) {
    for row in (0..EDGE).filter(|row| row & SIZE == 0) {
        let (upper, lower) = (values[row], values[row + SIZE]);
        for column in 0..EDGE {
            if column & SIZE == 0 {
                values[row + SIZE][column] = upper[column + SIZE];
            } else {
                values[row][column] = lower[column - SIZE];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_agrees_with_the_half_crate() {
        let mut bits = 1u32;
        for _ in 0..1_000_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            let expected = half::bf16::from_f32(value);
            match value.is_subnormal() {
                true => assert_eq!(rounded(value) & 0x7fff, 0, "{value:e}"),
                false => assert_eq!(rounded(value), u32::from(expected.to_bits()), "{value:e}"),
            }
        }
    }

    #[test]
    fn transposing_moves_every_value() {
        let mut values: [[usize; EDGE]; EDGE] =
            std::array::from_fn(|i| std::array::from_fn(|j| i * EDGE + j));
        transpose(&mut values);
        assert!((0..EDGE).all(|i| (0..EDGE).all(|j| values[i][j] == j * EDGE + i)));
    }
}
