//! Logins, tokens, certificates and ACLs, with other people's clients: Java's tools and librdkafka
//! over SASL_PLAINTEXT with SCRAM and OAUTHBEARER, SASL_SSL with PLAIN, and SSL with client
//! certificates.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Stage;
use super::certificates::{authority, issue, serial};
use super::listeners;
use super::own_security::Own;
use crate::broker::{Broker, System, java};
use crate::install::program;
use crate::outcome::Outcome;
use crate::probe::free_port;
use crate::process::run as run_to_end;

const PATIENCE: Duration = Duration::from_secs(240);
const STANDARD: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
pub(super) const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

/// The listeners' ports.
struct Ports {
    scram: u16,
    plain_tls: u16,
    tls: u16,
    /// OAUTHBEARER with tokens that are not signed.
    unsecured: u16,
    /// OAUTHBEARER with tokens that are.
    signed: u16,
    /// Where the keys of signed tokens are looked for.
    keys: u16,
}

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    program("openssl", "openssl")?;
    certificates(stage.folder)?;
    let ports = Ports {
        scram: free_port()?,
        plain_tls: free_port()?,
        tls: free_port()?,
        unsecured: free_port()?,
        signed: free_port()?,
        keys: free_port()?,
    };
    let mut broker = start(stage, &ports)?;
    let libs = stage.tools.kafka_jars()?;
    let tools = Java { libs: &libs, folder: stage.folder };
    client_files(stage.folder)?;
    let admin = format!("127.0.0.1:{}", ports.plain_tls);
    let scram = format!("127.0.0.1:{}", ports.scram);
    let tls = format!("127.0.0.1:{}", ports.tls);

    outcome.add_result(
        "kafka-topics over SASL_SSL with PLAIN",
        &(|| {
            for topic in ["private", "open"] {
                let words = ["--create", "--topic", topic, "--partitions", "1"];
                tools.run("org.apache.kafka.tools.TopicCommand", &admin, "admin", &words, "")?;
            }
            Ok(())
        })(),
    );
    let own = match stage.system {
        System::Naru { binary } => Some(Own { binary, folder: stage.folder }),
        System::Apache { .. } => None,
    };
    alices_passwords(&tools, own, &admin, outcome);
    let denied = || {
        let said = tools.run(PRODUCER, &scram, "alice", &["--topic", "private"], "x\n")?;
        ensure!(said.contains("TopicAuthorizationException"), "{said}");
        Ok(())
    };
    outcome.add_result("who has no ACL is denied", &denied());
    let mut acls = String::new();
    outcome.add_result(
        "kafka-acls lets alice and the certificate in",
        &(|| {
            for who in ["User:alice", "User:client"] {
                let words = ["--add", "--allow-principal", who, "--producer", "--consumer"];
                let words = [&words[..], &["--group", "*", "--topic", "private"]].concat();
                tools.run("org.apache.kafka.tools.AclCommand", &admin, "admin", &words, "")?;
            }
            let listed = ["--list", "--topic", "private"];
            acls = tools.run("org.apache.kafka.tools.AclCommand", &admin, "admin", &listed, "")?;
            ensure!(acls.contains("principal=User:alice, host=*, operation=WRITE"), "{acls}");
            Ok(())
        })(),
    );
    outcome.add_result(
        "Java produces and consumes with SCRAM-SHA-512",
        &(|| {
            tools.run(PRODUCER, &scram, "alice", &["--topic", "private"], "by alice\n")?;
            let said = tools.consume(&scram, "alice", 1)?;
            ensure!(said.contains("by alice"), "{said}");
            Ok(())
        })(),
    );
    outcome.add_result(
        "Java produces and consumes with a client certificate",
        &(|| {
            tools.run(PRODUCER, &tls, "client", &["--topic", "private"], "by client\n")?;
            let said = tools.consume(&tls, "client", 2)?;
            ensure!(said.contains("by alice") && said.contains("by client"), "{said}");
            Ok(())
        })(),
    );
    outcome.add_result(
        "a wrong password is refused",
        &(|| {
            let said =
                tools.run("org.apache.kafka.tools.TopicCommand", &scram, "wrong", &["--list"], "");
            let said = said.unwrap_or_else(|error| format!("{error:#}"));
            ensure!(said.contains("SaslAuthenticationException"), "{said}");
            Ok(())
        })(),
    );
    let mut python = stage.python("scenarios/security.py")?;
    let unsecured = format!("127.0.0.1:{}", ports.unsecured);
    python.arg(&scram).arg(&admin).arg(&tls).arg(&unsecured).arg(stage.folder);
    stage.cases(&mut python, PATIENCE, outcome)?;
    let signed = format!("127.0.0.1:{}", ports.signed);
    let mut tour = crate::foreign::java_security(stage.tools)?;
    tour.arg(stage.folder).args([&scram, &admin, &unsecured, &signed]).arg(ports.keys.to_string());
    stage.cases(&mut tour, PATIENCE, outcome)?;
    if let Some(own) = own {
        own.cases(&admin, &scram, &acls, outcome);
    }
    let changed = change_certificate(stage.folder, &tools, &admin, &tls);
    outcome.add_result("certificates change without a restart", &changed);
    let changed = change_at_controller(&broker, &tools, &tls);
    outcome
        .add_result("a certificate set at the controller counts if it is one to follow", &changed);
    listeners::cases(stage, &mut broker, &tools, (&admin, &scram), outcome)?;
    ensure!(broker.is_running(), "the broker ended: {}", broker.last_words());
    Ok(())
}

