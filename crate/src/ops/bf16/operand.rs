//! Operands, packed into tiles, and their product.

use super::tile::{BLOCK, EDGE, Rows, transpose};
use super::unit::{Output, Panel, Segment, Unit};
use crate::ops::buffer::{Pool, Tiles};
use crate::ops::conv::Context;
use crate::ops::precision::Factors;
use crate::profile::{Part, timed};
use crate::team::for_each;

/// Tiles that a thread packs at a time.
const TILES: usize = 32;

/// On which side of a product an operand stands.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// The tiles of matrices, in the order in which they are read: a panel is 16 rows of a left operand or 16 columns of a right
/// one, a block 32 products of the sum.
pub(crate) struct Operand {
    unit: Unit,
    tiles: Tiles,
    /// Where each factor is two bfloat16, the second ones of all matrices follow the first ones of all.
    two: bool,
    matrices: usize,
    panels: usize,
    /// Tiles from a matrix, a panel, a block to the next one.
    matrix: usize,
    panel: usize,
    block: usize,
}

impl Operand {
    /// Packs matrices of one size, (rows, columns), one after another: the pixels of an image, or the taps of weights. Their
    /// sum goes down the rows, or with `across` along the columns.
    pub(crate) fn new(
        values: &[f32],
        size: [usize; 2],
        across: bool,
        side: Side,
        context: Context,
    ) -> Operand {
        let two = context.factors == Factors::Two;
        timed(Part::Packing, || {
            Operand::of(Unit::here(), values, size, across, side, two, context.pool)
        })
    }

    pub(super) fn of(
        unit: Unit,
        values: &[f32],
        [rows, columns]: [usize; 2],
        across: bool,
        side: Side,
        two: bool,
        pool: &Pool,
    ) -> Operand {
        let matrices = values.len() / (rows * columns);
        let (sum, other) = if across {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let (blocks, panels) = (sum.div_ceil(BLOCK), other.div_ceil(EDGE));
        let (panel, block) = if across { (blocks, 1) } else { (1, panels) };
        let matrix = blocks * panels;
        let mut tiles = pool.tiles(if two { 2 } else { 1 } * matrices * matrix);
        for_each(tiles.chunks_mut(TILES).enumerate(), |(chunk, tiles)| {
            for (i, tile) in tiles.iter_mut().enumerate() {
                let i = chunk * TILES + i;
                let (matrix, i) = (i / matrix, i % matrix);
                let (second, matrix) = (matrix >= matrices, matrix % matrices);
                let (sum, other) = match across {
                    true => (i % blocks * BLOCK, i / blocks * EDGE),
                    false => (i / panels * BLOCK, i % panels * EDGE),
                };
                let [row, column] = if across { [other, sum] } else { [sum, other] };
                let values = &values[(matrix * rows + row) * columns + column..];
                let most = if across { [EDGE, BLOCK] } else { [BLOCK, EDGE] };
                let from = Rows {
                    values,
                    stride: columns,
                    rows: most[0].min(rows - row),
                    columns: most[1].min(columns - column),
                };
                tile.pack(from, across, second, unit);
                if across != (side == Side::Left) {
                    tile.transpose();
                }
            }
        });
        Operand {
            unit,
            tiles,
            two,
            matrices,
            panels,
            matrix,
            panel,
            block,
        }
    }

    /// The panel, or the last one where there are no more: what is computed of it is not used.
    fn panel(&self, i: usize) -> Panel<'_> {
        Panel {
            tiles: &self.tiles[i.min(self.panels - 1) * self.panel..],
            matrix: self.matrix,
            block: self.block,
        }
    }
}

/// `y` (rows of `columns` values) = the sum of the segments' products, or `y` + that where `add` is set. Its first row is
/// that of panel `first` of `a`; or, `turned` over, its rows are the columns of `b` from panel `first` on.
pub(crate) fn product(
    [a, b]: [&Operand; 2],
    segments: &[Segment],
    (y, columns): (&mut [f32], usize),
    first: usize,
    turned: bool,
    add: bool,
) {
    let all;
    let segments = if a.two {
        all = with_second_factors([a, b], segments);
        &all[..]
    } else {
        segments
    };
    let unit = a.unit.ready();
    for (band, y) in y.chunks_mut(2 * EDGE * columns).enumerate() {
        let panel = first + 2 * band;
        for across in (0..columns.div_ceil(EDGE)).step_by(2) {
            let from = across * EDGE;
            let (of_a, of_b) = if turned {
                (across, panel)
            } else {
                (panel, across)
            };
            let [a_panels, b_panels] =
                [(a, of_a), (b, of_b)].map(|(x, i)| [x.panel(i), x.panel(i + 1)]);
            let multiply = |values: &mut [f32], at, row| {
                unit.multiply(a_panels, b_panels, segments, Output { values, at, row });
            };
            let whole = y.len() == 2 * EDGE * columns && from + 2 * EDGE <= columns;
            if whole && !turned && !add {
                let at = [[0, 0], [0, EDGE], [EDGE, 0], [EDGE, EDGE]]
                    .map(|[row, column]| row * columns + from + column);
                multiply(y, at, columns);
                continue;
            }
            let mut sums = [[[0.; EDGE]; EDGE]; 4];
            multiply(
                sums.as_flattened_mut().as_flattened_mut(),
                [0, 1, 2, 3].map(|i| i * EDGE * EDGE),
                EDGE,
            );
            for (i, sums) in sums.iter_mut().enumerate() {
                if turned {
                    transpose(sums);
                }
                let [down, right] = if turned {
                    [i % 2, i / 2]
                } else {
                    [i / 2, i % 2]
                };
                let rows = y.chunks_mut(columns).skip(down * EDGE);
                for (y, sums) in rows.zip(sums.iter()) {
                    let Some(y) = y.get_mut(from + right * EDGE..) else {
                        continue;
                    };
                    put(y, sums, add);
                }
            }
        }
    }
}

/// (a1 + a2) (b1 + b2) without the product of the second ones, which is beyond 16 bits.
fn with_second_factors([a, b]: [&Operand; 2], segments: &[Segment]) -> Vec<Segment> {
    let products = |&first: &Segment| {
        let second_a = Segment {
            a: first.a + a.matrices,
            ..first
        };
        let second_b = Segment {
            b: first.b + b.matrices,
            ..first
        };
        [first, second_a, second_b]
    };
    segments.iter().flat_map(products).collect()
}

/// Puts as many sums as have room into y, or adds them.
#[inline(always)]
fn put(y: &mut [f32], sums: &[f32; EDGE], add: bool) {
    match (y.first_chunk_mut::<EDGE>(), add) {
        (Some(y), false) => *y = *sums,
        (Some(y), true) => (0..EDGE).for_each(|i| y[i] += sums[i]),
        (None, false) => y.copy_from_slice(&sums[..y.len()]),
        (None, true) => y.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum),
    }
}
