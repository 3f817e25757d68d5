//! Convolutions and dense layers as products of blocks: what a pixel or a tap sums up is a list of segments.

use super::operand::{Operand, Side, product};
use super::tile::{BLOCK, EDGE};
use super::unit::Segment;
use crate::ops::conv::Context;
use crate::ops::geometry::Conv;
use crate::ops::precision::Factors;
use crate::team::for_each;

/// Rows of a dense layer's product that a thread takes at a time.
const ROWS: usize = 4 * EDGE;

impl Conv {
    /// Whether its products are in bfloat16: asked for, and not of so few values that packing them costs more.
    pub(in crate::ops) fn is_bf16(&self, factors: Factors) -> bool {
        let few = self.patch().min(self.small.c) < EDGE;
        factors != Factors::F32 && !self.is_thin() && !(self.is_dense() && few)
    }

    /// [`Conv::pass`] in bfloat16.
    pub(in crate::ops) fn pass_bf16(
        &self,
        up: bool,
        weights: &[f32],
        x: &[f32],
        y: &mut [f32],
        n: usize,
        context: Context,
    ) {
        let weights = &weights[..self.weight_len()];
        match (self.is_dense(), up) {
            (true, _) => self.dense_bf16(up, weights, x, y, n, context),
            (false, true) => self.up_bf16(weights, x, y, n, context),
            (false, false) => self.down_bf16(weights, x, y, n, context),
        }
    }

    fn dense_bf16(
        &self,
        up: bool,
        weights: &[f32],
        x: &[f32],
        y: &mut [f32],
        n: usize,
        context: Context,
    ) {
        let (inputs, outputs) = (self.patch(), self.small.c);
        // Tiles of one of the two, and where it is the batch's also those of y, have to be turned over: the fewer.
        let turned = !up && n * (inputs + outputs) < inputs * outputs;
        let [x_side, w_side] = if turned {
            [Side::Left, Side::Right]
        } else {
            [Side::Right, Side::Left]
        };
        let weights = Operand::new(weights, [inputs, outputs], up, w_side, context);
        let x = Operand::new(x, [x.len() / n, n], false, x_side, context);
        let operands = if turned {
            [&x, &weights]
        } else {
            [&weights, &x]
        };
        let blocks = if up { outputs } else { inputs }.div_ceil(BLOCK);
        let all = [Segment::new(0, 0, blocks)];
        let rows = y.chunks_mut(ROWS * n).enumerate();
        for_each(rows, |(i, y)| {
            product(operands, &all, (y, n), i * ROWS / EDGE, turned, false)
        });
    }

    fn down_bf16(
        &self,
        weights: &[f32],
        big: &[f32],
        small: &mut [f32],
        n: usize,
        context: Context,
    ) {
        let (bc, sc) = (self.big.c, self.small.c);
        let blocks = bc.div_ceil(BLOCK);
        let weights = Operand::new(weights, [bc, sc], false, Side::Left, context);
        let big = Operand::new(big, [bc, n], false, Side::Right, context);
        for_each(small.chunks_mut(sc * n).enumerate(), |(o, small)| {
            let (oy, ox) = (o / self.small.w, o % self.small.w);
            let [ys, xs] = self.taps(oy, ox);
            let rows = ys.filter(|_| !xs.is_empty()).map(|ty| {
                let (y, x) = self.big_pixel(oy, ox, ty, xs.start);
                let (tap, pixel) = (ty * self.kernel + xs.start, y * self.big.w + x);
                Segment::new(tap, pixel, xs.len() * blocks)
            });
            product(
                [&weights, &big],
                &rows.collect::<Vec<_>>(),
                (small, n),
                0,
                false,
                false,
            );
        });
    }

    fn up_bf16(&self, weights: &[f32], small: &[f32], big: &mut [f32], n: usize, context: Context) {
        let (bc, sc) = (self.big.c, self.small.c);
        let blocks = sc.div_ceil(BLOCK);
        let weights = Operand::new(weights, [bc, sc], true, Side::Left, context);
        let small = Operand::new(small, [sc, n], false, Side::Right, context);
        for_each(big.chunks_mut(bc * n).enumerate(), |(i, big)| {
            let seeing = self
                .rows_seeing(i / self.big.w)
                .flat_map(|y| self.columns_seeing(i % self.big.w).map(move |x| [y, x]));
            let taps = seeing.map(|[(ty, oy), (tx, ox)]| {
                let (tap, o) = (ty * self.kernel + tx, oy * self.small.w + ox);
                Segment::new(tap, o, blocks)
            });
            product(
                [&weights, &small],
                &taps.collect::<Vec<_>>(),
                (big, n),
                0,
                false,
                false,
            );
        });
    }

    /// [`Conv::weights`] in bfloat16.
    pub(in crate::ops) fn weights_bf16(
        &self,
        (big, small): (&[f32], &[f32]),
        gradient: &mut [f32],
        add: bool,
        n: usize,
        context: Context,
    ) {
        let (bc, sc) = (self.big.c, self.small.c);
        if self.is_dense() {
            let dense = DenseGradient::new(self, (big, small), n, context);
            let rows = gradient.chunks_mut(ROWS * sc).enumerate();
            return for_each(rows, |(i, rows)| dense.block(i * ROWS, rows, add));
        }
        let blocks = n.div_ceil(BLOCK);
        let big = Operand::new(big, [bc, n], true, Side::Left, context);
        let small = Operand::new(small, [sc, n], true, Side::Right, context);
        for_each(
            gradient.chunks_mut(bc * sc).enumerate(),
            |(tap, gradient)| {
                let pixels = self
                    .pixels_through(tap)
                    .map(|(pixel, o)| Segment::new(pixel, o, blocks));
                product(
                    [&big, &small],
                    &pixels.collect::<Vec<_>>(),
                    (gradient, sc),
                    0,
                    false,
                    add,
                );
            },
        );
    }
}

/// The gradient of a dense layer's weights, (inputs, outputs), to be multiplied out in blocks.
pub(in crate::ops) struct DenseGradient {
    inputs: Operand,
    outputs: Operand,
    all: Segment,
    columns: usize,
}

impl DenseGradient {
    /// From the values, or the gradients, of the layer's input and output.
    pub(in crate::ops) fn new(
        conv: &Conv,
        (inputs, outputs): (&[f32], &[f32]),
        n: usize,
        context: Context,
    ) -> Self {
        let (rows, columns) = (conv.patch(), conv.small.c);
        DenseGradient {
            inputs: Operand::new(inputs, [rows, n], true, Side::Left, context),
            outputs: Operand::new(outputs, [columns, n], true, Side::Right, context),
            all: Segment::new(0, 0, n.div_ceil(BLOCK)),
            columns,
        }
    }

    /// Its rows from `first` on, a multiple of 16, that have room in `rows`; added to what is there, or in its place.
    pub(in crate::ops) fn block(&self, first: usize, rows: &mut [f32], add: bool) {
        let operands = [&self.inputs, &self.outputs];
        let to = (rows, self.columns);
        product(operands, &[self.all], to, first / EDGE, false, add);
    }
}
