//! Connected components: the pieces of ink of a picture.

use image::GrayImage;

/// A piece of ink: pixels that touch, at a side or at a corner.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// Left, top, and behind the right and the bottom.
    pub bounds: [usize; 4],
    /// The number of pixels.
    pub area: usize,
    /// The level of its strongest pixel.
    pub strongest: u8,
}

/// The pieces that the pixels above `level` make, and for each pixel 1 + the index of its piece, or 0.
pub(super) fn find(ink: &GrayImage, level: u8) -> (Vec<Component>, Vec<u32>) {
    let (width, height) = (ink.width() as usize, ink.height() as usize);
    let levels = ink.as_raw();
    let mut owner = vec![0; levels.len()];
    let mut found = Vec::new();
    let mut reached = Vec::new();
    for start in 0..levels.len() {
        if levels[start] <= level || owner[start] != 0 {
            continue;
        }
        let name = found.len() as u32 + 1;
        let mut component = Component {
            bounds: [width, height, 0, 0],
            area: 0,
            strongest: 0,
        };
        owner[start] = name;
        reached.push(start);
        while let Some(at) = reached.pop() {
            let (x, y) = (at % width, at / width);
            component.add(x, y, levels[at]);
            for y in y.saturating_sub(1)..height.min(y + 2) {
                for x in x.saturating_sub(1)..width.min(x + 2) {
                    let next = y * width + x;
                    if levels[next] > level && owner[next] == 0 {
                        owner[next] = name;
                        reached.push(next);
                    }
                }
            }
        }
        found.push(component);
    }
    (found, owner)
}

impl Component {
    fn add(&mut self, x: usize, y: usize, level: u8) {
        self.bounds = union(self.bounds, [x, y, x + 1, y + 1]);
        self.area += 1;
        self.strongest = self.strongest.max(level);
    }
}

/// The smallest rectangle around both.
pub(super) fn union(a: [usize; 4], b: [usize; 4]) -> [usize; 4] {
    let [left, top] = [0, 1].map(|i| a[i].min(b[i]));
    let [right, bottom] = [2, 3].map(|i| a[i].max(b[i]));
    [left, top, right, bottom]
}
