//! What a killed program, a damaged file and a full disk leave behind: a run that resumes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::helpers::judge::{judge, reference};
use crate::helpers::process;
use crate::helpers::small::{digits, small};
use digit_gan::prelude::*;
use digit_gan::{Error, Result};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};

/// Long enough for many kills, with a checkpoint every other step.
fn recipe() -> Recipe {
    Recipe {
        total_images: 300 * 8,
        checkpoint_every: 2,
        log_every: 3,
        grid_every: 50,
        keep_checkpoints: 2,
        ..small(Recipe::compact().conditional())
    }
}

/// At every fourth line: judgements that a checkpoint follows at once, and others that a kill makes the run forget.
fn judged(trainer: Trainer) -> Result<Trainer> {
    trainer.judged_by(judge(), &reference(), 12 * 8)
}

#[test]
#[ignore = "the process that the test below kills"]
fn victim() {
    let trainer = Trainer::open(recipe(), &digits(), process::folder()).unwrap();
    let mut trainer = judged(trainer).unwrap();
    println!("\nopen {}", trainer.steps());
    while !trainer.is_finished() {
        println!("\nstep {}", trainer.advance().unwrap().step);
    }
    println!("\nend");
}

/// The victim and its lines.
struct Victim(Child, BufReader<ChildStdout>);

impl Victim {
    fn start(folder: &Path) -> Self {
        let mut child = process::command_in(victim, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Victim(child, lines)
    }

    /// The first line that starts so; none if the program ends before.
    fn line(&mut self, start: &str) -> Option<String> {
        let mut lines = (&mut self.1).lines().map(|line| line.unwrap());
        lines.find(|line| line.starts_with(start))
    }
}

fn is_half_written(folder: &Path) -> bool {
    let files = fs::read_dir(folder.join("checkpoints"));
    let mut names = files
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    names.any(|path| path.extension().is_some_and(|extension| extension == "tmp"))
}

#[test]
fn a_run_killed_many_times_ends_as_if_it_had_not_been() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let mut expected = judged(Trainer::new(recipe(), &digits(), &whole)?)?;
    expected.run()?;
    let mut random = StdRng::seed_from_u64(5);
    let (mut half_written, mut moved) = (0, 0);
    for round in 0..24 {
        let mut victim = Victim::start(&killed);
        match round {
            // Anywhere, the start included.
            0..4 => sleep(Duration::from_millis(random.random_range(0..40))),
            // While a checkpoint is being written.
            _ if round % 2 == 0 => {
                victim.line("open").expect("it resumes");
                let patience = Instant::now() + Duration::from_secs(20);
                while !is_half_written(&killed) && Instant::now() < patience {}
            }
            // After some steps.
            _ => {
                for _ in 0..random.random_range(1..12) {
                    victim.line("step").expect("it resumes and trains");
                }
                sleep(Duration::from_micros(random.random_range(0..8_000)));
            }
        }
        victim.0.kill().unwrap();
        assert!(!victim.0.wait().unwrap().success(), "killed before its end");
        half_written += u32::from(is_half_written(&killed));
        moved += u32::from(
            killed
                .join("checkpoints/step-00000002.safetensors")
                .exists(),
        );
    }
    println!("24 kills, {half_written} of them while a checkpoint was written");
    assert!(
        half_written >= 3,
        "only {half_written} kills while a checkpoint was written"
    );
    assert!(moved < 24, "it has moved on");
    let mut last = Victim::start(&killed);
    assert!(last.line("end").is_some());
    assert!(last.0.wait().unwrap().success());
    assert!(
        !is_half_written(&killed),
        "half-written files are cleared away"
    );

    let survivor = Trainer::resume(&killed, &digits())?;
    assert!(survivor.is_finished());
    for (a, b) in [
        (expected.generator(), survivor.generator()),
        (expected.trained_generator(), survivor.trained_generator()),
        (expected.discriminator(), survivor.discriminator()),
    ] {
        for ((name, a), (_, b)) in a.named_parameters()?.iter().zip(b.named_parameters()?) {
            let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(a), values(&b), "{name}");
        }
    }
    assert_eq!(expected.best(), survivor.best());
    let lines = |run: &Path| -> Vec<(u64, f64, Option<f64>)> {
        let stats = digit_gan::record::read_stats(run).unwrap();
        stats
            .iter()
            .map(|stats| (stats.step, stats.d_loss, stats.frechet))
            .collect()
    };
    assert_eq!(lines(&whole), lines(&killed));
    let judged = |line: &&(u64, f64, Option<f64>)| line.2.is_some();
    assert_eq!(lines(&killed).iter().filter(judged).count(), 25);
    Ok(())
}

#[test]
fn a_start_that_was_killed_can_be_started_again() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("lock"), "").unwrap();
    fs::write(run.join("recipe.json.123.tmp"), "{").unwrap();
    drop(Trainer::open(recipe(), &digits(), &run)?);
    // Before its folders, before its first checkpoint.
    fs::remove_dir_all(run.join("grids")).unwrap();
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let mut trainer = Trainer::open(recipe(), &digits(), &run)?;
    assert_eq!(trainer.steps(), 0);
    assert!(run.join("grids/step-00000000.png").exists());
    trainer.advance()?;
    trainer.checkpoint().map(drop)
}

