//! AlterClientQuotas (49), decided.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};

use naru_model::ErrorCode;
use naru_protocol::messages::alter_client_quotas_request::AlterClientQuotasRequest;
use naru_protocol::messages::alter_client_quotas_response::AlterClientQuotasResponse;

use crate::dispatch::RequestContext;

/// Names looked up for one request at most; what is beyond it counts as not known.
const HOSTS_MAX: usize = 100;

pub(crate) async fn alter(
    context: RequestContext,
    request: AlterClientQuotasRequest,
) -> Result<AlterClientQuotasResponse, ErrorCode> {
    let hosts: BTreeSet<String> = hosts(&request).map(str::to_owned).collect();
    let unknown = if hosts.is_empty() {
        hosts
    } else {
        // A resolver may take its time.
        let looked_up = context.node.background().spawn_blocking(move || unknown(hosts)).await;
        looked_up.map_err(|_| ErrorCode::UnknownServerError)?
    };
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_alter_client_quotas(&request, &unknown));
    decided.await
}

/// The `ip` entities that are no addresses.
fn hosts(request: &AlterClientQuotasRequest) -> impl Iterator<Item = &str> {
    let parts = request.entries.iter().flat_map(|entry| &entry.entity);
    let named = parts.filter(|part| part.entity_type == "ip");
    let names = named.filter_map(|part| part.entity_name.as_deref());
    names.filter(|name| !name.is_empty() && name.parse::<IpAddr>().is_err())
}

/// Those of the names that nobody knows.
fn unknown(hosts: BTreeSet<String>) -> BTreeSet<String> {
    let is_unknown = |(index, host): &(usize, String)| {
        *index >= HOSTS_MAX || (host.as_str(), 0).to_socket_addrs().is_err()
    };
    hosts.into_iter().enumerate().filter(is_unknown).map(|(_, host)| host).collect()
}
