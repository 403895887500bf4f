//! What must hold for every message at every version.

use bytes::Bytes;
use proptest::prelude::*;

use crate::api::ApiKey;
use crate::for_each_message;
use crate::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use crate::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use crate::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::messages::topic_record::TopicRecord;
use crate::metadata::MetadataRecord;
use crate::{DecodeError, Message, Reader, Records, frame};

#[test]
fn every_message_reads_back_what_it_wrote_at_every_version() {
    macro_rules! round_trip {
        ($message:ty) => {
            for version in <$message>::VERSIONS {
                let bytes = Bytes::from(<$message>::default().to_bytes(version));
                let read = <$message>::from_bytes(&bytes, version);
                let again = read.as_ref().map(|message| message.to_bytes(version));
                assert_eq!(again, Ok(bytes.to_vec()), "{} v{version}", <$message>::NAME);
            }
        };
    }
    for_each_message!(round_trip);
}

#[test]
fn every_message_refuses_a_frame_cut_anywhere() {
    macro_rules! cut {
        ($message:ty) => {
            for version in <$message>::VERSIONS {
                let bytes = Bytes::from(<$message>::default().to_bytes(version));
                for end in 0..bytes.len() {
                    let cut = bytes.slice(..end);
                    assert!(<$message>::from_bytes(&cut, version).is_err());
                }
            }
        };
    }
    for_each_message!(cut);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_message_panics_on_random_bytes(bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        macro_rules! read {
            ($message:ty) => {
                for version in <$message>::VERSIONS {
                    let _ = <$message>::from_bytes(&bytes, version);
                }
            };
        }
        for_each_message!(read);
        let _ = MetadataRecord::from_bytes(&bytes);
        let _ = frame::RequestHeader::read(&mut Reader::new(&bytes));
    }

    #[test]
    fn a_produce_request_round_trips(acks: i16, topic in "[a-z]{0,40}", records: Vec<u8>) {
        for version in ProduceRequest::VERSIONS {
            let request = ProduceRequest {
                transactional_id: Some("tx".to_owned()),
                acks,
                timeout_ms: 7,
                topic_data: vec![TopicProduceData {
                    name: if version < 13 { topic.clone() } else { String::new() },
                    partition_data: vec![PartitionProduceData {
                        index: 3,
                        records: Records::Inline(Bytes::from(records.clone())),
                    }],
                    ..Default::default()
                }],
            };
            let bytes = Bytes::from(request.to_bytes(version));
            prop_assert_eq!(ProduceRequest::from_bytes(&bytes, version), Ok(request));
        }
    }
}

#[test]
fn a_count_that_the_frame_cannot_hold_is_refused_before_memory_is_taken() {
    for count in [i32::MAX, -2] {
        let bytes = Bytes::from(count.to_be_bytes().to_vec());
        let refused = MetadataRequest::from_bytes(&bytes, 1);
        assert_eq!(refused, Err(DecodeError::BadLength(i64::from(count))));
    }
}

#[test]
fn decoded_structures_are_charged_against_the_size_of_the_frame() {
    // A metadata topic takes two bytes on the wire and dozens in memory.
    let topics = vec![MetadataRequestTopic::default(); 2_000_000];
    let request = MetadataRequest {
        topics: Some(
            topics
                .into_iter()
                .map(|t| MetadataRequestTopic { name: Some(String::new()), ..t })
                .collect(),
        ),
        ..Default::default()
    };
    let bytes = Bytes::from(request.to_bytes(1));
    assert_eq!(MetadataRequest::from_bytes(&bytes, 1), Err(DecodeError::TooLarge));
}

#[test]
fn external_records_are_counted_in_the_frame_and_their_place_is_noted() {
    let partition =
        PartitionData { records: Records::External { len: 1000 }, ..Default::default() };
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: "t".to_owned(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (bytes, externals) = frame::response(&response, ApiKey::Fetch, 4, 9).into_parts();
    let announced = i32::from_be_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(announced as usize, bytes.len() - 4 + 1000);
    assert_eq!((externals.len(), externals[0].at), (1, bytes.len()));
}

#[test]
fn an_unknown_tag_is_skipped_and_a_trailing_byte_ignored() {
    // ApiVersions v3: software name "a", version "b", one unknown tag 7 of two bytes, junk.
    use crate::messages::api_versions_request::ApiVersionsRequest;
    let bytes = Bytes::from_static(&[2, b'a', 2, b'b', 1, 7, 2, 0xff, 0xff, 0x55]);
    let request = ApiVersionsRequest::from_bytes(&bytes, 3).unwrap();
    assert_eq!(request.client_software_name, "a");
}

#[test]
fn metadata_records_carry_their_frame() {
    let record = MetadataRecord::from(TopicRecord { name: "foo".to_owned(), ..Default::default() });
    let bytes = record.to_bytes(0);
    assert_eq!(bytes[..3], [1, 2, 0]);
    assert_eq!(MetadataRecord::from_bytes(&Bytes::from(bytes)), Ok(record));
}

#[test]
fn header_versions_are_kafkas() {
    assert_eq!(ApiKey::Produce.request_header_version(8), 1);
    assert_eq!(ApiKey::Produce.request_header_version(9), 2);
    assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
    assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
    assert_eq!(ApiKey::InitProducerId.versions(), 0..=5);
    assert_eq!(ApiKey::ALL.len(), 93);
}

#[test]
fn every_error_gets_a_text_where_there_is_room_and_keeps_the_one_it_has() {
    use crate::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
    let result = |error_code, text: Option<&str>| DeletableTopicResult {
        error_code,
        error_message: text.map(str::to_owned),
        ..DeletableTopicResult::default()
    };
    let responses =
        vec![result(3, None), result(3, Some("")), result(3, Some("own")), result(0, None)];
    let mut response = DeleteTopicsResponse { responses, ..Default::default() };
    response.explain_errors();
    let texts: Vec<_> = response.responses.into_iter().map(|one| one.error_message).collect();
    let usual = Some(naru_model::ErrorCode::UnknownTopicOrPartition.explanation().to_owned());
    assert_eq!(texts, [usual.clone(), usual, Some("own".to_owned()), None]);
}

#[test]
fn an_answer_with_very_many_errors_explains_the_first() {
    use crate::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
    let one = DeletableTopicResult { error_code: 3, ..DeletableTopicResult::default() };
    let mut response = DeleteTopicsResponse { responses: vec![one; 5000], ..Default::default() };
    response.explain_errors();
    let told = response.responses.iter().filter(|one| one.error_message.is_some()).count();
    assert_eq!(told, crate::wire::EXPLAINED_MAX);
}
