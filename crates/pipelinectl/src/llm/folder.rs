//! A folder as a batch: one file, one item, named by its path inside the folder.
//!
//! The list of items is built on this side and uploaded as one JSONL file, so that a run over a folder is the same thing
//! as a run over lines, and a second start over the same folder is the same file. Hidden files are left out, and
//! symbolic links to folders are not followed, because a link can make a folder endless.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use workflow_types::{
    problem::Problems,
    proto::{BlobRef, Content, LlmBatchItem, content},
    request::INLINE_LIMIT_BYTES,
};

use crate::failure::Failure;

use super::{TEXT, lines, upload::Uploads};

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    /// Its path inside the folder, with `/` between its parts.
    id: String,
    path: PathBuf,
    /// Whether it is small enough to travel with its item.
    inline: bool,
}

/// Lists the files of a folder by name; those that are no text are problems, or left out.
pub(super) fn read(
    root: &Path,
    skip_unreadable: bool,
    problems: &mut Problems,
) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    walk(root, "", &mut documents)?;
    documents.sort_by(|left, right| left.id.cmp(&right.id));
    let mut readable = Vec::with_capacity(documents.len());
    for document in documents {
        match is_text(&document.path) {
            Ok(true) => readable.push(document),
            _ if skip_unreadable => {}
            Ok(false) => problems.at(document.id, "is no UTF-8 text; --skip-unreadable leaves it out"),
            Err(error) => problems.at(document.id, format!("cannot be read: {error}")),
        }
    }
    if readable.is_empty() && problems.is_empty() {
        return Err(Failure::bad_input(format!(
            "{} holds no text files",
            root.display()
        )));
    }
    Ok(readable)
}

/// Uploads the files that are too large to travel, then the list of items.
pub(super) async fn upload(documents: &[Document], uploads: &Uploads) -> Result<BlobRef, Failure> {
    let failed =
        |error: io::Error| Failure::internal(format!("the list of items cannot be written: {error}"));
    let list = NamedTempFile::new().map_err(failed)?;
    let mut writer = BufWriter::new(list.as_file());
    for document in documents {
        let item = item(document, uploads).await?;
        serde_json::to_writer(&mut writer, &item).map_err(|error| failed(error.into()))?;
        writer.write_all(b"\n").map_err(failed)?;
    }
    writer.flush().map_err(failed)?;
    drop(writer);
    uploads.file(list.path(), lines::MEDIA_TYPE).await
}

async fn item(document: &Document, uploads: &Uploads) -> Result<LlmBatchItem, Failure> {
    let mut item = LlmBatchItem {
        id: Some(document.id.clone()),
        ..LlmBatchItem::default()
    };
    if document.inline {
        let text = fs::read_to_string(&document.path)
            .map_err(|error| Failure::file("read", &document.path, &error))?;
        item.text = Some(text);
    } else {
        item.content = Some(Content {
            source: Some(content::Source::Blob(uploads.file(&document.path, TEXT).await?)),
        });
    }
    Ok(item)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<Document>) -> Result<(), Failure> {
    let failed = |error| Failure::file("read", folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Failure::bad_input(format!(
                "the name of {} is no UTF-8",
                path.display()
            )));
        };
        if name.starts_with('.') {
            continue;
        }
        let id = format!("{prefix}{name}");
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&path, &format!("{id}/"), found)?;
            continue;
        }
        let metadata = fs::metadata(&path).map_err(|error| Failure::file("read", &path, &error))?;
        if metadata.is_file() {
            let inline = metadata.len() <= INLINE_LIMIT_BYTES as u64;
            found.push(Document { id, path, inline });
        }
    }
    Ok(())
}

/// Looks at the beginning only; the data-worker reads the rest, and says so of the item if it is no text.
fn is_text(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?
        .take(INLINE_LIMIT_BYTES as u64 + 1)
        .read_to_end(&mut head)?;
    let cut = head.len() > INLINE_LIMIT_BYTES;
    Ok(match std::str::from_utf8(&head) {
        Ok(_) => true,
        // Only a character that the limit cut in two may be incomplete.
        Err(error) => cut && error.error_len().is_none(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::write(root.join("b/c/deep.txt"), "deep").unwrap();
        fs::write(root.join("a.md"), "a").unwrap();
        fs::write(root.join(".hidden"), "x").unwrap();
        fs::write(root.join("big.txt"), "é".repeat(INLINE_LIMIT_BYTES)).unwrap();
        folder
    }

    #[test]
    fn files_are_items_by_their_path_in_order() {
        let folder = folder();
        let mut problems = Problems::new();
        let found = read(folder.path(), false, &mut problems).unwrap();
        let ids: Vec<_> = found
            .iter()
            .map(|document| (document.id.as_str(), document.inline))
            .collect();
        assert_eq!(ids, [("a.md", true), ("b/c/deep.txt", true), ("big.txt", false)]);
        assert!(problems.is_empty());
    }

    #[test]
    fn what_is_no_text_is_named_or_left_out() {
        let folder = folder();
        fs::write(folder.path().join("b/picture.png"), [0x89, b'P', 0xff, 0]).unwrap();
        let mut problems = Problems::new();
        read(folder.path(), false, &mut problems).unwrap();
        assert_eq!(problems.into_vec()[0].path, "b/picture.png");
        let mut problems = Problems::new();
        assert_eq!(read(folder.path(), true, &mut problems).unwrap().len(), 3);
        assert!(problems.is_empty());
    }

    #[test]
    fn a_folder_without_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path(), false, &mut Problems::new()).is_err());
        assert!(read(&folder.path().join("absent"), false, &mut Problems::new()).is_err());
    }
}
