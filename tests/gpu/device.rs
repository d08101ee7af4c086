//! What the device layer promises beside right kernels: clear errors, and tensors larger than a
//! binding.

use crate::common::cases::can_store;
use crate::common::fake::{Fake, strategy};
use crate::common::open;
use kaiwu::Error;
use kaiwu::error::Remedy;
use kaiwu::format::{DType, blocks};
use kaiwu::gpu::{
    Device, Element, Gpu, GpuOptions, Needs, Operand, Program, Recording, StorageKind, Strategy,
    Tensor, TensorSpec,
};
use kaiwu::kernels::{Embed, Input, Matmul, Matrix, OwnedRows};
use kaiwu::workbench::Numbers;
use std::sync::Arc;

/// A kernel whose shader is whatever a test says.
fn written(y: &Tensor, source: &'static str, lanes: u32, grid: [u32; 3]) -> Fake {
    let needs = Needs::lanes(lanes);
    Fake::new("written", vec![Operand::write("y", y)]).with_strategies(vec![Strategy {
        needs,
        grid,
        ..strategy("written", source)
    }])
}

#[test]
fn a_kernel_that_does_not_compile_is_named() {
    let gpu = open(&GpuOptions { storage: Some(StorageKind::Buffer), ..GpuOptions::default() });
    let rows = [
        ("no entry point", "fn other() {}"),
        ("unknown function", "fn written() { store_z(0u, vec4<f32>()); }"),
        ("unknown parameter", "fn written(thread: u32) { store_y(thread, vec4<f32>()); }"),
        ("wrong type", "fn written() { store_y(0u, 1.0); }"),
        ("unknown template value", "fn written() { store_y({{ FIRST }}u, vec4<f32>()); }"),
    ];
    let rows = rows.map(|(what, source)| (what, source, 1));
    let lanes = ("too many lanes", "fn written() { store_y(0u, vec4<f32>()); }", 4096);
    for (what, source, lanes) in rows.into_iter().chain([lanes]) {
        let y = TensorSpec::new("y", &[4], Element::F32)
            .stored_as(StorageKind::Buffer)
            .make(&gpu)
            .unwrap();
        let mut recording = Recording::default();
        recording.push("test", written(&y, source, lanes, [1, 1, 1]));
        match Program::compile(&gpu, &recording).err() {
            Some(Error::Kernel { kernel, .. }) => {
                assert!(kernel.contains("written"), "{what}: named {kernel}")
            }
            other => panic!("{what}: expected a kernel error, got {other:?}"),
        }
    }
    gpu.check().unwrap();
}

#[test]
fn a_grid_beyond_what_every_adapter_takes_is_named() {
    let gpu = open(&GpuOptions { storage: Some(StorageKind::Buffer), ..GpuOptions::default() });
    let source = "fn written() { store_y(0u, vec4<f32>()); }";
    for (grid, fits) in [([65_535, 1, 1], true), ([1, 65_536, 1], false), ([1, 1, 1 << 17], false)]
    {
        let y = TensorSpec::new("y", &[4], Element::F32)
            .stored_as(StorageKind::Buffer)
            .make(&gpu)
            .unwrap();
        let mut recording = Recording::default();
        recording.push("test", written(&y, source, 1, grid));
        let message = Program::compile(&gpu, &recording).err().map(|error| error.to_string());
        assert_eq!(message.is_none(), fits, "{grid:?}: {message:?}");
        assert!(message.is_none_or(|text| text.contains("written") && text.contains("65535")));
    }
}

#[test]
fn errors_say_what_to_do() {
    let unknown = GpuOptions { adapter: Some("no such adapter".into()), ..GpuOptions::default() };
    let error = Gpu::open(&unknown).err().expect("there is no such adapter");
    assert!(error.to_string().contains("no such adapter"), "{error}");
    assert_eq!(error.remedy(), Some(Remedy::ListAdapters), "{error}");

    let storage = Some(StorageKind::Buffer);
    let gpu =
        open(&GpuOptions { storage, max_binding_bytes: Some(1 << 16), ..GpuOptions::default() });
    let device = Device::Gpu(gpu);
    let message = Tensor::zeros(&device, "big", &[1 << 15], Element::F32)
        .err()
        .map(|error| error.to_string());
    assert!(message.as_deref().is_some_and(|text| text.contains("big")), "{message:?}");
}

