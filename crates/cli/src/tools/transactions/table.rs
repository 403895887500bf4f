//! Tables as `kafka-transactions` prints them: each cell as wide as the widest of its column, and
//! a tab behind it.

/// The text of a table.
pub(super) fn table<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![titles.map(str::to_owned)];
    lines.extend(rows);
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.encode_utf16().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        for (width, cell) in widths.iter().zip(line) {
            let padding = width - cell.encode_utf16().count();
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', padding));
            text.push('\t');
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_and_a_tab_follows_each() {
        assert_eq!(table(["Id", "State"], []), "Id\tState\t\n");
        let row = ["tx1".to_owned(), "x".to_owned()];
        assert_eq!(table(["Id", "State"], [row]), "Id \tState\t\ntx1\tx    \t\n");
    }
}
