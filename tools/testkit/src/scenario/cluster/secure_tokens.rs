//! A cluster whose brokers, controllers and clients log in with tokens of an identity provider
//! (OAUTHBEARER), which is asked over TLS. Tokens are short, so that nodes get new ones and log
//! in again on open connections while librdkafka produces. Then the controller is killed, and comes
//! back while the identity provider is away for longer than tokens last.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::Stage;
use super::super::certificates::{authority, issue};
use super::super::own_security::Own;
use super::PATIENCE;
use super::metrics::Watch;
use crate::broker::{System, java};
use crate::cluster::{Cluster, Layout, replicas, view};
use crate::outcome::{Outcome, Verdict};
use crate::probe::free_port;
use crate::process::{Process, run as run_to_end};

const NODES: usize = 3;
const TOPIC: &str = "tokens";
/// How long tokens are good.
const LIFETIME: Duration = Duration::from_secs(10);
const MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
const HANDLER: &str =
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";

pub(super) fn story(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let System::Naru { binary } = stage.system else {
        let why = "Apache Kafka's node wants the addresses in a system property";
        outcome.add(Verdict::Skipped, "nodes log in with tokens", why);
        return Ok(());
    };
    let folder = stage.folder;
    authority(folder)?;
    issue(folder, "identity", 2)?;
    let port = free_port()?;
    let lifetime = LIFETIME.as_secs().to_string();
    let provider = || {
        let mut provider = stage.python("scenarios/identity.py")?;
        provider.arg(port.to_string()).args(["identity.pem", &lifetime]);
        stage.start("identity", &mut provider)
    };
    let mut identity = provider()?;
    let url = |path: &str| format!("https://127.0.0.1:{port}/{path}");
    client_files(folder, &url("token"))?;

    let mut layout = layout(stage, &url);
    let watch = Watch::prepare(&mut layout)?;
    let mut cluster = Cluster::start(layout)?;
    let addresses = cluster.secure_bootstrap();
    let own = Own { binary, folder };
    let listed = own.run("kafka-topics", &addresses, "admin", &["--list"]).map(drop);
    outcome.add_result("Naru's own kafka-topics logs in with a token", &listed);
    let stop = folder.join("stop");
    let mut load = stage.python("scenarios/token_cluster.py")?;
    load.arg(&addresses).arg("app.json").arg(&stop);
    let shaken = thread::scope(|scope| {
        let shaking = scope.spawn(|| {
            let shaken = renew(stage, &mut cluster, &watch, &url("asked"));
            let without =
                shaken.is_ok().then(|| begin_without(&mut cluster, &mut identity, &provider));
            let shaken = (shaken, without);
            fs::write(&stop, "").context("stop").map(|()| shaken)
        });
        let loaded = stage.cases(&mut load, PATIENCE, outcome);
        let shaken = shaking.join().expect("it returns its errors");
        loaded.and(shaken)
    })?;
    let (renewed, without) = shaken;
    outcome.add_result("nodes get new tokens and log in again on open connections", &renewed);
    if let Some(without) = without {
        let name = "a node begins while the identity provider is away, and joins when it is back";
        outcome.add_result(name, &without);
    }
    outcome.add_result("Java asks a controller, with a token", &ask_controller(stage, &cluster));
    ensure!(identity.is_running(), "the identity provider ended: {}", identity.last_words());
    cluster.stop_all()?;
    let same = replicas::compare(&cluster.data_dirs(), TOPIC, NODES);
    outcome.add_result("replicas of tokens are equal batch by batch", &same);
    Ok(())
}

