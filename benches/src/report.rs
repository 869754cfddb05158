//! Figures as Markdown: the median first, because one slow repeat says more about the machine than about the program.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

/// A table that grows by rows.
#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    /// Begins a table under a heading.
    pub(crate) fn new(heading: &str, columns: &[&str]) -> Self {
        let mut table = Self(format!("\n### {heading}\n\n"));
        table.row(columns);
        table.row(&vec!["---"; columns.len()]);
        table
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: &[impl AsRef<str>]) {
        for cell in cells {
            // Writing to a String can't fail.
            let _written = write!(self.0, "| {} ", cell.as_ref());
        }
        self.0.push_str("|\n");
    }

    /// Gives the text.
    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// Prints one piece of the report.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Gives the value below which this share of the samples lies, by the nearest rank; 0 without samples.
pub(crate) fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Gives the median and the extremes as three cells.
pub(crate) fn spread(samples: &[f64], digits: usize) -> [String; 3] {
    [50, 0, 100].map(|percent| format!("{:.digits$}", percentile(samples, percent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_by_the_nearest_rank() {
        let samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(spread(&samples, 1), ["3.0", "1.0", "5.0"]);
        assert!((percentile(&samples, 95) - 5.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 50).abs() < f64::EPSILON);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("Sizes", &["binary", "MB"]);
        table.row(&["a", "1"]);
        assert_eq!(
            table.text(),
            "\n### Sizes\n\n| binary | MB |\n| --- | --- |\n| a | 1 |\n"
        );
    }
}
