//! The lines of notebooks/from_keras_and_pytorch.md: each is compiled and run here as the page quotes it, and what it
//! computes is what its PyTorch column computes. The numbers at the end are printed by tests/reference/table.py, which runs
//! the two other columns.

use std::collections::HashMap;

use digit_gan::Result;
use digit_gan::candle::ModuleT;
use digit_gan::prelude::*;

use crate::helpers::process;
use crate::helpers::values::{message, values};

const PAGE: &str = include_str!("../../notebooks/from_keras_and_pytorch.md");
const TOLERANCE: f64 = 1e-4;

/// A line as it is run here.
struct Line {
    what: &'static str,
    code: &'static str,
    numbers: Option<Vec<f64>>,
}

/// A line whose value is compared with PyTorch's.
macro_rules! line {
    ($what:literal, $($code:tt)+) => {
        Line { what: $what, code: stringify!($($code)+), numbers: Some(($($code)+).numbers()?) }
    };
}

/// A line that has no numbers of its own: it runs, and then what is given behind it holds or is compared.
macro_rules! run {
    ($what:literal, { $($code:tt)+ }) => {{
        let _ = $($code)+;
        Line { what: $what, code: stringify!($($code)+), numbers: None }
    }};
    ($what:literal, { $($code:tt)+ }, $numbers:expr) => {{
        let _ = $($code)+;
        Line { what: $what, code: stringify!($($code)+), numbers: Some($numbers) }
    }};
}

/// A line that runs only where `run` says so.
macro_rules! file {
    ($run:ident, $what:literal, $($code:tt)+) => {{
        if $run {
            let _ = $($code)+;
        }
        Line { what: $what, code: stringify!($($code)+), numbers: None }
    }};
}

/// A layer behind an input of this shape.
macro_rules! layer {
    ($what:literal, $input:expr, $($code:tt)+) => {
        Line { what: $what, code: stringify!($($code)+), numbers: Some(of_layer(Sequential::new("layer", $input) $($code)+)?) }
    };
}

/// What is compared: a few numbers as they are; of many, the norm and the product with a wave.
trait Numbers {
    fn numbers(&self) -> Result<Vec<f64>>;
}

impl Numbers for Vec<f64> {
    fn numbers(&self) -> Result<Vec<f64>> {
        if self.len() <= 4 {
            return Ok(self.clone());
        }
        let along = values(&wave([self.len()], 1., 1.)?);
        let product = self.iter().zip(along).map(|(x, y)| x * f64::from(y));
        Ok(vec![norm(self), product.sum()])
    }
}

impl Numbers for Tensor {
    fn numbers(&self) -> Result<Vec<f64>> {
        let values = values(self).into_iter();
        values.map(f64::from).collect::<Vec<_>>().numbers()
    }
}

impl Numbers for &[usize] {
    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(self.iter().map(|&x| x as f64).collect())
    }
}

impl Numbers for Vec<Vec<f32>> {
    fn numbers(&self) -> Result<Vec<f64>> {
        Tensor::new(self.concat(), &Device::Cpu)?.numbers()
    }
}

/// Parameters or gradients by name: the norm of all.
impl Numbers for Vec<(String, Tensor)> {
    fn numbers(&self) -> Result<Vec<f64>> {
        let all = self.iter().flat_map(|(_, tensor)| values(tensor));
        Ok(vec![norm(&all.map(f64::from).collect::<Vec<_>>())])
    }
}

