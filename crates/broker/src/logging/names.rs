//! The names of loggers: the modules that write to the log, what is above them, the targets that
//! are no modules, and names that users of Apache Kafka know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// The logger above all.
pub(super) const ROOT: &str = "root";
/// The logger above all modules of Naru.
const NARU: &str = "naru";

/// Modules and targets that write to the log.
const WRITERS: &[&str] = &[
    "audit.admin",
    "audit.allowed",
    "audit.denied",
    "audit.login",
    "naru_broker::api::controller::brokers",
    "naru_broker::api::delete_records",
    "naru_broker::api::fetch",
    "naru_broker::api::find_coordinator",
    "naru_broker::api::group_admin",
    "naru_broker::api::produce",
    "naru_broker::api::share_acks",
    "naru_broker::api::share_groups",
    "naru_broker::api::txn_markers",
    "naru_broker::coordination",
    "naru_broker::coordination::host",
    "naru_broker::coordination::host::load",
    "naru_broker::coordination::internal_topics",
    "naru_broker::coordination::share_state",
    "naru_broker::http",
    "naru_broker::listener::accept",
    "naru_broker::listener::connection",
    "naru_broker::listener::doors",
    "naru_broker::listener::hosts",
    "naru_broker::logging",
    "naru_broker::metadata::driver",
    "naru_broker::metadata::driver::follow",
    "naru_broker::metadata::driver::lead",
    "naru_broker::metadata::driver::room",
    "naru_broker::metadata::driver::tend",
    "naru_broker::metadata::journal",
    "naru_broker::metadata::open",
    "naru_broker::metadata::transport",
    "naru_broker::node",
    "naru_broker::node::chores",
    "naru_broker::node::cleaner",
    "naru_broker::node::dirs",
    "naru_broker::node::fitness",
    "naru_broker::node::join",
    "naru_broker::node::later",
    "naru_broker::node::listeners",
    "naru_broker::node::moves",
    "naru_broker::node::open",
    "naru_broker::node::react",
    "naru_broker::node::start",
    "naru_broker::node::stop",
    "naru_broker::node::topics",
    "naru_broker::partition",
    "naru_broker::partition::damage",
    "naru_broker::partition::fitness",
    "naru_broker::partition::follow",
    "naru_broker::partition::read",
    "naru_broker::partition::role",
    "naru_broker::peer::answer",
    "naru_broker::peer::brokers",
    "naru_broker::peer::fetcher",
    "naru_broker::peer::fetchers",
    "naru_broker::peer::isr",
    "naru_broker::peer::link",
    "naru_broker::peer::markers",
    "naru_broker::peer::mend",
    "naru_broker::peer::registration",
    "naru_broker::peer::share_state",
    "naru_broker::peer::share_state_admin",
    "naru_broker::security",
    "naru_broker::security::jwks",
    "naru_broker::security::oauth",
    "naru_broker::share",
    "naru_broker::share::partition",
    "naru_broker::share::persist",
    "naru_broker::share::read",
    "naru_broker::storage",
    "naru_broker::storage::exchange",
    "naru_broker::storage::health",
    "naru_broker::telemetry",
    "naru_client::consumer",
    "naru_client::consumer::membership",
    "naru_client::consumer::offsets",
    "naru_client::net::connection",
    "naru_client::net::security::tokens",
    "naru_log::log",
    "naru_log::log_dir",
    "naru_log::recovery",
    "naru_log::recovery::tail",
    "naru_log::replay",
    "request",
];

/// Names of Apache Kafka's loggers, those of its own configuration and those that people ask for
/// most, and the logger here that tells the same.
const KAFKAS: &[(&str, &str)] = &[
    ("kafka", NARU),
    ("kafka.authorizer.logger", "audit"),
    ("kafka.network.RequestChannel$", "request"),
    ("kafka.request.logger", "request"),
    ("kafka.server.KafkaApis", "naru_broker::api"),
    ("kafka.server.ReplicaFetcherThread", "naru_broker::peer::fetcher"),
    ("kafka.server.ReplicaManager", "naru_broker::partition"),
    ("org.apache.kafka", NARU),
    ("org.apache.kafka.controller", "naru_broker::metadata"),
    ("org.apache.kafka.coordinator", "naru_broker::coordination"),
    ("org.apache.kafka.raft", "naru_broker::metadata"),
    ("org.apache.kafka.storage.internals.log.LogCleaner", "naru_broker::node::cleaner"),
    ("org.apache.kafka.storage.internals.log.UnifiedLog", "naru_log"),
    ("state.change.logger", "naru_broker::node::react"),
];

/// Every name, and the logger behind it.
static NAMES: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut loggers = BTreeSet::from([ROOT]);
    for writer in WRITERS {
        let mut at = Some(*writer);
        while let Some(logger) = at {
            loggers.insert(logger);
            at = parent(logger);
        }
    }
    loggers.into_iter().map(|logger| (logger, logger)).chain(KAFKAS.iter().copied()).collect()
});

/// The logger that a name means, if there is one.
pub(super) fn logger_of(name: &str) -> Option<&'static str> {
    NAMES.get(name).copied()
}

/// Every name with the logger behind it, in order.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.iter().map(|(name, logger)| (*name, *logger))
}

/// The logger above one; `None` for those right below the root.
pub(super) fn parent(logger: &str) -> Option<&str> {
    if let Some((above, _)) = logger.rsplit_once("::") {
        return Some(above);
    }
    if let Some((above, _)) = logger.rsplit_once('.') {
        return Some(above);
    }
    logger.starts_with("naru_").then_some(NARU)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn every_logger_hangs_below_the_root() {
        let above = |logger| std::iter::successors(parent(logger), |logger| parent(logger));
        assert!(above("naru_broker::peer::link").eq(["naru_broker::peer", "naru_broker", NARU]));
        assert!(above("audit.login").eq(["audit"]));
        assert_eq!(parent(NARU), None);
    }

    #[test]
    fn names_of_kafka_mean_loggers_that_are_here() {
        for (name, logger) in KAFKAS {
            assert_eq!(logger_of(logger), Some(*logger), "{name}");
            assert_eq!(logger_of(name), Some(*logger), "{name}");
        }
        assert_eq!(logger_of("no.such.logger"), None);
    }

    /// Who writes to the log and is not named here has no level that could be changed.
    #[test]
    fn every_module_that_writes_to_the_log_is_a_logger() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut found = BTreeSet::new();
        for (folder, name) in
            [("broker", "naru_broker"), ("client", "naru_client"), ("log", "naru_log")]
        {
            writers(&crates.join(folder).join("src"), name, &mut found);
        }
        let modules: BTreeSet<String> =
            WRITERS.iter().filter(|w| w.starts_with("naru_")).map(|w| (*w).to_owned()).collect();
        assert_eq!(found, modules);
    }

    /// The modules below `folder`, whose own is `module`, that write to the log.
    fn writers(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let own = match stem.as_str() {
                "mod" | "lib" => module.to_owned(),
                _ => format!("{module}::{stem}"),
            };
            if path.is_dir() {
                writers(&path, &own, found);
            } else if writes(&std::fs::read_to_string(&path).unwrap()) {
                found.insert(own);
            }
        }
    }

    /// Lines with a target of their own belong to that.
    fn writes(source: &str) -> bool {
        let calls = ["error", "warn", "info", "debug", "trace"].map(|m| format!("tracing::{m}!("));
        source
            .lines()
            .any(|line| !line.contains("target:") && calls.iter().any(|call| line.contains(call)))
    }
}
