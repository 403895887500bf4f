//! Requests that are no requests: unknown keys, versions out of range, bodies that are cut.

use naru_protocol::Writer;
use naru_protocol::api::ApiKey;

use crate::differential::session::Session;

/// The APIs that Naru serves, at the versions that Apache Kafka serves: outside of them both
/// must refuse.
const SERVED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 13),
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ListOffsets, 1, 11),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 10),
    (ApiKey::OffsetFetch, 1, 10),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, 1, 5),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::ElectLeaders, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::AlterPartitionReassignments, 0, 1),
    (ApiKey::ListPartitionReassignments, 0, 0),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeQuorum, 0, 2),
    (ApiKey::UpdateFeatures, 0, 2),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::UnregisterBroker, 0, 0),
    (ApiKey::DescribeTopicPartitions, 0, 0),
    (ApiKey::AddRaftVoter, 0, 1),
    (ApiKey::RemoveRaftVoter, 0, 0),
];

pub fn run(s: &mut Session) {
    for &(api, low, high) in SERVED {
        if api != ApiKey::ApiVersions {
            for version in [low - 1, high + 1, 99] {
                s.raw("refused version", api, version, &request(api, version, &[]), false);
            }
        }
        for version in low..=high {
            // An array of two billion elements, or a text of 127 letters, and then nothing.
            let lying = request(api, version, &[0x7f, 0xff, 0xff, 0xff]);
            s.raw("a body that ends early", api, version, &lying, false);
        }
    }
    for version in [5, 99] {
        let bytes = request(ApiKey::ApiVersions, version, &[0]);
        s.raw("a version of the future", ApiKey::ApiVersions, version, &bytes, false);
    }
    let strange: &[(&str, &[u8])] = &[
        ("an unknown key", &[0, 0, 0, 10, 3, 0xe7, 0, 0, 0, 0, 0, 7, 0xff, 0xff]),
        ("a negative key", &[0, 0, 0, 10, 0xff, 0xff, 0, 0, 0, 0, 0, 7, 0xff, 0xff]),
        ("a removed key", &[0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 7, 0xff, 0xff]),
        ("a negative length", &[0xff, 0xff, 0xff, 0xff, 0, 18, 0, 0]),
        ("a length of zero", &[0, 0, 0, 0]),
        ("a length above the limit", &[0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 0]),
        ("a header that ends early", &[0, 0, 0, 3, 0, 18, 0]),
        ("a client id longer than the frame", &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0x7f, 0xff]),
        ("a frame that never comes", &[0, 0, 0, 99, 0, 18, 0, 0]),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n"),
        ("a TLS greeting", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    ];
    for (label, bytes) in strange {
        s.raw(label, ApiKey::ApiVersions, 0, bytes, true);
    }
    // What follows a whole message in its frame is ignored.
    let trailing = request(ApiKey::Heartbeat, 0, &[0, 1, b'g', 0, 0, 0, 1, 0, 1, b'm', 1, 2, 3]);
    s.raw("bytes behind the message", ApiKey::Heartbeat, 0, &trailing, false);
}

/// A frame with the header that the version wants and these bytes as the body.
fn request(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let header = naru_protocol::frame::RequestHeader {
        api_key: api.key(),
        api_version: version,
        correlation_id: 7,
        client_id: Some("differential".to_owned()),
    };
    let mut w = Writer::default();
    header.write(api, &mut w);
    let mut rest = w.into_bytes();
    rest.extend(body);
    let length = i32::try_from(rest.len()).expect("a small frame");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(rest);
    frame
}
