//! Memory over a long training.

use crate::helpers::process;
use digit_gan::Result;
use digit_gan::loss::bce;
use digit_gan::nn::Sequential;
use digit_gan::optim::Adam;
use digit_gan::penalty::Penalty;
use digit_gan::rng::Rng;

/// Resident memory of this process in KiB; none where /proc does not tell.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn ten_thousand_steps_need_no_more_memory_than_a_few() {
    if resident().is_none() {
        println!("skipped: this system does not say how much memory is in use");
        return;
    }
    // In this process, the memory of other tests would count too.
    process::printed(process::command(ten_thousand_steps));
}

#[test]
#[ignore = "run by the test above"]
fn ten_thousand_steps() -> Result<()> {
    let rng = Rng::seed(8);
    let up = Sequential::new("up", [3])
        .dense(2 * 3 * 3)
        .batch_norm(0.9)
        .leaky_relu(0.3)
        .reshape([2, 3, 3])
        .conv_transpose2d(1, 4, 2)
        .tanh()
        .build(&rng)?;
    let down = Sequential::new("down", [1, 6, 6])
        .conv2d(12, 5, 2)
        .leaky_relu(0.3)
        .dropout(0.3)
        .flatten()
        .dense(1)
        .build(&rng)?;
    let mut adam = [
        Adam::new(up.parameters(), 1e-4, 0.5)?,
        Adam::new(down.parameters(), 1e-4, 0.5)?,
    ];
    let step = |adam: &mut [Adam; 2]| -> Result<()> {
        let fake = up.forward_t(&rng.normal((8, 3))?, true)?;
        let loss = bce(&down.forward_t(&fake.detach(), true)?, 0.)?;
        let penalty = Penalty::R1 { gamma: 1. }.compute(&down, &fake, &fake, None, &rng)?;
        adam[1].step(&(loss + penalty)?)?;
        adam[0].step(&bce(&down.frozen().forward_t(&fake, true)?, 1.)?)
    };
    (0..500).try_for_each(|_| step(&mut adam))?;
    let before = resident().unwrap();
    (0..10_000).try_for_each(|_| step(&mut adam))?;
    let grown = resident().unwrap().saturating_sub(before);
    // One leaked image a step would be 11 MB.
    assert!(grown < 4_000, "grew by {grown} KiB");
    Ok(())
}
