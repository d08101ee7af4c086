//! Tensors in host memory, for the references.

use super::tensor::Tensor;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

/// The memory of the references. A tensor is added, with its constant or zeros, when it is first
/// used.
#[derive(Default)]
pub struct HostMemory {
    tensors: HashMap<u64, Arc<Vec<u32>>>,
}

/// A snapshot of a tensor's numbers at the time it was read.
pub struct HostView<T>(Arc<Vec<u32>>, PhantomData<T>);

impl<T: bytemuck::Pod> Deref for HostView<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.0)
    }
}

impl HostMemory {
    fn slot(&mut self, tensor: &Tensor) -> &mut Arc<Vec<u32>> {
        self.tensors.entry(tensor.id()).or_insert_with(|| {
            Arc::new(match tensor.initial() {
                Some(bytes) => bytemuck::pod_collect_to_vec(bytes),
                None => vec![0; tensor.words()],
            })
        })
    }

    /// The numbers of an f32 tensor.
    pub fn f32(&mut self, tensor: &Tensor) -> HostView<f32> {
        HostView(self.slot(tensor).clone(), PhantomData)
    }

    /// The numbers of a u32 tensor, or the packed words of a half-precision one.
    pub fn u32(&mut self, tensor: &Tensor) -> HostView<u32> {
        HostView(self.slot(tensor).clone(), PhantomData)
    }

    /// The numbers of an f32 tensor, for writing. Copies them if a view of them is still held.
    pub fn f32_mut(&mut self, tensor: &Tensor) -> &mut [f32] {
        bytemuck::cast_slice_mut(Arc::<Vec<u32>>::make_mut(self.slot(tensor)))
    }

    /// The numbers of a u32 tensor or the packed words of a half-precision one, for writing. Copies
    /// them if a view of them is still held.
    pub fn u32_mut(&mut self, tensor: &Tensor) -> &mut [u32] {
        Arc::<Vec<u32>>::make_mut(self.slot(tensor))
    }

    /// Replaces a tensor's numbers.
    #[track_caller]
    pub fn set(&mut self, tensor: &Tensor, words: Vec<u32>) {
        assert_eq!(words.len(), tensor.words(), "{}: wrong count", tensor.label());
        self.tensors.insert(tensor.id(), Arc::new(words));
    }
}
