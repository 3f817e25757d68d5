//! Matrix products of values rounded to bfloat16, with sums in f32: several times the speed of f32 where the CPU has
//! instructions for them, and the same bits where it has not.
//!
//! Every CPU computes this: operands are rounded to the nearest bfloat16, ties to even. A sum goes through its products in
//! blocks of [`BLOCK`]. Of a block, the first half is summed one after another, from 0, and so is the second half; the two
//! sums are added, and what they come to is added to the total. All additions round to the nearest f32, and what is
//! subnormal, in front of an operation or behind it, is 0. That is what Intel's AMX does with a tile, so that there it is
//! one instruction; the other units follow it.
//!
//! [`Operand`]s are packed once for a pass, into [`Tile`]s, and multiplied in [`Segment`]s.

mod conv;
mod operand;
mod portable;
mod tile;
mod unit;

pub(super) use tile::Tile;
use unit::Unit;

/// Whether this CPU has instructions for these products.
pub(super) fn is_native() -> bool {
    Unit::here() != Unit::Portable
}

#[cfg(test)]
mod tests {
    use super::operand::{Operand, Side, Source, product};
    use super::tile::{BLOCK, rounded};
    use super::unit::{Segment, Unit};
    use crate::ops::buffer::Pool;

    /// Values of all sizes up to `largest`, from a generator that needs no crate.
    fn values(count: usize, seed: u32, largest: i32) -> Vec<f32> {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let mut value =
            || (next() as f32 / (1 << 23) as f32 - 1.) * 2f32.powi(largest - (next() % 24) as i32);
        (0..count).map(|_| value()).collect()
    }

    /// `count` products of (m, k) and (k, n), summed; packed from these layouts.
    fn multiply(
        unit: Unit,
        [m, k, n]: [usize; 3],
        count: usize,
        layouts: [bool; 2],
        turned: bool,
        largest: i32,
    ) -> [Vec<f32>; 3] {
        let [a, b] = [m, n].map(|size| values(count * size * k, size as u32, largest));
        let pool = Pool::default();
        let source = |values, across, size| match across {
            true => Source {
                values,
                rows: size,
                columns: k,
            },
            false => Source {
                values,
                rows: k,
                columns: size,
            },
        };
        let [a_across, b_across] = layouts;
        let (of_a, of_b) = (source(&a, a_across, m), source(&b, b_across, n));
        let left = Operand::of(unit, of_a, a_across, Side::Left, &pool);
        let right = Operand::of(unit, of_b, b_across, Side::Right, &pool);
        let blocks = k.div_ceil(BLOCK);
        let segments: Vec<Segment> = (0..count).map(|i| Segment { a: i, b: i, blocks }).collect();
        let mut y = vec![0.; m * n];
        let columns = if turned { m } else { n };
        product(
            [&left, &right],
            &segments,
            (&mut y, columns),
            0,
            turned,
            true,
        );
        [a, b, y]
    }

    /// The same in f64 loops on rounded values, with the sum of the products' sizes.
    fn reference(
        [m, k, n]: [usize; 3],
        count: usize,
        layouts: [bool; 2],
        turned: bool,
        [a, b]: [&[f32]; 2],
    ) -> Vec<[f64; 2]> {
        let rounded = |value: f32| f64::from(f32::from_bits(rounded(value) << 16));
        let at = |values: &[f32], across, size, c, i, j| match across {
            true => rounded(values[(c * size + i) * k + j]),
            false => rounded(values[(c * k + j) * size + i]),
        };
        let mut y = vec![[0.; 2]; m * n];
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let y = &mut y[if turned { j * m + i } else { i * n + j }];
            for (c, l) in (0..count).flat_map(|c| (0..k).map(move |l| (c, l))) {
                let product = at(a, layouts[0], m, c, i, l) * at(b, layouts[1], n, c, j, l);
                y[0] += product;
                y[1] += product.abs();
            }
        }
        y
    }

    const SIZES: [[usize; 3]; 6] = [
        [1, 1, 1],
        [16, 32, 16],
        [33, 70, 17],
        [48, 64, 96],
        [5, 31, 64],
        [100, 129, 40],
    ];
    const LAYOUTS: [[bool; 2]; 4] = [[true, true], [true, false], [false, true], [false, false]];

    #[test]
    fn products_agree_with_f64_loops() {
        for (size, layouts) in SIZES
            .into_iter()
            .flat_map(|size| LAYOUTS.map(|layouts| (size, layouts)))
        {
            for (unit, turned) in Unit::all()
                .into_iter()
                .flat_map(|unit| [(unit, false), (unit, true)])
            {
                let [a, b, y] = multiply(unit, size, 3, layouts, turned, 0);
                let reference = reference(size, 3, layouts, turned, [&a, &b]);
                for (y, [expected, scale]) in y.iter().zip(reference) {
                    // 24 bits, and half as many roundings as there are products would all have to go one way.
                    let error = (f64::from(*y) - expected).abs();
                    assert!(
                        error <= 1e-6 * scale,
                        "{unit:?} {size:?} {layouts:?}: {y}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_units_give_the_same_bits() {
        // The smallest sizes have products and sums that are subnormal.
        for (size, largest) in SIZES
            .into_iter()
            .flat_map(|size| [10, -54, -60].map(|largest| (size, largest)))
        {
            let bits = |unit| {
                let [_, _, y] = multiply(unit, size, 2, [true, false], false, largest);
                y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            for unit in Unit::all() {
                assert_eq!(bits(unit), bits(Unit::Portable), "{unit:?} {size:?}");
            }
        }
    }
}
