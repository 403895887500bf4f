//! A log of a few hundred MB goes in by kcat and comes out by two other clients, byte for byte.
//!
//! The log is made here, the same on every machine: lines as a web server writes them, some of them
//! long, some not ASCII, keyed by client address. kcat spreads keys over partitions by CRC-32, which
//! is known, so what each partition must hold is known before the broker is asked.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Stage;
use crate::broker::{Broker, java};
use crate::install::program;
use crate::outcome::Outcome;
use crate::process::{Process, wait_until};

const TOPIC: &str = "stream";
const PARTITIONS: usize = 3;
const SIZE: u64 = 256 << 20;
const CLIENTS: u64 = 5_000;
const PATIENCE: Duration = Duration::from_secs(300);

/// The log, and what each partition must hold of it.
struct Data {
    whole: PathBuf,
    parts: Vec<PathBuf>,
    records: u64,
}

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    program("kcat", "kcat")?;
    let data = make(stage.folder)?;
    let broker = stage.start_broker(&[("num.partitions", &PARTITIONS.to_string())])?;
    produce(stage, &broker, &data)?;
    let read = read_by_java(stage, &broker, &data);
    outcome.add_result("the Java console consumer reads what kcat wrote, byte for byte", &read);
    let read = read_by_group(stage, &broker, &data);
    outcome.add_result("a group of three Python consumers reads it, byte for byte", &read);
    Ok(())
}

/// Numbers that look random and are the same on every machine (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).expect("an index below a length")]
    }
}

