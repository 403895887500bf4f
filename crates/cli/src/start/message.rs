//! The words of a start: what runs where, and what to type next.

use std::fmt::Write as _;
use std::time::Duration;

use naru_broker::{ListenerSummary, StartError, Summary};
use naru_model::config::SecurityProtocol;

/// The start text.
pub(super) fn started(summary: &Summary, took: Duration) -> String {
    let mut text = format!(
        "Naru {}  cluster {}  node {}\n",
        env!("CARGO_PKG_VERSION"),
        summary.cluster_id,
        summary.node_id
    );
    let made = if summary.is_new { " (new)" } else { "" };
    let _ = writeln!(text, "  data      {}{made}", summary.data_dirs.join(", "));
    if !summary.is_new {
        let _ = writeln!(text, "  logs      {}", recovery(summary));
    }
    for ListenerSummary { name, protocol, bound, told } in &summary.listeners {
        let secured = match protocol.name() {
            same if same == name => String::new(),
            other => format!(": {other}"),
        };
        let _ = writeln!(text, "  kafka     {bound} ({name}{secured}), clients are told {told}");
    }
    match (&summary.http, &summary.http_problem) {
        (Some(address), _) => {
            let _ = writeln!(text, "  http      http://{address}/metrics");
        }
        (None, Some(problem)) => {
            let _ = writeln!(text, "  http      not served: {problem}");
        }
        (None, None) => {}
    }
    let _ = writeln!(text, "  ready in {} ms", took.as_millis());
    // A node that is a controller only serves no clients, and where they log in one line is not
    // enough.
    let plain = |listener: &&ListenerSummary| listener.protocol == SecurityProtocol::Plaintext;
    if let Some(ListenerSummary { told: server, .. }) = summary.listeners.iter().find(plain) {
        let _ = writeln!(
            text,
            "Next: echo hello | naru produce greetings -b {server} && \
             naru consume greetings -b {server} --from start -e"
        );
    }
    text
}

fn recovery(summary: &Summary) -> String {
    let count = match summary.partitions {
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    };
    let report = &summary.recovery;
    if summary.was_clean && !report.mended() {
        return count;
    }
    let how = if summary.was_clean { "mended" } else { "recovered after an unclean stop" };
    let mut text = format!(
        "{count}, {how}: {} MiB verified in {} ms",
        report.bytes_verified >> 20,
        summary.recovery_ms
    );
    if report.bytes_cut > 0 {
        let _ = write!(text, ", {} bytes of torn tails cut", report.bytes_cut);
    }
    if report.indexes_rebuilt > 0 {
        let _ = write!(text, ", {} indexes rebuilt", report.indexes_rebuilt);
    }
    text
}

/// Why there is no node.
pub(super) fn refused(error: &StartError) -> String {
    let hint = match error {
        StartError::AddressInUse { .. } => {
            "\nhint: another broker may be running; stop it, or choose other listeners"
        }
        StartError::LogDir(naru_log::LogDirError::WrongCluster { .. }) => {
            "\nhint: use the data directory of this cluster, or an empty one"
        }
        _ => "",
    };
    format!("{error}{hint}")
}
