//! Clusters whose brokers, controllers and clients speak over secured listeners only: SASL_SSL,
//! with SCRAM between brokers and PLAIN between controllers; and SSL, where certificates say who
//! everybody is. Rights are given by ACLs. Java and librdkafka produce, consume and commit
//! transactions while a leader and the controller are killed and a certificate changes. A third
//! has tokens: `secure_tokens`.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::super::Stage;
use super::super::certificates::{authority, issue, serial};
use super::PATIENCE;
use super::clients;
use super::secure_tokens;
use super::transactions::{Carriers, SOURCE};
use crate::broker::java;
use crate::cluster::{Cluster, Layout, replicas, view};
use crate::foreign::java_failover;
use crate::install::program;
use crate::outcome::Outcome;
use crate::process::run as run_to_end;
use crate::wire::{Body, Connection};

const NODES: usize = 3;
const STANDARD: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
const TOPIC: &str = "java-failover";
/// Until clients are at full work, again.
const CALM: Duration = Duration::from_secs(2);

/// How a cluster's links are secured.
#[derive(Debug, Clone, Copy)]
enum Links {
    Passwords,
    Certificates,
}

impl Links {
    fn protocol(self) -> &'static str {
        match self {
            Self::Passwords => "SASL_SSL",
            Self::Certificates => "SSL",
        }
    }
}

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    program("openssl", "openssl")?;
    // What both need is made before they begin.
    let (_, _) = (java_failover(stage.tools)?, stage.tools.python()?);
    let found = thread::scope(|scope| {
        let stories = [Some(Links::Passwords), Some(Links::Certificates), None].map(|links| {
            scope.spawn(move || {
                let mut found = Outcome::new(links.map_or("OAUTHBEARER", Links::protocol));
                let ended = side_by_side(stage, links, &mut found);
                found.add_result("the story to its end", &ended);
                found
            })
        });
        stories.map(|story| story.join().expect("a story returns its errors"))
    });
    for found in found {
        for case in found.cases {
            let name = format!("{}: {}", found.suite, case.name);
            outcome.add(case.verdict, &name, &case.why);
        }
    }
    Ok(())
}

/// One cluster's story, in a folder of its own; with tokens if `links` is none.
fn side_by_side(stage: &Stage<'_>, links: Option<Links>, outcome: &mut Outcome) -> Result<()> {
    let folder = stage.folder.join(links.map_or("OAUTHBEARER", Links::protocol));
    fs::create_dir(&folder)?;
    let stage = Stage { folder: &folder, ..*stage };
    match links {
        Some(links) => story(&stage, links, outcome),
        None => secure_tokens::story(&stage, outcome),
    }
}

fn story(stage: &Stage<'_>, links: Links, outcome: &mut Outcome) -> Result<()> {
    let folder = stage.folder;
    authority(folder)?;
    for name in ["admin", "app", "node-1", "node-2", "node-3"] {
        issue(folder, name, 2)?;
    }
    client_files(folder, links)?;
    let mut cluster = Cluster::start(layout(stage, links))?;
    let addresses = cluster.secure_bootstrap();
    outcome.add_result("links refuse who shows nothing", &strangers(&cluster));
    let mut rights = stage.python("scenarios/secure_cluster.py")?;
    rights.arg(&addresses).args(["admin.json", "app.json"]);
    stage.cases(&mut rights, PATIENCE, outcome)?;
    outcome.add_result("Java asks a controller for its quorum", &ask_controller(stage, &cluster));

    let stop = folder.join("stop");
    let mut tour = java_failover(stage.tools)?;
    tour.arg(&addresses).arg(&stop).arg(folder.join("app.properties"));
    let (name, java) = clients::start(stage, "java", &mut tour)?;
    let carriers = Carriers::start_with(stage, &addresses, Some(&folder.join("app.json")))?;
    for topic in [TOPIC, SOURCE] {
        cluster.wait(topic, PATIENCE, |cluster| cluster.topic(topic).map(drop))?;
        cluster.wait_in_sync(topic, PATIENCE)?;
    }
    thread::sleep(CALM * 2);
    outcome.add_result("a leader, then the controller is killed", &shake(&mut cluster));
    outcome.add_result("a broker's certificate changes", &reload(stage, &cluster));
    thread::sleep(CALM);
    fs::write(&stop, "")?;
    clients::finish(folder, name, java, outcome)?;
    carriers.finish(outcome)?;
    cluster.stop_all()?;
    for topic in [TOPIC, "transactions-out", "__consumer_offsets"] {
        let result = replicas::compare(&cluster.data_dirs(), topic, NODES);
        outcome.add_result(&format!("replicas of {topic} are equal batch by batch"), &result);
    }
    Ok(())
}

