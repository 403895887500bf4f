//! What a node's `/metrics` says.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(3);

/// The samples of one scrape, by name and labels as they stand there.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Asks the HTTP listener at `port`.
    pub fn scrape(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.contains(" 200 "), "{head}");
        Self::parse(body)
    }

    fn parse(body: &str) -> Result<Self> {
        let lines = body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            Ok((name.to_owned(), value.parse().with_context(|| line.to_owned())?))
        };
        lines.map(sample).collect::<Result<_>>().map(Self)
    }

    /// A sample; none if it is not told.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// The sum over all samples of a family.
    pub fn sum(&self, family: &str) -> f64 {
        let of = |name: &str| name == family || name.starts_with(&format!("{family}{{"));
        self.0.iter().filter(|(name, _)| of(name)).map(|(_, value)| value).sum()
    }
}

impl Metrics {
    /// The sum over the samples of a family that are about a topic.
    pub fn sum_of_topic(&self, family: &str, topic: &str) -> f64 {
        let label = format!("topic=\"{topic}\"");
        let of = |name: &str| name.starts_with(&format!("{family}{{")) && name.contains(&label);
        self.0.iter().filter(|(name, _)| of(name)).map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_with_their_labels() {
        let text = "# HELP a x\n# TYPE a gauge\na{topic=\"x y\"} 2\na{topic=\"z y\"} 3\nab 7\n";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!(metrics.get("a{topic=\"x y\"}"), Some(2.0));
        assert_eq!((metrics.get("a"), metrics.sum("a")), (None, 5.0));
        assert_eq!((metrics.sum("ab"), metrics.sum_of_topic("a", "z y")), (7.0, 3.0));
        Metrics::parse("a b\n").unwrap_err();
    }
}
