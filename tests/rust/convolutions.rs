//! Convolutions of generated shapes against their definition, written out as loops in f64: forward, and the gradients
//! of input, weights and bias.

use digit_gan::Result;
use digit_gan::candle::{DType, Device, Tensor, Var};
use digit_gan::nn::{Conv2d, ConvTranspose2d, Layer, Padding, Precision, Sequential};
use digit_gan::rng::Rng;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rayon::prelude::*;

/// A case; `transposed` swaps the roles of the two images.
#[derive(Clone, Debug)]
struct Case {
    transposed: bool,
    batch: usize,
    channels: [usize; 2],
    size: [usize; 2],
    kernel: usize,
    stride: usize,
    /// Of both sides, down and across.
    padding: [[usize; 2]; 2],
    output_padding: usize,
    bias: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let batch = prop_oneof![1..6usize, Just(16), Just(33)];
    let channels = [
        prop_oneof![1..5usize, Just(17)],
        prop_oneof![1..5usize, Just(19)],
    ];
    let padding = [[0..4usize, 0..4usize], [0..4usize, 0..4usize]];
    let geometry = (1..8usize, 1..4usize, padding, 0..3usize);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, batch, channels, [1..9usize, 1..9usize], geometry).prop_map(
        |((transposed, bias, even), batch, channels, size, geometry)| {
            let (kernel, stride, padding, output_padding) = geometry;
            Case {
                transposed,
                batch,
                channels,
                size,
                kernel,
                stride,
                padding: if even {
                    [[padding[0][0]; 2]; 2]
                } else {
                    padding
                },
                output_padding: output_padding % stride,
                bias,
            }
        },
    )
}

impl Case {
    fn layer(&self) -> Layer {
        let Case {
            kernel,
            stride,
            padding,
            output_padding,
            bias,
            ..
        } = *self;
        let (channels, [[top, bottom], [left, right]]) = (self.channels[1], padding);
        let padding = match top == bottom && top == left && top == right {
            true => Padding::Even(top),
            false => Padding::Sides(padding),
        };
        match self.transposed {
            false => Conv2d {
                channels,
                kernel,
                stride,
                padding,
                bias,
            }
            .into(),
            true => ConvTranspose2d {
                channels,
                kernel,
                stride,
                padding,
                output_padding,
                bias,
            }
            .into(),
        }
    }

    /// Calls `f(input index, output index, weight index)` for every product of the definition, for the given output.
    fn products(&self, out: [usize; 2], mut f: impl FnMut(usize, usize, usize)) {
        let ([ci, co], [h, w], k) = (self.channels, self.size, self.kernel);
        for n in 0..self.batch {
            for (i, o) in (0..ci).flat_map(|i| (0..co).map(move |o| (i, o))) {
                for (ty, tx) in (0..k).flat_map(|ty| (0..k).map(move |tx| (ty, tx))) {
                    // The image that is stepped through with the stride, and the other.
                    let stepped = if self.transposed { self.size } else { out };
                    let other = if self.transposed { out } else { self.size };
                    for (sy, sx) in
                        (0..stepped[0]).flat_map(|y| (0..stepped[1]).map(move |x| (y, x)))
                    {
                        let (y, x) = (sy * self.stride + ty, sx * self.stride + tx);
                        let [[above, _], [left, _]] = self.padding;
                        let inside = |at: Option<usize>, size| at.filter(|&at| at < size);
                        let (Some(y), Some(x)) = (
                            inside(y.checked_sub(above), other[0]),
                            inside(x.checked_sub(left), other[1]),
                        ) else {
                            continue;
                        };
                        let ((iy, ix), (oy, ox)) = if self.transposed {
                            ((sy, sx), (y, x))
                        } else {
                            ((y, x), (sy, sx))
                        };
                        let weight = if self.transposed {
                            i * co + o
                        } else {
                            o * ci + i
                        };
                        f(
                            ((n * ci + i) * h + iy) * w + ix,
                            ((n * co + o) * out[0] + oy) * out[1] + ox,
                            (weight * k + ty) * k + tx,
                        );
                    }
                }
            }
        }
    }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f64::from).collect()
}

/// A sum in f64, and the squares of its terms: what rounding does to it goes by their size, though they may cancel out.
#[derive(Clone, Copy, Default)]
struct Exact {
    sum: f64,
    squares: f64,
}

impl Exact {
    fn add(&mut self, term: f64) {
        self.sum += term;
        self.squares += term * term;
    }
}

