//! One scenario's talk with one broker, and its transcript.
//!
//! Scenarios cannot fail: whatever a broker does (answer, close, stay silent) is written down, and
//! the comparison judges. A closed connection is opened anew for the next request.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use naru_model::Uuid;
use naru_protocol::api::ApiKey;
use naru_protocol::frame;
use naru_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use naru_protocol::messages::metadata_response::MetadataResponseTopic;
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use naru_protocol::{Message as _, Request};

use super::tree::Tree;
use crate::broker::Broker;

/// How long an answer may take before a broker counts as silent.
const PATIENCE: Duration = Duration::from_secs(8);
/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;
/// The connection of requests that name none.
pub const USUAL: &str = "usual";
/// The connection to the controller listener.
pub const CONTROLLER: &str = "controller";
/// What names of connections begin with whose users log in.
const LOGIN: &str = "sasl-";

/// What a broker did with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Message(Tree),
    /// Bytes that are not the message they should be.
    Unreadable(String),
    Closed,
    Silent,
}

/// One request of a scenario and its answer.
#[derive(Debug, Clone)]
pub struct Entry {
    pub scenario: &'static str,
    pub label: String,
    pub api: ApiKey,
    pub version: i16,
    pub answer: Answer,
}

/// What came over a connection.
enum Received {
    Frame(Bytes),
    Closed,
    Silent,
}

pub struct Session {
    scenario: &'static str,
    port: u16,
    controller_port: u16,
    /// Where users log in.
    logins_port: u16,
    links: BTreeMap<String, TcpStream>,
    /// Who a request in flight was from: its connection, with version.
    pending: BTreeMap<String, i16>,
    entries: Vec<Entry>,
}

impl Session {
    pub fn new(scenario: &'static str, broker: &Broker) -> Self {
        let (links, pending) = (BTreeMap::new(), BTreeMap::new());
        let (port, controller_port) = (broker.port(), broker.controller_port());
        let (logins_port, entries) = (0, Vec::new());
        Self { scenario, port, controller_port, logins_port, links, pending, entries }
    }

    /// The port of connections that begin with [`LOGIN`].
    pub fn with_logins(self, logins_port: u16) -> Self {
        Self { logins_port, ..self }
    }

    /// Logs the user in whose name follows [`LOGIN`] in the name of the connection.
    pub fn log_in(&mut self, link: &str) {
        let user = link.strip_prefix(LOGIN).unwrap_or(link);
        let mechanism = "PLAIN".to_owned();
        self.quiet_on(link, 1, &SaslHandshakeRequest { mechanism });
        let auth_bytes = format!("\0{user}\0secret").into_bytes().into();
        self.quiet_on(link, 2, &SaslAuthenticateRequest { auth_bytes });
    }

    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Sends a request and writes its answer down; the default message if there was none.
    pub fn ask<R: Request>(&mut self, label: &str, version: i16, request: &R) -> R::Response {
        self.ask_on::<R>(USUAL, label, version, request)
    }

    /// Like [`Self::ask`] at every version of a range.
    pub fn ask_each<R: Request>(
        &mut self,
        label: &str,
        versions: impl IntoIterator<Item = i16>,
        request: &R,
    ) {
        for version in versions {
            self.ask(label, version, request);
        }
    }

    /// Like [`Self::ask`] on a connection of that name.
    pub fn ask_on<R: Request>(
        &mut self,
        link: &str,
        label: &str,
        version: i16,
        request: &R,
    ) -> R::Response {
        self.send(link, version, request);
        self.receive::<R>(link, label)
    }

    /// Sends a request whose answer is waited for later.
    pub fn send<R: Request>(&mut self, link: &str, version: i16, request: &R) {
        self.write(link, &frame::request(request, version, 7, "differential"));
        self.pending.insert(link.to_owned(), version);
    }

    /// The answer to what was sent on this connection.
    pub fn receive<R: Request>(&mut self, link: &str, label: &str) -> R::Response {
        let version = self.pending.remove(link).unwrap_or_default();
        let (answer, message) = match self.read(link, PATIENCE) {
            Received::Closed => (Answer::Closed, R::Response::default()),
            Received::Silent => {
                self.links.remove(link);
                (Answer::Silent, R::Response::default())
            }
            Received::Frame(bytes) => read_answer::<R>(&bytes, version),
        };
        self.note::<R>(label, version, answer);
        message
    }

    /// Writes down whether a request that must get no answer gets none within `wait`.
    pub fn expect_none<R: Request>(&mut self, link: &str, label: &str, wait: Duration) {
        let version = self.pending.remove(link).unwrap_or_default();
        let answer = match self.read(link, wait) {
            Received::Closed => Answer::Closed,
            Received::Silent => Answer::Silent,
            Received::Frame(bytes) => read_answer::<R>(&bytes, version).0,
        };
        self.note::<R>(label, version, answer);
    }

