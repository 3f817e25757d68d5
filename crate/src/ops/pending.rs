//! Gradients of dense layers that wait to be multiplied out.
//!
//! Such a gradient is a thin product, of the batch, and as large as the weights: to write it, to add that of a second batch
//! and to read the sum costs more time than to compute it. So it waits until the optimizer takes it block by block.

use super::bf16::DenseGradient;
use super::buffer::{Buffer, Pool, Shared};
use super::conv::Context;
use super::elementwise::transpose;
use super::gemm::{Matrix, product};
use super::geometry::Conv;
use super::precision::Factors;
use super::step::Gradient;
use crate::profile::{Part, timed};

/// A layer of fewer weights is multiplied out at once: they stay in the cache.
const MANY: usize = 128 * 1024;
/// So is one of fewer columns, or of fewer rows in the last block: gemm has other ways for those.
const LEAST: [usize; 2] = [128, 8];
/// So are the products of larger batches, in f32 and in bfloat16: they take longer than what is saved, and are faster whole.
const MOST: [usize; 2] = [64, 256];
/// Rows of a block: enough for the products, few enough for the second cache.
pub(super) const ROWS: usize = 64;

/// The gradient of the weights of a dense layer, from what belongs to its input and its output.
pub(crate) struct Pending {
    pub conv: Conv,
    /// Where the weights begin in the row of parameters.
    pub at: usize,
    /// What belongs to the big and the small image.
    pub images: [Shared; 2],
    /// Whether it is added to what is there, or takes its place.
    pub add: bool,
    pub n: usize,
    pub factors: Factors,
    pub pool: Pool,
}

impl Pending {
    /// To be multiplied out later, where that is worth it and may be, or else at once.
    pub(crate) fn add(self, Gradient { row, pending, .. }: &mut Gradient) {
        match pending {
            // What is added to something that waits has to wait too.
            Some(pending) if self.pays() || pending.iter().any(|first| first.at == self.at) => {
                pending.push(self);
            }
            _ => self.put(row),
        }
    }

    fn pays(&self) -> bool {
        let Pending { conv, n, .. } = self;
        let is_bf16 = conv.is_bf16(self.factors);
        let last = (conv.patch() - 1) % ROWS + 1;
        conv.is_dense()
            && conv.weight_len() >= MANY
            && conv.small.c >= LEAST[0]
            && last >= LEAST[1]
            && *n <= MOST[usize::from(is_bf16)]
    }

    /// Multiplied out, into its place in a row of gradients.
    pub(super) fn put(&self, row: &mut [f32]) {
        let [big, small] = &self.images;
        let gradient = &mut row[self.at..][..self.conv.weight_len()];
        let context = self.context();
        let Pending { conv, add, n, .. } = self;
        conv.weights((big, small), gradient, *add, *n, context);
    }

    pub(super) fn factored(&self) -> Factored<'_> {
        let [big, small] = &self.images;
        let Pending { conv, n, .. } = self;
        if conv.is_bf16(self.factors) {
            let gradient = DenseGradient::new(conv, (big, small), *n, self.context());
            return Factored::Bf16(gradient);
        }
        let mut turned = self.pool.get(small.len());
        timed(Part::Order, || {
            transpose(small, conv.small.c, *n, &mut turned)
        });
        Factored::F32 {
            big,
            small: turned,
            n: *n,
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            factors: self.factors,
            pool: &self.pool,
        }
    }
}

/// What a gradient is the product of, in the order in which it is read.
pub(super) enum Factored<'a> {
    F32 {
        big: &'a [f32],
        /// Turned over: (batch, output).
        small: Buffer,
        n: usize,
    },
    Bf16(DenseGradient),
}

impl Factored<'_> {
    /// The rows from `first` on that have room in `block`; added to what is there, or in its place.
    pub(super) fn block(&self, first: usize, block: &mut [f32], add: bool) {
        match self {
            Factored::F32 { big, small, n } => {
                let columns = small.len() / n;
                let (a, b) = (
                    Matrix::new(&big[first * n..], *n),
                    Matrix::new(small, columns),
                );
                product(a, b, [block.len() / columns, *n, columns], block, add);
            }
            Factored::Bf16(gradient) => gradient.block(first, block, add),
        }
    }
}
