//! What a release binary takes for the work that tests/python/bench_kernel.py also times in a notebook cell: both include
//! the same text. Prints milliseconds, one line per round.

use digit_gan::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(10), |n| n.parse())?;
    include!("bench_step/matmul.in");
    include!("bench_step/step.in");
    Ok(())
}
