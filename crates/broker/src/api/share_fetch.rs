//! ShareFetch (key 78, v1–v2). KIP-932.
//!
//! v1 most records and sizes of ranges · v2 strict limits (KIP-1206), renewals (KIP-1222).
//! Acknowledgements come first, so that what they give back can be delivered by the same request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use naru_model::config::ShareGroupLimits;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::Records;
use naru_protocol::messages::share_fetch_request::ShareFetchRequest;
use naru_protocol::messages::share_fetch_response::{
    AcquiredRecords, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareFetchResponse,
    ShareFetchableTopicResponse,
};
use naru_quotas::Kind;
use naru_share::{AcquireMode, FetchPlan, SessionFetch, SessionKey};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lookup;
use super::share_acks::{self, AckResult, AckResults, AskedAcks, AskedBatch};
use crate::dispatch::RequestContext;
use crate::fetch_session::TopicKey;
use crate::partition::Partition;
use crate::security::{Operation, Resource};
use crate::share::{Acquiring, Phase, SharedPartition, Taken, share_key};

/// `share.acquire.mode=record_limit`.
const RECORD_LIMIT: i8 = 1;
/// First version with modes and renewals.
const MODES_SINCE: i16 = 2;

type Named = (Uuid, i32);

pub(crate) async fn handle(
    context: RequestContext,
    request: ShareFetchRequest,
) -> ShareFetchResponse {
    match serve(&context, &request).await {
        Ok(response) => response,
        Err(error) => ShareFetchResponse { error_code: error.code(), ..Default::default() },
    }
}

async fn serve(
    context: &RequestContext,
    request: &ShareFetchRequest,
) -> Result<ShareFetchResponse, ErrorCode> {
    let (group, member) = (request.group_id.as_deref(), request.member_id.as_deref());
    let session = share_acks::session_of(context, group, member)?;
    let renews = context.version >= MODES_SINCE && request.is_renew_ack;
    if renews && !asks_for_nothing(request) {
        return Err(ErrorCode::InvalidRequest);
    }
    let node = &context.node;
    let acknowledgements = asked(request);
    let plan = plan(context, &session, request, &acknowledgements).await?;
    let begun = share_acks::begin(context, &session, &acknowledgements, renews);
    let settings = node.share_limits(&session.group);
    let (ends, partitions) = match plan {
        FetchPlan::Final => (true, Vec::new()),
        FetchPlan::Fetch(_) if renews => (false, Vec::new()),
        FetchPlan::Fetch(partitions) => (false, partitions),
    };
    let fetch = Fetch { context, session: &session, request, settings: &settings };
    let fetched = fetch.run(&partitions).await;
    let results = share_acks::settled(begun).await;
    if ends {
        node.share().end_session(node, &session);
    }
    Ok(fetch.answer(fetched, results))
}

/// A renewal fetches nothing: whoever asks for more time has enough to do.
fn asks_for_nothing(request: &ShareFetchRequest) -> bool {
    [request.max_bytes, request.min_bytes, request.max_records, request.max_wait_ms] == [0; 4]
}

fn asked(request: &ShareFetchRequest) -> AskedAcks {
    let mut asked = AskedAcks::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter().map(|batch| AskedBatch {
                first: batch.first_offset,
                last: batch.last_offset,
                types: batch.acknowledge_types.clone(),
            });
            asked.push(((topic.topic_id, partition.partition_index), batches.collect()));
        }
    }
    asked
}

/// What the session says is to be fetched.
async fn plan(
    context: &RequestContext,
    session: &SessionKey,
    request: &ShareFetchRequest,
    acknowledgements: &AskedAcks,
) -> Result<FetchPlan, ErrorCode> {
    let added: Vec<Named> = acknowledgements.iter().map(|(of, _)| *of).collect();
    let forgotten: Vec<Named> = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)))
        .collect();
    let fetch = SessionFetch {
        epoch: request.share_session_epoch,
        added: &added,
        forgotten: &forgotten,
        has_acknowledgements: acknowledgements.iter().any(|(_, batches)| !batches.is_empty()),
        connection: context.connection.id.0,
    };
    let planned = context.node.share().sessions().plan_fetch(session, &fetch);
    if planned == Err(naru_share::SessionError::LimitReached) {
        // Who is told at once asks again at once.
        tokio::time::sleep(wait_max(request)).await;
    }
    Ok(planned?)
}

fn wait_max(request: &ShareFetchRequest) -> Duration {
    Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0))
}

