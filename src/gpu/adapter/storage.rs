//! The kinds of storage that an adapter can read tensors from.

/// Where a tensor's texels live on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// A storage buffer, which is the faster one on GPUs.
    Buffer,
    /// A storage texture, which software adapters and some mobile GPUs read faster.
    Texture,
}
