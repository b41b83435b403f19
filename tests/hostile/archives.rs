//! Archives of images: compressed again and again, unpacking to more than a disk has, cut, changed, and with lists that do not
//! end.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::home::Home;
use crate::program::{each, run};
use crate::tally::{Tally, random};

/// What a run may write to a file, in blocks of 512 bytes: 200 MiB. An archive that unpacks to more ends the run by a signal.
const MOST_BLOCKS: u64 = (200 << 20) / 512;

/// A gzip of a gzip, so many times: blocks that are stored and not compressed, as that is quick.
fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = b"not an archive".to_vec();
    for _ in 0..levels {
        let mut crc = Crc::new();
        crc.update(&bytes);
        let mut next = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        let blocks: Vec<&[u8]> = bytes.chunks(0xffff).collect();
        for (at, block) in blocks.iter().enumerate() {
            let length = u16::try_from(block.len()).expect("a chunk's");
            next.push(u8::from(at + 1 == blocks.len()));
            next.extend(length.to_le_bytes());
            next.extend((!length).to_le_bytes());
            next.extend(*block);
        }
        next.extend(crc.sum().to_le_bytes());
        next.extend(crc.amount().to_le_bytes());
        bytes = next;
    }
    bytes
}

fn bomb(megabytes: usize, byte: u8) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let piece = vec![byte; 1 << 20];
    (0..megabytes).for_each(|_| gzip.write_all(&piece).expect("in memory"));
    gzip.finish().expect("in memory")
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes.as_slice()).expect("in memory");
    }
    tar.into_inner().expect("in memory")
}

fn manifest(manifest: &Value) -> Vec<u8> {
    tar(&[
        ("conf.json", b"{}".to_vec()),
        ("layer", b"x".to_vec()),
        ("manifest.json", manifest.to_string().into_bytes()),
    ])
}

/// An entry whose header announces more than follows.
fn entry(kind: u8, size: u64, name: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_path(name).expect("a short name");
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn made() -> Vec<(String, Vec<u8>)> {
    let mut made: Vec<(String, Vec<u8>)> = Vec::new();
    for levels in [2, 3, 10, 100, 1000, 2500] {
        made.push((format!("compressed {levels} times"), nested(levels)));
    }
    for (megabytes, byte) in [(300, 0), (400, b'x')] {
        made.push((format!("{megabytes} MB in a gzip"), bomb(megabytes, byte)));
    }
    made.push(("100,000 entries".to_owned(), entry(b'0', 0, "a").repeat(100_000)));
    for kind in [b'L', b'K', b'x', b'g'] {
        let mut long = entry(kind, 150 << 20, "././@LongLink");
        long.resize(512 + (150 << 20), b'a');
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&long).expect("in memory");
        made.push((format!("a name of 150 MB, type {}", kind as char), gzip.finish().expect("in memory")));
    }
    for size in [1 << 62, u64::MAX, 1 << 33] {
        made.push((format!("an entry of {size} bytes"), entry(b'0', size, "manifest.json")));
    }
    for (name, value) in [
        ("a million layers", json!([{"Config": "conf.json", "Layers": vec!["layer"; 300_000]}])),
        ("a hundred thousand images", json!(vec![json!({"Config": "a", "Layers": []}); 100_000])),
        ("names without an end", json!([{"Config": "a".repeat(1 << 20), "Layers": []}])),
        ("another type", json!({"Config": 1})),
    ] {
        made.push((name.to_owned(), manifest(&value)));
    }
    let deep = "[".repeat(1 << 20).into_bytes();
    made.push(("JSON that is nested a million times".to_owned(), tar(&[("manifest.json", deep)])));
    made
}

/// An archive of the corpus with some bytes changed, or cut.
fn damaged(random: &mut StdRng, number: usize) -> (String, Vec<u8>) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/image");
    let mut files: Vec<_> =
        fs::read_dir(corpus).expect("the corpus").flatten().map(|file| file.path()).collect();
    files.sort();
    let file = &files[number % files.len()];
    let mut bytes = fs::read(file).expect("a file");
    for _ in 0..random.random_range(1..8) {
        let at = random.random_range(0..bytes.len());
        bytes[at] = random.random_range(0..=255);
    }
    if random.random_bool(0.3) {
        bytes.truncate(random.random_range(0..bytes.len()));
    }
    (format!("{} damaged, number {number}", file.file_name().unwrap_or_default().display()), bytes)
}

#[test]
fn archives() {
    let (tally, mut random) = (Tally::new("archives", 50), random("archives"));
    let home = Home::new();
    let mut record: Value = serde_json::from_str(include_str!("../fixtures/lab-c3662c0.json")).expect("JSON");
    // No process listens there: an archive that can be read fails later.
    record["registry_port"] = 1.into();
    fs::create_dir_all(home.lab("meshy")).expect("a folder");
    fs::write(home.lab("meshy").join("lab.json"), record.to_string()).expect("a record");
    let mut cases = made();
    cases.extend((0..40).map(|number| damaged(&mut random, number)));
    let cases = cases.into_iter().enumerate().collect();
    each(cases, |(number, (name, bytes))| {
        let file = format!("image-{number}.tar");
        fs::write(home.path().join(&file), bytes).expect("a file");
        let limit = format!("ulimit -f {MOST_BLOCKS}");
        let mut command = home.through_shell(&limit, &format!("push {file} --as image:v1 --timeout 3s"));
        command.env("TMPDIR", home.path());
        tally.add("S-D12", name, run(command).faults_of_invalid());
    });
    tally.end();
}
