//! Which pixels a convolution connects.

use std::ops::Range;

/// Height, width and channels of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Size {
    pub(super) fn values(&self) -> usize {
        self.h * self.w * self.c
    }
}

/// From candle's order, of an image's shape.
impl From<&[usize]> for Size {
    fn from(shape: &[usize]) -> Self {
        let &[c, h, w] = shape else {
            unreachable!("layers that take images have checked that it is one")
        };
        Size { h, w, c }
    }
}

/// A relation between images: the small pixel `o` sees the big pixel `o * stride + tap - padding` through the weights of
/// `tap`. Weights are (tap y, tap x, big channel, small channel).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conv {
    pub big: Size,
    pub small: Size,
    pub kernel: usize,
    pub stride: usize,
    /// Rows above and columns left of the big image.
    pub padding: [usize; 2],
}

impl Conv {
    /// The taps down and across through which small pixel (oy, ox) sees the big image.
    pub(super) fn taps(&self, oy: usize, ox: usize) -> [Range<usize>; 2] {
        let along = |o: usize, big: usize, padding: usize| {
            let at = o * self.stride;
            let first = padding.saturating_sub(at);
            let last = (big + padding).saturating_sub(at).min(self.kernel);
            first..last.max(first)
        };
        let [above, left] = self.padding;
        [along(oy, self.big.h, above), along(ox, self.big.w, left)]
    }

    /// What small pixel (oy, ox) sees through a tap that is one of its [`Conv::taps`].
    pub(super) fn big_pixel(&self, oy: usize, ox: usize, ty: usize, tx: usize) -> (usize, usize) {
        let at = |o, tap, padding| o * self.stride + tap - padding;
        let [above, left] = self.padding;
        (at(oy, ty, above), at(ox, tx, left))
    }

    /// The (big pixel, small pixel) pairs that tap `tap` connects, counted row after row.
    pub(super) fn pixels_through(&self, tap: usize) -> impl Iterator<Item = (usize, usize)> {
        let (ty, tx) = (tap / self.kernel, tap % self.kernel);
        let rows = (0..self.small.h).filter(move |&oy| self.taps(oy, 0)[0].contains(&ty));
        rows.flat_map(move |oy| {
            let columns = (0..self.small.w).filter(move |&ox| self.taps(0, ox)[1].contains(&tx));
            columns.map(move |ox| {
                let (y, x) = self.big_pixel(oy, ox, ty, tx);
                (y * self.big.w + x, oy * self.small.w + ox)
            })
        })
    }

    /// The (tap, small position) pairs, in one direction, that see big position `i`.
    fn seen_by(
        &self,
        i: usize,
        padding: usize,
        small: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let (kernel, stride, at) = (self.kernel, self.stride, i + padding);
        (at % stride..kernel.min(at + 1))
            .step_by(stride)
            .map(move |tap| (tap, (at - tap) / stride))
            .filter(move |&(_, o)| o < small)
    }

    /// The (tap y, small y) pairs that see big row `i`.
    pub(super) fn rows_seeing(&self, i: usize) -> impl Iterator<Item = (usize, usize)> {
        self.seen_by(i, self.padding[0], self.small.h)
    }

    /// The (tap x, small x) pairs that see big column `i`.
    pub(super) fn columns_seeing(&self, i: usize) -> impl Iterator<Item = (usize, usize)> {
        self.seen_by(i, self.padding[1], self.small.w)
    }

    /// Values of what a small pixel sees.
    pub(super) fn patch(&self) -> usize {
        self.kernel * self.kernel * self.big.c
    }

    pub(crate) fn weight_len(&self) -> usize {
        self.patch() * self.small.c
    }

    /// A dense layer is a convolution between images of one pixel: its product is shared among all threads, where
    /// larger images are shared out by pixels.
    pub(super) fn is_dense(&self) -> bool {
        self.padding == [0, 0]
            && self.patch() == self.big.values()
            && self.small.h * self.small.w == 1
    }
}
