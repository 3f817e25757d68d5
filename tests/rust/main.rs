//! All tests in Rust, one module a subject, in one binary: each binary links candle again.

mod helpers;

mod augment;
mod background;
mod convolutions;
mod curves;
mod data;
mod datasets;
mod display;
mod draw;
mod evaluation;
mod exports;
mod figures;
mod folders;
mod formats;
mod game;
#[cfg(feature = "cli")]
mod headless;
mod images;
mod inside;
mod judged;
mod kills;
mod latent;
mod literals;
mod live;
mod memory;
mod metrics;
mod networks;
mod optim;
mod pages;
mod penalties;
mod plane;
mod recipes;
mod runs;
mod table;
