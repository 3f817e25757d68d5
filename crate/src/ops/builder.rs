//! From layers to a plan.

use super::elementwise::swap_rows;
use super::geometry::Size;
use super::{At, Backward, Buffer, Forward, Kept, Plan, Shared, Step};
use crate::profile::Part;

/// A plan that grows layer by layer.
pub(crate) struct Builder {
    steps: Vec<Box<dyn Step>>,
    /// Values per sample in front of the first step and after each.
    sizes: Vec<usize>,
    /// The shape of a sample so far.
    shape: Vec<usize>,
    /// Whether rows are (pixel, channel), as convolutions and norms want them, or (channel, pixel), as candle has them.
    pixels_first: bool,
}

impl Builder {
    /// For samples of this shape.
    pub(crate) fn new(input: &[usize]) -> Self {
        Builder {
            steps: Vec::new(),
            sizes: vec![input.iter().product()],
            shape: input.to_vec(),
            pixels_first: false,
        }
    }

    /// The shape of a sample so far.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The image of a sample so far, for a step that takes (pixel, channel).
    pub(crate) fn image(&mut self) -> Size {
        self.pixels_first(true);
        self.shape.as_slice().into()
    }

    /// Adds a step with outputs of this shape.
    pub(crate) fn push(&mut self, step: impl Step + 'static, output: &[usize]) {
        self.steps.push(Box::new(step));
        self.shape = output.to_vec();
        self.sizes.push(output.iter().product());
    }

    /// Has the last step multiply what is negative by `slope`, if it can.
    pub(crate) fn fuse(&mut self, slope: f32) -> bool {
        let last = self.steps.last_mut().and_then(|step| step.slope());
        let free = last.filter(|fused| **fused == 1.);
        free.map(|fused| *fused = slope).is_some()
    }

    /// Gives the same values, in candle's order, another shape.
    pub(crate) fn reshape(&mut self, output: &[usize]) {
        self.pixels_first(false);
        self.shape = output.to_vec();
    }

    /// Brings the values into the order that the next step takes.
    pub(crate) fn pixels_first(&mut self, pixels_first: bool) {
        let (channels, pixels) = (self.shape[0], self.shape[1..].iter().product());
        if self.pixels_first != pixels_first && channels > 1 && pixels > 1 {
            let (a, b) = match pixels_first {
                true => (channels, pixels),
                false => (pixels, channels),
            };
            self.push(Swap { a, b }, &self.shape.clone());
        }
        self.pixels_first = pixels_first;
    }

    /// The plan, whose outputs are in candle's order.
    pub(crate) fn finish(mut self) -> Plan {
        self.pixels_first(false);
        Plan::new(self.steps, self.sizes)
    }
}

/// Rows (a, b) to (b, a): between the order of candle's images and ours.
struct Swap {
    a: usize,
    b: usize,
}

impl Step for Swap {
    fn part(&self) -> Part {
        Part::Order
    }

    fn forward(&self, pass: &mut Forward, x: &[f32], y: &mut [f32]) -> Kept {
        swap_rows(x, self.a, self.b, y, pass.n);
        None
    }

    fn backward(&self, pass: &mut Backward, _: At, d: Buffer) -> Option<Buffer> {
        let mut dx = pass.pool.get(d.len());
        swap_rows(&d, self.b, self.a, &mut dx, pass.n);
        Some(dx)
    }

    fn tangent(&self, pass: &mut Backward, _: At, _: Option<&Shared>, t: Buffer) -> Buffer {
        let mut y = pass.pool.get(t.len());
        swap_rows(&t, self.a, self.b, &mut y, pass.n);
        y
    }
}