/// The largest difference, of the largest sum or length of the terms, if that is above 1.
fn error(ours: &[f64], exact: &[Exact]) -> f64 {
    assert_eq!(ours.len(), exact.len());
    let sizes = exact.iter().map(|x| x.sum.abs().max(x.squares.sqrt()));
    let scale = sizes.fold(1f64, f64::max);
    let largest = |m: f64, (a, b): (&f64, &Exact)| match (a - b.sum).abs() {
        off if off.is_finite() => m.max(off),
        _ => f64::INFINITY,
    };
    ours.iter().zip(exact).fold(0., largest) / scale
}

/// The nearest values that bfloat16 has, so that products of them are as exact in it as in f32.
fn short(tensor: Tensor) -> Result<Tensor> {
    Ok(tensor.to_dtype(DType::BF16)?.to_dtype(DType::F32)?)
}

fn check(case: &Case) -> Result<bool> {
    let mut has_output = true;
    for precision in [Precision::F32, Precision::Mixed, Precision::Bf16] {
        let errors = errors(case, precision)?;
        has_output = errors.is_some();
        for (what, error) in errors.into_iter().flatten() {
            assert!(
                error < 1e-5,
                "{what} is off by {error:.1e}: {precision:?} {case:?}"
            );
        }
    }
    Ok(has_output)
}

/// How far output and gradients are from their definition; none where there is no output.
fn errors(case: &Case, precision: Precision) -> Result<Option<Vec<(&'static str, f64)>>> {
    let rng = Rng::seed(1);
    let ([ci, co], [h, w]) = (case.channels, case.size);
    let Ok(network) = Sequential::new("conv", [ci, h, w])
        .layer(case.layer())
        .build(&rng)
    else {
        return Ok(None); // no output: refused, as it should be
    };
    let network = network.with_precision(precision);
    let weight = &network.named_parameters()?[0];
    network.set(&weight.0, &short(weight.1.copy()?)?)?;
    if case.bias {
        network.set(&format!("{}.bias", prefix(case)), &rng.normal(co)?)?;
    }
    // Not contiguous on purpose: (w, h) read as (h, w).
    let x = Var::from_tensor(&short(rng.normal((case.batch, ci, w, h))?)?)?;
    let seen = x.transpose(2, 3)?;
    let y = network.forward_t(&seen, true)?;
    let dy = short(rng.normal(y.shape())?)?;
    let grads = (&y * &dy)?.sum_all()?.backward()?;

    let out = [y.dim(2)?, y.dim(3)?];
    let parameters = network.named_parameters()?;
    let (input, weights, given) = (values(&seen), values(&parameters[0].1), values(&dy));
    let none = Exact::default();
    let mut forward = vec![none; y.elem_count()];
    if case.bias {
        let bias = values(&parameters[1].1);
        forward
            .iter_mut()
            .enumerate()
            .for_each(|(i, y)| y.add(bias[i / (out[0] * out[1]) % co]));
    }
    let (mut dx, mut dw) = (vec![none; input.len()], vec![none; weights.len()]);
    case.products(out, |i, o, weight| {
        forward[o].add(input[i] * weights[weight]);
        dx[i].add(given[o] * weights[weight]);
        dw[weight].add(given[o] * input[i]);
    });
    let gradients = network.named_gradients(&grads)?;
    let seen_dx = grads.get(&x).expect("a gradient").transpose(2, 3)?;
    let mut errors = vec![
        ("the output", error(&values(&y), &forward)),
        ("the gradient of the input", error(&values(&seen_dx), &dx)),
        (
            "the gradient of the weights",
            error(&values(&gradients[0].1), &dw),
        ),
    ];
    if case.bias {
        let mut sums = vec![none; co];
        for (i, &d) in given.iter().enumerate() {
            sums[i / (out[0] * out[1]) % co].add(d);
        }
        errors.push((
            "the gradient of the bias",
            error(&values(&gradients[1].1), &sums),
        ));
    }
    Ok(Some(errors))
}

fn prefix(case: &Case) -> &'static str {
    if case.transposed {
        "0.conv_transpose2d"
    } else {
        "0.conv2d"
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_are_what_their_definition_says(case in cases()) {
        check(&case).unwrap();
    }
}

