//! The two brokers, asked the same things.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use naru_model::Uuid;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use naru_protocol::{Request, frame};

use super::known::Known;
use super::tree::{differences, fields};
use crate::outcome::{Outcome, Verdict};
use crate::probe::api_versions;
use crate::wire::Connection;

const TIMEOUT: Duration = Duration::from_secs(20);
/// What an API has that is not served.
#[expect(clippy::reversed_empty_ranges, reason = "an empty range is what is meant")]
const NO_VERSIONS: RangeInclusive<i16> = 0..=-1;
/// Keys and values.
type Configs = &'static [(&'static str, &'static str)];
/// Topics that both brokers have from the start.
const TOPICS: &[(&str, i32, Configs)] = &[
    ("diff", 2, &[("retention.ms", "-1")]),
    ("diff-small", 1, &[("max.message.bytes", "200"), ("retention.ms", "-1")]),
    ("diff-compact", 1, &[("cleanup.policy", "compact")]),
    ("diff-delete", 1, &[("retention.ms", "-1")]),
];

/// One broker and what is its own in this run.
#[derive(Debug)]
pub(super) struct Side {
    port: u16,
    /// Topic ids by name, as far as asked for.
    ids: BTreeMap<String, Uuid>,
    /// The member id that the broker gave in the flow under way.
    pub member: String,
}

/// How a broker answered.
#[derive(Debug)]
enum Answer<M> {
    Message(M),
    Closed(String),
}

impl Side {
    pub(super) fn new(port: u16) -> Self {
        Self { port, ids: BTreeMap::new(), member: String::new() }
    }

    /// The id of a topic that was looked up, or one that nobody has.
    pub(super) fn id(&self, name: &str) -> Uuid {
        self.ids.get(name).copied().unwrap_or_else(|| Uuid::from_random(0xDEAD_BEEF))
    }

    /// Sends on a connection of its own, so that one closed connection spoils nothing else.
    fn ask<R: Request>(&self, request: &R, version: i16) -> Answer<R::Response> {
        let ask = || -> Result<R::Response> {
            let mut connection = Connection::open(self.port, TIMEOUT)?;
            let framed = frame::request(request, version, 7, "differential");
            let answer = connection.exchange(framed.get(4..).context("a frame")?)?;
            let (correlation, message) = frame::read_response::<R>(&Bytes::from(answer), version)?;
            if correlation != 7 {
                bail!("correlation id {correlation}");
            }
            Ok(message)
        };
        match ask() {
            Ok(message) => Answer::Message(message),
            Err(error) => Answer::Closed(error.to_string()),
        }
    }

