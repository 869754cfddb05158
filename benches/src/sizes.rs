//! Sizes of the binaries: of the sections that make them up, and of the crates that their code is named after.
//!
//! Sections are certain. Crates are read off the names of the symbols, so code that was inlined counts for the function
//! that it was inlined into. A disassembler could not tell more: after inlining over crates, two origins may share one
//! instruction. Both come from the files themselves, so no tool has to be installed.

mod groups;
mod symbols;

use std::collections::BTreeMap;

use anyhow::Context as _;
use groups::GROUPS;
use object::{Object as _, ObjectSection as _};

use crate::{Bench, report::Table};

const BINARIES: [&str; 3] = ["ai-worker", "data-worker", "pipelinectl"];
const SECTIONS: [&str; 4] = [".text", ".rodata", ".eh_frame", ".data.rel.ro"];
/// Crates without a group that are named below the table, for each binary.
const NAMED_OTHERS: usize = 6;

/// Measures every binary.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    let mut columns = vec!["binary", "file MB"];
    columns.extend(SECTIONS);
    columns.push("rest: symbols, lines, small sections");
    let mut table = Table::new("Sizes of the binaries, MB", &columns);
    let mut contents = Vec::new();
    for name in BINARIES {
        let path = bench.bins.join(name);
        let data = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*data)
            .with_context(|| format!("{} is not an executable", path.display()))?;
        let sizes = SECTIONS.map(|section| file.section_by_name(section).map_or(0, |section| section.size()));
        let bytes = u64::try_from(data.len())?;
        let rest = bytes.saturating_sub(sizes.iter().sum());
        let figures = [bytes].into_iter().chain(sizes).chain([rest]);
        let mut cells = vec![name.to_owned()];
        cells.extend(figures.map(|bytes| megabytes(bytes, 1)));
        table.row(&cells);
        let code = symbols::read(&file).with_context(|| format!("cannot read {}", path.display()))?;
        contents.push((name, code.by_crate()));
    }
    Ok(table.text() + &by_group(&contents))
}

/// Shows what the code of each binary is named after, group by group.
fn by_group(contents: &[(&str, symbols::Shares)]) -> String {
    let mut columns = vec!["code of"];
    columns.extend(contents.iter().map(|(binary, _)| *binary));
    columns.push("what it is there for");
    let mut table = Table::new(
        "What .text holds, by the crate that a function is named after, MB",
        &columns,
    );
    let mut row = |name: &str, why: &str, share: &dyn Fn(&symbols::Shares) -> u64| {
        let mut cells = vec![name.to_owned()];
        cells.extend(contents.iter().map(|(_, shares)| megabytes(share(shares), 2)));
        cells.push(why.to_owned());
        table.row(&cells);
    };
    for group in &GROUPS {
        row(group.name, group.why, &|shares| {
            of_crates(&shares.crates, |name| group.holds(name))
        });
    }
    row(
        "other",
        "crates of no group; the largest are named below",
        &|shares| of_crates(&shares.crates, groups::is_other),
    );
    row("names without a crate", "C and assembly", &|shares| {
        shares.crateless
    });
    row("no name", "padding, and code without a symbol", &|shares| {
        shares.nameless
    });
    row("all of .text", "", &symbols::Shares::total);
    let others: Vec<_> = contents
        .iter()
        .map(|(binary, shares)| format!("{binary} {}", largest_others(&shares.crates)))
        .collect();
    format!(
        "{}\nThe largest of \"other\": {}.\n",
        table.text(),
        others.join("; ")
    )
}

fn of_crates(crates: &BTreeMap<String, u64>, wanted: impl Fn(&str) -> bool) -> u64 {
    let wanted = crates.iter().filter(|(name, _)| wanted(name));
    wanted.map(|(_, bytes)| bytes).sum()
}

fn largest_others(crates: &BTreeMap<String, u64>) -> String {
    let mut others: Vec<_> = crates.iter().filter(|(name, _)| groups::is_other(name)).collect();
    others.sort_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), *name));
    let named = others.into_iter().take(NAMED_OTHERS);
    let named: Vec<_> = named
        .map(|(name, bytes)| format!("{name} {}", megabytes(*bytes, 2)))
        .collect();
    named.join(", ")
}

/// Gives megabytes of a million bytes, rounded to so many digits behind the point; at most six.
fn megabytes(bytes: u64, digits: u32) -> String {
    let steps = 10_u64.pow(digits);
    let step = 1_000_000 / steps;
    let rounded = (bytes + step / 2) / step;
    let width = usize::try_from(digits).unwrap_or_default();
    format!("{}.{:0width$}", rounded / steps, rounded % steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_to_megabytes() {
        assert_eq!(megabytes(2_590_000, 1), "2.6");
        assert_eq!(megabytes(2_044_999, 2), "2.04");
        assert_eq!(megabytes(999_999, 2), "1.00");
        assert_eq!(megabytes(0, 1), "0.0");
    }

    #[test]
    fn every_byte_of_the_code_is_in_one_row() {
        let crates = [
            ("tokio", 1_000_000),
            ("libsqlite3_sys", 2_000_000),
            ("a_crate", 30_000),
        ];
        let shares = symbols::Shares {
            crates: crates.map(|(name, bytes)| (name.to_owned(), bytes)).into(),
            crateless: 400_000,
            nameless: 50_000,
        };
        let text = by_group(&[("worker", shares)]);
        let figure = |row: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("| {row} |")));
            line.and_then(|line| line.split(" | ").nth(1)).unwrap().to_owned()
        };
        assert_eq!(figure("tokio, futures"), "1.00");
        assert_eq!(figure("SQLite"), "2.00");
        assert_eq!(figure("other"), "0.03");
        assert_eq!(figure("names without a crate"), "0.40");
        assert_eq!(figure("no name"), "0.05");
        assert_eq!(figure("all of .text"), "3.48");
        assert!(
            text.ends_with("The largest of \"other\": worker a_crate 0.03.\n"),
            "{text}"
        );
    }
}
