//! What a run's folder withstands: unreadable statistics, the user's own files, two writers, file systems without locks.

use std::fs;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use digit_gan::Result;
use digit_gan::files::write_atomically;
use digit_gan::prelude::*;
use digit_gan::record::read_stats;

use crate::helpers::process;
use crate::helpers::small::{digits, small};

#[test]
fn a_gradient_too_long_for_f32_does_not_lock_a_run() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let recipe = Recipe {
        penalty: None, // would be too large first
        ..small(Recipe::dense())
    };
    let mut trainer = Trainer::new(recipe, &digits(), &run)?;
    trainer.checkpoint()?;
    for (name, values) in trainer.discriminator().named_parameters()? {
        trainer.discriminator().set(&name, &(values * 1e11)?)?;
    }
    (0..5).try_for_each(|_| trainer.advance().map(drop))?;
    drop(trainer);
    let line = &read_stats(&run)?[0];
    assert!(line.d_gradient_norm > 1.8e19 || line.d_gradient_norm.is_nan());
    plot::compare_runs(&[&run])?;
    let mut trainer = Trainer::resume(&run, &digits())?;
    assert_eq!((trainer.steps(), read_stats(&run)?.len()), (0, 0));
    trainer.run()
}

#[test]
fn lines_after_the_checkpoint_need_not_be_readable() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut trainer = Trainer::new(small(Recipe::dense()), &digits(), &run)?;
    (0..8).try_for_each(|_| trainer.advance().map(drop))?;
    trainer.checkpoint()?;
    drop(trainer);
    let path = run.join("stats.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let later = "{\"step\":12,\"images\":\"many\"}\nno line at all\n{\"step\":16,";
    fs::write(&path, format!("{whole}{later}")).unwrap();
    drop(Trainer::resume(&run, &digits())?);
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    // Before the checkpoint it does.
    fs::write(&path, whole.replacen("\"step\"", "\"stop\"", 1)).unwrap();
    let message = Trainer::resume(&run, &digits()).err().unwrap().to_string();
    assert!(
        message.contains("line 1: expected a line of statistics"),
        "{message}"
    );
    Ok(())
}

#[test]
fn two_threads_write_one_file_without_cutting_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let write = |byte: u8| {
        let path = &path;
        move || {
            for _ in 0..100 {
                write_atomically(path, |file| {
                    (0..50).try_for_each(|_| file.write_all(&[byte; 10_000]))
                })
                .unwrap();
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(write(1));
        scope.spawn(write(2));
        for _ in 0..200 {
            let content = fs::read(&path).unwrap_or_default();
            assert!([0, 500_000].contains(&content.len()));
            assert!(content.iter().all(|&byte| byte == content[0]));
        }
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn opening_a_run_leaves_the_users_files() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    drop(Trainer::new(small(Recipe::dense()), &digits(), &run)?);
    let users = [
        "notes.tmp",
        "draft.2026.tmp",
        "grids/zoom.tmp",
        "checkpoints/generator.safetensors.tmp",
    ];
    let ours = [
        "recipe.json.77.tmp",
        "stats.jsonl.aB3xY9.tmp",
        "checkpoints/step-00000002.safetensors.123.tmp",
        "checkpoints/best.safetensors.Q0Q0Q0.tmp",
        "grids/step-00000010.png.31.tmp",
    ];
    for name in users.iter().chain(&ours) {
        fs::write(run.join(name), "x").unwrap();
    }
    drop(Trainer::resume(&run, &digits())?);
    assert!(users.iter().all(|name| run.join(name).exists()));
    assert!(!ours.iter().any(|name| run.join(name).exists()));
    Ok(())
}

/// A library that gives a program a file system that cannot lock, nor sync a folder.
const SHIM: &str = r#"
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int flock(int fd, int operation) { errno = ENOLCK; return -1; }
int fsync(int fd) {
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) { errno = EINVAL; return -1; }
    return syscall(SYS_fsync, fd);
}
"#;

#[test]
fn a_file_system_without_locks_and_folder_sync_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    if !cfg!(target_os = "linux") || !compiled.is_ok_and(|status| status.success()) {
        println!("skipped: needs Linux and a C compiler");
        return;
    }
    let mut command = process::command_in(
        on_a_file_system_without_locks_and_folder_sync,
        folder.path(),
    );
    command.env("LD_PRELOAD", library);
    let text = process::printed(command);
    assert!(
        text.contains("this file system cannot lock files"),
        "{text}"
    );
}

#[test]
#[ignore = "the process of the test above"]
fn on_a_file_system_without_locks_and_folder_sync() {
    let folder = process::folder();
    let file = folder.join("file");
    write_atomically(&file, |file| file.write_all(b"whole")).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"whole");
    let run = folder.join("run");
    let mut trainer = Trainer::new(small(Recipe::dense()), &digits(), &run).unwrap();
    trainer.run().unwrap();
}

#[test]
fn two_concurrent_calls_of_pause_at_both_get_their_answer() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        total_images: 80_000_000,
        grid_every: 1_000_000,
        checkpoint_every: 1_000_000,
        ..small(Recipe::dense())
    };
    let training = Trainer::new(recipe, &digits(), folder.path())?.in_background();
    let (sender, arrived) = channel();
    thread::scope(|scope| {
        for step in [40, 41] {
            let (training, sender) = (&training, sender.clone());
            scope.spawn(move || {
                training.pause_at(step).unwrap();
                sender.send(training.status().unwrap().steps()).unwrap();
            });
        }
        let both = || {
            let patience = Duration::from_secs(120);
            let first = arrived.recv_timeout(patience).ok()?;
            training.resume().unwrap();
            Some((first, arrived.recv_timeout(patience).ok()?))
        };
        let seen = both();
        if seen.is_none() {
            println!("an answer was lost");
            std::process::exit(1);
        }
    });
    Ok(())
}