/// The PLAINTEXT listener is for this program only, which asks who leads.
fn layout(stage: &Stage<'_>, links: Links) -> Layout {
    let file = |name: &str| stage.folder.join(name).display().to_string();
    let mut layout = Layout::combined(stage.system, NODES)
        .secured_by(links.protocol())
        .with("authorizer.class.name", STANDARD)
        .with("ssl.truststore.type", "PEM")
        .with("ssl.truststore.location", &file("ca.crt"))
        .with("ssl.keystore.type", "PEM");
    for (node, id) in layout.nodes.iter_mut().zip(1..) {
        let store = file(&format!("node-{id}.pem"));
        node.properties.push(("ssl.keystore.location".to_owned(), store));
    }
    match links {
        Links::Certificates => layout
            .with("ssl.client.auth", "required")
            .with("ssl.principal.mapping.rules", "RULE:^CN=([^,]+),.*$/$1/L,DEFAULT")
            .with("super.users", "User:ANONYMOUS;User:node-1;User:node-2;User:node-3;User:admin"),
        Links::Passwords => {
            for user in ["node", "admin", "app"] {
                let credential = format!("SCRAM-SHA-512=[name={user},password={user}-secret]");
                layout.format_more.extend(["--add-scram".to_owned(), credential]);
            }
            let own = "required username=\"node\" password=\"node-secret\"";
            let known = "user_node=\"node-secret\" user_admin=\"admin-secret\"";
            layout
                .with("sasl.mechanism.inter.broker.protocol", "SCRAM-SHA-512")
                .with("sasl.mechanism.controller.protocol", "PLAIN")
                .with("listener.name.secure.sasl.enabled.mechanisms", "SCRAM-SHA-512")
                .with(
                    "listener.name.secure.scram-sha-512.sasl.jaas.config",
                    &format!("{SCRAM} {own};"),
                )
                .with("listener.name.controller.sasl.enabled.mechanisms", "PLAIN")
                .with(
                    "listener.name.controller.plain.sasl.jaas.config",
                    &format!("{PLAIN} {own} {known};"),
                )
                .with("super.users", "User:ANONYMOUS;User:node;User:admin")
        }
    }
}

/// For `admin` and `app`, files for Java and for librdkafka.
fn client_files(folder: &Path, links: Links) -> Result<()> {
    let file = |name: String| folder.join(name).display().to_string();
    let authority = file("ca.crt".to_owned());
    let protocol = links.protocol();
    for who in ["admin", "app"] {
        let mut java = format!(
            "security.protocol={protocol}\nssl.truststore.type=PEM\n\
             ssl.truststore.location={authority}\n"
        );
        let mut librdkafka =
            format!("\"security.protocol\":\"{protocol}\",\"ssl.ca.location\":\"{authority}\"");
        match links {
            Links::Certificates => {
                java += &format!(
                    "ssl.keystore.type=PEM\nssl.keystore.location={}\n",
                    file(format!("{who}.pem"))
                );
                librdkafka += &format!(
                    ",\"ssl.certificate.location\":\"{}\",\"ssl.key.location\":\"{}\"",
                    file(format!("{who}.crt")),
                    file(format!("{who}.key"))
                );
            }
            Links::Passwords => {
                let login = format!("required username=\"{who}\" password=\"{who}-secret\";");
                // At controllers, which know no users of SCRAM before they have a leader.
                let plain = format!("{java}sasl.mechanism=PLAIN\nsasl.jaas.config={PLAIN} {login}");
                fs::write(folder.join(format!("{who}-controller.properties")), plain)?;
                java +=
                    &format!("sasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config={SCRAM} {login}\n");
                librdkafka += &format!(
                    ",\"sasl.mechanism\":\"SCRAM-SHA-512\",\"sasl.username\":\"{who}\",\
                     \"sasl.password\":\"{who}-secret\""
                );
            }
        }
        fs::write(folder.join(format!("{who}.properties")), java)?;
        fs::write(folder.join(format!("{who}.json")), format!("{{{librdkafka}}}"))?;
    }
    Ok(())
}