/// Nobody loses a connection while tokens end twice.
fn renew(stage: &Stage<'_>, cluster: &mut Cluster, watch: &Watch, asked: &str) -> Result<()> {
    cluster.wait(TOPIC, PATIENCE, |cluster| cluster.topic(TOPIC).map(drop))?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    thread::sleep(LIFETIME / 5);
    let refused = watch.sum(cluster, "naru_refused_connections_total")?;
    let tokens = tokens_of_nodes(stage, asked)?;
    let (brokers, controllers) = links(cluster)?;
    thread::sleep(LIFETIME * 2);
    let more = tokens_of_nodes(stage, asked)? - tokens;
    // Each node has one for brokers and one for controllers.
    ensure!(more >= 4 * NODES, "nodes got only {more} tokens meanwhile");
    let now = watch.sum(cluster, "naru_refused_connections_total")?;
    ensure!((now - refused).abs() < 0.5, "{} connections were closed", now - refused);
    // None of them would be there without another login. Each follower reads from a leader, and
    // each broker asks the active controller.
    let (brokers_now, controllers_now) = links(cluster)?;
    for (what, before, now) in
        [("brokers", brokers, brokers_now), ("controllers", controllers, controllers_now)]
    {
        let kept = before.intersection(&now).count();
        ensure!(kept >= NODES, "{kept} of {} links to {what} are left", before.len());
    }
    Ok(())
}

/// The sockets of nodes that are connected to brokers, and those to controllers.
fn links(cluster: &mut Cluster) -> Result<(BTreeSet<u64>, BTreeSet<u64>)> {
    let ids = cluster.running();
    let mut own = BTreeSet::new();
    for id in &ids {
        for file in fs::read_dir(format!("/proc/{}/fd", cluster.pid(*id)?))? {
            let Ok(target) = fs::read_link(file?.path()) else { continue };
            let name = target.to_string_lossy().into_owned();
            let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            own.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
        }
    }
    let table = fs::read_to_string("/proc/net/tcp")?;
    let sockets: Vec<(u16, u64)> = table.lines().skip(1).filter_map(connected).collect();
    let to = |port: &dyn Fn(i32) -> u16| {
        let ports: Vec<u16> = ids.iter().map(|id| port(*id)).collect();
        let there =
            sockets.iter().filter(|(port, inode)| ports.contains(port) && own.contains(inode));
        there.map(|(_, inode)| *inode).collect()
    };
    Ok((to(&|id| cluster.secure_port(id)), to(&|id| cluster.controller_port(id))))
}

/// The peer's port and the inode of a line of `/proc/net/tcp`, if it is about a connection.
fn connected(line: &str) -> Option<(u16, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.get(3)? != "01" {
        return None;
    }
    let (_, port) = words.get(2)?.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, words.get(9)?.parse().ok()?))
}

/// The controller dies, and comes back while the identity provider is away, for longer than
/// anybody's token lasts.
fn begin_without(
    cluster: &mut Cluster,
    identity: &mut Process,
    provider: &dyn Fn() -> Result<Process>,
) -> Result<()> {
    let controller = cluster.controller(PATIENCE)?;
    cluster.kill(controller)?;
    cluster.wait("the dead node is missed", PATIENCE, |cluster| {
        let listed = cluster.any_broker(|port| view::view(port, None))?.brokers;
        ensure!(!listed.contains(&controller), "listed: {listed:?}");
        Ok(())
    })?;
    identity.kill();
    cluster.launch(controller)?;
    thread::sleep(LIFETIME + LIFETIME / 5);
    ensure!(cluster.is_running(controller), "it ended: {}", cluster.last_words(controller));
    *identity = provider()?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE).map(drop)
}

/// How many tokens the identity provider has given to nodes.
fn tokens_of_nodes(stage: &Stage<'_>, asked: &str) -> Result<usize> {
    let script = "import json, ssl, sys, urllib.request\n\
                  context = ssl.create_default_context(cafile='ca.crt')\n\
                  answer = urllib.request.urlopen(sys.argv[1], context=context)\n\
                  print(json.load(answer)['node'])";
    let mut command = std::process::Command::new(stage.tools.python()?);
    command.current_dir(stage.folder).args(["-c", script, asked]);
    let said = run_to_end(&mut command)?;
    said.trim().parse().with_context(|| said.clone())
}

