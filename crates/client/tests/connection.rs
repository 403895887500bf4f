//! Versions, broken connections and bad answers, seen through the admin client.

mod fake;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fake::{FakeBroker, Reply, all_versions};
use naru_client::admin::NewTopic;
use naru_client::net::{ClientSecurity, Connection, ConnectionOptions};
use naru_client::{Admin, Error};
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use naru_protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use naru_protocol::messages::metadata_request::MetadataRequest;
use naru_protocol::messages::metadata_response::MetadataResponse;
use naru_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use naru_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;

#[tokio::test]
async fn a_broker_that_refuses_the_newest_api_versions_is_asked_with_an_older_one() {
    let broker = FakeBroker::start(|asked| match (asked.api, asked.version) {
        (ApiKey::ApiVersions, 3..) => {
            let refusal = ApiVersionsResponse { error_code: 35, ..Default::default() };
            asked.answer_at(&refusal, 0)
        }
        _ => Reply::Usual,
    })
    .await;
    let topics = Admin::new(broker.client()).list_topics().await.unwrap();
    assert_eq!(topics.len(), 1);
    let log = broker.log.lock().unwrap().clone();
    assert_eq!(log[..2], [(ApiKey::ApiVersions, 4), (ApiKey::ApiVersions, 0)]);
}

#[tokio::test]
async fn the_refusal_may_name_the_version_to_use() {
    let broker = FakeBroker::start(|asked| match (asked.api, asked.version) {
        (ApiKey::ApiVersions, 4) => {
            let own = ApiVersion { api_key: 18, min_version: 0, max_version: 2 };
            let refusal =
                ApiVersionsResponse { error_code: 35, api_keys: vec![own], ..Default::default() };
            asked.answer_at(&refusal, 0)
        }
        _ => Reply::Usual,
    })
    .await;
    Admin::new(broker.client()).list_topics().await.unwrap();
    assert_eq!(broker.log.lock().unwrap()[1], (ApiKey::ApiVersions, 2));
}

#[tokio::test]
async fn an_api_without_a_common_version_is_refused_at_once_and_by_name() {
    let broker = FakeBroker::start(|asked| {
        if asked.api != ApiKey::ApiVersions {
            return Reply::Usual;
        }
        let mut versions = all_versions();
        versions.api_keys.retain(|api| api.api_key != ApiKey::CreateTopics.key());
        asked.answer(&versions)
    })
    .await;
    let admin = Admin::new(broker.client());
    let error = admin.create_topics(&[NewTopic::new("n")], false).await.unwrap_err();
    assert!(
        matches!(error, Error::UnsupportedVersion { api: ApiKey::CreateTopics, .. }),
        "{error}"
    );
    assert!(!error.is_retriable() && error.hint().is_some());
}

#[tokio::test]
async fn bad_answers_end_the_call_with_an_error_and_never_hang() {
    for bytes in [
        // A correlation id that nobody asked with.
        vec![0, 0, 0, 8, 9, 9, 9, 9, 0, 0, 0, 0],
        // A negative length, and one that is never fulfilled.
        vec![0xff, 0xff, 0xff, 0xff],
        vec![0x7f, 0xff, 0xff, 0xff, 0],
        // Lengths that do not even hold a correlation id.
        vec![0, 0, 0, 2, 0, 0],
    ] {
        let shown = format!("{bytes:?}");
        let broker = FakeBroker::start(move |asked| match asked.api {
            ApiKey::Metadata => Reply::Bytes(bytes.clone()),
            _ => Reply::Usual,
        })
        .await;
        let mut config = broker.client();
        config.api_timeout = Duration::from_millis(300);
        config.reach_timeout = config.api_timeout;
        config.request_timeout = Duration::from_millis(300);
        let began = Instant::now();
        let error = Admin::new(config).list_topics().await.unwrap_err();
        assert!(error.is_retriable(), "{shown}: {error}");
        assert!(began.elapsed() < Duration::from_secs(3), "{shown}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_anew() {
    let mut broken = 0;
    let broker = FakeBroker::start(move |asked| {
        if asked.api == ApiKey::Metadata && broken < 2 {
            broken += 1;
            return Reply::Close;
        }
        Reply::Usual
    })
    .await;
    assert_eq!(Admin::new(broker.client()).list_topics().await.unwrap().len(), 1);
    assert_eq!(broker.count(ApiKey::Metadata), 3);
}

#[tokio::test]
async fn nobody_listening_is_told_with_the_address() {
    let broker = FakeBroker::start(|_| Reply::Usual).await;
    let mut config = broker.client();
    // Port 1 belongs to nobody here.
    config.set("bootstrap.servers", "127.0.0.1:1").unwrap();
    config.reach_timeout = Duration::ZERO;
    let error = Admin::new(config).list_topics().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach 127.0.0.1:1 (connection refused)");
}

#[tokio::test]
async fn an_advertised_address_that_cannot_be_reached_is_named_with_the_one_that_could() {
    let broker = FakeBroker::start(|_| Reply::Usual).await;
    let serving = broker.clone();
    let other = FakeBroker::start(move |asked| match asked.api {
        ApiKey::Metadata => {
            let mut metadata = serving.metadata();
            metadata.brokers[0].port = 1;
            asked.answer(&metadata)
        }
        _ => Reply::Usual,
    })
    .await;
    let mut config = other.client();
    config.reach_timeout = Duration::ZERO;
    let admin = Admin::new(config);
    let error = admin.create_topics(&[NewTopic::new("n")], false).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::AdvertisedUnreachable { .. }), "{text}");
    assert!(text.contains(&other.port.to_string()) && text.contains("127.0.0.1:1,"), "{text}");
}

