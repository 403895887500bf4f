//! The text that Prometheus reads (exposition format 0.0.4).

use std::fmt::Write as _;

/// What a series is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// A text being written, family by family.
#[derive(Debug, Default)]
pub(crate) struct MetricsText {
    text: String,
    family: String,
}

impl MetricsText {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        name.clone_into(&mut self.family);
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One sample of the family begun last.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus' values are floats")]
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<i128>) {
        self.float(labels, value.into() as f64);
    }

    /// One sample with a fraction.
    pub(crate) fn float(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(&self.family);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            escape(&mut self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A family of one sample without labels.
    pub(crate) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<i128>) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_whole_numbers_stay_whole() {
        let mut text = MetricsText::default();
        text.family("naru_x_total", Kind::Counter, "Help.");
        text.sample(&[("topic", "a\"b\\c\n")], 3_u64);
        text.single("up", Kind::Gauge, "Up.", 1_i32);
        assert_eq!(
            text.finish(),
            "# HELP naru_x_total Help.\n# TYPE naru_x_total counter\n\
             naru_x_total{topic=\"a\\\"b\\\\c\\n\"} 3\n\
             # HELP up Up.\n# TYPE up gauge\nup 1\n"
        );
    }
}
