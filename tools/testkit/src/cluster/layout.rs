//! What a cluster is made of: which program each node is, its roles, and who votes.

use std::fmt::Write as _;
use std::path::Path;

use crate::broker::System;

/// The parts a node plays in KRaft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    Combined,
    Controller,
    Broker,
}

impl Roles {
    pub fn has_controller(self) -> bool {
        self != Self::Broker
    }

    pub fn has_broker(self) -> bool {
        self != Self::Controller
    }
}

/// How the voters of the metadata quorum are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voters {
    /// `controller.quorum.voters` in every file (kraft.version 0).
    Static,
    /// The first controller begins alone; the others join it while it runs (kraft.version 1).
    Growing,
}

/// One node to be.
#[derive(Debug, Clone)]
pub struct NodePlan {
    pub system: System,
    pub roles: Roles,
    /// Lines for this node's file only.
    pub properties: Vec<(String, String)>,
}

/// A cluster to be. Node ids count from 1.
#[derive(Debug, Clone)]
pub struct Layout {
    pub nodes: Vec<NodePlan>,
    pub voters: Voters,
    /// The security protocol of controllers, and of a listener `SECURE` for brokers and clients.
    /// Then PLAINTEXT is only for those who look at the cluster.
    pub secured: Option<&'static str>,
    /// Words that `kafka-storage format` gets beside the usual ones.
    pub format_more: Vec<String>,
    /// Lines for every node's file.
    pub properties: Vec<(String, String)>,
}

/// The ports of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub client: u16,
    pub secure: u16,
    pub controller: u16,
}

impl Layout {
    /// `count` combined nodes of one program with static voters.
    pub fn combined(system: &System, count: usize) -> Self {
        Self::mixed(&vec![system.clone(); count])
    }

    /// Combined nodes with static voters, each of its own program.
    pub fn mixed(systems: &[System]) -> Self {
        let node = |system: &System| NodePlan {
            system: system.clone(),
            roles: Roles::Combined,
            properties: Vec::new(),
        };
        let nodes = systems.iter().map(node).collect();
        Self::of(nodes)
    }

    /// These nodes, with static voters.
    pub fn of(nodes: Vec<NodePlan>) -> Self {
        let (voters, secured) = (Voters::Static, None);
        Self { nodes, voters, secured, format_more: Vec::new(), properties: Vec::new() }
    }

