//! What the rules need to know of a Markdown document.
//!
//! The documents are read by a real parser, because a rule that misreads a table or a nested code span either misses an
//! offence or makes people write around the rule.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Something written as code, and its line.
pub(crate) struct Code {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The text.
    pub(crate) text: String,
    /// The language of a block; nothing for code within a line.
    pub(crate) block: Option<String>,
}

/// A table.
#[derive(Default)]
pub(crate) struct Table {
    /// The headings above it, the nearest last.
    pub(crate) under: Vec<String>,
    /// Rows of cells, the header first.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Default)]
pub(crate) struct Cell {
    /// All of its text.
    pub(crate) text: String,
    /// What in it is written as code.
    pub(crate) code: Vec<String>,
}

/// A document, taken apart.
#[derive(Default)]
pub(crate) struct Document {
    /// All code.
    pub(crate) code: Vec<Code>,
    /// The targets of all links and pictures with their lines.
    pub(crate) links: Vec<(usize, String)>,
    /// The anchors of all headings.
    pub(crate) anchors: Vec<String>,
    /// All tables.
    pub(crate) tables: Vec<Table>,
}

/// What is being read.
#[derive(Default)]
struct Reader {
    document: Document,
    headings: Vec<(HeadingLevel, String)>,
    heading: Option<String>,
    block: Option<Code>,
    table: Option<Table>,
    cell: Cell,
}

impl Document {
    /// Takes a document apart.
    pub(crate) fn parse(text: &str) -> Self {
        let mut reader = Reader::default();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            reader.take(event, line);
        }
        reader.document
    }
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::Start(tag) => self.start(tag, line),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.block {
                Some(block) => block.text.push_str(&text),
                None => self.text(&text),
            },
            Event::Code(text) => {
                self.text(&text);
                self.cell.code.push(text.to_string());
                self.document.code.push(Code {
                    line,
                    text: text.into_string(),
                    block: None,
                });
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.push_str(text);
        }
        self.cell.text.push_str(text);
    }

    fn start(&mut self, tag: Tag<'_>, line: usize) {
        match tag {
            Tag::Heading { .. } => self.heading = Some(String::new()),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.block = Some(Code {
                    line,
                    text: String::new(),
                    block: Some(language),
                });
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.document.links.push((line, dest_url.into_string()));
            }
            Tag::Table(_) => {
                let under = self.headings.iter().map(|(_, text)| text.clone()).collect();
                let rows = Vec::new();
                self.table = Some(Table { under, rows });
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::TableCell => self.cell = Cell::default(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let text = self.heading.take().unwrap_or_default();
                self.document.anchors.push(anchor(&text));
                self.headings.retain(|(above, _)| *above < level);
                self.headings.push((level, text));
            }
            TagEnd::CodeBlock => self.document.code.extend(self.block.take()),
            TagEnd::Table => self.document.tables.extend(self.table.take()),
            TagEnd::TableCell => {
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(self.cell.clone());
                }
            }
            _ => {}
        }
    }
}

/// Makes the anchor that a heading is linked by.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

#[test]
fn a_document_is_taken_apart() {
    let text = "# Names: all\n\nSee [it](a.md#b) and `make x`.\n\n## `Part` two\n\n| kind | name |\n| --- | --- |\n\
                | queue | `q` and `r` |\n\n```sh\nmake test\n```\n";
    let document = Document::parse(text);
    assert_eq!(document.anchors, ["names-all", "part-two"]);
    assert_eq!(document.links, [(3, "a.md#b".to_owned())]);
    let code: Vec<_> = document
        .code
        .iter()
        .map(|code| (code.line, code.text.as_str(), code.block.as_deref()))
        .collect();
    assert_eq!(code[0], (3, "make x", None));
    assert_eq!(code.last(), Some(&(11, "make test\n", Some("sh"))));
    let table = &document.tables[0];
    assert_eq!(table.under, ["Names: all", "Part two"]);
    assert_eq!(table.rows[1][0].text, "queue");
    assert_eq!(table.rows[1][1].code, ["q", "r"]);
}