    /// Sends bytes as they are on a fresh connection, ends the sending side if `end`, and writes
    /// down the first bytes of what comes back.
    pub fn raw(&mut self, label: &str, api: ApiKey, version: i16, bytes: &[u8], end: bool) {
        self.links.remove("raw");
        self.write("raw", bytes);
        if end && let Some(stream) = self.links.get("raw") {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let answer = match self.read("raw", PATIENCE) {
            Received::Closed => Answer::Closed,
            Received::Silent => Answer::Silent,
            Received::Frame(bytes) => Answer::Unreadable(format!("{bytes:?}")),
        };
        let (scenario, label) = (self.scenario, label.to_owned());
        self.entries.push(Entry { scenario, label, api, version, answer });
        self.links.remove("raw");
    }

    /// A topic that is ready for use; what makes it is not part of the transcript.
    pub fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        });
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
        self.quiet(7, &request);
        self.until_ready(name, partitions)
    }

    /// Waits until a topic has that many partitions, all with a leader.
    pub fn until_ready(&mut self, name: &str, partitions: i32) -> Uuid {
        let ready = |topic: &MetadataResponseTopic| {
            topic.error_code == 0
                && topic.partitions.len() == usize::try_from(partitions).unwrap_or_default()
                && topic.partitions.iter().all(|partition| partition.error_code == 0)
        };
        let id = self.until_topic(name, ready);
        self.until_led(name, partitions);
        id
    }

    /// Apache Kafka tells of a topic shortly before its brokers lead it.
    fn until_led(&mut self, name: &str, partitions: i32) {
        let partition = |partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: -1,
            ..ListOffsetsPartition::default()
        };
        let partitions = (0..partitions).map(partition).collect();
        let topic = ListOffsetsTopic { name: name.to_owned(), partitions };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let answer = self.quiet(7, &request);
            let mut led = answer.topics.iter().flat_map(|topic| &topic.partitions);
            if !answer.topics.is_empty() && led.all(|partition| partition.error_code == 0) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a topic is gone from the metadata.
    pub fn until_gone(&mut self, name: &str) {
        self.until_topic(name, |topic| topic.error_code != 0);
    }

    fn until_topic(&mut self, name: &str, done: impl Fn(&MetadataResponseTopic) -> bool) -> Uuid {
        let topic = MetadataRequestTopic { name: Some(name.to_owned()), topic_id: Uuid::ZERO };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let answer = self.quiet(12, &request);
            if let Some(topic) = answer.topics.first().filter(|topic| done(topic)) {
                let id = topic.topic_id;
                // Apache Kafka tells of a topic shortly before its log takes records.
                std::thread::sleep(Duration::from_millis(50));
                return id;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Uuid::ZERO
    }

    /// A moment for changes that Apache Kafka applies after it has answered.
    pub fn settle(&self) {
        std::thread::sleep(Duration::from_millis(600));
    }

    pub fn sleep(&self, millis: u64) {
        std::thread::sleep(Duration::from_millis(millis));
    }

    /// A request that is not part of the transcript.
    pub fn quiet<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.quiet_on("quiet", version, request)
    }

    /// Like [`Self::quiet`] on a connection of that name.
    pub fn quiet_on<R: Request>(&mut self, link: &str, version: i16, request: &R) -> R::Response {
        let before = self.entries.len();
        let message = self.ask_on::<R>(link, "", version, request);
        self.entries.truncate(before);
        message
    }

    fn note<R: Request>(&mut self, label: &str, version: i16, answer: Answer) {
        let api = ApiKey::from_key(R::KEY).expect("every request has an API key");
        let (scenario, label) = (self.scenario, label.to_owned());
        self.entries.push(Entry { scenario, label, api, version, answer });
    }

    fn write(&mut self, link: &str, bytes: &[u8]) {
        let port = match link {
            CONTROLLER => self.controller_port,
            login if login.starts_with(LOGIN) => self.logins_port,
            _ => self.port,
        };
        if !self.links.contains_key(link)
            && let Ok(stream) = TcpStream::connect(("127.0.0.1", port))
        {
            let _ = stream.set_nodelay(true);
            self.links.insert(link.to_owned(), stream);
        }
        if let Some(stream) = self.links.get_mut(link) {
            // A refused write shows when the answer is read.
            let _ = stream.write_all(bytes);
        }
    }

    fn read(&mut self, link: &str, patience: Duration) -> Received {
        let Some(stream) = self.links.get_mut(link) else { return Received::Closed };
        let _ = stream.set_read_timeout(Some(patience));
        let mut length = [0; 4];
        let outcome = stream.read_exact(&mut length).and_then(|()| {
            let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length.min(MAX_ANSWER)];
            stream.read_exact(&mut bytes).map(|()| Bytes::from(bytes))
        });
        match outcome {
            Ok(bytes) => Received::Frame(bytes),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {
                Received::Silent
            }
            Err(_) => {
                self.links.remove(link);
                Received::Closed
            }
        }
    }
}

/// The message as a tree, and whether writing it again gives the bytes that came: a field that
/// was left out or written twice, or bytes behind the message, show there.
fn read_answer<R: Request>(bytes: &Bytes, version: i16) -> (Answer, R::Response) {
    let api = ApiKey::from_key(R::KEY).expect("every request has an API key");
    match frame::read_response::<R>(bytes, version) {
        Ok((_, message)) => {
            let head = if api.response_header_version(version) >= 1 { 5 } else { 4 };
            let same = bytes.get(head..) == Some(&message.to_bytes(version)[..]);
            let mut tree = Tree::of(&message);
            if let Tree::Struct(fields) = &mut tree {
                fields.push(("bytes_as_written".to_owned(), Tree::Leaf(same.to_string())));
            }
            (Answer::Message(tree), message)
        }
        Err(error) => (Answer::Unreadable(error.to_string()), R::Response::default()),
    }
}

/// Waits until the group coordinator answers, so that no scenario meets one that is loading.
pub fn warm_up(broker: &Broker) -> Result<()> {
    let mut session = Session::new("", broker);
    let request = FindCoordinatorRequest { key: "g".to_owned(), ..Default::default() };
    let began = Instant::now();
    while session.quiet(2, &request).node_id < 0 {
        ensure!(began.elapsed() < Duration::from_secs(30), "no group coordinator");
        std::thread::sleep(Duration::from_millis(50));
    }
    session.until_ready("__consumer_offsets", 10);
    std::thread::sleep(Duration::from_secs(1));
    Ok(())
}