/// One credential by Java's tool and one by Naru's, if that is what runs.
fn alices_passwords(tools: &Java<'_>, own: Option<Own<'_>>, admin: &str, outcome: &mut Outcome) {
    // As in Apache Kafka, one request changes one credential of a user.
    for (config, own) in [("SCRAM-SHA-256=[iterations=8192,", None), ("SCRAM-SHA-512=[", own)] {
        let config = format!("{config}password=alice-secret]");
        let words = ["--alter", "--add-config", &config, "--entity-type", "users"];
        let words = [&words[..], &["--entity-name", "alice"]].concat();
        let said = match own {
            Some(own) => own.run("kafka-configs", admin, "admin", &words),
            None => tools.run("kafka.admin.ConfigCommand", admin, "admin", &words, ""),
        };
        let made = said.and_then(|said| {
            ensure!(said.contains("Completed updating config for user alice."), "{said}");
            Ok(())
        });
        let whose = if own.is_some() { "Naru's own kafka-configs" } else { "kafka-configs" };
        let mechanism = config.split('=').next().unwrap_or_default();
        outcome.add_result(&format!("{whose} makes a user of {mechanism}"), &made);
    }
}

/// Sets another certificate by kafka-configs while the broker runs.
fn change_certificate(folder: &Path, tools: &Java<'_>, admin: &str, tls: &str) -> Result<()> {
    issue(folder, "server", 7)?;
    let keystore = folder.join("server.pem");
    ensure!(fs::read_to_string(&keystore)?.contains("PRIVATE KEY"));
    let set = |keystore: &Path| {
        let config = format!("listener.name.tls.ssl.keystore.location={}", keystore.display());
        let words = ["--alter", "--add-config", &config, "--entity-type", "brokers"];
        let words = [&words[..], &["--entity-name", "1"]].concat();
        tools.run("kafka.admin.ConfigCommand", admin, "admin", &words, "")
    };
    let before = serial(tls)?;
    set(&keystore)?;
    let after = serial(tls)?;
    ensure!(before != after, "still {before}");
    // A file that cannot be read, and a certificate of another server.
    let said = set(&folder.join("nowhere.pem"))?;
    ensure!(said.contains("InvalidRequestException") && said.contains("nowhere.pem"), "{said}");
    issue(folder, "stranger", 8)?;
    let said = set(&folder.join("stranger.pem"))?;
    ensure!(said.contains("DistinguishedName does not match"), "{said}");
    ensure!(serial(tls)? == after, "a refused certificate is shown");
    Ok(())
}