/// The PLAINTEXT listener is for this program only, which asks who leads.
fn layout(stage: &Stage<'_>, url: &dyn Fn(&str) -> String) -> Layout {
    let ssl = trust(stage.folder);
    let mut layout = Layout::combined(stage.system, NODES)
        .secured_by("SASL_PLAINTEXT")
        .with("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .with("super.users", "User:ANONYMOUS;User:node;User:admin;User:app")
        .with("sasl.mechanism.inter.broker.protocol", "OAUTHBEARER")
        .with("sasl.mechanism.controller.protocol", "OAUTHBEARER")
        .with("sasl.enabled.mechanisms", "OAUTHBEARER")
        .with("sasl.oauthbearer.expected.audience", "kafka")
        .with("sasl.oauthbearer.expected.issuer", "identity")
        .with("sasl.oauthbearer.jwks.endpoint.url", &url("keys"))
        .with("sasl.oauthbearer.token.endpoint.url", &url("token"));
    // One listener has who asks in the settings, the other in its entry of JAAS.
    for (key, value) in [
        ("secure.oauthbearer.sasl.login.callback.handler.class", HANDLER.to_owned()),
        ("controller.oauthbearer.sasl.login.callback.handler.class", HANDLER.to_owned()),
        ("secure.oauthbearer.sasl.jaas.config", format!("{MODULE} required {ssl};")),
        ("secure.sasl.oauthbearer.client.credentials.client.id", "node".to_owned()),
        ("secure.sasl.oauthbearer.client.credentials.client.secret", "node-secret".to_owned()),
        ("secure.sasl.oauthbearer.scope", "kafka".to_owned()),
        ("controller.oauthbearer.sasl.jaas.config", jaas("node", &ssl)),
    ] {
        layout = layout.with(&format!("listener.name.{key}"), &value);
    }
    layout
}

/// Options of an entry that say who signs the identity provider's certificate.
fn trust(folder: &Path) -> String {
    let authority = folder.join("ca.crt").display().to_string();
    format!("ssl.truststore.type=\"PEM\" ssl.truststore.location=\"{authority}\"")
}

fn jaas(who: &str, more: &str) -> String {
    format!(
        "{MODULE} required clientId=\"{who}\" clientSecret=\"{who}-secret\" scope=\"kafka\" {more};"
    )
}

/// For Java and Naru's tools, and for librdkafka.
fn client_files(folder: &Path, url: &str) -> Result<()> {
    let authority = folder.join("ca.crt").display().to_string();
    let java = format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n\
         sasl.login.callback.handler.class={HANDLER}\n\
         sasl.oauthbearer.token.endpoint.url={url}\nsasl.jaas.config={}\n",
        jaas("admin", &trust(folder))
    );
    fs::write(folder.join("admin.properties"), java)?;
    let librdkafka = format!(
        "{{\"security.protocol\":\"SASL_PLAINTEXT\",\"sasl.mechanism\":\"OAUTHBEARER\",\
         \"sasl.oauthbearer.method\":\"oidc\",\"sasl.oauthbearer.client.id\":\"app\",\
         \"sasl.oauthbearer.client.secret\":\"app-secret\",\"sasl.oauthbearer.scope\":\"kafka\",\
         \"sasl.oauthbearer.token.endpoint.url\":\"{url}\",\"https.ca.location\":\"{authority}\"}}"
    );
    Ok(fs::write(folder.join("app.json"), librdkafka)?)
}

/// Kafka's own tool, over the controllers' listener.
fn ask_controller(stage: &Stage<'_>, cluster: &Cluster) -> Result<()> {
    let config = stage.folder.join("admin.properties");
    let settings = fs::read_to_string(&config)?;
    let url =
        settings.lines().find_map(|line| line.strip_prefix("sasl.oauthbearer.token.endpoint.url="));
    let allowed = url.context("no address of tokens")?;
    let mut command = java(&stage.tools.kafka_jars()?, "100m");
    // Java's client asks nobody who is not listed so.
    let allowed = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={allowed}");
    command.env("JAVA_TOOL_OPTIONS", allowed);
    command.arg("org.apache.kafka.tools.MetadataQuorumCommand").arg("--command-config").arg(config);
    command.arg("--bootstrap-controller").arg(format!("127.0.0.1:{}", cluster.controller_port(1)));
    let said = run_to_end(command.args(["describe", "--status"]))?;
    ensure!(said.contains("LeaderId:"), "{said}");
    Ok(())
}
