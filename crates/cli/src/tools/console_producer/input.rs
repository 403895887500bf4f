//! Lines of standard input, read by a thread so that sending goes on meanwhile.

use std::io::{IsTerminal as _, Read as _};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Chunks that may wait to be sent.
const QUEUE: usize = 8;

/// Standard input, line by line.
#[derive(Debug)]
pub struct Lines {
    batches: mpsc::Receiver<Vec<Bytes>>,
    terminal: bool,
}

impl Lines {
    /// Starts reading.
    pub fn of_stdin() -> Self {
        let (sender, batches) = mpsc::channel(QUEUE);
        std::thread::spawn(move || read(&sender));
        Self { batches, terminal: std::io::stdin().is_terminal() }
    }

    /// Whether a person types.
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The lines that have come meanwhile, without their ends; none at the end of the input.
    pub async fn next_batch(&mut self) -> Option<Vec<Bytes>> {
        self.batches.recv().await
    }
}

fn read(sender: &mpsc::Sender<Vec<Bytes>>) {
    let mut input = std::io::stdin().lock();
    let mut rest = BytesMut::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        // An input that fails ends like one that is over.
        let read = input.read(&mut chunk).unwrap_or(0);
        if read == 0 {
            break;
        }
        rest.extend_from_slice(&chunk[..read]);
        let lines = take_lines(&mut rest);
        if !lines.is_empty() && sender.blocking_send(lines).is_err() {
            return;
        }
    }
    if !rest.is_empty() {
        // Nobody waits for it if the receiver is gone.
        let _ = sender.blocking_send(vec![without_return(rest.freeze())]);
    }
}

/// Takes the whole lines; what follows the last end of line stays.
fn take_lines(rest: &mut BytesMut) -> Vec<Bytes> {
    let Some(last) = rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let whole = rest.split_to(last + 1).freeze();
    let mut lines = Vec::new();
    let mut start = 0;
    while let Some(length) = whole[start..].iter().position(|byte| *byte == b'\n') {
        lines.push(without_return(whole.slice(start..start + length)));
        start += length + 1;
    }
    lines
}

fn without_return(line: Bytes) -> Bytes {
    match line.strip_suffix(b"\r") {
        Some(bare) => line.slice(..bare.len()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_the_rest_waits() {
        let mut rest = BytesMut::from(&b"a\r\n\nbc\nd"[..]);
        let lines = take_lines(&mut rest);
        assert_eq!(lines, ["a", "", "bc"]);
        assert_eq!(&rest[..], b"d");
        assert!(take_lines(&mut rest).is_empty());
    }
}
