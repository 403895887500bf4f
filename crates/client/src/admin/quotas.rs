//! Client quotas: of users, client ids and addresses (KIP-546).

use naru_protocol::messages::alter_client_quotas_request::{
    AlterClientQuotasRequest, EntityData, EntryData, OpData,
};
use naru_protocol::messages::describe_client_quotas_request::{
    ComponentData, DescribeClientQuotasRequest,
};

use super::Admin;
use crate::error::{Error, Result};

/// What a quota is for: kinds (`user`, `client-id`, `ip`) and names; no name is the default.
pub type QuotaEntity = Vec<(String, Option<String>)>;

/// What a filter asks of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaMatch {
    /// This name.
    Exact(String),
    /// The default.
    Default,
    /// Any name, or the default.
    Any,
}

/// An entity and what is set for it: keys and values.
pub type QuotaEntry = (QuotaEntity, Vec<(String, f64)>);

impl Admin {
    /// Quotas of the entities that have exactly these kinds.
    pub async fn describe_quotas(
        &self,
        filter: &[(String, QuotaMatch)],
    ) -> Result<Vec<QuotaEntry>> {
        self.cluster
            .retry(async || {
                let components = filter.iter().map(|(kind, name)| {
                    let (match_type, name) = match name {
                        QuotaMatch::Exact(name) => (0, Some(name.clone())),
                        QuotaMatch::Default => (1, None),
                        QuotaMatch::Any => (2, None),
                    };
                    ComponentData { entity_type: kind.clone(), match_type, match_: name }
                });
                let request =
                    DescribeClientQuotasRequest { components: components.collect(), strict: true };
                let connection = self.cluster.any().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let entries = response.entries.unwrap_or_default().into_iter().map(|entry| {
                    let entity = entry.entity.into_iter();
                    let values = entry.values.into_iter();
                    (
                        entity.map(|part| (part.entity_type, part.entity_name)).collect(),
                        values.map(|value| (value.key, value.value)).collect(),
                    )
                });
                Ok(entries.collect())
            })
            .await
    }

    /// Sets quotas of an entity, and removes those without a value.
    pub async fn alter_quotas(
        &self,
        entity: &[(String, Option<String>)],
        ops: &[(String, Option<f64>)],
    ) -> Result<()> {
        self.cluster
            .retry(async || {
                let entity = entity.iter().map(|(kind, name)| EntityData {
                    entity_type: kind.clone(),
                    entity_name: name.clone(),
                });
                let ops = ops.iter().map(|(key, value)| OpData {
                    key: key.clone(),
                    value: value.unwrap_or_default(),
                    remove: value.is_none(),
                });
                let entry = EntryData { entity: entity.collect(), ops: ops.collect() };
                let request =
                    AlterClientQuotasRequest { entries: vec![entry], validate_only: false };
                let connection = self.cluster.controller().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                response
                    .entries
                    .into_iter()
                    .try_for_each(|entry| Error::check_with(entry.error_code, entry.error_message))
            })
            .await
    }
}
