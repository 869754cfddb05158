//! Where the text is: in the command, in a file, in a folder, in lines, or in a whole request.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use workflow_types::{problem::Problems, proto::LlmPipelineInput, request::INLINE_LIMIT_BYTES};

use crate::{
    cli::{RequestArgs, RunArgs},
    failure::Failure,
};

use super::{
    folder::{self, Document},
    lines, request,
    written::{self, Origin},
};

/// What to work on.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    /// Text that travels with the request.
    Inline(String),
    /// A file that is too large to travel.
    Upload(PathBuf),
    /// Text from standard input that is too large to travel.
    UploadText(String),
    /// Files that become the items of a batch.
    Folder(Vec<Document>),
    /// A JSONL file of items.
    Lines(PathBuf),
    /// A whole request.
    Whole(Box<LlmPipelineInput>),
}

/// Reads what the flags name; what is wrong with its contents goes to `problems`.
///
/// Fails at once where nothing can be read at all.
pub(super) fn read(
    args: &RunArgs,
    asked: &LlmPipelineInput,
    problems: &mut Problems,
) -> Result<Source, Failure> {
    let input = &args.input;
    if let Some(text) = &input.text {
        return text_or_stdin(text);
    }
    if let Some(path) = &input.file {
        return file(path);
    }
    if let Some(root) = &input.dir {
        return folder::read(root, args.skip_unreadable, problems).map(Source::Folder);
    }
    if let Some(path) = &input.jsonl {
        lines::check(path, &super::item_defaults(asked, args), problems)?;
        return Ok(Source::Lines(path.clone()));
    }
    let path = input.whole.as_deref().unwrap_or(Path::new("-"));
    whole(path, args, problems)
}

fn text_or_stdin(text: &str) -> Result<Source, Failure> {
    if text != "-" {
        return Ok(sized(text.to_owned()));
    }
    String::from_utf8(stdin()?)
        .map(sized)
        .map_err(|_| Failure::bad_input("standard input is no UTF-8 text"))
}

fn sized(text: String) -> Source {
    if text.len() > INLINE_LIMIT_BYTES {
        return Source::UploadText(text);
    }
    Source::Inline(text)
}

fn file(path: &Path) -> Result<Source, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::bad_input(format!(
            "{} is a folder; use --dir to run a batch over its files",
            path.display()
        )));
    }
    if metadata.len() > INLINE_LIMIT_BYTES as u64 {
        return Ok(Source::Upload(path.to_owned()));
    }
    String::from_utf8(fs::read(path).map_err(failed)?)
        .map(Source::Inline)
        .map_err(|_| Failure::bad_input(format!("{} is no UTF-8 text", path.display())))
}

fn whole(path: &Path, args: &RunArgs, problems: &mut Problems) -> Result<Source, Failure> {
    if args.request != RequestArgs::default() {
        problems.at(
            "--input-json",
            "is the whole request; put what the other flags say into it",
        );
    }
    let json = if path == Path::new("-") {
        stdin()?
    } else {
        fs::read(path).map_err(|error| Failure::file("read", path, &error))?
    };
    match written::message::<LlmPipelineInput>(&json, &Origin::file(path)) {
        Ok(input) => {
            if let Some(Err(message)) = input.output.as_ref().map(request::check_schema) {
                problems.at("output.json.schema", message);
            }
            Ok(Source::Whole(Box::new(input)))
        }
        // Of a message that can't be read, no values can be judged.
        Err(found) => {
            problems.extend(found);
            Err(std::mem::take(problems).into())
        }
    }
}

/// Reads all of standard input.
pub(crate) fn stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::bad_input(format!("standard input cannot be read: {error}")))?;
    Ok(bytes)
}
