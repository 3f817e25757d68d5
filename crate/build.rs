//! Records how the crate is compiled and on which candle, for `digit_gan::display::setup`.

use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.toml");
    let opt_level = env::var("OPT_LEVEL").expect("cargo sets OPT_LEVEL");
    println!("cargo:rustc-env=DIGIT_GAN_OPT_LEVEL={opt_level}");
    let manifest = fs::read_to_string("Cargo.toml").expect("Cargo.toml lies beside build.rs");
    let candle = manifest
        .lines()
        .find_map(|line| line.strip_prefix("candle-core = \"="))
        .expect("Cargo.toml pins candle-core = \"=x.y.z\"")
        .trim_end_matches('"');
    println!("cargo:rustc-env=DIGIT_GAN_CANDLE={candle}");
}
