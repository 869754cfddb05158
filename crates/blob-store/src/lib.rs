#![doc = include_str!("../README.md")]

mod address;
mod backend;
mod digest;
mod error;
mod local;
mod options;
mod reader;
mod staged;
mod store;
mod writer;

pub use error::Error;
pub use options::{DEFAULT_MAX_OBJECT_BYTES, LOCAL_FOLDER, Options, Problem};
pub use reader::Reader;
pub use staged::{StagePrefix, StagedPath};
pub use store::{BlobStore, StoredObject};
pub use writer::Writer;