fn make(folder: &Path) -> Result<Data> {
    let whole = folder.join("access.log");
    let parts: Vec<PathBuf> = (0..PARTITIONS).map(|p| folder.join(format!("part-{p}"))).collect();
    let mut file = BufWriter::new(File::create(&whole)?);
    let mut part_files = parts
        .iter()
        .map(|path| Ok(BufWriter::new(File::create(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let partition_of: Vec<usize> = (0..CLIENTS).map(|c| partition(address(c).as_bytes())).collect();
    let mut numbers = Numbers(0x6e61_7275);
    let (mut written, mut records) = (0, 0);
    while written < SIZE {
        let client = numbers.below(CLIENTS);
        let line = line(client, records, &mut numbers);
        file.write_all(line.as_bytes())?;
        part_files[partition_of[usize::try_from(client)?]].write_all(line.as_bytes())?;
        written += line.len() as u64;
        records += 1;
    }
    file.flush()?;
    for part in &mut part_files {
        part.flush()?;
    }
    Ok(Data { whole, parts, records })
}

fn address(client: u64) -> String {
    format!("10.{}.{}.{}", client % 7, client / 7 % 251, client % 253)
}

/// Key, tab, value, newline.
fn line(client: u64, number: u64, numbers: &mut Numbers) -> String {
    const PATHS: [&str; 6] =
        ["/", "/index.html", "/api/v1/orders", "/suche?q=größe", "/日本/地図", "/static/app.js"];
    const STATUS: [u16; 5] = [200, 200, 304, 404, 500];
    let path = numbers.pick(&PATHS);
    let status = numbers.pick(&STATUS);
    // One line in a thousand carries a long query, as real logs do.
    let query = if number.is_multiple_of(1000) { "x".repeat(20_000) } else { String::new() };
    format!(
        "{key}\t{key} - - [{number:09}] \"GET {path}?id={id:x}{query} HTTP/1.1\" {status} {bytes} \
         \"-\" \"Mozilla/5.0 (X11; Linux x86_64) tab\there\"\n",
        key = address(client),
        id = numbers.below(1 << 40),
        bytes = numbers.below(90_000),
    )
}

/// librdkafka's partitioner for records with keys: CRC-32 of the key.
fn partition(key: &[u8]) -> usize {
    let mut crc = u32::MAX;
    for byte in key {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc as usize % PARTITIONS
}

fn produce(stage: &Stage<'_>, broker: &Broker, data: &Data) -> Result<()> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-b", &broker.bootstrap(), "-t", TOPIC, "-K", "\t", "-z", "lz4"]);
    kcat.args(["-X", "enable.idempotence=true", "-X", "linger.ms=20", "-l"]).arg(&data.whole);
    stage.succeed("kcat", &mut kcat, PATIENCE).map(|_| ())
}

fn read_by_java(stage: &Stage<'_>, broker: &Broker, data: &Data) -> Result<()> {
    let output = stage.folder.join("java.out");
    let mut command = java(&stage.tools.kafka_jars()?, "600m");
    command.arg("org.apache.kafka.tools.consumer.ConsoleConsumer");
    command.args(["--bootstrap-server", &broker.bootstrap(), "--topic", TOPIC, "--from-beginning"]);
    command.args(["--max-messages", &data.records.to_string(), "--timeout-ms", "60000"]);
    for property in ["print.partition=true", "print.key=true"] {
        command.args(["--formatter-property", property]);
    }
    let log = stage.folder.join("java.log");
    let mut process = Process::start_with_output(&mut command, &log, &output)?;
    let status = process.wait(PATIENCE)?;
    ensure!(status.success(), "it ended with {status}: {}", process.last_words());
    compare_marked(&output, &data.parts)?;
    Ok(fs::remove_file(output)?)
}

/// Compares lines that begin with `Partition:N` and a tab against the partitions' files.
fn compare_marked(output: &Path, parts: &[PathBuf]) -> Result<()> {
    let mut wanted = parts
        .iter()
        .map(|path| Ok(BufReader::new(File::open(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut given = BufReader::new(File::open(output)?);
    let (mut line, mut want) = (Vec::new(), Vec::new());
    while given.read_until(b'\n', &mut line)? > 0 {
        let rest = line.strip_prefix(b"Partition:").context("a line without its partition")?;
        let (number, record) = rest.split_at_checked(2).context("a short line")?;
        let partition = usize::from(number[0] - b'0');
        want.clear();
        wanted[partition].read_until(b'\n', &mut want)?;
        ensure!(record == want, "partition {partition} differs");
        line.clear();
    }
    for (partition, mut rest) in wanted.into_iter().enumerate() {
        ensure!(rest.fill_buf()?.is_empty(), "partition {partition} ends early");
    }
    Ok(())
}

fn read_by_group(stage: &Stage<'_>, broker: &Broker, data: &Data) -> Result<()> {
    let folder = stage.folder.join("group");
    fs::create_dir_all(&folder)?;
    let mut members = (0..3)
        .map(|number| {
            let mut command = stage.python("scenarios/stream_member.py")?;
            command.args([&broker.bootstrap(), TOPIC, "stream-group"]).arg(&folder);
            stage.start(&format!("member-{number}"), &mut command)
        })
        .collect::<Result<Vec<_>>>()?;
    let total = fs::metadata(&data.whole)?.len();
    wait_until("all bytes from the group", PATIENCE, || {
        size_of_files(&folder) >= total || members.iter_mut().any(|member| !member.is_running())
    })?;
    for member in &mut members {
        let status = member.terminate(Duration::from_secs(60))?;
        ensure!(status.success(), "a member ended with {status}: {}", member.last_words());
    }
    for (partition, wanted) in data.parts.iter().enumerate() {
        let mut pieces = pieces_of(&folder, partition)?;
        pieces.sort();
        ensure!(!pieces.is_empty(), "nothing of partition {partition}");
        let same = same_bytes(&mut chain(&pieces)?, &mut File::open(wanted)?)?;
        ensure!(same, "partition {partition} differs");
    }
    Ok(())
}

fn pieces_of(folder: &Path, partition: usize) -> Result<Vec<PathBuf>> {
    let mut pieces = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("{partition}-")) {
            pieces.push(entry.path());
        }
    }
    Ok(pieces)
}

fn size_of_files(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// The files one after the other.
fn chain(files: &[PathBuf]) -> Result<Box<dyn Read>> {
    let mut all: Box<dyn Read> = Box::new(std::io::empty());
    for file in files {
        all = Box::new(all.chain(File::open(file)?));
    }
    Ok(all)
}

fn same_bytes(left: &mut dyn Read, right: &mut dyn Read) -> Result<bool> {
    let (mut left, mut right) = (BufReader::with_capacity(1 << 20, left), BufReader::new(right));
    loop {
        let (a, b) = (left.fill_buf()?, right.fill_buf()?);
        let count = a.len().min(b.len());
        if count == 0 {
            return Ok(a.is_empty() && b.is_empty());
        }
        if a[..count] != b[..count] {
            return Ok(false);
        }
        left.consume(count);
        right.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_crc_32() {
        // CRC-32 of "123456789" is 0xCBF43926.
        assert_eq!(partition(b"123456789"), 0xCBF4_3926 % PARTITIONS);
    }

    #[test]
    fn bytes_are_compared_to_their_end() {
        let same = |a: &[u8], b: &[u8]| same_bytes(&mut &*a, &mut &*b).unwrap();
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd"));
        assert!(!same(b"abc", b"ab"));
        assert!(!same(b"", b"a"));
    }

    #[test]
    fn marked_lines_are_compared_per_partition() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let parts = [write("0", "a\tb\n"), write("1", "c\td\n")];
        let good = write("good", "Partition:1\tc\td\nPartition:0\ta\tb\n");
        let short = write("short", "Partition:1\tc\td\n");
        let wrong = write("wrong", "Partition:1\ta\tb\nPartition:0\tc\td\n");
        assert!(compare_marked(&good, &parts).is_ok());
        assert!(compare_marked(&short, &parts).is_err());
        assert!(compare_marked(&wrong, &parts).is_err());
    }
}
