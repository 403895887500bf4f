//! A broker of a few lines for tests: answers what a test tells it to, on a port of its own.
//!
//! One node, one topic `t` with one partition, unless the test answers otherwise.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_debug_implementations, reason = "nobody prints it")]

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use naru_client::ClientConfig;
use naru_model::Uuid;
use naru_protocol::api::ApiKey;
use naru_protocol::frame::{self, RequestHeader};
use naru_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use naru_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use naru_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use naru_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use naru_protocol::{Message, Reader, Request, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as the broker sees it.
pub struct Asked {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    body: Bytes,
}

impl Asked {
    /// The request's message.
    pub fn read<R: Request>(&self) -> R {
        R::from_bytes(&self.body, self.version).unwrap()
    }

    /// An answer with this message.
    pub fn answer<M: Message>(&self, message: &M) -> Reply {
        self.answer_at(message, self.version)
    }

    /// An answer in the layout of another version.
    pub fn answer_at<M: Message>(&self, message: &M, version: i16) -> Reply {
        let writer = frame::response(message, self.api, version, self.correlation_id);
        Reply::Bytes(writer.into_bytes())
    }
}

/// What the broker does about a request.
pub enum Reply {
    /// Sends these bytes, a whole frame or not.
    Bytes(Vec<u8>),
    /// Says nothing.
    Silence,
    /// Closes the connection.
    Close,
    /// Does what a healthy broker does.
    Usual,
}

type Handler = dyn FnMut(&Asked) -> Reply + Send;

/// A running fake broker; it ends with the test's runtime.
#[derive(Clone)]
pub struct FakeBroker {
    pub port: u16,
    handler: Arc<Mutex<Box<Handler>>>,
    /// The APIs that were asked for, in order.
    pub log: Arc<Mutex<Vec<(ApiKey, i16)>>>,
}

impl FakeBroker {
    /// Starts one; `handler` sees every request first.
    pub async fn start(handler: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker =
            Self { port, handler: Arc::new(Mutex::new(Box::new(handler))), log: Arc::default() };
        let serving = broker.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        broker
    }

    /// Settings of a client that tries again quickly and gives up soon.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new(&format!("127.0.0.1:{}", self.port)).unwrap();
        for (name, value) in [
            ("retry.backoff.ms", "5"),
            ("retry.backoff.max.ms", "20"),
            ("default.api.timeout.ms", "3000"),
            ("request.timeout.ms", "1000"),
        ] {
            config.set(name, value).unwrap();
        }
        config
    }

    /// How often an API was asked for.
    pub fn count(&self, api: ApiKey) -> usize {
        self.log.lock().unwrap().iter().filter(|(asked, _)| *asked == api).count()
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut buffer = BytesMut::new();
        loop {
            let Some(frame) = read_frame(&mut socket, &mut buffer).await else { return };
            let mut reader = Reader::new(&frame);
            let header = RequestHeader::read(&mut reader).unwrap();
            let asked = Asked {
                api: ApiKey::from_key(header.api_key).unwrap(),
                version: header.api_version,
                correlation_id: header.correlation_id,
                body: reader.rest(),
            };
            self.log.lock().unwrap().push((asked.api, asked.version));
            let reply = (self.handler.lock().unwrap())(&asked);
            let bytes = match reply {
                Reply::Bytes(bytes) => bytes,
                Reply::Silence => continue,
                Reply::Close => return,
                Reply::Usual => match self.usual(&asked) {
                    Some(Reply::Bytes(bytes)) => bytes,
                    _ => return,
                },
            };
            if socket.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }

    fn usual(&self, asked: &Asked) -> Option<Reply> {
        Some(match asked.api {
            ApiKey::ApiVersions => asked.answer(&all_versions()),
            ApiKey::Metadata => asked.answer(&self.metadata()),
            ApiKey::InitProducerId => asked.answer(&InitProducerIdResponse {
                producer_id: 7,
                producer_epoch: 0,
                ..Default::default()
            }),
            ApiKey::FindCoordinator => {
                let (host, port) = ("127.0.0.1".to_owned(), i32::from(self.port));
                let coordinators = vec![Coordinator {
                    key: "g".to_owned(),
                    node_id: 1,
                    host: host.clone(),
                    port,
                    ..Default::default()
                }];
                let node_id = 1;
                asked.answer(&FindCoordinatorResponse {
                    coordinators,
                    node_id,
                    host,
                    port,
                    ..Default::default()
                })
            }
            _ => return None,
        })
    }

    /// This node, and topic `t`.
    pub fn metadata(&self) -> MetadataResponse {
        let partition = MetadataResponsePartition {
            partition_index: 0,
            leader_id: 1,
            leader_epoch: 0,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 1,
                host: "127.0.0.1".to_owned(),
                port: i32::from(self.port),
                rack: None,
            }],
            cluster_id: Some("c".to_owned()),
            controller_id: 1,
            topics: vec![MetadataResponseTopic {
                name: Some("t".to_owned()),
                topic_id: Uuid(5),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        }
    }
}

/// Every API at every version of its schema.
pub fn all_versions() -> ApiVersionsResponse {
    let api_keys = ApiKey::ALL
        .iter()
        .filter(|api| !api.versions().is_empty())
        .map(|api| ApiVersion {
            api_key: api.key(),
            min_version: *api.versions().start(),
            max_version: *api.versions().end(),
        })
        .collect();
    ApiVersionsResponse { api_keys, ..Default::default() }
}

async fn read_frame(socket: &mut TcpStream, buffer: &mut BytesMut) -> Option<Bytes> {
    loop {
        if let Some(length) = buffer.first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
            if buffer.len() >= 4 + length {
                let mut frame = buffer.split_to(4 + length);
                return Some(frame.split_off(4).freeze());
            }
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads a message from bytes at a version, for looking into requests.
pub fn decode<M: Wire>(bytes: &Bytes, version: i16) -> M {
    M::read(&mut Reader::new(bytes), version).unwrap()
}
