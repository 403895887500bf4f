//! A listener that begins and ends while the broker runs, by Java's kafka-configs (KIP-226).

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::Stage;
use super::security::{Java, PLAIN};
use crate::broker::{Broker, System};
use crate::install::program;
use crate::outcome::Outcome;
use crate::probe::free_port;

/// How long a listener may take to begin or end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What changes, beside what the broker's file says.
struct Change<'a> {
    tools: &'a Java<'a>,
    /// Where administrators are heard, and where somebody else.
    admin: &'a str,
    other: &'a str,
    listeners: String,
    protocols: String,
    /// Port of the listener that begins and ends.
    port: u16,
}

pub(super) fn cases(
    stage: &Stage<'_>,
    broker: &mut Broker,
    tools: &Java<'_>,
    (admin, other): (&str, &str),
    outcome: &mut Outcome,
) -> Result<()> {
    program("kcat", "kcat")?;
    let file = fs::read_to_string(broker.properties_file())?;
    let last = |key: &str| {
        let mut lines = file.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.next_back().map(str::to_owned).context("a key of the file")
    };
    let (listeners, protocols) = (last("listeners")?, last("listener.security.protocol.map")?);
    let change = Change { tools, admin, other, listeners, protocols, port: free_port()? };
    let begun = change.begin().and_then(|()| change.is_served(stage));
    outcome.add_result("a listener begins while the broker runs, and kcat logs in", &begun);
    let is_naru = matches!(stage.system, System::Naru { .. });
    outcome.add_result("listeners that cannot be are refused", &change.refused(is_naru));
    let kept = change.keeps_its_protocol(stage, broker.controller_port());
    outcome.add_result("an open listener's protocol set at the controller does not count", &kept);
    let keys = TcpListener::bind("127.0.0.1:0")?;
    keys.set_nonblocking(true)?;
    let asked = is_naru.then(|| change.ask_for_keys(&keys));
    broker.stop()?;
    // Whoever asked before it ended.
    while keys.accept().is_ok() {}
    broker.start_again()?;
    if let Some(asked) = asked {
        let asked = asked.and_then(|()| is_asked(&keys));
        let what = "keys of tokens are asked for where it was set, after a restart as well";
        outcome.add_result(what, &asked);
    }
    outcome.add_result("a listener that was added outlives a restart", &change.is_served(stage));
    let ended = change.end(stage);
    outcome.add_result("a listener ends with its connections, busy ones too", &ended);
    Ok(())
}

