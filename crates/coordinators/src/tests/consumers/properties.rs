//! Random lives of consumer groups, with lost answers, crashes, failing appends and topics that
//! change.

use std::collections::BTreeMap;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use proptest::prelude::*;

use super::super::bench::GROUP;
use super::world::{Client, World};

const CLIENTS: usize = 4;
const TOPICS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Action {
    Beat {
        client: usize,
    },
    /// The answer gets lost.
    BeatInVain {
        client: usize,
    },
    Leave {
        client: usize,
    },
    /// The process dies without a word and comes back as somebody new.
    Die {
        client: usize,
    },
    Subscribe {
        client: usize,
        topics: usize,
    },
    Pattern {
        client: usize,
    },
    Grow {
        topic: usize,
        partitions: i32,
    },
    Delete {
        topic: usize,
    },
    Advance {
        milliseconds: i64,
    },
    Settle {
        fails: bool,
    },
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    let client = 0..CLIENTS;
    prop_oneof![
        20 => client.clone().prop_map(|client| Action::Beat { client }),
        3 => client.clone().prop_map(|client| Action::BeatInVain { client }),
        2 => client.clone().prop_map(|client| Action::Leave { client }),
        1 => client.clone().prop_map(|client| Action::Die { client }),
        2 => (client.clone(), 0..8_usize).prop_map(|(client, topics)| Action::Subscribe { client, topics }),
        1 => client.prop_map(|client| Action::Pattern { client }),
        2 => (0..3_usize, 1..6_i32).prop_map(|(topic, partitions)| Action::Grow { topic, partitions }),
        1 => (0..3_usize).prop_map(|topic| Action::Delete { topic }),
        8 => prop_oneof![Just(500_i64), Just(1_500), Just(50_000)]
            .prop_map(|milliseconds| Action::Advance { milliseconds }),
        4 => any::<bool>().prop_map(|fails| Action::Settle { fails }),
        1 => Just(Action::Crash),
    ]
}

struct Life {
    world: World,
    clients: Vec<Client>,
    born: usize,
}

impl Life {
    fn new() -> Self {
        let world = World::new(&[("a", 3), ("b", 2)]);
        let clients =
            (0..CLIENTS).map(|at| Client::named(&format!("m{at}"), &["a", "b"])).collect();
        Self { world, clients, born: CLIENTS }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Beat { client } => self.beat(client),
            Action::BeatInVain { client } => {
                self.world.send(self.clients[client].request());
            }
            Action::Leave { client } => {
                let client = &mut self.clients[client];
                if client.joined {
                    let request =
                        ConsumerGroupHeartbeatRequest { member_epoch: -1, ..client.request() };
                    self.world.send(request);
                    client.joined = false;
                    client.asked = None;
                    client.owned.clear();
                }
            }
            Action::Die { client } => {
                self.born += 1;
                let client = &mut self.clients[client];
                client.id = format!("m{}", self.born);
                (client.joined, client.epoch, client.asked) = (false, 0, None);
                client.owned.clear();
            }
            Action::Subscribe { client, topics } => {
                let chosen = TOPICS.iter().enumerate().filter(|(at, _)| topics >> at & 1 == 1);
                let chosen = chosen.map(|(_, topic)| (*topic).to_owned()).collect();
                let client = &mut self.clients[client];
                (client.topics, client.regex) = (Some(chosen), Some(String::new()));
            }
            Action::Pattern { client } => {
                let client = &mut self.clients[client];
                (client.topics, client.regex) = (Some(Vec::new()), Some("a|c".into()));
            }
            Action::Grow { topic, partitions } => {
                let name = TOPICS[topic];
                let now = self.world.topics.by_name.get(name).map_or(0, |topic| topic.partitions);
                self.world.set_topic(name, partitions.max(now));
            }
            Action::Delete { topic } => self.world.delete_topic(TOPICS[topic]),
            Action::Advance { milliseconds } => self.world.bench.advance(milliseconds),
            Action::Settle { fails } => {
                if fails {
                    // What was appended behind a batch that is lost is lost too.
                    self.world.bench.settle(Err(ErrorCode::NotEnoughReplicas));
                } else {
                    self.world.bench.settle_one(Ok(()));
                }
            }
            Action::Crash => {
                self.clients.iter_mut().for_each(|client| client.asked = None);
                self.world.crash();
            }
        }
        self.collect();
        self.check_owners();
    }

    fn beat(&mut self, at: usize) {
        if self.clients[at].asked.is_none() {
            let token = self.world.send(self.clients[at].request());
            self.clients[at].asked = Some(token);
        }
    }

    /// Clients take in what they have been answered.
    fn collect(&mut self) {
        for client in &mut self.clients {
            if client.asked.is_some_and(|token| self.world.bench.answers.contains_key(&token)) {
                let token = client.asked.take().expect("just seen");
                let response = self.world.answer(token);
                client.told(&response);
            }
        }
    }

    /// No two clients that are members own the same partition.
    fn check_owners(&self) {
        let group = self.world.bench.shard.consumers.get(GROUP);
        let is_member = |client: &&Client| {
            client.joined && group.is_some_and(|group| group.member(&client.id).is_some())
        };
        let mut owners: BTreeMap<(Uuid, i32), &str> = BTreeMap::new();
        for client in self.clients.iter().filter(is_member) {
            for one in &client.owned {
                let other = owners.insert(*one, &client.id);
                assert_eq!(other, None, "{one:?} has two owners");
            }
        }
    }

    fn check_replay(&self) {
        let facts = |shard: &crate::GroupShard| {
            shard.consumers.get(GROUP).map(crate::consumer::ConsumerGroup::as_facts)
        };
        assert_eq!(facts(&self.world.bench.replayed()), facts(&self.world.bench.shard));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_partition_has_one_owner_and_everything_is_assigned_in_the_end(
        commits_at_once: bool,
        actions in prop::collection::vec(action(), 1..80),
    ) {
        let mut life = Life::new();
        life.world.bench.auto_commit = commits_at_once;
        for action in &actions {
            life.act(action);
        }
        life.world.bench.auto_commit = true;
        life.world.bench.settle(Ok(()));
        life.collect();
        life.check_replay();
        life.clients.iter_mut().for_each(|client| client.asked = None);
        // Who is gone for good times out; then patterns are resolved anew.
        for _ in 0..5 {
            life.world.bench.advance(12_000);
            for client in &mut life.clients {
                life.world.beat(client);
            }
        }
        life.world.converge(&mut life.clients);
        life.check_owners();
        life.check_replay();
        for name in TOPICS {
            let Some(topic) = life.world.topics.by_name.get(name) else { continue };
            let wanted = life.clients.iter().any(|client| {
                client.topics.iter().flatten().any(|topic| topic == name)
                    || client.regex.as_deref() == Some("a|c") && name != "b"
            });
            let owned = life.clients.iter().flat_map(|client| &client.owned);
            let owned = owned.filter(|(id, _)| *id == topic.id).count();
            let expected = if wanted { topic.partitions } else { 0 };
            prop_assert_eq!(i32::try_from(owned).expect("few"), expected, "{}", name);
        }
    }
}
