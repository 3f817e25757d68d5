//! A page that draws: the generator itself in one HTML file, in plain JavaScript, with controls and without a server.
//!
//! It shows itself in a cell and in the notebook's HTML export as well. Where scripts don't run, as in an untrusted
//! notebook or on a code host, a picture of some digits is what is seen.

mod weights;

use std::fmt::{self, Display};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use half::f16;
use serde::Serialize;

use crate::display::{Content, Show, escape, evcxr_display};
use crate::latent::Directions;
use crate::nn::{Formula, Network, with_class};
use crate::plot::{self, Figure};
use crate::rng::Rng;
use crate::{Error, Result};

/// The most bytes of a page.
const MOST: usize = 4_000_000;
/// What the page has beside weights, at most: scripts, controls, a picture of some digits.
const BESIDE: usize = 100_000;
/// What [`plot::save_page`] puts around it, at most.
const FRAME: usize = 1_000;
/// The fewest bits of a weight's fraction that are tried where [`weights::HALF`] do not fit.
const FEWEST: u32 = 7;
/// Digits on which the page's pixels are compared with the generator's.
const COMPARED: usize = 500;
/// Sliders that a page has room for.
const MOST_SLIDERS: usize = 8;

/// The generator in a page that draws: a button for each class, sliders for directions and truncation, a walk, a number to
/// be written, a sheet to be saved as PNG. Shows itself as the last expression of a cell.
///
/// ```
/// use digit_gan::{draw::DrawingPage, latent, nn::{Sequential, with_class}, rng::Rng};
/// # use digit_gan::candle::Tensor;
/// let rng = Rng::seed(1);
/// let generator = Sequential::new("generator", [16 + 10]).dense(784).tanh().reshape([1, 28, 28]).build(&rng)?;
/// # let noise = rng.normal((100, 16))?;
/// # let labels = Tensor::zeros(100, digit_gan::candle::DType::U32, noise.device())?;
/// # let images = generator.forward(&with_class(&noise, &labels, 10)?)?;
/// let directions = latent::directions(&noise, &images, Some(&labels))?;
/// let page = DrawingPage::conditional(&generator, 0..10)?.directions(&directions, &["slant", "weight"])?;
/// page.save(std::env::temp_dir().join("digits.html"))?;
/// # Ok::<(), digit_gan::Error>(())
/// ```
#[derive(Clone)]
pub struct DrawingPage {
    /// What is seen where scripts don't run.
    picture: Figure,
    script: Script,
    weights: String,
}

/// What the script is told beside the weights.
#[derive(Clone, Serialize)]
struct Script {
    layers: Vec<Layer>,
    latent: usize,
    /// The names of the classes; empty if none can be asked for.
    classes: Vec<String>,
    directions: Vec<Direction>,
    height: usize,
    width: usize,
    about: String,
}

#[derive(Clone, Serialize)]
struct Layer {
    #[serde(flatten)]
    formula: Formula,
    input: Vec<usize>,
    output: Vec<usize>,
    /// How many weights each of its variables has.
    sizes: Vec<usize>,
}

#[derive(Clone, Serialize)]
struct Direction {
    name: String,
    values: Vec<f32>,
}

impl DrawingPage {
    /// The page of a generator from noise (latent,) to one grey image (1, height, width) in [-1, 1].
    ///
    /// The weights are written in half precision. If that is more than a page of 4 MB has room for, about 1.8 million of
    /// them, they get fewer bits, as long as no pixel of 500 digits changes by more than 1/255. The page says what they
    /// got.
    ///
    /// # Errors
    /// [`Error::Shape`] for another input or output; [`Error::Value`] if the page would be larger than 4 MB, or its pixels
    /// would differ by more.
    pub fn new(generator: &Network) -> Result<Self> {
        Self::with_classes(generator, Vec::new())
    }

    /// The page of a class-conditional generator, from noise and beside it the class as one-hot
    /// ([`with_class`]). `classes` are their names, in order; what consists of their characters can be written by the page.
    ///
    /// # Errors
    /// As [`DrawingPage::new`], and [`Error::Value`] for no classes.
    pub fn conditional(
        generator: &Network,
        classes: impl IntoIterator<Item = impl Display>,
    ) -> Result<Self> {
        let classes: Vec<String> = classes.into_iter().map(|name| name.to_string()).collect();
        match classes.is_empty() {
            true => Err(Error::Value(
                "a page that draws: no names of classes; give one for each, or take DrawingPage::new()"
                    .into(),
            )),
            false => Self::with_classes(generator, classes),
        }
    }

