//! Shifts and rotations in the discriminator's view: what they do to images, and their gradient.

use crate::helpers::small::{digits, small};
use crate::helpers::values::{message, values};
use digit_gan::Result;
use digit_gan::prelude::*;
use digit_gan::record::read_stats;

const MOVES: Augment = Augment {
    shift: 2.,
    rotation: 10.,
};

fn shifts(shift: f64) -> Augment {
    Augment {
        shift,
        rotation: 0.,
    }
}

/// Black, with these pixels (y, x) white.
fn dots(size: usize, white: &[(usize, usize)]) -> Tensor {
    let mut image = vec![-1f32; size * size];
    white.iter().for_each(|(y, x)| image[y * size + x] = 1.);
    Tensor::from_vec(image, (1, 1, size, size), &Device::Cpu).unwrap()
}

/// The ink of an image, and the centre of its mass (y, x).
fn ink(image: &Tensor) -> (f32, [f32; 2]) {
    let width = image.dim(3).unwrap();
    let (mut sum, mut centre) = (0., [0.; 2]);
    for (at, value) in values(image).into_iter().enumerate() {
        let ink = (value + 1.) / 2.;
        sum += ink;
        centre[0] += ink * (at / width) as f32;
        centre[1] += ink * (at % width) as f32;
    }
    (sum, centre.map(|moment| moment / sum))
}

#[test]
fn nothing_moves_where_nothing_may() -> Result<()> {
    let images = Rng::seed(1).uniform((3, 2, 7, 5), -1., 1.)?;
    let same = shifts(0.).apply(&images, &Rng::seed(2))?;
    assert_eq!(values(&images), values(&same));
    Ok(())
}

#[test]
fn ink_moves_as_far_as_it_may_and_each_image_by_itself() -> Result<()> {
    let image = dots(15, &[(7, 7)]).repeat((200, 1, 1, 1))?;
    let moved = shifts(3.).apply(&image, &Rng::seed(3))?;
    let mut furthest = [0f32; 2];
    for i in 0..200 {
        let (sum, centre) = ink(&moved.narrow(0, i, 1)?);
        assert!((sum - 1.).abs() < 1e-4, "{sum}");
        for (furthest, at) in furthest.iter_mut().zip(centre) {
            *furthest = furthest.max((at - 7.).abs());
        }
    }
    assert!(
        furthest.iter().all(|far| (2.8..=3.).contains(far)),
        "{furthest:?}"
    );
    Ok(())
}

#[test]
fn images_turn_about_their_centre() -> Result<()> {
    // Two dots at equal distances left and right of the centre stay so, and turn by up to 30 degrees.
    let image = dots(21, &[(10, 2), (10, 18)]).repeat((100, 1, 1, 1))?;
    let turned = Augment {
        shift: 0.,
        rotation: 30.,
    };
    let turned = turned.apply(&image, &Rng::seed(4))?;
    let mut steepest = [0f32; 2];
    for i in 0..100 {
        let image = turned.narrow(0, i, 1)?;
        let (_, centre) = ink(&image);
        assert!(centre.iter().all(|at| (at - 10.).abs() < 0.1), "{centre:?}");
        let (_, [y, x]) = ink(&image.narrow(3, 0, 11)?); // the left dot
        let angle = (y - 10.).atan2(10. - x).to_degrees();
        steepest = [steepest[0].max(angle), steepest[1].max(-angle)];
    }
    assert!(
        steepest.iter().all(|angle| (25. ..=31.).contains(angle)),
        "{steepest:?}"
    );
    Ok(())
}

#[test]
fn what_comes_in_from_outside_is_background() -> Result<()> {
    let black = dots(9, &[]);
    let moved = shifts(4.).apply(&black, &Rng::seed(5))?;
    assert!(values(&moved).iter().all(|value| *value == -1.));
    // White images: what is not white any more is black, and never something beyond the two.
    let white = Tensor::ones((8, 1, 9, 9), DType::F32, &Device::Cpu)?;
    let moved = values(&MOVES.apply(&white, &Rng::seed(5))?);
    assert!(
        moved
            .iter()
            .all(|value| (-1.00001..=1.00001).contains(value))
    );
    assert!(moved.contains(&-1.));
    Ok(())
}

