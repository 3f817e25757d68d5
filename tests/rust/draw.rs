//! The page that draws: what it holds, how large it is, and what it refuses; tests/python/test_draw.py opens it in a
//! browser.

use crate::helpers::values::message;
use digit_gan::draw::DrawingPage;
use digit_gan::latent;
use digit_gan::prelude::*;

/// A generator of ten classes, or none, whose running statistics are not those that it began with.
fn generator(classes: usize) -> Network {
    let rng = Rng::seed(1);
    let generator = Sequential::new("generator", [8 + classes])
        .dense(4 * 49)
        .no_bias()
        .batch_norm(0.5)
        .leaky_relu(0.2)
        .reshape([4, 7, 7])
        .conv_transpose2d(4, 4, 2)
        .batch_norm(0.5)
        .upsample2d(2)
        .conv2d(1, 3, 1)
        .tanh()
        .build(&rng)
        .unwrap();
    for _ in 0..5 {
        let input = rng.normal((32, 8 + classes)).unwrap();
        generator.forward_t(&input, true).unwrap();
    }
    generator
}

fn directions(latent: usize) -> latent::Directions {
    let noise = Rng::seed(2).normal((100, latent)).unwrap();
    latent::directions(&noise, &noise, None).unwrap()
}

#[test]
fn a_page_is_one_piece_of_html_with_the_generator_in_it() {
    let page = DrawingPage::conditional(&generator(10), 0..10).unwrap();
    let page = page.directions(&directions(8), &["a \"b\" <c> & d", "e"]);
    let html = page.unwrap().html();
    assert!(html.starts_with("<figure") && html.ends_with("</script>"));
    assert!(
        !html.contains("http") && !html.contains("<c>"),
        "{html:.400}"
    );
    assert!(
        html.contains("a \\&quot;b\\&quot; &lt;c&gt; &amp; d"),
        "{html:.400}"
    );
    // MathJax, in a notebook, would take what stands between two of them for a formula.
    assert!(!html.contains('$'));
    // Batch normalisation is in the weights.
    assert!(html.contains("conv_transpose2d") && !html.contains("&quot;batch_norm&quot;"));
    // No controls without the script, which makes them.
    let (still, _script) = html.split_once("<script").unwrap();
    assert_eq!(still.matches("<img").count(), 1);
    assert!(!still.contains("<input") && !still.contains("<canvas"));
}

#[test]
fn batch_norm_behind_an_activation_stays() {
    let rng = Rng::seed(1);
    let generator = Sequential::new("generator", [8]).dense(16).relu();
    let generator = generator.batch_norm(0.9).dense(784).reshape([1, 28, 28]);
    let html = DrawingPage::new(&generator.build(&rng).unwrap())
        .unwrap()
        .html();
    assert!(html.contains("&quot;batch_norm&quot;"));
}

#[test]
fn a_page_says_how_precise_it_is() {
    let page = DrawingPage::new(&generator(0)).unwrap();
    let about = page.about();
    assert!(about.contains("with 10 bits behind"), "{about}");
    let (_, apart) = about.split_once("differs by more than ").unwrap();
    let apart: f64 = apart.split(' ').next().unwrap().parse().unwrap();
    assert!((0. ..0.5).contains(&apart), "{about}");
    assert!(page.html().contains(about));
}

#[test]
fn a_page_is_saved_as_html() {
    let folder = tempfile::tempdir().unwrap();
    let page = DrawingPage::new(&generator(0)).unwrap();
    let path = folder.path().join("digits.html");
    page.save(&path).unwrap();
    let file = std::fs::read_to_string(&path).unwrap();
    assert!(file.starts_with("<!doctype html>") && file.contains(&page.html()));
    assert!(file.contains("width=device-width"), "phones");
    let refused = message(page.save(folder.path().join("digits.png")));
    assert!(refused.contains(".html"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A generator with 885 weights for each of these units.
fn wide(units: usize) -> Network {
    let generator = Sequential::new("generator", [100]).dense(units).relu();
    let generator = generator.dense(784).tanh().reshape([1, 28, 28]);
    generator.build(&Rng::seed(1)).unwrap()
}

#[test]
fn weights_get_fewer_bits_where_more_have_no_room() {
    let page = DrawingPage::new(&wide(1_900)).unwrap(); // 1.7 million
    assert!(page.about().contains("10 bits"), "{page:?}");
    assert!(page.html().len() < 4_000_000);

    let page = DrawingPage::new(&wide(2_150)).unwrap();
    assert!(page.about().contains("9 bits"), "{page:?}");
    assert!(page.html().len() < 4_000_000);

    let refused = message(DrawingPage::new(&wide(4_000)));
    assert!(
        refused.contains("3540784 weights") && refused.contains("4 are the most"),
        "{refused}"
    );
}

#[test]
fn what_half_precision_would_change_is_refused() {
    let rng = Rng::seed(1);
    let generator = Sequential::new("generator", [8]).dense(784);
    let generator = generator.tanh().reshape([1, 28, 28]).build(&rng).unwrap();
    let weights = rng.normal((8, 784)).unwrap();
    // Steep enough that the last bits decide between black and white.
    generator
        .set("0.dense.weight", &(weights * 1e4).unwrap())
        .unwrap();
    let refused = message(DrawingPage::new(&generator));
    assert!(refused.contains("1 is the most"), "{refused}");
    let weights = Tensor::full(1e9f32, (8, 784), &Device::Cpu).unwrap();
    generator.set("0.dense.weight", &weights).unwrap();
    let refused = message(DrawingPage::new(&generator));
    assert!(refused.contains("1 is the most"), "{refused}");
}

#[test]
fn a_page_says_what_it_takes() {
    let rng = Rng::seed(1);
    let colour = Sequential::new("painter", [8]).dense(3 * 16);
    let colour = colour.reshape([3, 4, 4]).build(&rng).unwrap();
    let refused = message(DrawingPage::new(&colour));
    assert!(
        refused.contains("painter turns [8] into [3, 4, 4]"),
        "{refused}"
    );
    let none: [&str; 0] = [];
    let refused = message(DrawingPage::conditional(&generator(0), none));
    assert!(refused.contains("no names of classes"), "{refused}");
    let refused = message(DrawingPage::conditional(&generator(0), 0..8));
    assert!(refused.contains("the noise and 8 classes"), "{refused}");

    let page = || DrawingPage::conditional(&generator(10), 0..10).unwrap();
    let refused = message(page().directions(&directions(7), &["slant"]));
    assert!(refused.contains("[1, 8]"), "{refused}");
    let refused = message(page().directions(&directions(8), &["a"; 9]));
    assert!(refused.contains("no direction 8"), "{refused}");
    let zero = Tensor::zeros((1, 8), DType::F32, &Device::Cpu).unwrap();
    let refused = message(page().slider("nowhere", &zero));
    assert!(refused.contains("slider nowhere") && refused.contains("length 0"));
    let full = page().directions(&directions(8), &["a"; 8]).unwrap();
    let refused = message(full.slider("ninth", &directions(8).get(0).unwrap()));
    assert!(refused.contains("8 sliders already"), "{refused}");
}