    /// Asks, at the newest version, until the answer is as wanted or patience ends.
    pub(super) fn wait_for<R: Request>(&self, request: &R, wanted: impl Fn(&R::Response) -> bool) {
        let newest = ApiKey::from_key(R::KEY).map_or(0, |api| *api.versions().end());
        for _ in 0..200 {
            if let Answer::Message(answer) = self.ask(request, newest)
                && wanted(&answer)
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn look_up(&mut self, name: &str) -> Result<()> {
        let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        match self.ask(&request, 12) {
            Answer::Message(answer) => {
                let found = answer.topics.first().context("no topic in the answer")?;
                self.ids.insert(name.to_owned(), found.topic_id);
                Ok(())
            }
            Answer::Closed(why) => bail!("looking up {name}: {why}"),
        }
    }
}

/// Both sides, what differs, and what was covered.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    kafka: Side,
    ours: Side,
    known: &'a Known,
    outcome: &'a mut Outcome,
    /// The versions our side advertises.
    advertised: BTreeMap<i16, RangeInclusive<i16>>,
    /// Keys and versions compared with a good and with a bad request.
    good: BTreeSet<(i16, i16)>,
    bad: BTreeSet<(i16, i16)>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        kafka: Side,
        ours: Side,
        known: &'a Known,
        outcome: &'a mut Outcome,
    ) -> Result<Self> {
        let advertised = api_versions(ours.port)?
            .into_iter()
            .map(|(key, low, high)| (key, low..=high))
            .collect();
        let (good, bad) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { kafka, ours, known, outcome, advertised, good, bad })
    }

    /// Makes the topics that all cases share, on both sides.
    pub(super) fn make_topics(&mut self) -> Result<()> {
        for (name, partitions, configs) in TOPICS {
            self.make_topic(name, *partitions, configs)?;
        }
        Ok(())
    }

    /// Makes a topic on both sides without comparing the answers.
    pub(super) fn make_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let config = |(key, value): &(&str, &str)| CreatableTopicConfig {
            name: (*key).to_owned(),
            value: Some((*value).to_owned()),
        };
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        for side in [&mut self.kafka, &mut self.ours] {
            if let Answer::Closed(why) = side.ask(&request, 7) {
                bail!("making {name}: {why}");
            }
            // The broker hears of the topic a moment after the controller made it.
            for _ in 0..100 {
                side.look_up(name)?;
                if !side.id(name).is_zero() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// The versions of a request that both sides are to serve.
    pub(super) fn versions<R: Request>(&self) -> RangeInclusive<i16> {
        let ours = self.advertised.get(&R::KEY).cloned().unwrap_or(NO_VERSIONS);
        let schema = ApiKey::from_key(R::KEY).map_or(NO_VERSIONS, ApiKey::versions);
        *ours.start().max(schema.start())..=*ours.end().min(schema.end())
    }

    /// A request that must be answered without an error, at every version.
    pub(super) fn good<R: Request>(&mut self, case: &str, make: impl Fn(&Side, i16) -> R) {
        for version in self.versions::<R>() {
            self.good.insert((R::KEY, version));
            self.compare(&format!("good: {case}"), version, |side| make(side, version));
        }
    }

    /// A request that must be refused, at every version.
    pub(super) fn bad<R: Request>(&mut self, case: &str, make: impl Fn(&Side, i16) -> R) {
        for version in self.versions::<R>() {
            self.bad.insert((R::KEY, version));
            self.compare(&format!("bad: {case}"), version, |side| make(side, version));
        }
    }

    /// A step of a flow: notes it as a good request and gives the answers back.
    pub(super) fn step<R: Request>(
        &mut self,
        case: &str,
        version: i16,
        make: impl Fn(&Side) -> R,
    ) -> Option<(R::Response, R::Response)> {
        self.good.insert((R::KEY, version));
        self.compare(&format!("good: {case}"), version, make)
    }

    pub(super) fn sides(&mut self) -> [&mut Side; 2] {
        [&mut self.kafka, &mut self.ours]
    }

    fn compare<R: Request>(
        &mut self,
        case: &str,
        version: i16,
        make: impl Fn(&Side) -> R,
    ) -> Option<(R::Response, R::Response)> {
        let api = ApiKey::from_key(R::KEY).map_or("?", ApiKey::name);
        let name = format!("{api} v{version} {case}");
        let kafka = self.kafka.ask(&make(&self.kafka), version);
        let ours = self.ours.ask(&make(&self.ours), version);
        match (kafka, ours) {
            (Answer::Message(kafka), Answer::Message(ours)) => {
                let mut found = differences(&fields(&kafka), &fields(&ours));
                found.retain(|difference| !self.known.explains(api, case, difference));
                let texts: Vec<String> = found
                    .iter()
                    .take(8)
                    .map(|d| format!("{}: kafka {} ours {}", d.path, d.kafka, d.ours))
                    .collect();
                let verdict = if found.is_empty() { Verdict::Passed } else { Verdict::Failed };
                let why = format!("{} fields: {}", found.len(), texts.join("; "));
                self.outcome.add(verdict, &name, if found.is_empty() { "" } else { &why });
                Some((kafka, ours))
            }
            (Answer::Closed(_), Answer::Closed(_)) => {
                self.outcome.add(Verdict::Passed, &name, "");
                None
            }
            (Answer::Message(kafka), Answer::Closed(why)) => {
                let text = format!("ours: {why}; kafka answered {kafka:?}");
                self.outcome.add(Verdict::Failed, &name, &text);
                None
            }
            (Answer::Closed(why), Answer::Message(ours)) => {
                let text = format!("kafka: {why}; ours answered {ours:?}");
                self.outcome.add(Verdict::Failed, &name, &text);
                None
            }
        }
    }

    /// Every API that is advertised was compared at every version, good and bad.
    pub(super) fn check_coverage(&mut self) {
        for (key, versions) in &self.advertised {
            let Some(api) = ApiKey::from_key(*key) else { continue };
            let served = api.versions();
            let missing: Vec<i16> = versions
                .clone()
                .filter(|version| served.contains(version))
                .filter(|version| {
                    !self.good.contains(&(*key, *version)) || !self.bad.contains(&(*key, *version))
                })
                .collect();
            let verdict = if missing.is_empty() { Verdict::Passed } else { Verdict::Failed };
            let why = format!("versions {missing:?} lack a good or a bad request");
            let name = format!("{} is compared at every version", api.name());
            self.outcome.add(verdict, &name, if missing.is_empty() { "" } else { &why });
        }
    }
}
