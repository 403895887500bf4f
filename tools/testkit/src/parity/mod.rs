//! The same requests to Apache Kafka and to Naru, their answers compared field by field.
//!
//! For every API that Naru advertises, at every version, a good request and a bad one. Both brokers
//! begin empty and get the same requests in the same order, so they are in the same state. Values
//! that must differ (ids, addresses, times) are masked; whatever else differs fails, unless
//! `docs/compatibility.md` names the field with a reason. Run with Apache Kafka on both sides, the
//! comparison must find nothing: that shows that the masks are right.

mod batch;
mod cluster;
mod configs;
mod group_members;
mod groups;
mod known;
mod pair;
mod records;
mod topics;
mod tree;

use anyhow::Result;

use crate::broker::{Broker, System};
use crate::install::Tools;
use crate::outcome::Outcome;

use pair::{Pair, Side};

/// Compares `system` with Apache Kafka.
pub(crate) fn run(tools: &Tools, system: &System, outcome: &mut Outcome) -> Result<()> {
    let apache = System::Apache { libs: tools.kafka_jars()? };
    let (kafka, ours) = (Broker::start(&apache, &[])?, Broker::start(system, &[])?);
    let known = known::Known::read()?;
    let (kafka, ours) = (Side::new(kafka.port()), Side::new(ours.port()));
    let mut pair = Pair::new(kafka, ours, &known, outcome)?;
    pair.make_topics()?;
    cluster::compare(&mut pair);
    topics::compare(&mut pair);
    configs::compare(&mut pair);
    records::compare(&mut pair);
    groups::compare(&mut pair);
    group_members::compare(&mut pair);
    if matches!(system, System::Naru { .. }) {
        pair.check_coverage();
    }
    Ok(())
}