impl Change<'_> {
    fn begin(&self) -> Result<()> {
        let said = self.set(&format!(
            "listeners={},ADDED://127.0.0.1:{}\n\
             listener.security.protocol.map={},ADDED:SASL_SSL\n\
             listener.name.added.sasl.enabled.mechanisms=PLAIN\n\
             listener.name.added.plain.sasl.jaas.config={PLAIN} required \
             user_admin=\"added-secret\";\n",
            self.listeners, self.port, self.protocols
        ))?;
        ensure!(said.contains("Completed updating config for broker 1."), "{said}");
        Ok(())
    }

    /// Sets another address of the keys that sign tokens.
    fn ask_for_keys(&self, keys: &TcpListener) -> Result<()> {
        let said = self.set(&format!(
            "listener.name.signed.oauthbearer.sasl.oauthbearer.jwks.endpoint.url=http://{}/keys\n",
            keys.local_addr()?
        ))?;
        ensure!(said.contains("Completed updating config for broker 1."), "{said}");
        is_asked(keys)
    }

    /// What kafka-configs says to these lines.
    fn set(&self, lines: &str) -> Result<String> {
        let file = self.tools.folder.join("changes.properties");
        fs::write(&file, lines)?;
        let file = file.display().to_string();
        self.alter(&["--add-config-file", &file])
    }

    fn alter(&self, words: &[&str]) -> Result<String> {
        let of_one = ["--alter", "--entity-type", "brokers", "--entity-name", "1"];
        let words = [&of_one[..], words].concat();
        self.tools.run("kafka.admin.ConfigCommand", self.admin, "admin", &words, "")
    }

    /// Not advertised: clients are told of no broker there, but of all else.
    fn is_served(&self, stage: &Stage<'_>) -> Result<()> {
        connect(self.port)?;
        let mut kcat = Command::new("kcat");
        kcat.args(["-L", "-m", "10", "-b", &format!("127.0.0.1:{}", self.port)]);
        for setting in [
            "security.protocol=SASL_SSL",
            "sasl.mechanisms=PLAIN",
            "sasl.username=admin",
            "sasl.password=added-secret",
            &format!("ssl.ca.location={}", stage.folder.join("ca.crt").display()),
        ] {
            kcat.args(["-X", setting]);
        }
        let said = crate::process::run(&mut kcat)?;
        ensure!(said.contains("topic \"private\"") && said.contains("0 brokers"), "{said}");
        Ok(())
    }

    fn refused(&self, is_naru: bool) -> Result<()> {
        let controller = self.listeners.split(',').find(|one| one.starts_with("CONTROLLER"));
        let fewer = format!("listeners={}\n", controller.context("the controller's listener")?);
        let said = self.set(&fewer)?;
        let why = "advertised.listeners listener names must be equal to or a subset";
        ensure!(said.contains("InvalidRequestException") && said.contains(why), "{said}");
        if !is_naru {
            // Apache Kafka stores it, and does not listen there.
            return Ok(());
        }
        let taken = TcpListener::bind("127.0.0.1:0")?;
        let said = self.set(&format!(
            "listeners={},ADDED://127.0.0.1:{},TAKEN://{}\n\
             listener.security.protocol.map={},ADDED:SASL_SSL,TAKEN:PLAINTEXT\n",
            self.listeners,
            self.port,
            taken.local_addr()?,
            self.protocols
        ))?;
        ensure!(said.contains("Cannot listen on TAKEN://127.0.0.1:"), "{said}");
        Ok(())
    }

    /// A controller stores what no broker would: clients must not get in without TLS and a login.
    fn keeps_its_protocol(&self, stage: &Stage<'_>, controller: u16) -> Result<()> {
        let file = self.tools.folder.join("protocols.properties");
        let set = |protocol: &str| {
            let lines =
                format!("listener.security.protocol.map={},ADDED:{protocol}\n", self.protocols);
            fs::write(&file, lines)?;
            let file = file.display().to_string();
            self.tools.set_at_controller(controller, &["--add-config-file", &file])
        };
        set("PLAINTEXT")?;
        // It would be so by then.
        std::thread::sleep(Duration::from_millis(300));
        let kept = self.is_served(stage);
        set("SASL_SSL")?;
        kept
    }

    fn end(&self, stage: &Stage<'_>) -> Result<()> {
        let mut flood = stage.python("scenarios/flood.py")?;
        flood.arg(self.port.to_string()).args(["admin", "added-secret"]);
        let mut busy = stage.start("flood", &mut flood)?;
        let log = stage.folder.join("flood.log");
        let began = Instant::now();
        while !fs::read_to_string(&log)?.contains("busy") {
            ensure!(began.elapsed() < PATIENCE, "no flood: {}", busy.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut here = connect(self.port)?;
        let mut elsewhere = TcpStream::connect(self.other)?;
        let said = self.alter(&["--delete-config", "listeners,listener.security.protocol.map"])?;
        ensure!(said.contains("Completed updating config for broker 1."), "{said}");
        here.set_read_timeout(Some(PATIENCE))?;
        // TLS says that it ends.
        match here.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => bail!("its connection is still open: {other:?}"),
        }
        ensure!(TcpStream::connect(("127.0.0.1", self.port)).is_err(), "it still listens");
        let flooded = busy.wait(PATIENCE).context("a busy connection is still open")?;
        ensure!(flooded.success(), "{}", busy.last_words());
        elsewhere.set_read_timeout(Some(Duration::from_millis(300)))?;
        let other = elsewhere.read(&mut [0]).map_err(|error| error.kind());
        let waits = matches!(other, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut));
        ensure!(waits, "another listener's connection ended: {other:?}");
        Ok(())
    }
}

/// Somebody comes, who gets no answer.
fn is_asked(keys: &TcpListener) -> Result<()> {
    let began = Instant::now();
    loop {
        match keys.accept() {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > PATIENCE => return Err(error).context("nobody asks"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return Ok(stream),
            Err(error) if began.elapsed() > PATIENCE => return Err(error).context("connecting"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