    fn with_classes(generator: &Network, classes: Vec<String>) -> Result<Self> {
        let (latent, [height, width]) = sizes(generator, classes.len())?;
        let samples = Samples::of(generator, latent, classes.len())?;
        let picture = plot::sample_grid(&samples.images.narrow(0, 0, 30)?, 10)?;
        let network = generator.folded()?;
        let packed = Packed::finest(&network, &samples)?;
        let stages = network.stages()?.into_iter();
        let layers = stages.map(|stage| Layer {
            formula: stage.formula,
            input: stage.input,
            output: stage.output,
            sizes: stage.variables.iter().map(Tensor::elem_count).collect(),
        });
        let script = Script {
            layers: layers.collect(),
            latent,
            classes,
            directions: Vec::new(),
            height,
            width,
            about: packed.words(),
        };
        let weights = packed.text;
        let page = DrawingPage {
            picture,
            script,
            weights,
        };
        page.checked()
    }

    /// A slider for each name: the first one moves digits along the strongest direction, and so on.
    ///
    /// # Errors
    /// Those of [`DrawingPage::slider`], and [`Error::Value`] for more names than there are directions.
    pub fn directions(self, directions: &Directions, names: &[impl AsRef<str>]) -> Result<Self> {
        let mut names = names.iter().enumerate();
        names.try_fold(self, |page, (i, name)| {
            page.slider(name.as_ref(), &directions.get(i)?)
        })
    }

    /// A slider that moves digits along a direction (1, latent) of any length, three standard deviations of the noise
    /// either way.
    ///
    /// # Errors
    /// [`Error::Shape`] for a direction of another latent space; [`Error::Value`] for one that has no length or is not
    /// finite, or for more than 8 sliders.
    pub fn slider(mut self, name: impl Into<String>, direction: &Tensor) -> Result<Self> {
        let (name, latent) = (name.into(), self.script.latent);
        let refused = |reason: String| format!("a page that draws, slider {name}: {reason}");
        if direction.dims() != [1, latent] {
            return Err(Error::Shape(refused(format!(
                "expected a direction of shape [1, {latent}], as the generator takes noise of {latent} numbers, got {:?}",
                direction.dims()
            ))));
        }
        let values: Vec<f32> = direction.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        if !length.is_normal() {
            let reason = format!("its direction has length {length}, expected a positive number");
            return Err(Error::Value(refused(reason)));
        }
        if self.script.directions.len() == MOST_SLIDERS {
            let reason =
                format!("the page has {MOST_SLIDERS} sliders already, and no room for more");
            return Err(Error::Value(refused(reason)));
        }
        let values = values.into_iter().map(|value| value / length).collect();
        self.script.directions.push(Direction { name, values });
        self.checked()
    }

    /// Refuses a page that is too large.
    fn checked(self) -> Result<Self> {
        match self.html().len() + FRAME {
            size if size > MOST => Err(Error::Value(format!(
                "a page that draws: it would have {:.1} MB, and 4 are the most; take fewer sliders, or a narrower generator",
                size as f64 / 1e6
            ))),
            _ => Ok(self),
        }
    }

    /// The picture with its words, the weights, and the script that puts the generator in the picture's place.
    pub fn html(&self) -> String {
        // Numbers and texts: they have a JSON form always.
        let script = serde_json::to_string(&self.script).unwrap_or_default();
        format!(
            "<figure class=\"digit-gan-drawing\" style=\"margin: 0\" data-page=\"{}\">{}<figcaption>{}</figcaption>\
             <script type=\"text/plain\">{}</script></figure>\n<style>\n{}</style>\n<script>\n(() => {{\n{}\n{}\n{}}})();\n</script>",
            escape(&script),
            self.picture.html(),
            escape(self.picture.alt()),
            self.weights,
            include_str!("page.css"),
            include_str!("generator.js"),
            include_str!("noise.js"),
            include_str!("page.js"),
        )
    }

    /// Writes the page, which needs nothing else, to be opened in any browser.
    ///
    /// # Errors
    /// [`Error::Value`] unless the file is named .html, [`Error::Io`] when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        plot::save_page(
            path.as_ref(),
            "a page that draws",
            "A generator of digits",
            &self.html(),
        )
    }

    /// Some digits: what is seen where scripts don't run.
    pub fn picture(&self) -> &Figure {
        &self.picture
    }

    /// What the page says of its own precision.
    pub fn about(&self) -> &str {
        &self.script.about
    }
}

