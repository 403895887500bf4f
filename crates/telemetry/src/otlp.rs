//! The part of OpenTelemetry's protobuf that clients push: gauges, sums and histograms.
//!
//! Reads only what is shown and skips the rest. Lists grow with the bytes that are there.

/// Points read of one push at most.
const POINTS_MAX: usize = 10_000;
/// Metrics read of one push at most, as many as points: a metric without points takes memory too.
const METRICS_MAX: usize = 10_000;
/// Longest name, key or value that is kept, in bytes.
const TEXT_MAX: usize = 256;
/// Attributes kept of one point.
const ATTRIBUTES_MAX: usize = 12;

/// Bytes that are no metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    /// They end within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// A number or a tag that is none.
    #[error("a field is malformed")]
    Malformed,
    /// More than anybody looks at.
    #[error("the message holds more than {POINTS_MAX} points or {METRICS_MAX} metrics")]
    TooMany,
}

/// What a point says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// What is now.
    Gauge(f64),
    /// What has come together, since the last push if `delta`.
    Sum {
        /// How much.
        value: f64,
        /// Whether only what came since the last push.
        delta: bool,
    },
    /// How many values, and what they add up to.
    Histogram {
        /// How many.
        count: f64,
        /// Their sum.
        sum: f64,
        /// Whether only those since the last push.
        delta: bool,
    },
}

/// One point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Keys and values that tell it from other points.
    pub attributes: Vec<(String, String)>,
    /// What it says.
    pub value: Value,
}

/// A metric by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Such as `org.apache.kafka.producer.record.send.total`.
    pub name: String,
    /// Its points.
    pub points: Vec<Point>,
}

