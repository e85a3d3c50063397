//! Columns for people, straight also where a Chinese character takes two places.

use unicode_width::UnicodeWidthStr as _;

/// Between two columns.
const GAP: usize = 2;

/// Lines of columns that begin under their heads. The last column is not filled up.
pub fn columns(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut text = String::new();
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_and_latin_names_stand_straight() {
        let rows = [vec!["企业微信".to_owned(), "live".to_owned()], vec!["shop".to_owned(), "paused".to_owned()]];
        let text = columns(&["Name", "State"], &rows);
        assert_eq!(text, "Name      State\n企业微信  live\nshop      paused\n");
    }
}
