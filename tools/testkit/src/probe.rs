//! Is a broker ready? Asked the way a client would ask: ApiVersions, then Metadata.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::wire::{Body, Connection, Fields};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Ports handed out: below the range from which systems give ports to outgoing connections, so
/// that no client's connection takes a port between this look and the broker's start.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens on, and that this process did not hand out just before.
pub fn free_port() -> Result<u16> {
    static HANDED_OUT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Test programs that run side by side begin at different places.
    let first = u16::try_from(std::process::id() % u32::from(span))?;
    for _ in 0..span {
        let step = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + first.wrapping_add(step) % span;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}

/// Asks for ApiVersions; the answer is the list of (key, lowest, highest version).
pub fn api_versions(port: u16) -> Result<Vec<(i16, i16, i16)>> {
    let mut connection = Connection::open(port, PROBE_TIMEOUT)?;
    let answer = connection.ask(API_VERSIONS, 0, &Body::new())?;
    let mut fields = Fields::of(&answer);
    let error = fields.int16()?;
    ensure!(error == 0, "ApiVersions answered error {error}");
    let count = usize::try_from(fields.int32()?).context("a negative count")?;
    (0..count).map(|_| Ok((fields.int16()?, fields.int16()?, fields.int16()?))).collect()
}

/// The broker's id, if the broker lists itself as a member of the cluster.
pub fn first_broker(port: u16) -> Result<i32> {
    let mut connection = Connection::open(port, PROBE_TIMEOUT)?;
    let no_topics = Body::new().int32(0).int8(0);
    let answer = connection.ask(METADATA, 4, &no_topics)?;
    let mut fields = Fields::of(&answer);
    let _throttle = fields.int32()?;
    ensure!(fields.int32()? > 0, "no broker in the cluster yet");
    fields.int32()
}

/// Whether clients can work with the broker on this port.
pub fn is_ready(port: u16) -> bool {
    api_versions(port).is_ok_and(|apis| !apis.is_empty()) && first_broker(port).is_ok()
}