/// Cases that Winograd's algorithm takes: stride 1 and many channels.
fn wide_cases() -> impl Strategy<Value = Case> {
    let channels = [
        prop_oneof![Just(32), 33..40usize],
        prop_oneof![Just(32), 33..40usize],
    ];
    let geometry = (3..6usize, 0..4usize, any::<bool>(), any::<bool>());
    (1..9usize, channels, [4..10usize, 4..10usize], geometry).prop_map(
        |(batch, channels, size, (kernel, padding, transposed, bias))| Case {
            transposed,
            batch,
            channels,
            size,
            kernel,
            stride: 1,
            padding: [[padding, 3 - padding], [padding; 2]],
            output_padding: 0,
            bias,
        },
    )
}

/// So many of them, the same ones in every run.
fn wide(count: usize) -> Vec<Case> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let mut next = || wide_cases().new_tree(&mut runner).unwrap().current();
    (0..count).map(|_| next()).collect()
}

/// Winograd rounds more than the products themselves, and about one shape in a thousand ends just beyond the bound that all
/// others keep.
#[test]
fn wide_convolutions_are_what_their_definition_says() {
    for case in wide(100) {
        check(&case).unwrap();
    }
}

/// The worst rounding of Winograd's algorithm, 1.1e-5: `cargo test --release -- --ignored --nocapture worst_rounding`.
#[test]
#[ignore = "a measurement: three minutes on 16 cores"]
fn worst_rounding_of_wide_convolutions() {
    let mut worst: Vec<(f64, &str)> = Vec::new();
    for (i, cases) in wide(100_000).chunks(1000).enumerate() {
        let errors = cases.par_iter().flat_map_iter(|case| {
            let errors = errors(case, Precision::F32).unwrap();
            errors.into_iter().flatten()
        });
        worst.par_extend(errors.map(|(what, error)| (error, what)));
        worst.sort_by(|a, b| b.0.total_cmp(&a.0));
        worst.truncate(400);
        let at = |rank: usize| format!("{:.1e} ({})", worst[rank].0, worst[rank].1);
        let ranks = [0, 10, 100].map(at).join(", ");
        println!("{} shapes: worst, 11th and 101st: {ranks}", 1000 * (i + 1));
    }
    assert!(worst[0].0 < 2e-5);
}

#[test]
fn the_shapes_of_the_recipes_are_right() {
    let recipe = |transposed, channels, size, kernel, stride, padding, output_padding| Case {
        transposed,
        batch: 3,
        channels,
        size: [size, size],
        kernel,
        stride,
        padding: [[padding; 2]; 2],
        output_padding,
        bias: false,
    };
    for case in [
        recipe(true, [64, 32], 7, 5, 1, 2, 0),
        recipe(true, [32, 16], 7, 5, 2, 2, 1),
        recipe(true, [32, 1], 14, 5, 2, 2, 1),
        recipe(true, [16, 1], 14, 4, 2, 1, 0),
        recipe(false, [1, 32], 28, 5, 2, 2, 0),
        recipe(false, [1, 32], 28, 4, 2, 1, 0),
        recipe(false, [32, 48], 14, 5, 2, 2, 0),
        // One output, but not a dense layer: the kernel hangs over the edge.
        recipe(false, [2, 3], 5, 5, 3, 1, 0),
    ] {
        assert!(check(&case).unwrap(), "{case:?} has an output");
    }
}

#[test]
fn what_is_not_finite_shows() -> Result<()> {
    let rng = Rng::seed(3);
    let networks = [
        Sequential::new("conv", [2, 4, 4])
            .conv2d(3, 3, 1)
            .batch_norm(0.8)
            .leaky_relu(0.2)
            .flatten()
            .dense(1),
        Sequential::new("up", [2, 4, 4])
            .conv_transpose2d(3, 4, 2)
            .leaky_relu(0.2)
            .conv_transpose2d(1, 4, 2)
            .tanh(),
    ];
    for network in networks {
        let network = network.build(&rng)?;
        for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = vec![0.5; 2 * 2 * 4 * 4];
            x[9] = poison;
            let x = Tensor::from_vec(x, (2, 2, 4, 4), &Device::Cpu)?;
            for y in [
                network.forward_t(&x, true)?,
                network.reference().forward_t(&x, true)?,
            ] {
                let all: Vec<f32> = y.flatten_all()?.to_vec1()?;
                // tanh of an infinity is 1, which is right; elsewhere it must stay to be seen.
                let hidden = all.iter().all(|y| y.is_finite())
                    && !(network.name() == "up" && poison.is_infinite());
                assert!(!hidden, "{} hides {poison}", network.name());
            }
        }
    }
    Ok(())
}
