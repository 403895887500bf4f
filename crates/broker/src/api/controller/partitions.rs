//! Who holds and leads partitions: AlterPartition (56), ElectLeaders (43),
//! AlterPartitionReassignments (45), ListPartitionReassignments (46), AssignReplicasToDirs (73).
//! KIP-183, 455, 460, 497, 704, 841, 858, 903, 966.

use naru_controller::Decision;
use naru_model::ErrorCode;
use naru_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use naru_protocol::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
use naru_protocol::messages::alter_partition_request::AlterPartitionRequest;
use naru_protocol::messages::alter_partition_response::AlterPartitionResponse;
use naru_protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use naru_protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::elect_leaders_response::ElectLeadersResponse;
use naru_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use naru_protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use crate::dispatch::RequestContext;

pub(crate) async fn alter(
    context: RequestContext,
    request: AlterPartitionRequest,
) -> Result<AlterPartitionResponse, ErrorCode> {
    let version = context.version;
    let decided = context
        .node
        .metadata()
        .decide_only(move |deciding| deciding.controller.decide_alter_partition(&request, version));
    decided.await
}

pub(crate) async fn elect_leaders(
    context: RequestContext,
    request: ElectLeadersRequest,
) -> Result<ElectLeadersResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_elect_leaders(&request));
    decided.await
}

pub(crate) async fn reassign(
    context: RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> Result<AlterPartitionReassignmentsResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_alter_reassignments(&request));
    decided.await
}

pub(crate) async fn list_reassignments(
    context: RequestContext,
    request: ListPartitionReassignmentsRequest,
) -> Result<ListPartitionReassignmentsResponse, ErrorCode> {
    let decided = context.node.metadata().decide_only(move |deciding| Decision {
        records: Vec::new(),
        response: deciding.controller.list_reassignments(&request),
    });
    decided.await
}

pub(crate) async fn assign_to_dirs(
    context: RequestContext,
    request: AssignReplicasToDirsRequest,
) -> Result<AssignReplicasToDirsResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide_only(move |deciding| deciding.controller.decide_assign_replicas_to_dirs(&request));
    decided.await
}
