//! Client quotas, limits of connections and client metrics, with other people's clients: Java's
//! tools and clients, and librdkafka.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Stage;
use crate::broker::{System, java};
use crate::foreign::java_quotas;
use crate::outcome::Outcome;
use crate::probe::free_port;
use crate::process::run as run_to_end;

const PATIENCE: Duration = Duration::from_secs(180);

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let (http, is_naru) = (free_port()?, matches!(stage.system, System::Naru { .. }));
    let listener = format!("127.0.0.1:{http}");
    let mut broker = stage.start_broker(&[("naru.http.listener", &listener)])?;
    let port = if is_naru { http.to_string() } else { "0".to_owned() };
    let mut tour = java_quotas(stage.tools)?;
    tour.arg(broker.bootstrap()).arg(&port);
    stage.cases(&mut tour, PATIENCE, outcome)?;

    let libs = stage.tools.kafka_jars()?;
    let tool = |class: &str, words: &[&str]| -> Result<String> {
        let mut command = java(&libs, "200m");
        command.arg(class).args(["--bootstrap-server", &broker.bootstrap()]).args(words);
        run_to_end(&mut command).with_context(|| class.to_owned())
    };
    let set = ["--alter", "--client-defaults", "--add-config", "producer_byte_rate=50000"];
    let made = tool("kafka.admin.ConfigCommand", &set).and_then(|said| {
        ensure!(said.contains("Completed updating"), "{said}");
        Ok(())
    });
    outcome.add_result("kafka-configs sets a quota of all clients", &made);
    let subscribe = ["--alter", "--name", "librdkafka", "--metrics", "*", "--interval", "500"];
    let subscribe = [&subscribe[..], &["--match", "client_id=pushes-librdkafka"]].concat();
    let made = tool("org.apache.kafka.tools.ClientMetricsCommand", &subscribe).map(drop);
    outcome.add_result("kafka-client-metrics makes a subscription", &made);
    let mut python = stage.python("scenarios/quotas.py")?;
    python.arg(broker.bootstrap()).arg(&port);
    stage.cases(&mut python, PATIENCE, outcome)?;
    ensure!(broker.is_running(), "the broker ended: {}", broker.last_words());
    Ok(())
}
