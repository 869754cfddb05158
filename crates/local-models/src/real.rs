//! The real model for this crate's own tests.

use std::path::PathBuf;

/// Gives the path of the model file under the folder that the environment names.
pub(crate) fn model_path() -> PathBuf {
    let folder = std::env::var_os("TAW_TEST_MODELS")
        .expect("TAW_TEST_MODELS must name the folder with the test models; run the tests with `make test`");
    let path = PathBuf::from(folder).join("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(path.is_file(), "{} is missing; run `make setup`", path.display());
    path
}
