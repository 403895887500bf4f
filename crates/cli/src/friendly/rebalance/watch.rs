//! `naru rebalance status`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{list, size, state};
use crate::friendly::context::{Context, Form};
use crate::friendly::failure::Failure;
use crate::text::{Column, Table};

pub(super) async fn status(context: &mut Context) -> Result<i32, Failure> {
    let admin = context.admin()?;
    let under_way = admin.list_partition_reassignments(None).await?;
    if under_way.is_empty() && context.form()? == Form::Table {
        context.streams.line("nothing is being moved");
        return Ok(0);
    }
    let live: BTreeSet<i32> =
        admin.describe_cluster().await?.brokers.iter().map(|broker| broker.id).collect();
    let sizes = state::sizes(&admin, &live).await?;
    let mut table = Table::new(&[
        Column::text("PARTITION"),
        Column::text("REPLICAS"),
        Column::text("ADDING"),
        Column::text("REMOVING"),
        Column::number("LEFT"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for one in &under_way {
        let known = sizes.get(&one.partition);
        let whole = known.and_then(|by| by.values().max()).copied().unwrap_or(0);
        let has = |id: &i32| known.and_then(|by| by.get(id)).copied().unwrap_or(0);
        let left: i64 = one.adding.iter().map(|id| whole - has(id)).sum();
        table.row([
            one.partition.to_string(),
            list(&one.replicas),
            list(&one.adding),
            list(&one.removing),
            size(left),
        ]);
        json.push(json!({
            "topic": one.partition.topic,
            "partition": one.partition.partition,
            "replicas": one.replicas,
            "adding": one.adding,
            "removing": one.removing,
            "bytes_left": left,
        }));
    }
    context.show(&table, under_way.iter().map(|one| one.partition.to_string()), json)?;
    Ok(0)
}
