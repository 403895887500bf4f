//! Control records of the metadata log and its snapshots: who leads, who votes.

use bytes::Bytes;
use naru_model::Uuid;
use naru_protocol::messages::k_raft_version_record::KRaftVersionRecord;
use naru_protocol::messages::leader_change_message::{self, LeaderChangeMessage};
use naru_protocol::messages::snapshot_footer_record::SnapshotFooterRecord;
use naru_protocol::messages::snapshot_header_record::SnapshotHeaderRecord;
use naru_protocol::messages::voters_record::{self, VotersRecord};
use naru_protocol::{DecodeError, Message};

/// Where a voter listens for the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterEndpoint {
    /// Controller listener, such as `CONTROLLER`.
    pub name: String,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A voter of the metadata quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub id: i32,
    /// Directory id of its metadata directory; zero for a static voter.
    pub directory_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<VoterEndpoint>,
}

/// A control record, to be written in a control batch.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlRecord {
    /// First in every leader's epoch.
    LeaderChange(LeaderChangeMessage),
    /// First in a snapshot.
    SnapshotHeader(SnapshotHeaderRecord),
    /// Last in a snapshot.
    SnapshotFooter(SnapshotFooterRecord),
    /// Whether the voters are static (0) or in the log (1).
    KraftVersion(KRaftVersionRecord),
    /// The voters.
    Voters(VotersRecord),
}

impl ControlRecord {
    /// The type in the record's key, for `naru_records::control_key`.
    pub const fn kind(&self) -> i16 {
        match self {
            Self::LeaderChange(_) => 2,
            Self::SnapshotHeader(_) => 3,
            Self::SnapshotFooter(_) => 4,
            Self::KraftVersion(_) => 5,
            Self::Voters(_) => 6,
        }
    }

    /// Reads the value of a control record of this type; none if nobody defined the type, or if
    /// it has no place in a metadata log.
    pub fn read(kind: i16, value: &Bytes) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match kind {
            2 => Self::LeaderChange(LeaderChangeMessage::from_bytes(value, version_of(value))?),
            3 => Self::SnapshotHeader(SnapshotHeaderRecord::from_bytes(value, 0)?),
            4 => Self::SnapshotFooter(SnapshotFooterRecord::from_bytes(value, 0)?),
            5 => Self::KraftVersion(KRaftVersionRecord::from_bytes(value, 0)?),
            6 => Self::Voters(VotersRecord::from_bytes(value, 0)?),
            _ => return Ok(None),
        }))
    }

    /// The value of the record, at version 0: what Kafka writes, and all that it reads, whatever
    /// version the record says it has. Version 1 of a leader's record, with directory ids, ends a
    /// Kafka 4.3 node.
    pub fn value(&self) -> Vec<u8> {
        match self {
            Self::LeaderChange(message) => message.to_bytes(0),
            Self::SnapshotHeader(message) => message.to_bytes(0),
            Self::SnapshotFooter(message) => message.to_bytes(0),
            Self::KraftVersion(message) => message.to_bytes(0),
            Self::Voters(message) => message.to_bytes(0),
        }
    }

    /// The header of a snapshot; `timestamp` is that of the last record it stands for, 0 for a
    /// bootstrap snapshot.
    pub fn snapshot_header(timestamp: i64) -> Self {
        Self::SnapshotHeader(SnapshotHeaderRecord {
            version: 0,
            last_contained_log_timestamp: timestamp,
        })
    }

    /// The footer of a snapshot.
    pub fn snapshot_footer() -> Self {
        Self::SnapshotFooter(SnapshotFooterRecord { version: 0 })
    }

    pub(crate) fn leader_change(leader: i32, voters: &[Voter], granting: &[Voter]) -> Self {
        let members = |voters: &[Voter]| {
            let member = |voter: &Voter| leader_change_message::Voter {
                voter_id: voter.id,
                voter_directory_id: voter.directory_id,
            };
            voters.iter().map(member).collect()
        };
        Self::LeaderChange(LeaderChangeMessage {
            version: 0,
            leader_id: leader,
            voters: members(voters),
            granting_voters: members(granting),
        })
    }

    /// The kraft.version.
    pub fn kraft_version(version: i16) -> Self {
        Self::KraftVersion(KRaftVersionRecord { version: 0, k_raft_version: version })
    }

    /// The voters of a dynamic quorum.
    pub fn voters(voters: &[Voter]) -> Self {
        let voters = voters.iter().map(|voter| voters_record::Voter {
            voter_id: voter.id,
            voter_directory_id: voter.directory_id,
            endpoints: voter
                .endpoints
                .iter()
                .map(|endpoint| voters_record::Endpoint {
                    name: endpoint.name.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                })
                .collect(),
            k_raft_version_feature: voters_record::KRaftVersionFeature {
                min_supported_version: 0,
                max_supported_version: 1,
            },
        });
        Self::Voters(VotersRecord { version: 0, voters: voters.collect() })
    }
}

impl From<&voters_record::Voter> for Voter {
    fn from(record: &voters_record::Voter) -> Self {
        let endpoints = record.endpoints.iter().map(|endpoint| VoterEndpoint {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        });
        Self {
            id: record.voter_id,
            directory_id: record.voter_directory_id,
            endpoints: endpoints.collect(),
        }
    }
}

/// The version that a LeaderChangeMessage says it has.
fn version_of(value: &[u8]) -> i16 {
    let known = LeaderChangeMessage::VERSIONS;
    let version = value.first_chunk().map_or(0, |bytes| i16::from_be_bytes(*bytes));
    version.clamp(*known.start(), *known.end())
}
