//! Tables as kubectl prints them: capital headings, columns of equal width, no lines.

/// Blanks between two columns.
const GAP: &str = "   ";

/// Columns are as wide as they must be.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    draw(headings, rows, &widths(headings, rows))
}

/// The same without the last columns, where a line of `width` has no room for them. The first one is always there.
pub(crate) fn narrow_table(headings: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let widths = widths(headings, rows);
    let ends = widths.iter().scan(0, |end, width| {
        *end += width;
        let this = *end;
        *end += GAP.len();
        Some(this)
    });
    let columns = ends.take_while(|end| *end <= width).count().max(1);
    draw(&headings[..columns], rows, &widths[..columns])
}

fn widths(headings: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    (0..headings.len()).map(width).collect()
}

fn draw(headings: &[&str], rows: &[Vec<String>], widths: &[usize]) -> String {
    let mut text = line(headings.iter().copied(), widths);
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str), widths));
    }
    text
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", padded.join(GAP).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long-name".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME        N\na           1\nlong-name   22\n");
        assert_eq!(table(&["NAME"], &[]), "NAME\n");
        assert_eq!(narrow_table(&["NAME", "N"], &rows, 14), table(&["NAME", "N"], &rows));
        assert_eq!(narrow_table(&["NAME", "N"], &rows, 13), "NAME\na\nlong-name\n");
        assert_eq!(narrow_table(&["NAME", "N"], &rows, 1), "NAME\na\nlong-name\n");
    }
}