/// The same at the controller, which does not read it: who uses it judges.
fn change_at_controller(broker: &Broker, tools: &Java<'_>, tls: &str) -> Result<()> {
    let (folder, port) = (tools.folder, broker.controller_port());
    let refusals = || -> Result<usize> {
        let log = fs::read(broker.log_file())?;
        Ok(String::from_utf8_lossy(&log).matches("DistinguishedName does not match").count())
    };
    let wait = |what: &str, is_so: &dyn Fn() -> Result<bool>| {
        let until = Instant::now() + Duration::from_secs(20);
        while !is_so()? {
            ensure!(Instant::now() < until, "{what}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    };
    let set = |keystore: &str| {
        let keystore = folder.join(keystore);
        let config = format!("listener.name.tls.ssl.keystore.location={}", keystore.display());
        tools.set_at_controller(port, &["--add-config", &config])
    };
    let (before, refused) = (serial(tls)?, refusals()?);
    set("stranger.pem")?;
    wait("nothing is said of another server's certificate", &|| Ok(refusals()? > refused))?;
    ensure!(serial(tls)? == before, "another server's certificate is shown");
    issue(folder, "server", 9)?;
    set("server.pem")?;
    wait("the server's own certificate is not shown", &|| Ok(serial(tls)?.trim() == "serial=09"))
}

const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// Kafka's own tools.
pub(super) struct Java<'a> {
    libs: &'a Path,
    pub(super) folder: &'a Path,
}

impl Java<'_> {
    /// What a tool prints, whatever its exit code.
    pub(super) fn run(
        &self,
        class: &str,
        to: &str,
        who: &str,
        words: &[&str],
        input: &str,
    ) -> Result<String> {
        let config = self.folder.join(format!("{who}.properties"));
        let file = self.folder.join("input");
        fs::write(&file, input)?;
        let mut command = java(self.libs, "200m");
        command.arg(class).args(["--bootstrap-server", to, "--command-config"]).arg(config);
        command.args(words).stdin(Stdio::from(fs::File::open(file)?));
        let done = command.output().context("java")?;
        let text = [&done.stdout[..], &done.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        ensure!(!text.contains("TimeoutException: Timed out"), "{text}");
        Ok(text)
    }

    /// Changes the broker's own configuration where it is only stored.
    pub(super) fn set_at_controller(&self, port: u16, words: &[&str]) -> Result<()> {
        let mut command = java(self.libs, "100m");
        command.arg("kafka.admin.ConfigCommand").arg("--bootstrap-controller");
        command.arg(format!("127.0.0.1:{port}")).arg("--alter").args(words);
        let said = run_to_end(command.args(["--entity-type", "brokers", "--entity-name", "1"]))?;
        ensure!(said.contains("Completed updating config for broker 1."), "{said}");
        Ok(())
    }

    fn consume(&self, from: &str, who: &str, count: usize) -> Result<String> {
        let count = count.to_string();
        let words = ["--topic", "private", "--from-beginning", "--max-messages", &count];
        let words = [&words[..], &["--timeout-ms", "20000"]].concat();
        self.run(CONSUMER, from, who, &words, "")
    }
}

fn start(stage: &Stage<'_>, ports: &Ports) -> Result<Broker> {
    let folder = stage.folder.display();
    let broker = Broker::prepare(stage.system, &[])?;
    let (port, controller) = (broker.port(), broker.controller_port());
    let Ports { scram, plain_tls, tls, unsecured, signed, keys } = ports;
    let more = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},\
         SCRAM://127.0.0.1:{scram},PLAIN_TLS://127.0.0.1:{plain_tls},TLS://127.0.0.1:{tls},\
         UNSECURED://127.0.0.1:{unsecured},SIGNED://127.0.0.1:{signed}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},SCRAM://127.0.0.1:{scram},\
         PLAIN_TLS://127.0.0.1:{plain_tls},TLS://127.0.0.1:{tls},\
         UNSECURED://127.0.0.1:{unsecured},SIGNED://127.0.0.1:{signed}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
         SCRAM:SASL_PLAINTEXT,PLAIN_TLS:SASL_SSL,TLS:SSL,\
         UNSECURED:SASL_PLAINTEXT,SIGNED:SASL_PLAINTEXT\n\
         delegation.token.secret.key=a secret of the cluster\n\
         listener.name.unsecured.sasl.enabled.mechanisms=OAUTHBEARER\n\
         listener.name.signed.sasl.enabled.mechanisms=OAUTHBEARER\n\
         sasl.oauthbearer.expected.audience=kafka\nsasl.oauthbearer.expected.issuer=tests\n\
         listener.name.signed.oauthbearer.sasl.oauthbearer.jwks.endpoint.url=\
         http://127.0.0.1:{keys}/keys\n\
         authorizer.class.name={STANDARD}\n\
         super.users=User:ANONYMOUS;User:admin\n\
         listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.scram.connections.max.reauth.ms=2000\n\
         listener.name.plain_tls.sasl.enabled.mechanisms=PLAIN\n\
         listener.name.plain_tls.plain.sasl.jaas.config={PLAIN} required \
         user_admin=\"admin-secret\";\n\
         ssl.keystore.type=PEM\nssl.keystore.location={folder}/server.pem\n\
         listener.name.plain_tls.ssl.keystore.type=PKCS12\n\
         listener.name.plain_tls.ssl.keystore.location={folder}/server.p12\n\
         listener.name.plain_tls.ssl.keystore.password=store-secret\n\
         listener.name.tls.ssl.truststore.location={folder}/trust.jks\n\
         listener.name.tls.ssl.truststore.password=store-secret\n\
         listener.name.tls.ssl.truststore.type=JKS\n\
         listener.name.tls.ssl.client.auth=required\n\
         ssl.principal.mapping.rules=RULE:^CN=([^,]+),.*$/$1/L,DEFAULT\n"
    );
    let mut text = fs::read_to_string(broker.properties_file())?;
    text.push_str(&more);
    fs::write(broker.properties_file(), text)?;
    let mut broker = broker;
    broker.start_again()?;
    Ok(broker)
}

