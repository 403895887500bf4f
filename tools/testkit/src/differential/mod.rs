//! Apache Kafka and Naru asked the same questions, their answers compared field by field.
//!
//! Scenarios are plain functions over a [`Session`]; each runs once against each broker and leaves
//! a transcript. What differs between any two runs (ids, addresses, generated names) is masked,
//! then the transcripts are compared. A difference is either mended or stands with its reason in
//! `differential/accepted.txt`; an entry there that no longer matches anything is a failure too.
//!
//! Beside that, an error of Naru's must have a text wherever the answer has room for one.
//!
//! What is not compared: the order of elements that carry a name, an index or an id (clients never
//! rely on it, and Apache Kafka's order is that of its hash maps).

mod accepted;
mod batch;
mod cases;
mod compare;
mod mask;
mod report;
mod session;
mod texts;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use naru_protocol::api::ApiKey;

use crate::broker::{Broker, System};
use crate::outcome::{Outcome, Verdict};
use accepted::Accepted;
use compare::{Compared, compare};
use session::{Entry, Session};

pub use report::Report;

/// What both brokers are told beside the usual properties.
const PROPERTIES: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "true"),
    ("group.initial.rebalance.delay.ms", "500"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.streams.initial.rebalance.delay.ms", "500"),
    // Records of the tests are old; nobody deletes them meanwhile.
    ("log.initial.task.delay.ms", "86400000"),
    ("log.retention.check.interval.ms", "86400000"),
    // The scenario of markers makes its transactions by hand.
    ("transaction.partition.verification.enable", "false"),
];

/// What the brokers of the scenarios about ACLs are told beside that.
const AUTHORIZER: &[(&str, &str)] = &[
    ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
    ("allow.everyone.if.no.acl.found", "true"),
    ("delegation.token.secret.key", "secret"),
];

/// The listener where users log in, beside the usual one; its port stands in for `SASL_PORT`.
const LOGINS: &str = "\
listeners=PLAINTEXT://127.0.0.1:PLAIN_PORT,CONTROLLER://127.0.0.1:CONTROLLER_PORT,SASL://127.0.0.1:SASL_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:PLAIN_PORT,SASL://127.0.0.1:SASL_PORT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
required user_admin=\"secret\" user_bob=\"secret\" user_carol=\"secret\";
";

/// Versions of each API that Naru serves.
type Served = BTreeMap<i16, (i16, i16)>;

/// Runs every scenario whose name contains `only` against both systems.
pub fn run(reference: &System, subject: &System, only: &str) -> Result<Report> {
    let (kafka, naru) = std::thread::scope(|scope| {
        let kafka = scope.spawn(|| transcript(reference, only));
        let naru = transcript(subject, only);
        (kafka.join(), naru)
    });
    let (kafka, _) = kafka.map_err(|_| anyhow::anyhow!("a scenario panicked"))??;
    let (naru, served) = naru?;
    let accepted = Accepted::parse(include_str!("../../differential/accepted.txt"))?;
    let compared: Vec<Compared> = compare(kafka, naru, &accepted);
    Ok(Report { compared, accepted, served, whole: only.is_empty() })
}

fn transcript(system: &System, only: &str) -> Result<(Vec<Entry>, Served)> {
    let (mut entries, served) = part(system, PROPERTIES, false, cases::SCENARIOS, only)?;
    let with_acls = [PROPERTIES, AUTHORIZER].concat();
    if cases::WITH_ACLS.iter().any(|scenario| scenario.name.contains(only)) {
        entries.extend(part(system, &with_acls, true, cases::WITH_ACLS, only)?.0);
    }
    if cases::WITH_LOGINS.iter().any(|scenario| scenario.name.contains(only)) {
        entries.extend(part(system, PROPERTIES, true, cases::WITH_LOGINS, only)?.0);
    }
    Ok((entries, served))
}

/// The transcript of these scenarios against a broker of its own.
fn part(
    system: &System,
    properties: &[(&'static str, &'static str)],
    with_logins: bool,
    scenarios: &[cases::Scenario],
    only: &str,
) -> Result<(Vec<Entry>, Served)> {
    let mut properties = properties.to_vec();
    if matches!(system, System::Naru { .. }) {
        properties.push(("naru.durability", "os"));
    }
    let mut broker = Broker::prepare(system, &properties)?;
    let logins = if with_logins { add_logins(&broker)? } else { 0 };
    broker.start_again()?;
    let served: Served = crate::probe::api_versions(broker.port())?
        .into_iter()
        .map(|(key, low, high)| (key, (if key == ApiKey::Produce.key() { 3 } else { low }, high)))
        .collect();
    let mut entries = Vec::new();
    session::warm_up(&broker).context("warming up")?;
    for scenario in scenarios.iter().filter(|scenario| scenario.name.contains(only)) {
        let mut session = Session::new(scenario.name, &broker).with_logins(logins);
        (scenario.run)(&mut session);
        entries.extend(session.into_entries());
    }
    let data = broker.data_dir();
    mask::mask(&mut entries, broker.port(), &data.to_string_lossy());
    Ok((entries, served))
}

/// Adds the listener where users log in; its port.
fn add_logins(broker: &Broker) -> Result<u16> {
    let port = crate::probe::free_port()?;
    let (plain, controller) = (broker.port().to_string(), broker.controller_port().to_string());
    let more = LOGINS.replace("SASL_PORT", &port.to_string()).replace("PLAIN_PORT", &plain);
    let more = more.replace("CONTROLLER_PORT", &controller);
    let file = broker.properties_file();
    std::fs::write(&file, std::fs::read_to_string(&file)? + &more)?;
    Ok(port)
}

/// The suite of the test command: one case an API, one for the list of accepted differences, and
/// one for the page.
pub fn suite(reference: &Result<System>, subject: &System, page: &Path) -> Outcome {
    let began = std::time::Instant::now();
    let mut outcome = Outcome::new("differential");
    match reference {
        Err(missing) => outcome.add(Verdict::Skipped, "differential", &format!("{missing:#}")),
        Ok(reference) => match run(reference, subject, "") {
            Ok(report) => report.verdicts(page, &mut outcome),
            Err(error) => outcome.add_result::<()>("both brokers answer", &Err(error)),
        },
    }
    outcome.took = began.elapsed();
    outcome
}
