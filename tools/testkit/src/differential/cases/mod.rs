//! The scenarios, by what they are about.

mod acls;
mod configs;
mod consumer_groups;
mod features;
mod fetch;
mod frames;
mod groups;
mod listeners;
mod loggers;
mod logins;
mod markers;
mod metadata;
mod offsets;
mod placement;
mod produce;
mod quorum;
mod quotas;
mod reading;
mod share_fetch;
mod share_state;
mod shares;
mod streams_groups;
mod tokens;
mod topics;
mod transactions;
mod values;
mod versions;

use super::session::Session;

/// A list of questions, asked in order.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&mut Session),
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "versions", run: versions::run },
    Scenario { name: "frames", run: frames::run },
    Scenario { name: "topics", run: topics::run },
    Scenario { name: "partitions", run: topics::partitions },
    Scenario { name: "delete-topics", run: topics::delete },
    Scenario { name: "metadata", run: metadata::run },
    Scenario { name: "cluster", run: metadata::cluster },
    Scenario { name: "configs", run: configs::describe },
    Scenario { name: "alter-configs", run: configs::alter },
    Scenario { name: "incremental-configs", run: configs::incremental },
    Scenario { name: "loggers", run: loggers::run },
    Scenario { name: "listeners", run: listeners::run },
    Scenario { name: "topic-values", run: values::topics },
    Scenario { name: "broker-values", run: values::brokers },
    Scenario { name: "produce", run: produce::run },
    Scenario { name: "idempotence", run: produce::idempotence },
    Scenario { name: "fetch", run: fetch::run },
    Scenario { name: "fetch-sessions", run: fetch::sessions },
    Scenario { name: "list-offsets", run: reading::list_offsets },
    Scenario { name: "markers", run: markers::run },
    Scenario { name: "directories", run: transactions::directories },
    Scenario { name: "leader-epochs", run: reading::leader_epochs },
    Scenario { name: "delete-records", run: reading::delete_records },
    Scenario { name: "log-dirs", run: reading::log_dirs },
    Scenario { name: "coordinators", run: groups::coordinators },
    Scenario { name: "refused-members", run: groups::refusals },
    Scenario { name: "one-member", run: groups::one_member },
    Scenario { name: "two-members", run: groups::two_members },
    Scenario { name: "static-members", run: groups::static_members },
    Scenario { name: "offsets", run: offsets::run },
    Scenario { name: "group-admin", run: offsets::admin },
    Scenario { name: "consumer-refusals", run: consumer_groups::refusals },
    Scenario { name: "consumer-one", run: consumer_groups::one_member },
    Scenario { name: "consumer-offsets", run: consumer_groups::offsets },
    Scenario { name: "consumer-two", run: consumer_groups::two_members },
    Scenario { name: "consumer-static", run: consumer_groups::static_members },
    Scenario { name: "consumer-patterns", run: consumer_groups::patterns },
    Scenario { name: "consumer-migration", run: consumer_groups::migration },
    Scenario { name: "share-state", run: share_state::run },
    Scenario { name: "share-fetch", run: share_fetch::run },
    Scenario { name: "share-fetch-refusals", run: share_fetch::refusals },
    Scenario { name: "streams-refusals", run: streams_groups::refusals },
    Scenario { name: "streams-topics", run: streams_groups::topics },
    Scenario { name: "streams-one", run: streams_groups::one_member },
    Scenario { name: "streams-offsets", run: streams_groups::offsets },
    Scenario { name: "streams-two", run: streams_groups::two_members },
    Scenario { name: "share-refusals", run: shares::refusals },
    Scenario { name: "share-one", run: shares::one_member },
    Scenario { name: "share-offsets", run: shares::offsets },
    // Apache Kafka goes on listing groups that only had offsets in transactions.
    Scenario { name: "transactions", run: transactions::run },
    Scenario { name: "logins", run: logins::out_of_place },
    Scenario { name: "scram-users", run: logins::users },
    Scenario { name: "quotas", run: quotas::quotas },
    Scenario { name: "mutation-quotas", run: quotas::mutations },
    Scenario { name: "config-resources", run: quotas::resources },
    Scenario { name: "telemetry", run: quotas::telemetry },
    Scenario { name: "no-authorizer", run: acls::without_authorizer },
    Scenario { name: "quorum", run: quorum::run },
    Scenario { name: "controller-listener", run: quorum::listener },
    Scenario { name: "features", run: features::run },
    // These know of a second broker for a while: what follows would meet it.
    Scenario { name: "elections", run: placement::elections },
    Scenario { name: "reassignments", run: placement::reassignments },
    Scenario { name: "taken-back", run: placement::taken_back },
    Scenario { name: "unregistered", run: placement::unregistered },
    Scenario { name: "raised-quorum", run: quorum::raised },
];

/// What is asked of brokers with an authorizer, where nothing is closed at first.
pub const WITH_ACLS: &[Scenario] = &[
    Scenario { name: "acls", run: acls::admin },
    Scenario { name: "closed-topics", run: acls::topics },
    Scenario { name: "closed-groups", run: acls::groups },
    Scenario { name: "closed-cluster", run: acls::cluster },
    Scenario { name: "tokens", run: tokens::run },
    Scenario { name: "no-tokens", run: tokens::out_of_place },
];

/// What is asked of brokers where users log in, without anything about tokens.
pub const WITH_LOGINS: &[Scenario] = &[Scenario { name: "tokens-disabled", run: tokens::disabled }];