/// The clients' properties files.
fn client_files(folder: &Path) -> Result<()> {
    let trust = format!(
        "ssl.truststore.type=PEM\nssl.truststore.location={}\n",
        folder.join("ca.crt").display()
    );
    let scram = |password: &str| {
        format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
             sasl.jaas.config={SCRAM} required username=\"alice\" password=\"{password}\";\n"
        )
    };
    let admin = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n{trust}\
         sasl.jaas.config={PLAIN} required username=\"admin\" password=\"admin-secret\";\n"
    );
    let client = format!(
        "security.protocol=SSL\n{trust}ssl.keystore.type=PEM\nssl.keystore.location={}\n",
        folder.join("client.pem").display()
    );
    for (name, text) in [
        ("alice", scram("alice-secret")),
        ("wrong", scram("another")),
        ("admin", admin),
        ("client", client),
    ] {
        fs::write(folder.join(format!("{name}.properties")), text)?;
    }
    Ok(())
}

/// An authority, and a server and a client that it vouches for.
fn certificates(folder: &Path) -> Result<()> {
    authority(folder)?;
    issue(folder, "server", 2)?;
    issue(folder, "client", 3)?;
    // The server's key in a store of openssl, and the authority in one of Java's.
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["pkcs12", "-export", "-in", "server.pem"]);
    run_to_end(command.args(["-passout", "pass:store-secret", "-out", "server.p12"]))?;
    let mut command = Command::new("keytool");
    command.current_dir(folder).args(["-importcert", "-noprompt", "-alias", "authority"]);
    command.args(["-file", "ca.crt", "-keystore", "trust.jks", "-storetype", "JKS"]);
    run_to_end(command.args(["-storepass", "store-secret"])).map(drop)
}
