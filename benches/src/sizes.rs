//! Sizes of the binaries, and of the sections that make them up.
//!
//! Sections are what can be told for certain: after inlining over crates, which crate a byte of code belongs to is a
//! guess. They are read with `size` from binutils; without it, only the files' sizes are shown.

use tokio::process::Command;

use crate::{Bench, report::Table};

const SECTIONS: [&str; 4] = [".text", ".rodata", ".eh_frame", ".data.rel.ro"];

/// Measures every binary.
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<String> {
    let mut columns = vec!["binary", "file MB"];
    columns.extend(SECTIONS);
    columns.push("rest: symbols, lines, small sections");
    let mut table = Table::new("Sizes of the binaries, MB", &columns);
    for name in ["ai-worker", "data-worker", "pipelinectl"] {
        let path = bench.bins.join(name);
        let bytes = std::fs::metadata(&path)?.len();
        let output = Command::new("size").arg("-A").arg(&path).output().await;
        let sections = output.map_or_else(
            |_no_binutils| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        );
        let mut cells = vec![name.to_owned(), megabytes(bytes)];
        let sizes = SECTIONS.map(|section| section_bytes(&sections, section));
        let known: Option<u64> = sizes.iter().copied().sum();
        let rest = known.map(|known| bytes.saturating_sub(known));
        let figures = sizes.into_iter().chain([rest]);
        cells.extend(figures.map(|bytes| bytes.map_or_else(|| "not known".to_owned(), megabytes)));
        table.row(&cells);
    }
    Ok(table.text())
}

fn section_bytes(listing: &str, section: &str) -> Option<u64> {
    listing.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == section).then(|| words.next()?.parse().ok())?
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_by_its_whole_name() {
        let listing = "a  :\nsection  size  addr\n.text.x  7  0\n.text  2500000  4096\n";
        assert_eq!(section_bytes(listing, ".text"), Some(2_500_000));
        assert_eq!(section_bytes(listing, ".data"), None);
        assert_eq!(megabytes(2_590_000), "2.5");
    }
}
