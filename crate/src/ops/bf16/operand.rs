//! Operands, packed into tiles, and their product.

use std::ops::Range;

use super::tile::{BLOCK, EDGE, Rows, Sums, transpose};
use super::unit::{Output, Panel, Ready, Segment, Unit};
use crate::ops::buffer::{Pool, Tiles};
use crate::ops::conv::Context;
use crate::ops::precision::Factors;
use crate::profile::{Part, timed};
use crate::team::for_each;

/// Tiles that a thread packs at a time.
const TILES: usize = 32;
/// Rows, and columns, that are multiplied at a time.
const BAND: usize = 2 * EDGE;
/// Blocks of a sum that are multiplied before the next ones: few enough for those of some dozen panels to stay in the
/// second cache, many enough for the sums not to be loaded and stored too often.
pub(super) const PART: usize = 64;
/// Tiles of the panels across that are to stay in the second cache, which has 2 MiB where the unit is AMX.
const CACHED: usize = 768;

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
    #[inline(always)]
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
    operands: [&Operand; 2],
    segments: &[Segment],
    (y, columns): (&mut [f32], usize),
    first: usize,
    turned: bool,
    add: bool,
) {
    let product = Product {
        unit: operands[0].unit.ready(),
        operands,
        columns,
        first,
        turned,
        add,
    };
    product.compute(y, segments, PART);
}

/// Divides a sum into equal parts of at most so many blocks.
fn parts(segments: &[Segment], most: usize) -> Vec<Vec<Segment>> {
    let blocks: usize = segments.iter().map(|segment| segment.blocks).sum();
    let longest = blocks.div_ceil(blocks.div_ceil(most).max(1));
    let (mut parts, mut room) = (vec![vec![]], longest);
    for &segment in segments {
        let mut rest = segment;
        while rest.blocks > 0 {
            if room == 0 {
                parts.push(vec![]);
                room = longest;
            }
            let blocks = rest.blocks.min(room);
            let part = parts.last_mut().expect("the part that has room");
            part.push(Segment { blocks, ..rest });
            room -= blocks;
            rest.from += blocks;
            rest.blocks -= blocks;
        }
    }
    parts
}

/// Sums of two panels by two: a0 b0, a0 b1, a1 b0 and a1 b1.
type Square = [Sums; 4];

/// What [`product`] is asked for.
pub(super) struct Product<'a> {
    pub unit: Ready,
    pub operands: [&'a Operand; 2],
    pub columns: usize,
    pub first: usize,
    pub turned: bool,
    pub add: bool,
}

impl Product<'_> {
    /// The sum in parts of at most so many blocks. Its bits do not depend on how many.
    pub(super) fn compute(&self, y: &mut [f32], segments: &[Segment], most: usize) {
        let parts = match self.operands[0].two {
            true => parts(&with_second_factors(self.operands, segments), most),
            false => parts(segments, most),
        };
        let longest: usize = parts[0].iter().map(|segment| segment.blocks).sum();
        let across = self.columns.div_ceil(BAND);
        // The panels of a group come from the second cache for all bands but the first.
        let groups = (2 * across * longest).div_ceil(CACHED).clamp(1, across);
        for i in 0..groups {
            let group = across * i / groups..across * (i + 1) / groups;
            match &parts[..] {
                [all] => self.at_once(y, group, all),
                parts => self.in_parts(y, group, parts),
            }
        }
    }

    /// Puts the sums for a group of columns, 32 each, into all rows of y.
    fn at_once(&self, y: &mut [f32], group: Range<usize>, segments: &[Segment]) {
        let columns = self.columns;
        for (band, y) in y.chunks_mut(BAND * columns).enumerate() {
            for across in group.clone() {
                let whole = y.len() == BAND * columns && (across + 1) * BAND <= columns;
                if whole && !self.turned && !self.add {
                    let at = [[0, 0], [0, EDGE], [EDGE, 0], [EDGE, EDGE]]
                        .map(|[row, column]| row * columns + across * BAND + column);
                    let output = Output {
                        values: y,
                        at,
                        row: columns,
                        resumed: false,
                    };
                    self.multiply([band, across], segments, output);
                    continue;
                }
                let mut square = Square::default();
                self.multiply([band, across], segments, into(&mut square, false));
                self.put(&mut square, y, across);
            }
        }
    }

    /// The same for long sums: of all panels one part after another, as a panel alone would fill the cache.
    fn in_parts(&self, y: &mut [f32], group: Range<usize>, parts: &[Vec<Segment>]) {
        let bands = y.len().div_ceil(BAND * self.columns);
        let mut squares = vec![Square::default(); bands * group.len()];
        for (i, part) in parts.iter().enumerate() {
            for (band, squares) in squares.chunks_mut(group.len()).enumerate() {
                for (across, square) in group.clone().zip(squares) {
                    self.multiply([band, across], part, into(square, i > 0));
                }
            }
        }
        let bands = y.chunks_mut(BAND * self.columns);
        for (y, squares) in bands.zip(squares.chunks_mut(group.len())) {
            for (across, square) in group.clone().zip(squares) {
                self.put(square, y, across);
            }
        }
    }

    /// Multiplies for 32 rows of y and 32 columns. Inlined down to the instructions, as the panels, when they pass through
    /// memory, are written by halves and read at once: each read waits until the last sums are stored.
    #[inline(always)]
    fn multiply(&self, [band, across]: [usize; 2], segments: &[Segment], output: Output) {
        let (row, column) = (self.first + 2 * band, 2 * across);
        let panels = if self.turned {
            [column, row]
        } else {
            [row, column]
        };
        let ([a, b], [of_a, of_b]) = (self.operands, panels);
        let a = [a.panel(of_a), a.panel(of_a + 1)];
        let b = [b.panel(of_b), b.panel(of_b + 1)];
        self.unit.multiply(a, b, segments, output);
    }

    /// Puts sums into 32 rows of y, or adds them.
    fn put(&self, square: &mut Square, y: &mut [f32], across: usize) {
        for (i, sums) in square.iter_mut().enumerate() {
            if self.turned {
                transpose(sums);
            }
            let [down, right] = if self.turned {
                [i % 2, i / 2]
            } else {
                [i / 2, i % 2]
            };
            let rows = y.chunks_mut(self.columns).skip(down * EDGE);
            for (y, sums) in rows.zip(sums.iter()) {
                if let Some(y) = y.get_mut(across * BAND + right * EDGE..) {
                    put(y, sums, self.add);
                }
            }
        }
    }
}

/// Into a square, or, `resumed`, on from its sums.
fn into(square: &mut Square, resumed: bool) -> Output<'_> {
    Output {
        values: square.as_flattened_mut().as_flattened_mut(),
        at: [0, 1, 2, 3].map(|i| i * EDGE * EDGE),
        row: EDGE,
        resumed,
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