#[tokio::test]
async fn a_request_that_missed_the_controller_is_sent_again() {
    let mut missed = false;
    let broker = FakeBroker::start(move |asked| {
        if asked.api != ApiKey::CreateTopics {
            return Reply::Usual;
        }
        let code = if missed { ErrorCode::None } else { ErrorCode::NotController };
        missed = true;
        let result = CreatableTopicResult {
            name: "n".to_owned(),
            error_code: code.code(),
            configs: Some(Vec::new()),
            ..Default::default()
        };
        asked.answer(&CreateTopicsResponse { topics: vec![result], ..Default::default() })
    })
    .await;
    let admin = Admin::new(broker.client());
    let created = admin.create_topics(&[NewTopic::new("n")], false).await.unwrap();
    assert!(created[0].1.is_ok());
    assert_eq!(broker.count(ApiKey::CreateTopics), 2);
}

#[tokio::test]
async fn who_comes_while_a_login_is_due_waits_for_one_login_and_for_no_other_request() {
    const CALLERS: usize = 3;
    let (mut logins, mut waiting) = (0, Vec::new());
    let broker = FakeBroker::start(move |asked| match asked.api {
        ApiKey::SaslHandshake => asked.answer(&SaslHandshakeResponse::default()),
        ApiKey::SaslAuthenticate => {
            logins += 1;
            let session_lifetime_ms = if logins == 1 { 300 } else { 60_000 };
            asked.answer(&SaslAuthenticateResponse { session_lifetime_ms, ..Default::default() })
        }
        // Nobody is answered before all have asked.
        ApiKey::Metadata => {
            let Reply::Bytes(bytes) = asked.answer(&MetadataResponse::default()) else {
                return Reply::Close;
            };
            waiting.push(bytes);
            if waiting.len() < CALLERS {
                return Reply::Silence;
            }
            Reply::Bytes(waiting.concat())
        }
        _ => Reply::Usual,
    })
    .await;
    let security = ClientSecurity::read(&|name| {
        Some(match name {
            "security.protocol" => "SASL_PLAINTEXT".to_owned(),
            "sasl.mechanism" => "PLAIN".to_owned(),
            "sasl.jaas.config" => "a.B required username=\"a\" password=\"b\";".to_owned(),
            _ => return None,
        })
    });
    let options = ConnectionOptions {
        client_id: "test".to_owned(),
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(2),
        security: Arc::new(security.unwrap()),
    };
    let address = format!("127.0.0.1:{}", broker.port);
    let connection = Connection::open(&address, options).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let request = MetadataRequest::default();
    let ask = || connection.call(&request, 9, Duration::ZERO);
    let (first, second, third) = tokio::join!(ask(), ask(), ask());
    for answer in [first, second, third] {
        answer.unwrap();
    }
    assert_eq!(broker.count(ApiKey::SaslAuthenticate), 2);
}