/// Reads a `MetricsData`.
///
/// # Errors
/// When the bytes are none.
pub fn read_metrics(bytes: &[u8]) -> Result<Vec<Metric>, OtlpError> {
    let mut reading = Reading::default();
    for_each(bytes, |field| match field {
        (1, Field::Bytes(resource)) => for_each(resource, |field| match field {
            (2, Field::Bytes(scope)) => for_each(scope, |field| match field {
                (2, Field::Bytes(metric)) => reading.metric(metric),
                _ => Ok(()),
            }),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    Ok(reading.metrics)
}

#[derive(Debug, Default)]
struct Reading {
    metrics: Vec<Metric>,
    points: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Gauge,
    Sum,
    Histogram,
}

impl Reading {
    fn metric(&mut self, bytes: &[u8]) -> Result<(), OtlpError> {
        if self.metrics.len() >= METRICS_MAX {
            return Err(OtlpError::TooMany);
        }
        let mut name = String::new();
        let mut data: Option<(Shape, &[u8])> = None;
        for_each(bytes, |field| {
            match field {
                (1, Field::Bytes(text)) => name = text_of(text),
                (5, Field::Bytes(body)) => data = Some((Shape::Gauge, body)),
                (7, Field::Bytes(body)) => data = Some((Shape::Sum, body)),
                (9, Field::Bytes(body)) => data = Some((Shape::Histogram, body)),
                _ => {}
            }
            Ok(())
        })?;
        let Some((shape, body)) = data else { return Ok(()) };
        let mut delta = false;
        let mut bodies: Vec<&[u8]> = Vec::new();
        for_each(body, |field| {
            match field {
                (1, Field::Bytes(_)) if self.points >= POINTS_MAX => {
                    return Err(OtlpError::TooMany);
                }
                (1, Field::Bytes(point)) => {
                    self.points += 1;
                    bodies.push(point);
                }
                (2, Field::Varint(temporality)) => delta = temporality == 1,
                _ => {}
            }
            Ok(())
        })?;
        let points = bodies.into_iter().map(|body| match shape {
            Shape::Gauge => number(body, Value::Gauge),
            Shape::Sum => number(body, |value| Value::Sum { value, delta }),
            Shape::Histogram => histogram(body, delta),
        });
        let points = points.collect::<Result<Vec<Point>, OtlpError>>()?;
        self.metrics.push(Metric { name, points });
        Ok(())
    }
}

fn number(bytes: &[u8], value_of: impl Fn(f64) -> Value) -> Result<Point, OtlpError> {
    let (mut attributes, mut value) = (Vec::new(), 0.0);
    for_each(bytes, |field| {
        match field {
            (7, Field::Bytes(pair)) => attribute(pair, &mut attributes)?,
            (4, Field::Fixed64(bits)) => value = f64::from_bits(bits),
            (6, Field::Fixed64(bits)) => value = integer(bits.cast_signed()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Point { attributes, value: value_of(value) })
}

fn histogram(bytes: &[u8], delta: bool) -> Result<Point, OtlpError> {
    let (mut attributes, mut count, mut sum) = (Vec::new(), 0.0, 0.0);
    for_each(bytes, |field| {
        match field {
            (9, Field::Bytes(pair)) => attribute(pair, &mut attributes)?,
            (4, Field::Fixed64(bits)) => count = integer(bits.cast_signed()),
            (5, Field::Fixed64(bits)) => sum = f64::from_bits(bits),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Point { attributes, value: Value::Histogram { count, sum, delta } })
}

#[expect(clippy::cast_precision_loss, reason = "a metric")]
fn integer(value: i64) -> f64 {
    value as f64
}

fn attribute(bytes: &[u8], all: &mut Vec<(String, String)>) -> Result<(), OtlpError> {
    let (mut key, mut value) = (String::new(), None);
    for_each(bytes, |field| {
        match field {
            (1, Field::Bytes(text)) => key = text_of(text),
            (2, Field::Bytes(any)) => value = any_value(any)?,
            _ => {}
        }
        Ok(())
    })?;
    if let Some(value) = value
        && all.len() < ATTRIBUTES_MAX
    {
        all.push((key, value));
    }
    Ok(())
}

/// A text, a truth value or a number; lists and maps are left out.
fn any_value(bytes: &[u8]) -> Result<Option<String>, OtlpError> {
    let mut value = None;
    for_each(bytes, |field| {
        match field {
            (1, Field::Bytes(text)) => value = Some(text_of(text)),
            (2, Field::Varint(flag)) => value = Some((flag != 0).to_string()),
            (3, Field::Varint(number)) => value = Some(number.cast_signed().to_string()),
            (4, Field::Fixed64(bits)) => value = Some(f64::from_bits(bits).to_string()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(value)
}

fn text_of(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// 32 bits that nothing here needs.
    Fixed32,
}

/// Calls with each field of a message and its number.
fn for_each<'a>(
    mut bytes: &'a [u8],
    mut with: impl FnMut((u64, Field<'a>)) -> Result<(), OtlpError>,
) -> Result<(), OtlpError> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Varint(varint(&mut bytes)?),
            1 => {
                let (bits, rest) = bytes.split_first_chunk::<8>().ok_or(OtlpError::Truncated)?;
                bytes = rest;
                Field::Fixed64(u64::from_le_bytes(*bits))
            }
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).unwrap_or(usize::MAX);
                let (inner, rest) = bytes.split_at_checked(len).ok_or(OtlpError::Truncated)?;
                bytes = rest;
                Field::Bytes(inner)
            }
            5 => {
                let (_, rest) = bytes.split_first_chunk::<4>().ok_or(OtlpError::Truncated)?;
                bytes = rest;
                Field::Fixed32
            }
            _ => return Err(OtlpError::Malformed),
        };
        with((tag >> 3, field))?;
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, OtlpError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(OtlpError::Truncated)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(OtlpError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut len = body.len();
        while len >= 0x80 {
            out.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
            len >>= 7;
        }
        out.push(u8::try_from(len).unwrap());
        out.extend_from_slice(body);
        out
    }

    fn fixed(number: u8, bits: u64) -> Vec<u8> {
        [vec![number << 3 | 1], bits.to_le_bytes().to_vec()].concat()
    }

    fn message(metric: &[u8]) -> Vec<u8> {
        field(1, &field(2, &field(2, metric)))
    }

    fn key_value(at: u8, key: &str, value: &str) -> Vec<u8> {
        field(at, &[field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
    }

    #[test]
    fn a_sum_since_the_last_push_is_read() {
        let point = [key_value(7, "topic", "t"), fixed(6, 42)].concat();
        let sum = [field(1, &point), vec![2 << 3, 1], vec![3 << 3, 1]].concat();
        let metric = [field(1, b"m.total"), field(7, &sum)].concat();
        let read = read_metrics(&message(&metric)).unwrap();
        let attributes = vec![("topic".to_owned(), "t".to_owned())];
        let value = Value::Sum { value: 42.0, delta: true };
        let points = vec![Point { attributes, value }];
        assert_eq!(read, [Metric { name: "m.total".to_owned(), points }]);
    }

    #[test]
    fn gauges_and_histograms_are_read() {
        let gauge = field(5, &field(1, &fixed(4, 2.5_f64.to_bits())));
        let read = read_metrics(&message(&[field(1, b"g"), gauge].concat())).unwrap();
        assert_eq!(read[0].points[0].value, Value::Gauge(2.5));
        let point = [fixed(4, 3), fixed(5, 7.5_f64.to_bits())].concat();
        let histogram = field(9, &[field(1, &point), vec![2 << 3, 2]].concat());
        let read = read_metrics(&message(&[field(1, b"h"), histogram].concat())).unwrap();
        let expect = Value::Histogram { count: 3.0, sum: 7.5, delta: false };
        assert_eq!(read[0].points[0].value, expect);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = message(&[field(1, b"g"), field(5, &field(1, &fixed(4, 1)))].concat());
        for cut in 1..whole.len() {
            assert!(read_metrics(&whole[..cut]).is_err(), "{cut}");
        }
        assert_eq!(read_metrics(&[]), Ok(Vec::new()));
        assert_eq!(read_metrics(&[0x0b]), Err(OtlpError::Malformed));
        assert_eq!(read_metrics(&[0xff; 11]), Err(OtlpError::Malformed));
    }

    #[test]
    fn more_points_than_anybody_looks_at_are_refused() {
        let points = field(1, &[]).repeat(POINTS_MAX + 1);
        let metric = [field(1, b"g"), field(5, &points)].concat();
        assert_eq!(read_metrics(&message(&metric)), Err(OtlpError::TooMany));
    }

    #[test]
    fn points_are_counted_across_metrics() {
        let half = field(2, &field(5, &field(1, &[]).repeat(POINTS_MAX / 2)));
        let read = read_metrics(&field(1, &field(2, &half.repeat(2)))).unwrap();
        assert_eq!(read.iter().map(|metric| metric.points.len()).sum::<usize>(), POINTS_MAX);
        let three = field(1, &field(2, &half.repeat(3)));
        assert_eq!(read_metrics(&three), Err(OtlpError::TooMany));
    }

    #[test]
    fn more_metrics_than_anybody_looks_at_are_refused() {
        let metrics = |count| field(1, &field(2, &field(2, &field(5, &[])).repeat(count)));
        assert_eq!(read_metrics(&metrics(METRICS_MAX)).map(|all| all.len()), Ok(METRICS_MAX));
        assert_eq!(read_metrics(&metrics(METRICS_MAX + 1)), Err(OtlpError::TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(metrics) = read_metrics(&bytes) {
                prop_assert!(metrics.iter().map(|m| m.points.len()).sum::<usize>() <= bytes.len());
            }
            let _ = read_metrics(&message(&bytes));
        }
    }
}