#[test]
fn the_gradient_is_that_of_finite_differences() -> Result<()> {
    let shape = (2, 2, 6, 5);
    let images = Var::from_tensor(&Rng::seed(6).uniform(shape, -1., 1.)?)?;
    let weights = Rng::seed(7).normal(shape)?;
    let loss = |images: &Tensor| -> Result<Tensor> {
        let seen = MOVES.apply(images, &Rng::seed(8))?;
        Ok((seen.sqr()? * &weights)?.sum_all()?)
    };
    let gradients = loss(&images)?.backward()?;
    let gradient = values(gradients.get(&images).unwrap());
    let (pixels, step) = (values(&images), 1e-2);
    for at in 0..pixels.len() {
        let shifted = |by: f32| -> Result<f32> {
            let mut pixels = pixels.clone();
            pixels[at] += by;
            let images = Tensor::from_vec(pixels, shape, &Device::Cpu)?;
            Ok(loss(&images)?.to_scalar::<f32>()?)
        };
        let slope = (shifted(step)? - shifted(-step)?) / (2. * step);
        assert!(
            (slope - gradient[at]).abs() < 2e-3,
            "{at}: {slope}, {}",
            gradient[at]
        );
    }
    Ok(())
}

#[test]
fn a_discriminator_sees_moved_images_and_the_folder_keeps_straight_ones() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |augment| Recipe {
        augment,
        ..small(Recipe::dense())
    };
    let losses = |name: &str, augment| -> Result<Vec<f64>> {
        let run = folder.path().join(name);
        Trainer::new(recipe(augment), &digits(), &run)?.run()?;
        Ok(read_stats(run)?.iter().map(|line| line.d_loss).collect())
    };
    let (without, with) = (losses("without", None)?, losses("with", Some(MOVES))?);
    assert_ne!(without, with);
    assert_eq!(with, losses("again", Some(MOVES))?);
    Ok(())
}

#[test]
fn a_recipe_without_the_field_is_one_without_augmentation() -> Result<()> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let recipe = Recipe {
        augment: Some(MOVES),
        ..Recipe::lean()
    };
    recipe.save(file.path())?;
    assert_eq!(Recipe::load(file.path())?, recipe);
    Recipe::lean().save(file.path())?;
    let text = std::fs::read_to_string(file.path()).unwrap();
    let old = text.replace("  \"augment\": null,\n", "");
    assert_ne!(old, text);
    std::fs::write(file.path(), old).unwrap();
    assert_eq!(Recipe::load(file.path())?, Recipe::lean());
    let mut recipe = Recipe::lean();
    recipe.set("augment", r#"{"shift": 2, "rotation": 10}"#)?;
    assert_eq!(recipe.augment, Some(MOVES));
    Ok(())
}

#[test]
fn what_is_not_a_batch_of_images_is_refused() -> Result<()> {
    let rng = Rng::seed(9);
    let flat = rng.normal((2, 784))?;
    assert!(
        message(MOVES.apply(&flat, &rng)).contains("(batch, channels, height, width) but found")
    );
    let doubles = rng.normal((2, 1, 5, 5))?.to_dtype(DType::F64)?;
    assert!(message(MOVES.apply(&doubles, &rng)).contains("expected images in f32"));
    let images = rng.normal((2, 1, 5, 5))?;
    assert!(message(shifts(f64::INFINITY).apply(&images, &rng)).contains("must be finite"));
    let none = rng.normal((0, 1, 5, 5))?;
    assert_eq!(MOVES.apply(&none, &rng)?.dims(), [0, 1, 5, 5]);
    Ok(())
}