/// A table of 1000 rows in pieces of at most 64 KiB gives the same rows and products as in one
/// piece.
#[test]
fn matrices_beyond_the_binding_limit_are_split_by_rows() {
    let (rows, columns, tokens) = (1000, 256, 3);
    let mut numbers = Numbers::new(3);
    let bytes = blocks::quantise(DType::Q8_0, &numbers.floats(rows * columns, 0.3));
    let x_values = numbers.floats(tokens * columns, 1.0);
    let ids = [0u32, 255, 999, 0];
    for storage in [StorageKind::Buffer, StorageKind::Texture]
        .into_iter()
        .filter(|&storage| can_store(storage))
    {
        let mut results = vec![];
        for limit in [None, Some(1 << 16)] {
            let gpu = open(&GpuOptions {
                storage: Some(storage),
                max_binding_bytes: limit,
                ..GpuOptions::default()
            });
            let device = Device::Gpu(Arc::clone(&gpu));
            let source = Arc::new(OwnedRows::new(DType::Q8_0, columns, bytes.clone()));
            let w = Matrix::load(&device, "table", source).unwrap();
            assert_eq!(w.parts().len() > 1, limit.is_some());
            let x = Tensor::constant(&device, "x", &[tokens, columns], &x_values).unwrap();
            let y = Tensor::zeros(&device, "y", &[tokens, rows], Element::F32).unwrap();
            let embedded =
                Tensor::zeros(&device, "embedded", &[tokens, columns], Element::F32).unwrap();
            let id_tensor = Tensor::uniform(&device, "ids", ids.len()).unwrap();
            id_tensor.write(&gpu, 0, bytemuck::cast_slice(&ids));
            let mut recording = Recording::default();
            for part in w.parts() {
                let input = Input::plain(&x, tokens);
                recording
                    .push("y", Matmul { input, w: part.clone(), residual: None, y: y.clone() });
                let (ids, y) = (id_tensor.clone(), embedded.clone());
                recording.push("embedded", Embed { ids, w: part.clone(), y, tokens, scale: 1.0 });
            }
            Program::compile(&gpu, &recording).unwrap().run(&gpu);
            results.push((y.read_f32(&gpu).unwrap(), embedded.read_f32(&gpu).unwrap()));
        }
        assert!(results[0].0.iter().any(|&value| value != 0.0));
        assert_eq!(results[0], results[1], "{storage:?}");
    }
}

/// In buffers, in textures, and in textures that share their memory with buffers: parts that begin
/// and end within a row of a texture, at other places in both, and parts of whole rows.
#[test]
fn parts_of_a_tensor_that_grows_stay_whole() {
    for (storage, without_aliases) in
        [(StorageKind::Buffer, false), (StorageKind::Texture, true), (StorageKind::Texture, false)]
    {
        let gpu =
            open(&GpuOptions { storage: Some(storage), without_aliases, ..GpuOptions::default() });
        let device = Device::Gpu(gpu.clone());
        for (parts, part, room) in
            [(3, 320, 1600), (2, 1500, 2049), (5, 1, 3), (2, 3072, 4096), (4, 700, 700)]
        {
            let [from, to] = [part, room].map(|texels| {
                Tensor::zeros(&device, "grows", &[parts, texels, 4], Element::U32).unwrap()
            });
            let words: Vec<u32> = (1..=4 * (parts * part) as u32).collect();
            from.write(&gpu, 0, bytemuck::cast_slice(&words));
            from.copy_parts(&gpu, &to, parts);
            let mut expected = vec![0; 4 * parts * room];
            for (kept, whole) in words.chunks(4 * part).zip(expected.chunks_mut(4 * room)) {
                whole[..kept.len()].copy_from_slice(kept);
            }
            let right = to.read(&gpu).unwrap() == expected;
            assert!(
                right,
                "{parts} parts of {part} in {room}, {storage:?}, without aliases: {without_aliases}"
            );
        }
    }
}