/// One fetch.
#[derive(Clone, Copy)]
struct Fetch<'a> {
    context: &'a RequestContext,
    session: &'a SessionKey,
    request: &'a ShareFetchRequest,
    settings: &'a ShareGroupLimits,
}

/// A partition to be fetched from, or why not.
type Target = (Named, Result<(Arc<SharedPartition>, Arc<Partition>), ErrorCode>);
/// What was found in a partition.
type Fetched = (Named, Result<Taken, ErrorCode>);

impl Fetch<'_> {
    /// Looks until there is something, or time is up.
    async fn run(&self, partitions: &[Named]) -> Vec<Fetched> {
        if partitions.is_empty() {
            return Vec::new();
        }
        let deadline = Instant::now() + wait_max(self.request);
        let mut stop = self.context.node.stopping();
        loop {
            // A new one each time: where the one before still waits, it is dead and swept out.
            let news = Arc::new(Notify::new());
            let targets: Vec<Target> = partitions.iter().map(|of| (*of, self.open(*of))).collect();
            // Parked first, looked second: what arrives in between wakes this fetch.
            for (shared, log) in targets.iter().filter_map(|(_, target)| target.as_ref().ok()) {
                log.park_consumer(&news);
                shared.park(&news);
            }
            let is_last = Instant::now() >= deadline;
            let fetched = self.look(targets, is_last);
            let is_something = |(_, found): &Fetched| match found {
                Ok(taken) => !taken.acquired.is_empty(),
                Err(_) => true,
            };
            if is_last || fetched.iter().any(is_something) {
                return fetched;
            }
            tokio::select! {
                () = news.notified() => {}
                () = tokio::time::sleep_until(deadline) => {}
                _ = stop.wait_for(|stopping| *stopping) => return fetched,
            }
        }
    }

    fn open(
        &self,
        (topic, partition): Named,
    ) -> Result<(Arc<SharedPartition>, Arc<Partition>), ErrorCode> {
        let node = &self.context.node;
        let image = node.image();
        let known = image.topic_by_id(topic).ok_or(ErrorCode::UnknownTopicId)?;
        if !self.context.may_see(Operation::Read, Resource::Topic(&known.name)) {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
        let log = lookup::by_id(node, topic, partition)?;
        log.check_online()?;
        log.check_leads()?;
        let key = share_key(share_acks::group_of(self.session), topic, partition);
        let shared = node.share().open(node, &key, &log);
        match shared.phase() {
            Phase::Ended(error) => Err(error),
            Phase::Loading | Phase::Ready => Ok((shared, log)),
        }
    }

    /// Takes what is there, if it is enough.
    fn look(&self, targets: Vec<Target>, is_last: bool) -> Vec<Fetched> {
        let bytes = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let node = &self.context.node;
        let bytes_max = bytes(self.request.max_bytes)
            .min(bytes(node.config().fetch.max_bytes))
            .min(node.quotas().fetch_max(self.context.who()));
        let bytes_min = bytes(self.request.min_bytes).min(bytes_max);
        if bytes_min > 1 && !is_last && self.readable(&targets, bytes_min) < bytes_min {
            let errors =
                targets.into_iter().filter_map(|(of, target)| Some((of, Err(target.err()?))));
            return errors.collect();
        }
        // Partitions share what there is room for.
        let of_each = (bytes_max / targets.len().max(1)).max(1);
        let strict =
            self.context.version >= MODES_SINCE && self.request.share_acquire_mode == RECORD_LIMIT;
        let mode = if strict { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
        let mut records_left = i64::from(self.request.max_records);
        let mut bytes_left = bytes_max;
        let mut fetched = Vec::with_capacity(targets.len());
        for (of, target) in targets {
            let taken = target.and_then(|(shared, _)| {
                if records_left <= 0 {
                    return Ok(Taken::default());
                }
                let ask = Acquiring {
                    member: &self.session.member,
                    records_max: records_left,
                    range_len: self.request.batch_size.into(),
                    mode,
                    bytes_max: of_each.min(bytes_left),
                    first: bytes_left == bytes_max && bytes_max > 0,
                    settings: self.settings,
                };
                shared.take(node, &ask)
            });
            if let Ok(taken) = &taken {
                let ranges = taken.acquired.iter();
                records_left -= ranges.map(|range| range.last.0 - range.first.0 + 1).sum::<i64>();
                bytes_left = bytes_left.saturating_sub(taken.records.len());
            }
            fetched.push((of, taken));
        }
        fetched
    }

    fn readable(&self, targets: &[Target], enough: usize) -> usize {
        let mut readable = 0;
        for (shared, _) in targets.iter().filter_map(|(_, target)| target.as_ref().ok()) {
            // An error is told when records are taken.
            readable += shared.readable(self.settings, enough).unwrap_or(enough);
            if readable >= enough {
                break;
            }
        }
        readable
    }

    fn answer(&self, fetched: Vec<Fetched>, mut results: AckResults) -> ShareFetchResponse {
        let mut topics = Topics::default();
        let mut leaders = Vec::new();
        let throttle_ms = self.throttle_ms(&fetched);
        for (of, found) in fetched {
            let has_records = matches!(&found, Ok(taken) if !taken.acquired.is_empty());
            let acknowledged = results.remove(&of);
            let share = self.context.node.share();
            let told = share.sessions().tell(self.session, of, has_records, found.is_err());
            if (told && (has_records || found.is_err())) || acknowledged.is_some() {
                let data = self.partition_data(of, found, acknowledged, &mut leaders);
                topics.push(of.0, data);
            }
        }
        for (of, acknowledged) in results {
            let nothing = Ok(Taken::default());
            let data = self.partition_data(of, nothing, Some(acknowledged), &mut leaders);
            topics.push(of.0, data);
        }
        let endpoints = lookup::addresses(self.context, leaders.into_iter().filter(|id| *id >= 0))
            .into_iter()
            .map(|at| NodeEndpoint { node_id: at.id, host: at.host, port: at.port, rack: at.rack });
        ShareFetchResponse {
            throttle_time_ms: i32::try_from(throttle_ms).unwrap_or(i32::MAX),
            acquisition_lock_timeout_ms: self.settings.record_lock_duration_ms,
            responses: topics.answers,
            node_endpoints: endpoints.collect(),
            ..Default::default()
        }
    }

    /// How long the sender must pause for what it gets. It gets it in any case: it holds the records
    /// already.
    fn throttle_ms(&self, fetched: &[Fetched]) -> u32 {
        let taken = fetched.iter().filter_map(|(_, found)| found.as_ref().ok());
        let bytes: usize = taken.map(|taken| taken.records.len()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        self.context.node.quotas().record(Kind::Fetch, self.context.who(), bytes as f64)
    }

    fn partition_data(
        &self,
        (topic, partition_index): Named,
        found: Result<Taken, ErrorCode>,
        acknowledged: Option<AckResult>,
        leaders: &mut Vec<i32>,
    ) -> PartitionData {
        let (error, taken) = match found {
            Ok(taken) => (ErrorCode::None, taken),
            Err(error) => (error, Taken::default()),
        };
        let (acknowledge_error, acknowledge_error_message) = acknowledged
            .map_or((ErrorCode::None, None), |AckResult { error, message }| (error, message));
        let mut data = PartitionData {
            partition_index,
            error_code: error.code(),
            acknowledge_error_code: acknowledge_error.code(),
            acknowledge_error_message,
            records: Records::Inline(Bytes::new()),
            ..Default::default()
        };
        if [error, acknowledge_error].into_iter().any(lookup::is_wrong_leader) {
            let (leader_id, leader_epoch) =
                lookup::current_leader(&self.context.node, &TopicKey::Id(topic), partition_index);
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
            leaders.push(leader_id);
        }
        let acquired = taken.acquired.iter().map(|range| AcquiredRecords {
            first_offset: range.first.0,
            last_offset: range.last.0,
            delivery_count: i16::try_from(range.deliveries).unwrap_or(i16::MAX),
        });
        data.acquired_records = acquired.collect();
        data.records = Records::Inline(taken.records);
        data
    }
}

/// Answers by topic, in the order of their first partitions.
#[derive(Default)]
struct Topics {
    answers: Vec<ShareFetchableTopicResponse>,
    places: HashMap<Uuid, usize>,
}

impl Topics {
    fn push(&mut self, topic_id: Uuid, data: PartitionData) {
        let known = self.places.get(&topic_id).and_then(|place| self.answers.get_mut(*place));
        if let Some(topic) = known {
            topic.partitions.push(data);
            return;
        }
        self.places.insert(topic_id, self.answers.len());
        self.answers.push(ShareFetchableTopicResponse { topic_id, partitions: vec![data] });
    }
}
