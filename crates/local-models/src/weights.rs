//! The tensors of a GGUF file, in the form that is fast here.
//!
//! A file's quantisation is chosen for its size. The engine multiplies some of them without vector instructions, four
//! times slower than `Q8_0`; those are quantised again while they are loaded. That costs a fraction of a second and
//! 0.4 bytes a weight, and adds an error far below that of the file's own quantisation.
//!
//! Every tensor of the file must be asked for. A tensor that nobody reads (a bias, a table of scaled rotations, an
//! expert) means that the file is a variant which the computation does not know, and would get wrong without a sign.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result, Tensor};

use crate::load::Refusal;

/// The tensors and the numbers of an open model file.
pub(crate) struct Weights {
    content: Content,
    file: BufReader<File>,
    unread: BTreeSet<String>,
}

impl Weights {
    /// Reads the head of a model file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let content = Content::read(&mut file)?;
        let unread = content.tensor_infos.keys().cloned().collect();
        Ok(Self {
            content,
            file,
            unread,
        })
    }

    /// Gives a whole number of the metadata.
    pub(crate) fn number(&self, key: &str) -> Option<usize> {
        usize::try_from(self.content.metadata.get(key)?.to_u32().ok()?).ok()
    }

    /// Gives a fraction of the metadata.
    pub(crate) fn fraction(&self, key: &str) -> Option<f32> {
        self.content.metadata.get(key)?.to_f32().ok()
    }

    /// Gives a text of the metadata.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.content
            .metadata
            .get(key)
            .and_then(|value: &Value| value.to_string().ok())
            .map(String::as_str)
    }

    /// Tells whether the file has a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Reads a matrix in a form that is multiplied fast.
    pub(crate) fn matrix(&mut self, name: &str) -> Result<Arc<QTensor>> {
        let tensor = self.read(name)?;
        if !is_slow(tensor.dtype()) {
            return Ok(Arc::new(tensor));
        }
        let exact = tensor.dequantize(&Device::Cpu)?;
        Ok(Arc::new(QTensor::quantize(&exact, GgmlDType::Q8_0)?))
    }

    /// Reads a vector as it is.
    pub(crate) fn vector(&mut self, name: &str) -> Result<Tensor> {
        self.read(name)?.dequantize(&Device::Cpu)
    }

    /// Refuses a file with tensors that nobody has read.
    pub(crate) fn finish(self) -> std::result::Result<(), Refusal> {
        match self.unread.first() {
            None => Ok(()),
            Some(name) => Err(Refusal::Unsupported(format!(
                "it has {} tensors more than a plain llama model, such as {name}",
                self.unread.len()
            ))),
        }
    }

    fn read(&mut self, name: &str) -> Result<QTensor> {
        let tensor = self.content.tensor(&mut self.file, name, &Device::Cpu)?;
        self.unread.remove(name);
        Ok(tensor)
    }
}

/// Tells whether the engine multiplies a quantisation without vector instructions.
fn is_slow(dtype: GgmlDType) -> bool {
    match dtype {
        GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1 | GgmlDType::Q8_1 => true,
        GgmlDType::F32
        | GgmlDType::F16
        | GgmlDType::BF16
        | GgmlDType::Q4_0
        | GgmlDType::Q8_0
        | GgmlDType::Q2K
        | GgmlDType::Q3K
        | GgmlDType::Q4K
        | GgmlDType::Q5K
        | GgmlDType::Q6K
        | GgmlDType::Q8K => false,
    }
}
