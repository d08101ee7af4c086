//! The storages that an adapter reads tensors from.

/// Where a tensor's texels live on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// A storage buffer: what GPUs like.
    Buffer,
    /// A storage texture: what software adapters and some mobile GPUs read faster.
    Texture,
}