/// Neither brokers' nor controllers' listeners answer in the clear, not even what versions they have.
fn strangers(cluster: &Cluster) -> Result<()> {
    const API_VERSIONS: i16 = 18;
    for port in [cluster.secure_port(1), cluster.controller_port(1)] {
        let mut connection = Connection::open(port, Duration::from_secs(5))?;
        if let Ok(answer) = connection.ask(API_VERSIONS, 0, &Body::new()) {
            bail!("{port} answered {} bytes", answer.len());
        }
    }
    Ok(())
}

/// Kafka's own tool, over the controllers' listener.
fn ask_controller(stage: &Stage<'_>, cluster: &Cluster) -> Result<()> {
    let own = stage.folder.join("admin-controller.properties");
    let config = if own.exists() { own } else { stage.folder.join("admin.properties") };
    let mut command = java(&stage.tools.kafka_jars()?, "100m");
    command.arg("org.apache.kafka.tools.MetadataQuorumCommand").arg("--command-config").arg(config);
    command.arg("--bootstrap-controller").arg(format!("127.0.0.1:{}", cluster.controller_port(1)));
    let said = run_to_end(command.args(["describe", "--status"]))?;
    ensure!(said.contains("LeaderId:"), "{said}");
    Ok(())
}

fn shake(cluster: &mut Cluster) -> Result<()> {
    let controller = cluster.controller(PATIENCE)?;
    let leaders = cluster.topic(TOPIC)?.partitions.into_iter().map(|partition| partition.leader);
    let leader = leaders.filter(|id| *id != controller).find(|id| *id > 0);
    for id in [leader.context("the controller leads everything")?, controller] {
        cluster.kill(id)?;
        cluster.wait("the dead node is missed", PATIENCE, |cluster| {
            let listed = cluster.any_broker(|port| view::view(port, None))?.brokers;
            ensure!(!listed.contains(&id), "listed: {listed:?}");
            Ok(())
        })?;
        thread::sleep(CALM);
        cluster.launch(id)?;
        cluster.wait_registered()?;
        for topic in [TOPIC, SOURCE] {
            cluster.wait_in_sync(topic, PATIENCE)?;
        }
        thread::sleep(CALM);
    }
    Ok(())
}

/// A node gets another certificate while it runs.
fn reload(stage: &Stage<'_>, cluster: &Cluster) -> Result<()> {
    const NODE: i32 = 2;
    let address = format!("127.0.0.1:{}", cluster.secure_port(NODE));
    let before = serial(&address)?;
    let name = format!("node-{NODE}");
    issue(stage.folder, &name, 7)?;
    let mut command = stage.python("scenarios/secure_reload.py")?;
    command.args([&cluster.secure_bootstrap(), "admin.json", &NODE.to_string()]);
    run_to_end(command.arg(stage.folder.join(format!("{name}.pem"))))?;
    crate::process::wait_until("another certificate is shown", PATIENCE, || {
        serial(&address).is_ok_and(|after| after != before)
    })
}
