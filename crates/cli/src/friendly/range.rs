//! Where to begin and where to end: `start`, `end`, `-100`, `120`, `2h ago`, `2026-11-21T09:00`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::text::time::{parse_datetime, parse_human_duration};

/// A place in a log, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The oldest record.
    Start,
    /// What comes next.
    End,
    /// This offset.
    Offset(i64),
    /// So many before the end.
    BeforeEnd(i64),
    /// The first record from then on, in milliseconds since 1970.
    Time(i64),
}

/// The time now.
pub fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a place; `now` is in milliseconds since 1970.
pub fn parse_place(text: &str, now: i64) -> Result<Place, String> {
    let text = text.trim();
    match text {
        "start" | "beginning" | "earliest" | "oldest" => return Ok(Place::Start),
        "end" | "latest" | "newest" => return Ok(Place::End),
        "now" => return Ok(Place::Time(now)),
        _ => {}
    }
    if let Some(count) = text.strip_prefix('-') {
        if let Ok(count) = count.parse() {
            return Ok(Place::BeforeEnd(count));
        }
        if let Some(back) = parse_human_duration(count) {
            return Ok(Place::Time(now - back));
        }
    }
    if let Ok(offset) = text.parse::<i64>() {
        return Ok(Place::Offset(offset));
    }
    if let Some(millis) = text.strip_prefix('@').and_then(|millis| millis.parse().ok()) {
        return Ok(Place::Time(millis));
    }
    if let Some(back) =
        text.strip_suffix("ago").and_then(|t| parse_human_duration(&t.replace(' ', "")))
    {
        return Ok(Place::Time(now - back));
    }
    parse_datetime(text).map(Place::Time).ok_or_else(|| {
        format!(
            "'{text}' is no place in a topic: start, end, an offset, -N, 10m ago, or a date like \
             2026-11-21T09:00"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let now = 10_000_000;
        for (text, place) in [
            ("start", Place::Start),
            ("end", Place::End),
            ("-100", Place::BeforeEnd(100)),
            ("120", Place::Offset(120)),
            ("now", Place::Time(now)),
            ("10m ago", Place::Time(now - 600_000)),
            ("-10m", Place::Time(now - 600_000)),
            ("@5", Place::Time(5)),
            ("1970-01-02", Place::Time(86_400_000)),
        ] {
            assert_eq!(parse_place(text, now), Ok(place), "{text}");
        }
        assert!(parse_place("soon", now).is_err());
    }
}
