//! `kafka-dump-log`.

pub(super) mod decoders;
mod index_files;
mod log_file;
mod schema;

use std::io;
use std::path::Path;

use super::common::{Ended, Face, finish};
use crate::options::{HELP, Parsed, Row, Takes, VERSION, row};
use crate::text::Streams;
use decoders::Decoder;
use index_files::{Complaints, IndexView, base_offset};
use log_file::View;

pub const ABOUT: &str = "This tool helps to parse a log file and dump its contents to the console, \
                         useful for debugging a seemingly corrupt log segment.";

static ROWS: &[Row] = &[
    HELP,
    VERSION,
    row("files", Takes::Text("file,..."), "The files to show: segments, indexes, snapshots."),
    row("print-data-log", Takes::Nothing, "Shows keys and values."),
    row("deep-iteration", Takes::Nothing, "Shows records, not only batches."),
    row("cluster-metadata-decoder", Takes::Nothing, "Shows the records of __cluster_metadata."),
    row("offsets-decoder", Takes::Nothing, "Shows the records of __consumer_offsets."),
    row("transaction-log-decoder", Takes::Nothing, "Shows the records of __transaction_state."),
    row("share-group-state-decoder", Takes::Nothing, "Shows the records of __share_group_state."),
    row("remote-log-metadata-decoder", Takes::Nothing, "Accepted; such records are shown as text."),
    row("skip-record-metadata", Takes::Nothing, "Shows contents only."),
    row("index-sanity-check", Takes::Nothing, "Only says whether indexes are sane."),
    row("verify-index-only", Takes::Nothing, "Only says what is wrong with indexes."),
    row("max-bytes", Takes::Int("bytes"), "Reads so much of a segment only."),
    row("max-message-size", Takes::Int("bytes"), "Accepted; any size is read."),
    row("key-decoder-class", Takes::Maybe("class"), "Only text is built in."),
    row("value-decoder-class", Takes::Maybe("class"), "Only text is built in."),
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-dump-log --files data/orders-0/00000000000000000000.log --print-data-log",
        "kafka-dump-log --cluster-metadata-decoder --files \
         data/__cluster_metadata-0/00000000000000000000.log",
    ],
    error_prefix: "",
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    FACE.require(&p, &["files"], streams)?;
    let view = view(&p, streams)?;
    let index_view = IndexView {
        sanity_only: p.has("index-sanity-check"),
        verify_only: p.has("verify-index-only"),
    };
    let files: Vec<String> =
        p.all("files").flat_map(|list| list.split(',')).map(|f| f.trim().to_owned()).collect();
    let mut complaints = Complaints::default();
    for file in files.iter().filter(|file| !file.is_empty()) {
        streams.line(format!("Dumping {file}"));
        if let Err(error) = dump(Path::new(file), &view, index_view, &mut complaints, streams) {
            streams.error(error.to_string());
            return Ok(1);
        }
    }
    complaints.tell(streams);
    Ok(0)
}

fn view(p: &Parsed, streams: &mut Streams) -> Result<View, Ended> {
    let decoder = if p.has("offsets-decoder") {
        Decoder::Offsets
    } else if p.has("transaction-log-decoder") {
        Decoder::Transactions
    } else if p.has("cluster-metadata-decoder") {
        Decoder::Metadata
    } else if p.has("share-group-state-decoder") {
        Decoder::ShareState
    } else {
        Decoder::Text
    };
    let print = p.has("print-data-log")
        || decoder != Decoder::Text
        || p.has("remote-log-metadata-decoder")
        || p.has("key-decoder-class")
        || p.has("value-decoder-class");
    Ok(View {
        deep: p.has("deep-iteration") || print,
        print,
        decoder,
        skip_metadata: p.has("skip-record-metadata"),
        max_bytes: FACE.number::<u64>(p, "max-bytes", streams)?,
    })
}

fn dump(
    path: &Path,
    view: &View,
    index_view: IndexView,
    complaints: &mut Complaints,
    streams: &mut Streams,
) -> io::Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("log") => {
            streams.line(format!("Log starting offset: {}", base_offset(path)?));
            let gaps = log_file::dump(path, view, streams)?;
            complaints.gaps.push((path.display().to_string(), gaps));
        }
        Some("checkpoint") => {
            streams.line(snapshot_title(path)?);
            let gaps = log_file::dump(path, view, streams)?;
            complaints.gaps.push((path.display().to_string(), gaps));
        }
        Some("index") => index_files::dump_offsets(path, index_view, complaints, streams)?,
        Some("timeindex") => index_files::dump_times(path, index_view, complaints, streams)?,
        Some("txnindex") => index_files::dump_aborted(path, streams)?,
        Some("snapshot") => index_files::dump_producers(path, streams)?,
        _ => streams.error(format!("Ignoring unknown file {}", path.display())),
    }
    Ok(())
}

fn snapshot_title(path: &Path) -> io::Result<String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if name == "bootstrap" {
        return Ok("KRaft bootstrap snapshot".to_owned());
    }
    let (_, epoch) = name.split_once('-').unwrap_or(("", "0"));
    let epoch: i64 = epoch.parse().unwrap_or(0);
    Ok(format!("Snapshot end offset: {}, epoch: {epoch}", base_offset(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_have_their_end_in_their_names() {
        let title = |name: &str| snapshot_title(Path::new(name)).unwrap();
        assert_eq!(title("d/bootstrap.checkpoint"), "KRaft bootstrap snapshot");
        let name = "d/00000000000000007228-0000000001.checkpoint";
        assert_eq!(title(name), "Snapshot end offset: 7228, epoch: 1");
    }
}
