//! The two shapes of what people read: columns, and lines of a name and a value.

use std::fmt::Write as _;

/// Lines of a name and a value; a line without a value is left out.
#[derive(Default)]
pub(crate) struct Facts(String);

impl Facts {
    /// Adds a line.
    pub(crate) fn line(mut self, name: &str, value: impl Into<Option<String>>) -> Self {
        if let Some(value) = value.into() {
            // Writing to a String can't fail.
            let _written = writeln!(self.0, "{name:<12}{value}");
        }
        self
    }

    /// Gives the lines.
    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// Writes rows as aligned columns; the first row holds their names.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}", width = *width))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Takes over names of columns.
pub(crate) fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [header(&["A", "B"]), header(&["longer", "x"])];
        assert_eq!(columns(&rows), "A       B\nlonger  x\n");
        assert_eq!(columns(&[]), "");
    }
}
