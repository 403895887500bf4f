//! Folders that a real Apache Kafka 4.3.1 node wrote and closed are opened as they are.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_log::{Disk, LogConfig, OsDisk, read_partition_metadata};
use naru_model::{LeaderEpoch, Offset};
use naru_records::{ControlRecord, Records, batches};
use support::open;

fn disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk)
}

/// A copy of a golden folder, since opening may write into it.
fn copy_of(name: &str, to: &Path) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let folder = to.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(golden).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    folder
}

fn count_records(log: &naru_log::Log) -> (usize, usize) {
    let (mut data, mut control) = (0, 0);
    let end = log.log_end();
    let slice = log.reader().read(log.log_start(), 1 << 20, true, end).unwrap();
    let bytes = slice.read_bytes().unwrap();
    for item in batches(&bytes) {
        let (header, batch) = item.unwrap();
        header.check_crc(batch).unwrap();
        for record in Records::open(batch, 1 << 20, &mut Vec::new()).unwrap() {
            let record = record.unwrap();
            if header.is_control() {
                assert!(ControlRecord::read(&record).is_some());
                control += 1;
            } else {
                data += 1;
            }
        }
    }
    (data, control)
}

#[test]
fn the_metadata_log_of_kafka_is_read_whole() {
    let temp = tempfile::tempdir().unwrap();
    for clean in [true, false] {
        let folder = copy_of("__cluster_metadata-0", &temp.path().join(clean.to_string()));
        let (log, report) = open(&disk(), &folder, &LogConfig::default(), clean);
        assert!(!report.mended(), "{report:?}");
        assert_eq!(log.log_end(), Offset(56));
        let (data, control) = count_records(&log);
        assert_eq!(data + control, 56);
        assert!(control >= 2);
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(2)));
    }
}

#[test]
fn a_topic_of_kafka_is_read_and_continued() {
    let temp = tempfile::tempdir().unwrap();
    let folder = copy_of("__transaction_state-1", temp.path());
    assert!(read_partition_metadata(&OsDisk, &folder).unwrap().is_some());
    let (mut log, report) = open(&disk(), &folder, &LogConfig::default(), true);
    assert!(!report.mended(), "{report:?}");
    assert_eq!((log.log_end(), count_records(&log)), (Offset(7), (7, 0)));
    assert_eq!(support::append(&mut log, &support::batch(&["ours"])), Offset(7));
    log.close().unwrap();
    let (log, _) = open(&disk(), &folder, &LogConfig::default(), true);
    assert_eq!(log.log_end(), Offset(8));
}

#[test]
fn index_files_that_kafka_has_preallocated_are_understood() {
    let temp = tempfile::tempdir().unwrap();
    let folder = copy_of("__transaction_state-1", temp.path());
    for suffix in ["index", "timeindex"] {
        let path = folder.join(format!("00000000000000000000.{suffix}"));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(if suffix == "index" { 10_485_760 } else { 10_485_756 }).unwrap();
    }
    for clean in [false, true] {
        let (log, report) = open(&disk(), &folder, &LogConfig::default(), clean);
        assert!(!report.mended(), "{report:?}");
        assert_eq!(count_records(&log), (7, 0));
        log.close().unwrap();
        let index = folder.join("00000000000000000000.index");
        assert_eq!(std::fs::metadata(index).unwrap().len(), 0);
    }
}