/// A run with checkpoints of the steps 2, 4 and 6.
fn three_checkpoints(run: &Path) -> Result<[PathBuf; 3]> {
    let recipe = Recipe {
        checkpoint_every: 2,
        keep_checkpoints: 3,
        ..small(Recipe::dense())
    };
    let mut trainer = Trainer::new(recipe, &digits(), run)?;
    (0..6).try_for_each(|_| trainer.advance().map(drop))?;
    Ok([2, 4, 6].map(|step| run.join(format!("checkpoints/step-{step:08}.safetensors"))))
}

#[test]
fn any_damaged_byte_of_a_checkpoint_is_noticed() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let network = Sequential::new("a", [3]).dense(4).build(&Rng::seed(6))?;
    network.save(&path)?;
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        // In the name of the checksum itself, the file looks like one of another program, which the run refuses.
        if !damaged.windows(15).any(|w| w == b"digit_gan.crc32") {
            continue;
        }
        let result = Network::load(&path, &Rng::seed(1));
        assert!(
            matches!(result, Err(Error::Format { .. })),
            "byte {at} of {}",
            whole.len()
        );
    }
    Ok(())
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() -> Result<()> {
    let damages: [fn(Vec<u8>) -> Vec<u8>; 5] = [
        |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            bytes
        },
        |bytes| bytes[..bytes.len() - 1].to_vec(),
        |bytes| bytes[..5].to_vec(),
        |_| Vec::new(),
        |bytes| {
            String::from_utf8_lossy(&bytes)
                .replace("crc32", "crc33")
                .into_bytes()
        },
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let [first, second, third] = three_checkpoints(run)?;
        for path in [&third, &second] {
            fs::write(path, damage(fs::read(path).unwrap())).unwrap();
        }
        let mut trainer = Trainer::resume(run, &digits())?;
        assert_eq!(trainer.steps(), 2);
        for path in [&second, &third] {
            let aside = path.with_extension("safetensors.damaged");
            assert!(
                !path.exists() && aside.exists(),
                "the damaged one is put aside"
            );
        }
        trainer.run()?;
        drop(trainer);
        assert!(Trainer::resume(run, &digits())?.is_finished());
        assert!(!first.exists(), "old ones go, as without damage");
    }
    Ok(())
}

#[test]
fn a_notice_names_what_is_damaged_and_what_is_taken() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let [_, second, third] = three_checkpoints(folder.path())?;
    fs::write(&third, "no checkpoint").unwrap();
    let text = process::printed(process::command_in(resume_here, folder.path()));
    let named = format!("{}: expected a safetensors file", third.display());
    assert!(text.contains(&named), "{text}");
    assert!(
        text.contains(&format!("resumed at step 4 from {}", second.display())),
        "{text}"
    );
    Ok(())
}

#[test]
#[ignore = "the process whose notices the test above reads"]
fn resume_here() {
    Trainer::resume(process::folder(), &digits()).unwrap();
}

#[test]
fn a_run_without_any_whole_checkpoint_is_not_silently_begun_anew() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for path in three_checkpoints(folder.path())? {
        fs::write(path, "").unwrap();
    }
    let message = Trainer::resume(folder.path(), &digits())
        .err()
        .expect("refused")
        .to_string();
    assert!(
        message.contains("step-00000006.safetensors: this checkpoint and all others"),
        "{message}"
    );
    assert!(message.contains("3 in all"), "{message}");
    Ok(())
}

/// A small disk, while it lives.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None where mounting is not allowed.
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk(folder);
        disk.size(&format!("size={bytes}")).then_some(disk)
    }

    fn size(&self, options: &str) -> bool {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(self.0.path())
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let umount = Command::new("umount")
            .arg(self.0.path())
            .stderr(Stdio::null())
            .status();
        drop(umount);
    }
}

#[test]
fn a_full_disk_stops_a_run_and_loses_nothing() -> Result<()> {
    let recipe = Recipe {
        checkpoint_every: 1,
        grid_every: 1000,
        keep_checkpoints: 3,
        ..small(Recipe::dense())
    };
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut expected = Trainer::new(recipe.clone(), &digits(), &run)?;
    expected.run()?;
    let one = fs::metadata(run.join("checkpoints/step-00000022.safetensors"))
        .unwrap()
        .len();
    // Room for three checkpoints and a half: the three that stay, and not the fourth that is to replace the oldest.
    let Some(disk) = Disk::mount(one * 7 / 2 + 60_000) else {
        println!("skipped: no tmpfs can be mounted here (it takes root)");
        return Ok(());
    };
    let run = disk.0.path().join("run");
    let mut trainer = Trainer::new(recipe, &digits(), &run)?;
    let full = |trainer: &mut Trainer| {
        let error = trainer.run().unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Io { .. }), "{message}");
        assert!(
            message.contains("step-00000004.safetensors: No space left"),
            "{message}"
        );
        let left = fs::read_dir(run.join("checkpoints")).unwrap().count();
        assert_eq!(left, 3, "three whole checkpoints, nothing half-written");
    };
    full(&mut trainer);
    drop(trainer);
    let mut trainer = Trainer::resume(&run, &digits())?;
    assert_eq!(trainer.steps(), 3);
    full(&mut trainer);
    // Once there is room, the same trainer continues.
    assert!(disk.size(&format!("remount,size={}", one * 10)));
    trainer.run()?;
    let weights = |trainer: &Trainer| trainer.discriminator().parameters()[0].to_vec1::<f32>();
    assert_eq!(weights(&trainer)?, weights(&expected)?);
    Ok(())
}
