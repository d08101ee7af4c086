//! Writes small GGUF files, valid unless told otherwise: every count and offset can be overridden
//! with a lie.

use kaiwu::format::dtype::DType;

/// The parts of a GGUF file before they become bytes.
#[derive(Clone)]
pub struct Writer {
    pub magic: [u8; 4],
    pub version: u32,
    /// Counts to write instead of the true ones.
    pub tensor_count: Option<u64>,
    pub entry_count: Option<u64>,
    /// The alignment that tensors are laid out by; `general.alignment` is written only by
    /// `with_u32`.
    pub alignment: u64,
    /// Keys with their values, as bytes.
    pub entries: Vec<Vec<u8>>,
    pub tensors: Vec<Tensor>,
}

/// A row of the tensor table, and the bytes it stands for.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    /// As in the file: fastest axis first.
    pub axes: Vec<u64>,
    pub type_id: u32,
    pub offset: Option<u64>,
    pub data: Vec<u8>,
}

/// A length and the bytes, as GGUF writes strings.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// The header of an array: the elements' type and how many there are.
pub fn array(type_id: u32, count: u64) -> Vec<u8> {
    [&type_id.to_le_bytes()[..], &count.to_le_bytes()].concat()
}

impl Writer {
    pub fn new() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            entry_count: None,
            alignment: 32,
            entries: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// A metadata entry of any type, its value as bytes.
    pub fn with(mut self, key: impl AsRef<[u8]>, type_id: u32, value: impl AsRef<[u8]>) -> Self {
        self.entries.push([&string(key)[..], &type_id.to_le_bytes(), value.as_ref()].concat());
        self
    }

    pub fn with_u32(self, key: &str, value: u32) -> Self {
        self.with(key, 4, value.to_le_bytes())
    }

    pub fn with_f32(self, key: &str, value: f32) -> Self {
        self.with(key, 6, value.to_le_bytes())
    }

    pub fn with_bool(self, key: &str, value: bool) -> Self {
        self.with(key, 7, [u8::from(value)])
    }

    pub fn with_str(self, key: &str, value: &str) -> Self {
        self.with(key, 8, string(value))
    }

    pub fn with_strings<S: AsRef<str>>(self, key: &str, values: &[S]) -> Self {
        let mut bytes = array(8, values.len() as u64);
        values.iter().for_each(|value| bytes.extend(string(value.as_ref())));
        self.with(key, 9, bytes)
    }

    /// A tensor with its shape slowest axis first, placed after its predecessor.
    pub fn with_tensor(self, name: &str, shape: &[u64], dtype: DType, data: Vec<u8>) -> Self {
        let axes = shape.iter().rev().copied().collect();
        self.with_raw_tensor(name, axes, dtype.ggml_id(), None, data)
    }

    /// A tensor as the file has it: axes fastest first, any type number, any offset.
    pub fn with_raw_tensor(
        mut self,
        name: &str,
        axes: Vec<u64>,
        type_id: u32,
        offset: Option<u64>,
        data: Vec<u8>,
    ) -> Self {
        self.tensors.push(Tensor { name: name.to_owned(), axes, type_id, offset, data });
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = self.magic.to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        file.extend(self.entry_count.unwrap_or(self.entries.len() as u64).to_le_bytes());
        self.entries.iter().for_each(|entry| file.extend(entry));
        let mut data = Vec::new();
        for tensor in &self.tensors {
            file.extend(string(&tensor.name));
            file.extend((tensor.axes.len() as u32).to_le_bytes());
            tensor.axes.iter().for_each(|axis| file.extend(axis.to_le_bytes()));
            file.extend(tensor.type_id.to_le_bytes());
            file.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
            data.resize(data.len().next_multiple_of(self.alignment as usize), 0);
        }
        if !data.is_empty() {
            file.resize(file.len().next_multiple_of(self.alignment as usize), 0);
            file.extend(data);
        }
        file
    }
}
