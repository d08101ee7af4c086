//! Someone's own WGSL: what it binds is read from its text, and what cannot be bound is an error that says so.

use kaiwu::gpu::{Gpu, GpuOptions, Program, Resource, Samples};
use kaiwu::workbench::{Fill, Size, SlotKind, Wish, prepare, reflect};

const SAXPY: &str = include_str!("../examples/saxpy.wgsl");

const TEXTURES: &str = "
@group(0) @binding(3) var src: texture_2d<f32>;
@group(1) @binding(0) var dst: texture_storage_2d<rgba8unorm, write>;
@group(1) @binding(1) var smooth_: sampler;
@group(2) @binding(0) var<storage, read> unused: array<f32>;
@compute @workgroup_size(8, 4) fn sample(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = (vec2<f32>(id.xy) + 0.5) / vec2<f32>(textureDimensions(dst));
    textureStore(dst, id.xy, textureSampleLevel(src, smooth_, at, 0.0));
}";

/// A shader with one variable, and a use of it.
fn with(variable: &str, usage: &str) -> String {
    format!(
        "{variable}\n@group(0) @binding(9) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(8) fn f() {{ {usage} }}"
    )
}

fn bytes(name: &str, bytes: u64) -> Wish {
    Wish { name: name.into(), size: Size::Bytes(bytes), fill: None }
}

fn set(name: &str, value: f64) -> Vec<(String, f64)> {
    vec![(name.into(), value)]
}

#[test]
fn bindings_are_read_sized_and_filled() {
    let interface = reflect(SAXPY, None, &set("LANES", 128.0)).unwrap();
    assert_eq!((&*interface.entry, interface.workgroup), ("saxpy", [128, 1, 1]));
    let names: Vec<_> =
        interface.slots.iter().map(|slot| (slot.group, slot.binding, slot.name.as_str())).collect();
    assert_eq!(names, [(0, 0, "numbers"), (0, 1, "x"), (0, 2, "y")]);

    let wishes = [bytes("x", 4096), Wish { fill: Some(Fill::Count), ..bytes("y", 4096) }];
    let call = prepare(&interface, &wishes, &set("numbers.a", 2.0), None, 1 << 20).unwrap();
    assert_eq!(call.grid, [2, 1, 1]);
    // The uniform and x are read, y is read and written.
    assert_eq!((call.cost.read, call.cost.written), (4 + 4096 + 4096, 4096));
    let Resource::Uniform(numbers) = &call.bound[0].resource else { panic!("{call:?}") };
    assert_eq!(numbers[..], 2f32.to_le_bytes());
    let Resource::Storage(y) = &call.bound[2].resource else { panic!("{call:?}") };
    assert_eq!(y[4 * 700..][..4], 700u32.to_le_bytes());

    let interface = reflect(TEXTURES, None, &[]).unwrap();
    assert_eq!(interface.slots.len(), 3, "what is not used is not bound");
    assert!(matches!(
        interface.slots[0].kind,
        SlotKind::Texture { samples: Samples::Float, dimension: 2, layered: false }
    ));
    let wish = Wish { name: "dst".into(), size: Size::Texels([100, 30, 1]), fill: None };
    let call = prepare(&interface, &[wish], &[], None, 1 << 30).unwrap();
    assert_eq!((call.grid, call.cost.written), ([13, 8, 1], 100 * 30 * 4));
}

#[test]
fn what_is_bound_runs() {
    let gpu = Gpu::open(&GpuOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    for (text, wishes) in [
        (SAXPY.to_owned(), vec![bytes("x", 4096), bytes("y", 4096)]),
        (TEXTURES.to_owned(), vec![]),
        (with("@group(3) @binding(0) var<uniform> n: vec4<f32>;", "y[0] = n.x;"), vec![]),
        (
            with(
                "@group(1) @binding(2) var t: texture_storage_3d<r32float, write>;",
                "textureStore(t, vec3<u32>(), vec4<f32>());",
            ),
            vec![],
        ),
        (
            with("@group(0) @binding(2) var t: texture_depth_2d;", "y[0] = textureLoad(t, vec2<u32>(), 0);"),
            vec![],
        ),
        (
            with(
                "@group(0) @binding(2) var t: texture_2d_array<u32>;",
                "y[0] = f32(textureLoad(t, vec2<u32>(), 0, 0).x);",
            ),
            vec![],
        ),
        (
            with("@group(0) @binding(2) var<storage, read_write> n: atomic<u32>;", "atomicAdd(&n, 1u);"),
            vec![],
        ),
    ] {
        let interface = reflect(&text, None, &[]).unwrap();
        let call = prepare(&interface, &wishes, &[], None, gpu.capabilities().max_binding_bytes).unwrap();
        let program = Program::from_wgsl(&gpu, &text, &call.entry, &call.constants, &call.bound, call.grid)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let seconds = program.profile(&gpu).unwrap();
        assert!(seconds.len() == 1 && seconds[0] >= 0.0);
        gpu.check().unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn what_cannot_be_bound_is_said() {
    let two = "@compute @workgroup_size(1) fn a() {} @compute @workgroup_size(1) fn b() {}";
    for (text, entry, message) in [
        ("fn f() {".to_owned(), None, "the shader is refused"),
        ("fn f() {}".to_owned(), None, "no compute entry point"),
        (two.to_owned(), None, "--entry a or --entry b"),
        (two.to_owned(), Some("c"), "no compute entry point \"c\""),
        (with("var<immediate> n: f32;", "y[0] = n;"), None, "n cannot be bound: immediates"),
        (
            with(
                "enable wgpu_binding_array; @group(0) @binding(0) var t: binding_array<texture_2d<f32>, 4>;",
                "y[0] = textureLoad(t[0], vec2<u32>(), 0).x;",
            ),
            None,
            "t cannot be bound: arrays of bindings",
        ),
        (
            with(
                "@group(0) @binding(0) var t: texture_multisampled_2d<f32>;",
                "y[0] = textureLoad(t, vec2<u32>(), 0).x;",
            ),
            None,
            "t cannot be bound: multisampled",
        ),
        (with("override N: u32;", "y[0] = f32(N);"), None, "--set NAME=VALUE"),
    ] {
        let error = reflect(&text, entry, &[]).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }

    let interface = reflect(SAXPY, None, &[]).unwrap();
    let texels = |name: &str| Wish { name: name.into(), size: Size::Texels([8, 8, 1]), fill: None };
    for (wish, numbers, message) in [
        (bytes("z", 16), vec![], "binds no \"z\", but numbers, x, y"),
        (bytes("x", 8), vec![], "at least 16 bytes"),
        (bytes("x", 1 << 21), vec![], "binds at most 1048576"),
        (texels("x"), vec![], "64MiB"),
        (bytes("numbers", 64), vec![], "its size is 4 bytes"),
        (bytes("x", 16), set("b", 1.0), "\"b\" to set, but LANES, a, numbers.a"),
    ] {
        let error = prepare(&interface, &[wish], &numbers, None, 1 << 20).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let few = reflect(SAXPY, None, &set("LANES", 1.0)).unwrap();
    let error = prepare(&few, &[bytes("y", 1 << 24)], &[], None, 1 << 24).unwrap_err().to_string();
    assert!(error.contains("1048576 workgroups of 1 lanes"), "{error}");
}