    /// Adds a line to every node's file.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn with_voters(mut self, voters: Voters) -> Self {
        self.voters = voters;
        self
    }

    #[must_use]
    pub fn secured_by(mut self, protocol: &'static str) -> Self {
        self.secured = Some(protocol);
        self
    }

    /// The properties file of node `index + 1`.
    pub(super) fn properties(&self, index: usize, ports: &[Ports], data: &Path) -> String {
        let (plan, own, id) = (&self.nodes[index], ports[index], index + 1);
        let brokers = self.nodes.iter().filter(|node| node.roles.has_broker()).count();
        let copies = brokers.min(3);
        let in_sync = copies.saturating_sub(1).max(1);
        let mut client = format!("PLAINTEXT://127.0.0.1:{}", own.client);
        let (mut protocols, mut between) =
            ("CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".to_owned(), "PLAINTEXT");
        if let Some(protocol) = self.secured {
            let _ = write!(client, ",SECURE://127.0.0.1:{}", own.secure);
            protocols = format!("CONTROLLER:{protocol},SECURE:{protocol},PLAINTEXT:PLAINTEXT");
            between = "SECURE";
        }
        let controller = format!("CONTROLLER://127.0.0.1:{}", own.controller);
        let (roles, listeners, advertised) = match plan.roles {
            Roles::Combined => (
                "broker,controller",
                format!("{client},{controller}"),
                format!("{client},{controller}"),
            ),
            Roles::Controller => ("controller", controller.clone(), controller),
            Roles::Broker => ("broker", client.clone(), client),
        };
        let mut text = format!(
            "process.roles={roles}\nnode.id={id}\nlisteners={listeners}\n\
             advertised.listeners={advertised}\n\
             listener.security.protocol.map={protocols}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name={between}\n\
             log.dirs={}\n\
             default.replication.factor={copies}\nmin.insync.replicas={in_sync}\n\
             offsets.topic.replication.factor={copies}\noffsets.topic.num.partitions=6\n\
             transaction.state.log.replication.factor={copies}\n\
             transaction.state.log.min.isr={in_sync}\ntransaction.state.log.num.partitions=4\n\
             share.coordinator.state.topic.replication.factor={copies}\n\
             share.coordinator.state.topic.min.isr={in_sync}\n\
             share.coordinator.state.topic.num.partitions=2\n\
             group.initial.rebalance.delay.ms=0\n",
            data.display()
        );
        text.push_str(&self.quorum(ports));
        for (key, value) in self.properties.iter().chain(&plan.properties) {
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }

    fn quorum(&self, ports: &[Ports]) -> String {
        let controllers: Vec<(usize, u16)> = self
            .nodes
            .iter()
            .zip(ports)
            .enumerate()
            .filter(|(_, (node, _))| node.roles.has_controller())
            .map(|(index, (_, ports))| (index + 1, ports.controller))
            .collect();
        let list = |write: &dyn Fn(usize, u16) -> String| {
            let texts: Vec<String> =
                controllers.iter().map(|&(id, port)| write(id, port)).collect();
            texts.join(",")
        };
        match self.voters {
            Voters::Static => {
                let voters = list(&|id, port| format!("{id}@127.0.0.1:{port}"));
                format!("controller.quorum.voters={voters}\n")
            }
            Voters::Growing => {
                let servers = list(&|_, port| format!("127.0.0.1:{port}"));
                format!(
                    "controller.quorum.bootstrap.servers={servers}\n\
                     controller.quorum.auto.join.enable=true\n"
                )
            }
        }
    }

    /// The words that `kafka-storage format` needs beyond cluster id and file.
    pub(super) fn format_words(&self, index: usize) -> Vec<&str> {
        let first = self.nodes.iter().position(|node| node.roles.has_controller());
        let voters = match self.voters {
            Voters::Static => None,
            Voters::Growing if first == Some(index) => Some("--standalone"),
            Voters::Growing if self.nodes[index].roles.has_controller() => {
                Some("--no-initial-controllers")
            }
            Voters::Growing => None,
        };
        voters.into_iter().chain(self.format_more.iter().map(String::as_str)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(layout: &Layout, index: usize) -> String {
        let ports: Vec<Ports> = (1..=3).map(ports).collect();
        layout.properties(index, &ports, Path::new("/data"))
    }

    fn ports(n: u16) -> Ports {
        Ports { client: 1000 + n, secure: 3000 + n, controller: 2000 + n }
    }

    fn three() -> Layout {
        Layout::combined(&System::Naru { binary: "naru".into() }, 3)
    }

    #[test]
    fn static_voters_are_named_in_every_file() {
        let voters = "controller.quorum.voters=1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003";
        for index in 0..3 {
            let text = properties(&three().with("a.b", "c"), index);
            assert!(text.contains(voters), "{text}");
            assert!(text.contains(&format!("node.id={}\n", index + 1)));
            assert!(text.ends_with("a.b=c\n"));
        }
    }

    #[test]
    fn a_broker_has_no_controller_listener_and_does_not_vote() {
        let mut layout = three();
        layout.nodes[2].roles = Roles::Broker;
        let text = properties(&layout, 2);
        assert!(text.contains("\nlisteners=PLAINTEXT://127.0.0.1:1003\n"), "{text}");
        assert!(text.contains("voters=1@127.0.0.1:2001,2@127.0.0.1:2002\n"), "{text}");
    }

    #[test]
    fn a_secured_cluster_speaks_to_itself_over_a_listener_of_its_own() {
        let text = properties(&three().secured_by("SASL_SSL"), 0);
        assert!(text.contains("inter.broker.listener.name=SECURE\n"), "{text}");
        assert!(text.contains("map=CONTROLLER:SASL_SSL,SECURE:SASL_SSL,PLAINTEXT:"), "{text}");
        assert!(text.contains("advertised.listeners=PLAINTEXT://127.0.0.1:1001,SECURE://"));
    }

    #[test]
    fn a_growing_quorum_begins_with_its_first_controller() {
        let layout = three().with_voters(Voters::Growing);
        assert_eq!(layout.format_words(0), ["--standalone"]);
        assert_eq!(layout.format_words(1), ["--no-initial-controllers"]);
        assert!(!properties(&layout, 0).contains("quorum.voters"));
    }
}
