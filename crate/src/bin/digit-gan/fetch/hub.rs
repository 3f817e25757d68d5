//! Downloads MNIST through candle-datasets, once, and keeps it as IDX files.
//!
//! The download runs in a child process with a cache of its own: a damaged download cannot outlive its
//! attempt, a decoder's panic is an attempt that failed, and a server that falls silent can be left.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{self, Read, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};
use digit_gan::data::idx;
use digit_gan::files::write_atomically;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, String>;

const ATTEMPTS: u32 = 3;
/// How trouble on this machine begins, which another attempt would only repeat.
const CANNOT_WRITE: &str = "cannot write";
/// How the program calls itself to download; the folder follows.
const DOWNLOAD: [&str; 2] = ["fetch", "--download"];

/// The files and the SHA-256 of their unpacked bytes.
const FILES: [(&str, &str); 4] = [
    (
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    (
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    (
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    (
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
];

/// `data/mnist` of the workspace, where notebooks look for it: `cargo run` says where that is, whatever folder it is called
/// from.
pub fn data_folder() -> PathBuf {
    let workspace =
        env::var_os("CARGO_MANIFEST_DIR").map(|package| PathBuf::from(package).join(".."));
    match workspace.and_then(|folder| folder.canonicalize().ok()) {
        Some(folder) if env::current_dir().is_ok_and(|current| current != folder) => {
            folder.join("data/mnist")
        }
        _ => "data/mnist".into(),
    }
}

// ---------------------------------------------------------------- the parent: attempts

pub fn fetch(folder: &Path, patience: u64) -> Result<()> {
    let place = folder.display();
    if present(folder)? {
        println!("MNIST is already in {place}: four files, checksums right");
        return Ok(());
    }
    let hub = env::var("HF_ENDPOINT").unwrap_or_else(|_| "https://huggingface.co".into());
    println!("Fetching MNIST (18 MB) from {hub} into {place}");
    let mut attempt = 1;
    loop {
        let Err(reason) = attempt_download(folder, Duration::from_secs(patience)) else {
            println!("MNIST is in {place}");
            return Ok(());
        };
        if reason.starts_with(CANNOT_WRITE) {
            return Err(reason);
        }
        // The client has tried to connect several times already.
        if attempt == ATTEMPTS || reason.contains("error sending request") {
            return Err(format!(
                "MNIST could not be fetched: {reason}\nCheck the network; HTTPS_PROXY names a proxy, HF_ENDPOINT \
                 another hub. Or copy MNIST's four IDX files, plain or .gz, into {place}."
            ));
        }
        println!("  attempt {attempt} of {ATTEMPTS} failed: {reason}");
        sleep(Duration::from_secs(attempt.into()));
        attempt += 1;
    }
}

/// Whether the files that `Digits` would read from the folder are all there and right.
fn present(folder: &Path) -> Result<bool> {
    let mut all = true;
    for (name, checksum) in FILES {
        let right = |path: &Path| {
            let encoded = if name.contains("images") {
                idx::read_images(path).map(|pixels| idx::encode_images(&pixels))
            } else {
                idx::read_labels(path, 0..10).map(|labels| idx::encode_labels(&labels))
            };
            encoded.is_ok_and(|bytes| sha256(&bytes) == checksum)
        };
        let plain = folder.join(name);
        if plain.exists() && !right(&plain) {
            // It would be read before the file that we write, and it is not ours to delete.
            return Err(format!(
                "{}: not MNIST's file of this name. Move it away first.",
                plain.display()
            ));
        }
        all &= plain.exists() || right(&folder.join(format!("{name}.gz")));
    }
    Ok(all)
}

fn attempt_download(folder: &Path, patience: Duration) -> Result<()> {
    let cache = Cache::new().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let mut child = env::current_exe()
        .and_then(|program| {
            Command::new(program)
                .args(DOWNLOAD)
                .arg(folder)
                .env("HF_HOME", &cache.0)
                .env("RUST_BACKTRACE", "0")
                .env_remove("HF_HUB_CACHE")
                .env_remove("HUGGINGFACE_HUB_CACHE")
                .stderr(Stdio::piped())
                .spawn()
        })
        .map_err(|error| format!("cannot start the download: {error}"))?;
    let result = watch(&mut child, &cache, patience);
    if result.is_err() {
        // It may have ended meanwhile, which is as good.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    result?;
    let mut message = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut message);
    }
    if status.success() {
        Ok(())
    } else {
        Err(message.trim().replace('\n', " "))
    }
}

/// Prints the progress until the child ends; an error once nothing has arrived for that long.
fn watch(child: &mut Child, cache: &Cache, patience: Duration) -> Result<()> {
    let (mut seen, mut shown, mut since) = (0, 0, Instant::now());
    while child
        .try_wait()
        .map_err(|error| error.to_string())?
        .is_none()
    {
        sleep(Duration::from_millis(100));
        let size = size(&cache.0);
        if size != seen {
            (seen, since) = (size, Instant::now());
        }
        if seen >= shown + 4_000_000 {
            shown = seen;
            println!("  {} MB", seen / 1_000_000);
        }
        if since.elapsed() > patience {
            return Err(format!("nothing arrived for {} s", patience.as_secs()));
        }
    }
    Ok(())
}

/// Bytes of all files below the folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) if metadata.is_file() => metadata.len(),
            _ => 0,
        })
        .sum()
}

/// A temporary folder for the hub's client, gone with the attempt.
struct Cache(PathBuf);

impl Cache {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("digit-gan-fetch-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Cache(path))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ---------------------------------------------------------------- the child: one download

pub fn download(folder: &Path) -> Result<()> {
    // candle-datasets unwraps where it decodes.
    panic::set_hook(Box::new(|_| {
        eprintln!("the downloaded images cannot be decoded")
    }));
    let mnist = candle_datasets::vision::mnist::load().map_err(|error| error.to_string())?;
    let contents = [
        idx::encode_images(&bytes(&mnist.train_images)?),
        idx::encode_labels(&bytes(&mnist.train_labels)?),
        idx::encode_images(&bytes(&mnist.test_images)?),
        idx::encode_labels(&bytes(&mnist.test_labels)?),
    ];
    for ((name, checksum), content) in FILES.iter().zip(&contents) {
        let found = sha256(content);
        if found != *checksum {
            return Err(format!(
                "{name} is not MNIST's: expected SHA-256 {checksum} but found {found}"
            ));
        }
    }
    println!("  checksums right");
    let cannot = |error: &dyn Display| format!("{CANNOT_WRITE} into {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
    for ((name, _), content) in FILES.iter().zip(&contents) {
        let write = |file: &mut dyn Write| {
            let mut gzip = GzEncoder::new(file, Compression::best());
            gzip.write_all(content)?;
            gzip.finish().map(drop)
        };
        write_atomically(&folder.join(format!("{name}.gz")), write)
            .map_err(|error| cannot(&error))?;
    }
    Ok(())
}

/// candle-datasets divides the bytes of images by 255; rounding undoes that exactly.
fn bytes(values: &Tensor) -> Result<Vec<u8>> {
    let values = match values.dtype() {
        DType::U8 => values.flatten_all(),
        _ => (values * 255.0).and_then(|values| values.round()?.to_dtype(DType::U8)?.flatten_all()),
    };
    values
        .and_then(|values| values.to_vec1())
        .map_err(|error| error.to_string())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