macro_rules! one_number {
    ($($kind:ty),+) => {
        $(impl Numbers for $kind {
            fn numbers(&self) -> Result<Vec<f64>> {
                Ok(vec![*self as f64])
            }
        })+
    };
}
one_number!(f32, f64, usize);

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// scale * sin(0.37 i² + 2.1 i + salt): no two rows are alike.
fn wave(shape: impl Into<Vec<usize>>, salt: f64, scale: f64) -> Result<Tensor> {
    let shape = shape.into();
    let value = |i: usize| {
        let i = i as f64;
        (scale * (0.37 * i * i + 2.1 * i + salt).sin()) as f32
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// A network whose parameters PyTorch has too.
fn filled(description: Sequential) -> Result<Network> {
    let network = description.build(&Rng::seed(1))?;
    for (place, (name, old)) in network.named_parameters()?.iter().enumerate() {
        network.set(name, &wave(old.dims(), place as f64, 0.5)?)?;
    }
    Ok(network)
}

/// What a layer gives in training, and then in evaluation. Dropout is random in the first.
fn of_layer(description: Sequential) -> Result<Vec<f64>> {
    let random = format!("{description:?}").contains("Dropout");
    let x = wave([&[3], description.input()].concat(), 0.5, 1.)?;
    let network = filled(description)?;
    let mut numbers = match random {
        true => Vec::new(),
        false => network.forward_t(&x, true)?.numbers()?,
    };
    numbers.extend(network.forward(&x)?.numbers()?);
    Ok(numbers)
}

/// Where three steps take the numbers that an optimizer moves.
fn of_optimizer(mut adam: Adam, w: &Var) -> Result<Vec<f64>> {
    for _ in 0..3 {
        let loss = (w.sqr()? + (w.as_tensor() * wave([3, 4], 2., 1.)?)?)?;
        adam.step(&loss.sum_all()?)?;
    }
    w.as_tensor().numbers()
}

/// What the lines speak of.
struct Names {
    rng: Rng,
    network: Network,
    critic: Network,
    generator: Network,
    z: Tensor,
    fake: Tensor,
    loss: Tensor,
    on_real: Tensor,
    on_fake: Tensor,
    digits: Digits,
}

impl Names {
    fn new() -> Result<Names> {
        let network = Sequential::new("network", [6]);
        let critic = Sequential::new("critic", [6]).dense(5).leaky_relu(0.2);
        let critic = filled(critic.dense(1))?;
        let generator = filled(Sequential::new("generator", [6]).dense(6).tanh())?;
        let z = wave([8, 6], 3., 1.)?;
        let fake = generator.forward_t(&z, true)?;
        Ok(Names {
            rng: Rng::seed(42),
            network: filled(network.dense(5).batch_norm(0.8).leaky_relu(0.2))?,
            loss: bce(&critic.frozen().forward_t(&fake, true)?, 1.)?,
            critic,
            generator,
            z,
            fake,
            on_real: wave([8, 1], 4., 3.)?,
            on_fake: wave([8, 1], 5., 3.)?,
            digits: Digits::builtin(130, &Rng::seed(1)),
        })
    }
}

fn differences() -> Result<Vec<Line>> {
    let Names {
        rng,
        network,
        critic: discriminator,
        generator,
        z: x,
        digits,
        ..
    } = Names::new()?;
    let images = digits.tensors(&[0])?.0;
    let dense = filled(Sequential::new("dense", [7]).dense(2))?;
    let dims = |tensor: &[usize], expected: &[usize]| assert_eq!(tensor, expected);
    dims(images.dims(), &[1, 1, 28, 28]);
    dims(dense.named_parameters()?[0].1.dims(), &[7, 2]);
    Ok(vec![
        layer!("momentum of batch normalisation", [256], .batch_norm(0.8)).without_numbers(),
        layer!("slope of a leaky ReLU", [64, 7, 7], .leaky_relu(0.2)).without_numbers(),
        run!("Adam's beta1", {
            Adam::new(generator.parameters(), 2e-4, 0.5)?
        }),
        line!("a call that names no mode", network.forward(&x)?).without_numbers(),
        run!("a batch of images", { images.dims() }),
        run!("weights of a dense layer", {
            dense.named_parameters()?[0].1.dims()
        }),
        run!("last batch, if it is smaller", { digits.batches(64, &rng) }),
        run!("batch normalisation in a network that is not to change", {
            discriminator.frozen()
        }),
    ])
}

fn tensors() -> Result<Vec<Line>> {
    let rng = Rng::seed(42);
    let [a, b] = [0., 1.].map(|salt| wave([3, 4], salt, 1.));
    let (a, b, row) = (a?, b?, wave([1, 4], 2., 1.)?);
    let dims = |tensor: Result<Tensor>| tensor.map(|tensor| tensor.dims().to_vec());
    let [normal, uniform] = [rng.normal((64, 100)), rng.uniform((64, 100), -1., 1.)].map(dims);
    Ok(vec![
        line!("shape", a.dims()),
        line!("from numbers", Tensor::new(&[1f32, 2.0], &Device::Cpu)?),
        line!("zeros", Tensor::zeros((64, 1), DType::F32, &Device::Cpu)?),
        line!("sum", (&a + &b)?),
        line!("times a number", (&a * 0.5)?),
        line!("broadcast", a.broadcast_add(&row)?),
        line!("product of matrices", a.matmul(&b.t()?)?),
        line!("square", a.sqr()?),
        line!("sigmoid", digit_gan::candle_nn::ops::sigmoid(&a)?),
        line!("mean of all", a.mean_all()?),
        line!("mean along a dimension", a.mean(1)?),
        line!("a number to print", a.mean_all()?.to_scalar::<f32>()?),
        line!("all numbers", a.to_vec2::<f32>()?),
        line!("some rows, by place and count", a.narrow(0, 1, 2)?),
        line!(
            "some rows, by index",
            a.index_select(&Tensor::new(&[0u32, 2], &Device::Cpu)?, 0)?
        ),
        line!("one after the other", Tensor::cat(&[&a, &b], 0)?),
        line!("another shape", a.reshape((2, 6))?),
        line!("one more dimension", a.unsqueeze(0)?),
        run!(
            "normal noise",
            { rng.normal((64, 100))? },
            normal?.as_slice().numbers()?
        ),
        run!(
            "uniform numbers",
            { rng.uniform((64, 100), -1.0, 1.0)? },
            uniform?.as_slice().numbers()?
        ),
    ])
}

#[rustfmt::skip] // layers are method calls without their receiver
fn layers() -> Result<Vec<Line>> {
    let Names { rng, network, z, .. } = Names::new()?;
    let (x, images) = (z.clone(), [64, 7, 7]);
    let labels = Tensor::new(&[0u32, 1, 2, 3, 4, 5, 6, 7], &Device::Cpu)?;
    let one = Sequential::new("critic", [100]).dense(1);
    Ok(vec![
        layer!("dense", [100], .dense(256)),
        layer!("without a bias", [100], .dense(256).no_bias()),
        layer!("convolution", [1, 28, 28], .conv2d(64, 4, 2)),
        layer!("convolution with an odd kernel", [1, 28, 28], .conv2d(64, 5, 2)),
        layer!("transposed convolution", [128, 7, 7], .conv_transpose2d(64, 4, 2)),
        layer!("larger by repeating pixels", images, .upsample2d(2)),
        layer!("smaller by the largest pixel", images, .max_pool2d(2)),
        layer!("batch normalisation", [256], .batch_norm(0.8)),
        layer!("the same on images", images, .batch_norm(0.8)),
        layer!("leaky ReLU", images, .leaky_relu(0.2)),
        layer!("ReLU", images, .relu()),
        layer!("tanh", images, .tanh()),
        layer!("dropout", images, .dropout(0.3)),
        layer!("an image in one row", images, .flatten()),
        layer!("a row as images", [128 * 7 * 7], .reshape([128, 7, 7])),
        run!("a network of layers", { Sequential::new("critic", [100]).dense(1).build(&rng)? }, of_layer(one)?),
        run!("its table", { network.summary() }),
        line!("pass of training", network.forward_t(&x, true)?),
        line!("pass of evaluation", filled(network.config().clone())?.forward(&x)?).quoted("network.forward(&x)?"),
        line!("its weights by name", network.named_parameters()?),
        line!("noise with a class beside it", with_class(&z, &labels, 10)?),
    ])
}

fn losses() -> Result<Vec<Line>> {
    let Names {
        rng,
        critic,
        z,
        on_real,
        on_fake,
        ..
    } = Names::new()?;
    Ok(vec![
        line!("are they real?", bce(&on_fake, 1.0)?),
        line!("are they fake?", bce(&on_fake, 0.0)?),
        line!("one-sided label smoothing", bce(&on_real, 0.9)?),
        line!(
            "saturating, for the generator",
            GanLoss::Minimax.generator(&on_real, &on_fake)?
        ),
        line!(
            "hinge, for the discriminator",
            GanLoss::Hinge.discriminator(&on_real, &on_fake, 1.0)?
        ),
        line!(
            "least squares, for the discriminator",
            GanLoss::LeastSquares.discriminator(&on_real, &on_fake, 1.0)?
        ),
        line!(
            "Wasserstein, for the discriminator",
            GanLoss::Wasserstein.discriminator(&on_real, &on_fake, 1.0)?
        ),
        line!(
            "R1, a gradient penalty",
            Penalty::R1 { gamma: 10.0 }.compute(&critic, &z, &z, None, &rng)?
        ),
    ])
}

fn training() -> Result<Vec<Line>> {
    let Names {
        critic,
        generator,
        z,
        fake,
        loss,
        ..
    } = Names::new()?;
    let (w, discriminator) = (Var::from_tensor(&wave([3, 4], 1., 1.)?)?, critic.clone());
    let mut average = MovingAverage::new(&generator, 44_340.)?;
    let mut adam = Adam::new(generator.parameters(), 2e-4, 0.5)?;
    let x = wave([3, 6], 0.5, 1.)?;
    let averaged = average.network().forward(&x)?.numbers()?;
    let mut lines = vec![
        run!(
            "Adam",
            { Adam::new(vec![w.clone()], 2e-4, 0.5)? },
            of_optimizer(Adam::new(vec![w.clone()], 2e-4, 0.5)?, &w)?
        ),
        run!("for a network", {
            Adam::new(generator.parameters(), 2e-4, 0.5)?
        }),
        run!(
            "fakes for the discriminator's move",
            { fake.detach() },
            fake.detach().numbers()?
        ),
        run!("discriminator for the generator's move", {
            discriminator.frozen()
        }),
        line!(
            "cosine schedule, half-way",
            Schedule::Cosine { to: 0.1 }.factor(0.5)
        ),
        line!(
            "gradients by name",
            generator.named_gradients(&loss.backward()?)?
        ),
        line!(
            "gradient with respect to the input",
            critic.input_gradient(&z, &Tensor::ones((8, 1), DType::F32, &Device::Cpu)?)?
        ),
        run!("moving average of the weights (EMA)", {
            MovingAverage::new(&generator, 44_340.0)?
        }),
        run!(
            "the averaged network",
            { average.network() },
            [averaged.clone(), averaged].concat()
        ),
        run!(
            "a step",
            { adam.step(&loss)? },
            generator.named_parameters()?.numbers()?
        ),
        line!("length of the gradient", adam.gradient_norm()?),
        run!("its step", { average.update(64)? }),
        run!("another learning rate", { adam.learning_rate = 1e-4 }),
    ];
    w.set(&wave([3, 4], 1., 1.)?)?;
    lines.push(run!(
        "another beta2",
        { Adam::new(vec![w.clone()], 2e-4, 0.5)?.beta2(0.9)? },
        of_optimizer(Adam::new(vec![w.clone()], 2e-4, 0.5)?.beta2(0.9)?, &w)?
    ));
    Ok(lines)
}

/// Lines that read and write files in the current folder: run where that is a folder of their own, and otherwise named alone.
fn files(run: bool) -> Result<Vec<Line>> {
    let Names {
        rng,
        network,
        generator,
        ..
    } = Names::new()?;
    let mut adam = Adam::new(generator.parameters(), 2e-4, 0.5)?;
    Ok(vec![
        file!(run, "save a network", network.save("network.safetensors")?),
        file!(
            run,
            "weights into a network of the same layers",
            network.restore("network.safetensors")?
        ),
        file!(
            run,
            "layers and weights from a file",
            Network::load("network.safetensors", &rng)?
        ),
        file!(run, "state of an optimizer", adam.save("adam.safetensors")?),
        file!(run, "and back", adam.restore("adam.safetensors")?),
        file!(run, "MNIST", Digits::load(Split::Train)?),
    ])
}

#[test]
#[ignore = "run by the test below, in a folder of its own"]
fn files_are_written_and_read() -> Result<()> {
    files(true).map(|_| ())
}

#[test]
fn lines_about_files_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = process::command(files_are_written_and_read);
    command.current_dir(&folder);
    process::printed(command);
}

fn data() -> Result<Vec<Line>> {
    let Names { rng, digits, .. } = Names::new()?;
    let description = Sequential::new("generator", [6]).dense(6);
    let (pixels, byte) = (digits.tensors(&[0, 1])?.0, digits.image(0)[400]);
    assert_eq!(values(&pixels)[400], f32::from(byte) / 127.5 - 1.);
    assert_eq!(digits.batches(64, &rng).count(), digits.len() / 64);
    Ok(vec![
        run!("pixels from -1 to 1", { digits.tensors(&[0, 1])? }),
        run!("batches in random order", { digits.batches(64, &rng) }),
        line!("their number", digits.len() / 64),
        run!("a seed", { Rng::seed(42) }),
        run!("a GPU, if there is one", {
            description.build_on(&rng, &Device::best())?
        }),
    ])
}

impl Line {
    /// The same numbers are compared on another line.
    fn without_numbers(self) -> Line {
        Line {
            numbers: None,
            ..self
        }
    }

    /// The page has this instead.
    fn quoted(self, code: &'static str) -> Line {
        Line { code, ..self }
    }
}

fn lines() -> Result<Vec<Line>> {
    let parts = [
        differences()?,
        tensors()?,
        layers()?,
        losses()?,
        training()?,
        files(false)?,
        data()?,
    ];
    Ok(parts.into_iter().flatten().collect())
}

/// What each line of the page is about, with the code in its last column; those without code are left out.
fn quoted() -> Vec<(&'static str, String)> {
    let rows = PAGE.lines().filter(|line| line.starts_with('|'));
    let rows = rows.map(|line| line.trim_matches('|').split('|').map(str::trim));
    let rows = rows.map(|cells| cells.collect::<Vec<_>>());
    rows.filter_map(|cells| {
        assert_eq!(cells.len(), 4, "{cells:?}");
        let code = cells[3].split('`').nth(1)?;
        Some((cells[0], bare(code)))
    })
    .collect()
}

/// `stringify!` and a page break lines differently.
fn bare(code: &str) -> String {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    code.replace(",)", ")").replace(",]", "]")
}

#[test]
fn the_page_quotes_what_runs_here() -> Result<()> {
    let held: HashMap<_, _> = lines()?.iter().map(|l| (l.what, bare(l.code))).collect();
    let page = quoted();
    for (what, code) in &page {
        assert_eq!(held.get(what), Some(code), "the line “{what}” of the page");
    }
    assert_eq!(page.len(), held.len(), "lines that the page no longer has");
    Ok(())
}

#[test]
fn lines_compute_what_pytorch_computes() -> Result<()> {
    let expected: HashMap<_, _> = EXPECTED.iter().copied().collect();
    let compared: Vec<_> = lines()?
        .into_iter()
        .filter_map(|line| Some((line.what, line.numbers?)))
        .collect();
    for (what, ours) in &compared {
        let theirs = expected.get(what).unwrap_or(&[].as_slice()).to_vec();
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * (1. + b.abs());
        assert!(
            ours.len() == theirs.len() && ours.iter().zip(&theirs).all(close),
            "{what}: {ours:?}, PyTorch's are {theirs:?}"
        );
    }
    assert_eq!(compared.len(), expected.len());
    Ok(())
}

/// What the page says besides its lines.
#[test]
fn its_other_claims_hold() -> Result<()> {
    let Names {
        network,
        generator,
        z,
        loss,
        ..
    } = Names::new()?;
    assert!((0.5f64.powf(64. / 44_340.) - 0.999).abs() < 1e-7);

    let mut adam = Adam::new(generator.parameters(), 2e-4, 0.5)?;
    adam.step(&loss)?;
    let late = message(adam.step(&loss));
    assert!(late.contains("compute the output of the generator again"));

    let before = values(&network.forward(&z)?);
    let frozen = network.frozen();
    let batch = values(&ModuleT::forward_t(&frozen, &z, true)?);
    assert_ne!(batch, before); // the batch's own statistics
    assert_eq!(values(&network.forward(&z)?), before); // and nothing has moved
    Ok(())
}

// PyTorch 2.15.0, f64
const EXPECTED: &[(&str, &[f64])] = &[
    ("shape", &[3.000000000e+00, 4.000000000e+00]),
    ("from numbers", &[1.000000000e+00, 2.000000000e+00]),
    ("zeros", &[0.000000000e+00, 0.000000000e+00]),
    ("sum", &[4.306973393e+00, 8.500163052e+00]),
    ("times a number", &[1.302544745e+00, 1.631682752e+00]),
    ("broadcast", &[4.589097223e+00, 5.980245418e+00]),
    ("product of matrices", &[3.422295335e+00, 9.052935685e-01]),
    ("square", &[2.346055627e+00, 2.008537899e+00]),
    ("sigmoid", &[2.004081706e+00, 1.936576463e+00]),
    ("mean of all", &[2.273339244e-01]),
    (
        "mean along a dimension",
        &[-3.720488027e-02, 8.657751828e-01, -1.465685293e-01],
    ),
    ("a number to print", &[2.273339244e-01]),
    ("all numbers", &[2.605089490e+00, 3.263365505e+00]),
    (
        "some rows, by place and count",
        &[2.456826182e+00, -5.324542355e-01],
    ),
    ("some rows, by index", &[1.930807056e+00, -6.880936243e-01]),
    ("one after the other", &[3.467461434e+00, 1.114362347e+00]),
    ("another shape", &[2.605089490e+00, 3.263365505e+00]),
    ("one more dimension", &[2.605089490e+00, 3.263365505e+00]),
    ("normal noise", &[6.400000000e+01, 1.000000000e+02]),
    ("uniform numbers", &[6.400000000e+01, 1.000000000e+02]),
    (
        "dense",
        &[
            7.408120853e+01,
            5.560820787e+01,
            7.408120853e+01,
            5.560820787e+01,
        ],
    ),
    (
        "without a bias",
        &[
            7.287184034e+01,
            -1.193039752e+01,
            7.287184034e+01,
            -1.193039752e+01,
        ],
    ),
    (
        "convolution",
        &[
            1.962586482e+02,
            -1.791220101e+02,
            1.962586482e+02,
            -1.791220101e+02,
        ],
    ),
    (
        "convolution with an odd kernel",
        &[
            2.412366430e+02,
            5.200610431e+01,
            2.412366430e+02,
            5.200610431e+01,
        ],
    ),
    (
        "transposed convolution",
        &[
            1.025451308e+03,
            -2.314342887e+02,
            1.025451308e+03,
            -2.314342887e+02,
        ],
    ),
    (
        "larger by repeating pixels",
        &[
            1.379300485e+02,
            -1.747471848e+02,
            1.379300485e+02,
            -1.747471848e+02,
        ],
    ),
    (
        "smaller by the largest pixel",
        &[
            3.374034384e+01,
            3.327489304e+01,
            3.374034384e+01,
            3.327489304e+01,
        ],
    ),
    (
        "batch normalisation",
        &[
            1.405668652e+01,
            7.607761371e+01,
            1.244624895e+01,
            7.858507604e+01,
        ],
    ),
    (
        "the same on images",
        &[
            4.853369658e+01,
            1.902443322e+01,
            4.254662774e+01,
            6.839971044e+00,
        ],
    ),
    (
        "leaky ReLU",
        &[
            4.998319038e+01,
            2.526732330e+03,
            4.998319038e+01,
            2.526732330e+03,
        ],
    ),
    (
        "ReLU",
        &[
            4.903307066e+01,
            2.115860681e+03,
            4.903307066e+01,
            2.115860681e+03,
        ],
    ),
    (
        "tanh",
        &[
            5.602569537e+01,
            3.380632427e+03,
            5.602569537e+01,
            3.380632427e+03,
        ],
    ),
    ("dropout", &[6.896502427e+01, 4.170218925e+03]),
    (
        "an image in one row",
        &[
            6.896502427e+01,
            4.170218925e+03,
            6.896502427e+01,
            4.170218925e+03,
        ],
    ),
    (
        "a row as images",
        &[
            9.708646668e+01,
            8.274322125e+03,
            9.708646668e+01,
            8.274322125e+03,
        ],
    ),
    (
        "a network of layers",
        &[
            2.244692252e+01,
            -1.692840999e-01,
            -3.619184447e+00,
            2.244692252e+01,
            -1.692840999e-01,
            -3.619184447e+00,
        ],
    ),
    ("pass of training", &[2.265385043e+00, 2.470539651e+00]),
    ("pass of evaluation", &[1.905131777e+00, 2.384460425e+00]),
    ("its weights by name", &[2.422635392e+00]),
    (
        "noise with a class beside it",
        &[5.748934143e+00, 4.497325108e+00],
    ),
    ("are they real?", &[1.219816255e+00]),
    ("are they fake?", &[1.082235954e+00]),
    ("one-sided label smoothing", &[1.651840006e+00]),
    ("saturating, for the generator", &[-1.082235954e+00]),
    ("hinge, for the discriminator", &[3.798992638e+00]),
    ("least squares, for the discriminator", &[6.356966443e+00]),
    ("Wasserstein, for the discriminator", &[1.061625842e+00]),
    ("R1, a gradient penalty", &[1.420554933e+00]),
    ("Adam", &[2.286615527e+00, 5.232701899e+00]),
    ("another beta2", &[2.286615506e+00, 5.232701851e+00]),
    ("a step", &[2.255458894e+00]),
    (
        "fakes for the discriminator's move",
        &[3.297467652e+00, -4.388452336e-01],
    ),
    ("cosine schedule, half-way", &[5.500000000e-01]),
    ("length of the gradient", &[2.076668041e-01]),
    ("gradients by name", &[2.076668041e-01]),
    (
        "gradient with respect to the input",
        &[1.507609994e+00, 7.276709108e-01],
    ),
    (
        "the averaged network",
        &[
            2.561495439e+00,
            3.022861296e+00,
            2.561495439e+00,
            3.022861296e+00,
        ],
    ),
    ("their number", &[2.000000000e+00]),
];