/// The numbers of noise that a generator takes, and the height and width of what it draws.
fn sizes(generator: &Network, classes: usize) -> Result<(usize, [usize; 2])> {
    let (input, output) = (generator.config().input(), generator.output());
    match (input, output) {
        (&[inputs], &[1, height, width]) if inputs > classes => {
            Ok((inputs - classes, [height, width]))
        }
        _ => {
            let numbers = match classes {
                0 => "the noise".to_string(),
                n => format!("the noise and {n} classes"),
            };
            Err(Error::Shape(format!(
                "a page that draws: expected a generator from one row of numbers, {numbers}, to images of shape \
                 [1, height, width]; {} turns {input:?} into {output:?}",
                generator.name()
            )))
        }
    }
}

/// Digits of the generator as it is, to compare with.
struct Samples {
    input: Tensor,
    images: Tensor,
}

impl Samples {
    /// All classes in a cycle.
    fn of(generator: &Network, latent: usize, classes: usize) -> Result<Self> {
        let noise = Rng::seed(1).normal((COMPARED, latent))?;
        let input = match classes {
            0 => noise,
            _ => {
                let labels = (0..COMPARED as u32).map(|i| i % classes as u32);
                with_class(&noise, &Tensor::from_iter(labels, &Device::Cpu)?, classes)?
            }
        };
        let images = generator.forward(&input)?.to_device(&Device::Cpu)?;
        Ok(Samples { input, images })
    }

    /// By how much a pixel of `network` differs at most, in 255ths of the way from black to white.
    fn difference(&self, network: &Network) -> Result<f64> {
        let images = network.forward(&self.input)?.clamp(-1f32, 1f32)?;
        let apart = (images - self.images.clamp(-1f32, 1f32)?)?.abs()?;
        Ok(f64::from(apart.flatten_all()?.max(0)?.to_scalar::<f32>()?) * 255. / 2.)
    }
}

/// Weights as they stand in the page.
struct Packed {
    text: String,
    count: usize,
    bits: u32,
    /// See [`Samples::difference`].
    difference: f64,
}

impl Packed {
    /// Those of the most bits that fit, if the digits stay the same.
    fn finest(network: &Network, samples: &Samples) -> Result<Self> {
        let mut packed = Packed::with_bits(network, samples, weights::HALF)?;
        while !packed.fits() && packed.bits > FEWEST {
            packed = Packed::with_bits(network, samples, packed.bits - 1)?;
        }
        let (bits, difference) = (packed.bits, packed.difference);
        let reason = if !packed.fits() {
            let size = (packed.text.len() + BESIDE) as f64 / 1e6;
            format!("the page would have {size:.1} MB, and 4 are the most")
        } else if difference.is_nan() || difference > 1. {
            format!("a pixel would differ by {difference:.1} of 255, and 1 is the most")
        } else {
            return Ok(packed);
        };
        Err(Error::Value(format!(
            "a page that draws: the {} has {} weights. With {bits} bits behind the binary point of each, {reason}. Train a \
             narrower generator: a page has room for about 1.8 million weights of half precision",
            network.name(),
            packed.count
        )))
    }

    fn fits(&self) -> bool {
        self.text.len() + BESIDE <= MOST
    }

    fn with_bits(network: &Network, samples: &Samples, bits: u32) -> Result<Self> {
        let rounded = network.mapped(|weight| weights::rounded(weight, bits).to_f32())?;
        let mut all: Vec<f16> = Vec::new();
        for variable in rounded
            .stages()?
            .into_iter()
            .flat_map(|stage| stage.variables)
        {
            let values = variable.flatten_all()?.to_vec1::<f32>()?;
            all.extend(values.into_iter().map(f16::from_f32));
        }
        Ok(Packed {
            text: weights::pack(&all)?,
            count: all.len(),
            bits,
            difference: samples.difference(&rounded)?,
        })
    }

    fn words(&self) -> String {
        let Packed {
            count,
            bits,
            difference,
            ..
        } = self;
        let count = match *count {
            few @ ..100_000 => few.to_string(),
            many => format!("{:.1} million", many as f64 / 1e6),
        };
        format!(
            "The generator runs in this page: {count} weights in half precision, with {bits} bits behind the binary \
             point. In {COMPARED} digits no pixel differs by more than {difference:.2} of 255 from those that it draws in Rust."
        )
    }
}

/// The page, or the picture where scripts don't run.
impl Show for DrawingPage {
    fn content(&self) -> Content {
        let words = format!("A page that draws. {}", self.picture.alt());
        Content::text(words).with_html(self.html())
    }
}

evcxr_display!(DrawingPage);

/// The words, not the bytes: a failed assertion in a cell stays readable.
impl fmt::Debug for DrawingPage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "DrawingPage({})", self.script.about)
    }
}
