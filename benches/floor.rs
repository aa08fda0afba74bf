//! The least that must be done with the answers of a stored run: parse, hash, compress. Prints the CPU
//! seconds of one pass, and per million rules, to hold against the CPU seconds of the run itself:
//!
//! ```sh
//! cargo bench --bench floor -- evidence/runs/RUN
//! ```

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() {
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let Some(folder) = folder.map(PathBuf::from) else {
        // `cargo bench` of everything runs it without a run: nothing to measure.
        return;
    };
    let bodies = bodies(&folder);
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    // One thread does nothing else, so that time on the wall is CPU time.
    // Counted beforehand: only to divide by.
    let rules: usize = bodies.iter().map(|body| count(body)).sum();
    let begun = Instant::now();
    let mut hash = <sha2::Sha256 as sha2::Digest>::new();
    let mut packed = zstd::stream::write::Encoder::new(std::io::sink(), 3).expect("zstd");
    for body in &bodies {
        let _: serde::de::IgnoredAny = serde_json::from_slice(body).expect("JSON");
        sha2::Digest::update(&mut hash, body);
        std::io::Write::write_all(&mut packed, body).expect("zstd");
    }
    packed.finish().expect("zstd");
    let seconds = begun.elapsed().as_secs_f64();
    let digest = sha2::Digest::finalize(hash);
    let million = rules as f64 / 1e6;
    report(&format!(
        "floor: {} answers, {} MB, {rules} rules: {seconds:.2} CPU s, {:.2} per million rules ({:02x})",
        bodies.len(),
        bytes / 1_000_000,
        seconds / million.max(1e-9),
        digest[0]
    ));
}

/// Rules in an answer: cheap, and only to divide by.
fn count(body: &[u8]) -> usize {
    body.windows(9)
        .filter(|window| window == b"\"NicType\"")
        .count()
}

#[expect(clippy::print_stdout, reason = "a benchmark's figure")]
fn report(line: &str) {
    println!("{line}");
}

/// The bodies of all answers, unpacked beforehand: reading them back is no part of a run.
fn bodies(folder: &Path) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder.join("raw/before"))
        .expect("a sealed run")
        .flatten()
    {
        let file = std::fs::File::open(entry.path()).expect("a raw file");
        let mut text = String::new();
        zstd::stream::read::Decoder::new(file)
            .expect("zstd")
            .read_to_string(&mut text)
            .expect("UTF-8");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            if let Some(body) = line["body"].as_str() {
                out.push(body.as_bytes().to_vec());
            }
        }
    }
    out
}
