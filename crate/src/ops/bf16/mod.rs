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

pub(super) use conv::DenseGradient;
pub(super) use tile::Tile;
use unit::Unit;

/// Whether this CPU has instructions for these products.
pub(super) fn is_native() -> bool {
    Unit::here() != Unit::Portable
}

#[cfg(test)]
mod tests {
    use super::operand::{Operand, PART, Product, Side};
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

    /// Products of (m, k) and (k, n), summed.
    #[derive(Clone, Copy, Debug)]
    struct Case {
        size: [usize; 3],
        count: usize,
        /// Whether the sum goes along the columns of the left and of the right operand.
        across: [bool; 2],
        turned: bool,
        two: bool,
        add: bool,
        largest: i32,
    }

    fn cases(largest: i32) -> Vec<Case> {
        let mut sizes = vec![
            [1, 1, 1],
            [16, 32, 16],
            [33, 70, 17],
            [48, 64, 96],
            [5, 31, 64],
            [100, 129, 40],
        ];
        if largest == 0 {
            // Sums in several parts, of columns in one group and in several.
            sizes.extend([[33, 700, 17], [3, 700, 370], [370, 700, 3]]);
        }
        let flags = (0..32).map(|bits| [1, 2, 4, 8, 16].map(|bit| bits & bit != 0));
        let case = |(size, [left, right, turned, two, add]): (_, [bool; 5])| Case {
            size,
            count: 3,
            across: [left, right],
            turned,
            two,
            add,
            largest,
        };
        let all = flags.flat_map(|flags| sizes.iter().map(move |&size| (size, flags)));
        all.map(case).collect()
    }

    impl Case {
        fn operands(&self) -> [Vec<f32>; 2] {
            let [m, k, n] = self.size;
            [m, n].map(|size| values(self.count * size * k, size as u32, self.largest))
        }

        /// With the sum in parts of at most so many blocks.
        fn product(&self, unit: Unit, part: usize) -> Vec<f32> {
            let [m, k, n] = self.size;
            let [a, b] = self.operands();
            let pool = Pool::default();
            let packed = |values, size, across, side| {
                let size = if across { [size, k] } else { [k, size] };
                Operand::of(unit, values, size, across, side, self.two, &pool)
            };
            let left = packed(&a, m, self.across[0], Side::Left);
            let right = packed(&b, n, self.across[1], Side::Right);
            let blocks = k.div_ceil(BLOCK);
            let segment = |i| Segment::new(i, i, blocks);
            let segments: Vec<Segment> = (0..self.count).map(segment).collect();
            let mut y = vec![if self.add { 0.5 } else { f32::NAN }; m * n];
            let product = Product {
                unit: unit.ready(),
                operands: [&left, &right],
                columns: if self.turned { m } else { n },
                first: 0,
                turned: self.turned,
                add: self.add,
            };
            product.compute(&mut y, &segments, part);
            y
        }

        /// In f64 loops, with the sum of the products' sizes; of rounded values where the unit has no others.
        fn reference(&self) -> Vec<[f64; 2]> {
            let [m, k, n] = self.size;
            let [a, b] = self.operands();
            let at = |values: &[f32], across, size, c, i, j| {
                let value = match across {
                    true => values[(c * size + i) * k + j],
                    false => values[(c * k + j) * size + i],
                };
                f64::from(if self.two {
                    value
                } else {
                    f32::from_bits(rounded(value) << 16)
                })
            };
            let mut y = vec![if self.add { [0.5; 2] } else { [0.; 2] }; m * n];
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let y = &mut y[if self.turned { j * m + i } else { i * n + j }];
                for (c, l) in (0..self.count).flat_map(|c| (0..k).map(move |l| (c, l))) {
                    let [left, right] = self.across;
                    let product = at(&a, left, m, c, i, l) * at(&b, right, n, c, j, l);
                    y[0] += product;
                    y[1] += product.abs();
                }
            }
            y
        }
    }

    #[test]
    fn products_agree_with_f64_loops() {
        for case in cases(0) {
            let reference = case.reference();
            for unit in Unit::all() {
                for (y, [expected, scale]) in case.product(unit, PART).iter().zip(&reference) {
                    let error = (f64::from(*y) - expected).abs();
                    let bound = if case.two { 2e-5 } else { 1e-6 }; // 16 bits and 24
                    assert!(
                        error <= bound * scale,
                        "{unit:?} {case:?}: {y}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_units_give_the_same_bits() {
        // The smallest sizes have products and sums that are subnormal.
        for case in [10, 0, -54, -60].into_iter().flat_map(cases) {
            let bits = |unit| case.product(unit, PART).into_iter().map(f32::to_bits);
            for unit in Unit::all() {
                assert!(bits(unit).eq(bits(Unit::Portable)), "{unit:?} {case:?}");
            }
        }
    }

    #[test]
    fn dividing_a_sum_changes_no_bits() {
        for case in cases(0) {
            let bits = |unit, part| case.product(unit, part).into_iter().map(f32::to_bits);
            for unit in Unit::all() {
                let undivided = bits(unit, usize::MAX);
                assert!(bits(unit, 2).eq(undivided), "{unit:?} {case:?}");
            }
        }
    }
}
