//! Naru's own kafka-acls, kafka-configs and kafka-delegation-tokens, against what Apache Kafka's
//! tools and client have made and show.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::outcome::Outcome;

/// Naru's tools, with the properties files of a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) binary: &'a Path,
    pub(super) folder: &'a Path,
}

impl Own<'_> {
    /// What a tool writes to standard output; it must succeed.
    pub(super) fn run(&self, tool: &str, to: &str, who: &str, words: &[&str]) -> Result<String> {
        self.run_with(tool, to, who, words, "")
    }

    fn run_with(
        &self,
        tool: &str,
        to: &str,
        who: &str,
        words: &[&str],
        input: &str,
    ) -> Result<String> {
        let config = self.folder.join(format!("{who}.properties"));
        let file = self.folder.join("own-input");
        fs::write(&file, input)?;
        let mut command = Command::new(self.binary);
        command.arg(tool).args(["--bootstrap-server", to, "--command-config"]).arg(config);
        command.args(words).stdin(Stdio::from(fs::File::open(file)?));
        let done = command.output().with_context(|| tool.to_owned())?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let errors = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{tool} {words:?}: {}: {said}{errors}", done.status);
        Ok(said)
    }

    /// All cases; `listed` is what Java's kafka-acls shows of the topic `private`.
    pub(super) fn cases(self, admin: &str, scram: &str, listed: &str, outcome: &mut Outcome) {
        let topics = self.run("kafka-topics", admin, "admin", &["--list"]).and_then(|said| {
            ensure!(said.lines().any(|line| line == "private"), "{said}");
            Ok(())
        });
        outcome.add_result("Naru's own kafka-topics over SASL_SSL", &topics);
        outcome.add_result("Naru's own kafka-configs shows SCRAM users", &self.scram_users(admin));
        outcome.add_result(
            "Naru's own kafka-acls shows what Java's shows, adds and removes",
            &self.acls(admin, listed),
        );
        outcome.add_result(
            "Naru's own kafka-delegation-tokens shows Java's token, makes one that logs in",
            &self.tokens(admin, scram),
        );
    }

    fn scram_users(&self, admin: &str) -> Result<()> {
        let words = ["--describe", "--entity-type", "users"];
        let said = self.run("kafka-configs", admin, "admin", &words)?;
        let expect = "SCRAM credential configs for user-principal 'alice' are \
                      SCRAM-SHA-256=iterations=8192, SCRAM-SHA-512=iterations=4096\n";
        ensure!(said == expect, "{said}");
        let alter = |change: &str, config: &str| {
            let words = ["--alter", "--user", "carol", change, config];
            self.run("kafka-configs", admin, "admin", &words)
        };
        let said = alter("--add-config", "SCRAM-SHA-256=[iterations=4096,password=x]")?;
        ensure!(said == "Completed updating config for user carol.\n", "{said}");
        alter("--delete-config", "SCRAM-SHA-256")?;
        let again = alter("--delete-config", "SCRAM-SHA-256");
        let again = again.err().map(|error| error.to_string()).unwrap_or_default();
        let words = "ResourceNotFoundException: Attempt to delete a user credential that does not \
                     exist";
        ensure!(again.contains(words), "{again}");
        Ok(())
    }

    fn acls(&self, admin: &str, listed: &str) -> Result<()> {
        let show = |words: &[&str]| self.run("kafka-acls", admin, "admin", words);
        let ours = show(&["--list", "--topic", "private"])?;
        ensure!(sorted(&ours) == sorted(listed), "{ours}\nJava: {listed}");
        let who = ["--deny-principal", "User:mallory", "--topic", "private"];
        let about = "`ResourcePattern(resourceType=TOPIC, name=private, patternType=LITERAL)`";
        let entry = "\t(principal=User:mallory, host=*, operation=ALL, permissionType=DENY)\n";
        let added = show(&[&["--add"][..], &who[..]].concat())?;
        ensure!(added == format!("Adding ACLs for resource {about}: \n {entry}\n"), "{added}");
        let again = show(&[&["--add"][..], &who[..]].concat())?;
        ensure!(again.contains("already exists."), "{again}");
        let ours = show(&["--list", "--principal", "User:mallory"])?;
        let expect = format!(
            "ACLs for principal `User:mallory`\nCurrent ACLs for resource {about}:\n{entry}\n"
        );
        ensure!(ours == expect, "{ours}");
        let words = [&["--remove"][..], &who[..]].concat();
        let asked = self.run_with("kafka-acls", admin, "admin", &words, "y\n")?;
        ensure!(
            asked.starts_with("Are you sure you want to remove ACLs: \n \t(principal=User:mallory"),
            "{asked}"
        );
        let ours = show(&["--list", "--topic", "private"])?;
        ensure!(sorted(&ours) == sorted(listed), "{ours}\nJava: {listed}");
        Ok(())
    }

    fn tokens(&self, admin: &str, scram: &str) -> Result<()> {
        let ask = |words: &[&str]| self.run("kafka-delegation-tokens", admin, "admin", words);
        let of_admin = ["--describe", "--owner-principal", "User:admin"];
        let javas = ask(&of_admin)?;
        ensure!(javas.contains("User:admin      User:admin      [User:bob] "), "{javas}");
        let made = ask(&["--create", "--max-life-time-period", "-1"])?;
        ensure!(made.contains("Created delegation token with tokenId : "), "{made}");
        let mut row = made.lines().last().unwrap_or_default().split_whitespace();
        let (id, hmac) = row.next().zip(row.next()).context("a row with id and HMAC")?;
        let login = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
             username=\"{id}\" password=\"{hmac}\" tokenauth=\"true\";\n"
        );
        fs::write(self.folder.join("token.properties"), login)?;
        let seen = self.run("kafka-topics", scram, "token", &["--list"])?;
        ensure!(seen.lines().any(|line| line == "open"), "not as admin: {seen}");
        let renewed = ask(&["--renew", "--renew-time-period", "3600000", "--hmac", hmac])?;
        ensure!(renewed.contains("Completed renew operation. New expiry date : 20"), "{renewed}");
        let ended = ask(&["--expire", "--expiry-time-period", "-1", "--hmac", hmac])?;
        ensure!(ended.contains("Completed expire operation. New expiry date : 20"), "{ended}");
        let left = ask(&of_admin)?;
        ensure!(!left.contains(id) && left.contains("[User:bob]"), "{left}");
        Ok(())
    }
}

/// Kafka's tool does not always show ACLs in the same order.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}
