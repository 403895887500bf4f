//! Tables of the friendly commands: no lines drawn, numbers to the right, two spaces between.

use std::fmt::Write as _;

/// A column's title and side.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Title.
    pub title: &'static str,
    /// Whether it holds numbers.
    pub number: bool,
}

impl Column {
    /// A column of texts.
    pub const fn text(title: &'static str) -> Self {
        Self { title, number: false }
    }

    /// A column of numbers.
    pub const fn number(title: &'static str) -> Self {
        Self { title, number: true }
    }
}

/// Rows under columns.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "a cell per column");
        self.rows.push(cells);
    }

    /// The text, with the titles in bold on a terminal.
    pub fn render(&self, bold: bool) -> String {
        let width = |index: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            widest.max(column.title.len())
        };
        let widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(index, column)| width(index, column)).collect();
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
        let mut text = String::new();
        let head = self.line(&titles, &widths);
        // Writing to a string cannot fail.
        let _ =
            if bold { writeln!(text, "\x1b[1m{head}\x1b[0m") } else { writeln!(text, "{head}") };
        for row in &self.rows {
            let _ = writeln!(text, "{}", self.line(row, &widths));
        }
        text
    }

    /// The text for other programs: tabs between the cells.
    pub fn tabs(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
        let lines = std::iter::once(&titles).chain(&self.rows);
        lines.map(|cells| cells.join("\t") + "\n").collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column.number {
                line.push_str(&padding);
            }
            line.push_str(cell);
            if !column.number {
                line.push_str(&padding);
            }
            line.push_str("  ");
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_nothing_trails() {
        let mut table = Table::new(&[
            Column::text("TOPIC"),
            Column::number("PARTITIONS"),
            Column::text("NOTE"),
        ]);
        table.row(["orders".to_owned(), "3".to_owned(), String::new()]);
        table.row(["a".to_owned(), "12".to_owned(), "x".to_owned()]);
        let expect = "TOPIC   PARTITIONS  NOTE\norders           3\na               12  x\n";
        assert_eq!(table.render(false), expect);
        assert_eq!(table.tabs(), "TOPIC\tPARTITIONS\tNOTE\norders\t3\t\na\t12\tx\n");
    }
}
