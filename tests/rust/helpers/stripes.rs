//! Images that are no digits of MNIST's kind: another size, another number of classes.

use digit_gan::prelude::*;

pub const SIZE: [usize; 2] = [12, 16];

/// `n` images of 12 x 16 grey noise, in which the row of the class is white. Classes a, b, c, ... alternate.
pub fn stripes(n: usize, classes: u8, seed: u64) -> Digits {
    let [height, width] = SIZE;
    let noise = Rng::seed(seed).uniform(n * height * width, 0., 100.);
    let noise: Vec<f32> = noise.unwrap().to_vec1().unwrap();
    let mut bytes: Vec<u8> = noise.into_iter().map(|grey| grey as u8).collect();
    let labels: Vec<u8> = (0..n).map(|i| (i % usize::from(classes)) as u8).collect();
    for (image, &label) in bytes.chunks_exact_mut(height * width).zip(&labels) {
        image[usize::from(label) * width..][..width].fill(255);
    }
    let names = (0..classes).map(|class| char::from(b'a' + class).to_string());
    Digits::new(bytes, SIZE, labels, names).unwrap()
}
