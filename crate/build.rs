//! Tells `digit_gan::setup` how the crate is compiled: Rust code cannot ask for its optimisation level.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let opt_level = env::var("OPT_LEVEL").expect("cargo sets OPT_LEVEL");
    println!("cargo:rustc-env=DIGIT_GAN_OPT_LEVEL={opt_level}");
}
