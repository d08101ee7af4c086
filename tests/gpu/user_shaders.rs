//! Someone's own WGSL: what it binds is read from its text, and what cannot be bound is an error
//! that says so.

use crate::common;
use crate::common::program::run;
use kaiwu::gpu::{Gpu, GpuOptions, Resource, Samples, UserShader};
use kaiwu::workbench::{Fill, Size, SlotKind, Wish, prepare, reflect};

const SAXPY: &str = include_str!("../../examples/saxpy.wgsl");

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

    let overrides = [bytes("x", 4096), Wish { fill: Some(Fill::Count), ..bytes("y", 4096) }];
    let call = prepare(&interface, &overrides, &set("numbers.a", 2.0), None, 1 << 20).unwrap();
    assert_eq!(call.grid, [2, 1, 1]);
    assert_eq!((call.bytes, &call.zeros[..]), (4 + 4096 + 4096, &[][..]));
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
    assert_eq!((call.grid, call.bytes), ([13, 8, 1], 100 * 30 * 4 + 1024 * 1024 * 4));
}

#[test]
fn what_is_bound_runs() {
    let gpu = Gpu::open(&GpuOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    for (text, overrides) in [
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
            with(
                "@group(0) @binding(2) var t: texture_depth_2d;",
                "y[0] = textureLoad(t, vec2<u32>(), 0);",
            ),
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
            with(
                "@group(0) @binding(2) var<storage, read_write> n: atomic<u32>;",
                "atomicAdd(&n, 1u);",
            ),
            vec![],
        ),
    ] {
        let interface = reflect(&text, None, &[]).unwrap();
        let call = prepare(&interface, &overrides, &[], None, gpu.capabilities().max_binding_bytes)
            .unwrap();
        let program =
            UserShader::compile(&gpu, &text, &call.entry, &call.constants, &call.bound, call.grid)
                .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(program.run(&gpu).unwrap() >= 0.0);
        gpu.check().unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn what_cannot_be_bound_is_said() {
    let two = "@compute @workgroup_size(1) fn a() {} @compute @workgroup_size(1) fn b() {}";
    for (text, entry, message) in [
        ("fn f() {".to_owned(), None, "the shader is refused"),
        ("fn f() {}".to_owned(), None, "no compute entry point"),
        (two.to_owned(), None, "there are several entry points: a, b"),
        (two.to_owned(), Some("c"), "no compute entry point \"c\""),
        (
            with("var<push_constant> n: f32;", "y[0] = n;"),
            None,
            "var<push_constant> is called var<immediate> now",
        ),
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
        (
            with(
                "override N: u32; @id(7) override LANES: u32; override M = 2u;",
                "y[0] = f32(N + LANES + M);",
            ),
            None,
            "no default: N, LANES (@id(7))",
        ),
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
        (
            Wish { size: Size::Contents(vec![0; 5]), ..bytes("numbers", 5) },
            vec![],
            "its size is 4 bytes",
        ),
        (bytes("x", 16), set("b", 1.0), "\"b\" to set, but LANES, numbers.a"),
    ] {
        let error = prepare(&interface, &[wish], &numbers, None, 1 << 20).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let few = reflect(SAXPY, None, &set("LANES", 1.0)).unwrap();
    let error = prepare(&few, &[bytes("y", 1 << 24)], &[], None, 1 << 24).unwrap_err().to_string();
    assert!(error.contains("1048576 workgroups of 1 lanes"), "{error}");
}

/// Runs `text` with `settings` and everything else by default, and gives what `y` holds after one
/// run.
fn y_after(gpu: &Gpu, text: &str, settings: &[(&str, f64)], overrides: &[Wish]) -> Vec<f32> {
    let settings: Vec<_> = settings.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    let interface =
        reflect(text, None, &settings).unwrap_or_else(|error| panic!("{text}: {error}"));
    let call = prepare(&interface, overrides, &settings, None, 1 << 24).unwrap();
    let program =
        UserShader::compile(gpu, text, &call.entry, &call.constants, &call.bound, call.grid)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    program.run(gpu).unwrap();
    bytemuck::pod_collect_to_vec(&program.read(gpu, "y").unwrap())
}

fn with_immediates() -> std::sync::Arc<Gpu> {
    Gpu::open(&GpuOptions { immediates: true, ..GpuOptions::default() })
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn numbers_arrive_by_name_by_number_and_in_vectors() {
    let gpu = with_immediates();
    let uniform = "struct Inner { v: vec2<u32>, m: mat2x3<f32> }
        struct N { a: f32, middle: vec3<f32>, inner: array<Inner, 2> }
        @group(0) @binding(1) var<uniform> n: N;";
    let four = [bytes("y", 16)];
    for (text, settings, expected) in [
        (
            with(
                "@id(7) override LANES: u32; override b: bool; override g = 1.5;",
                "y[0] = f32(LANES); y[1] = select(0.0, 1.0, b); y[2] = g; y[3] = 0.0;",
            ),
            &[("7", 64.0), ("b", 1.0)][..],
            [64.0, 1.0, 1.5, 0.0],
        ),
        (
            with(
                "@id(7) override LANES: u32; override g: f32;",
                "y[0] = f32(LANES); y[1] = g; y[2] = 0.0; y[3] = 0.0;",
            ),
            &[("LANES", 3.0), ("g", -0.25)],
            [3.0, -0.25, 0.0, 0.0],
        ),
        (
            with(
                uniform,
                "y[0] = n.a; y[1] = n.middle.z; y[2] = f32(n.inner[1].v.y); y[3] = n.inner[1].m[1].z;",
            ),
            &[("a", 0.5), ("n.middle.z", 3.0), ("inner[1].v.y", 7.0), ("n.inner[1].m[1].z", 9.0)],
            [0.5, 3.0, 7.0, 9.0],
        ),
        (
            with(
                "struct N { a: f32, v: vec2<i32> } var<immediate> n: N;",
                "y[0] = n.a; y[1] = f32(n.v.x); y[2] = f32(n.v.y); y[3] = 4.0;",
            ),
            &[("a", 2.0), ("v.y", -3.0)],
            [2.0, 0.0, -3.0, 4.0],
        ),
    ] {
        assert_eq!(y_after(&gpu, &text, settings, &four), expected, "{text}");
    }

    let text = with(
        &format!(
            "{uniform} @id(7) override LANES: u32; override s: i32 = 1; override b = true; override g = 1.0;"
        ),
        "y[0] = n.a + f32(n.inner[0].v.x) + f32(LANES) + f32(s) + g + select(0.0, 1.0, b);",
    );
    let tried = |name: &str, value: f64| {
        let settings = [set("7", 1.0), set(name, value)].concat();
        let interface = reflect(&text, None, &settings)?;
        prepare(&interface, &[], &settings, None, 1 << 24)
    };
    for (name, value, message) in [
        ("LANES", 1.5, "LANES (@id(7)) cannot be 1.5: it is an integer without sign"),
        ("7", -1.0, "from 0 to 4294967295"),
        ("s", 2147483648.0, "from -2147483648 to 2147483647"),
        ("b", 2.0, "true or false"),
        ("g", f64::NAN, "no finite number"),
        ("g", 1e39, "the largest f32"),
        ("a", f64::INFINITY, "n.a cannot be inf"),
        ("inner[0].v.x", 0.5, "n.inner[0].v.x cannot be 0.5"),
        ("8", 1.0, "no number \"8\" to set, but LANES, s, b, g, n.a, n.middle.x"),
    ] {
        let error = tried(name, value).unwrap_err().to_string();
        assert!(error.contains(message), "{name}={value}: {error}");
    }
    assert_eq!(tried("a", 1.0).unwrap().zeros[..3], ["n.middle.x", "n.middle.y", "n.middle.z"]);
}

#[test]
fn subgroups_are_enabled_where_the_adapter_has_them() {
    let text = "enable subgroups;\n".to_owned() + &with("", "y[0] = subgroupAdd(1.0);");
    let gpu = with_immediates();
    assert!(y_after(&gpu, &text, &[], &[bytes("y", 4)])[0] >= 1.0);
    let without =
        Gpu::open(&GpuOptions { without_subgroups: true, ..GpuOptions::default() }).unwrap();
    let immediate = with("var<immediate> n: f32;", "y[0] = n;");
    for (text, lacks) in [(&text, "subgroups"), (&immediate, "immediates")] {
        let interface = reflect(text, None, &[]).unwrap();
        let call = prepare(&interface, &[], &[], None, 1 << 24).unwrap();
        let error = UserShader::compile(
            &without,
            text,
            &call.entry,
            &call.constants,
            &call.bound,
            call.grid,
        );
        let error = error.err().unwrap().to_string();
        assert!(error.contains(&format!("needs {lacks}, which")), "{error}");
    }
}

#[test]
fn layers_are_written_and_read_back() {
    let gpu = with_immediates();
    let text = "@group(0) @binding(0) var y: texture_storage_2d_array<r32float, write>;
        @compute @workgroup_size(4, 2) fn f(@builtin(global_invocation_id) id: vec3<u32>) {
            textureStore(y, id.xy, id.z, vec4<f32>(f32(id.x + 10u * id.y + 100u * id.z)));
        }";
    let wish = Wish { name: "y".into(), size: Size::Texels([5, 3, 2]), fill: None };
    let found = y_after(&gpu, text, &[], &[wish]);
    let expected: Vec<f32> =
        (0..30).map(|at| (at % 5 + 10 * (at / 5 % 3) + 100 * (at / 15)) as f32).collect();
    assert_eq!(found, expected);
}

#[test]
fn grids_have_the_axes_of_their_workgroups() {
    for (lanes, elements, grid) in [
        ("64", 1000, [16, 1, 1]),
        ("16, 16", 65536, [16, 16, 1]),
        ("16, 16", 65537, [17, 17, 1]),
        ("1, 32", 100, [1, 4, 1]),
        ("4, 4, 4", 4097, [5, 5, 5]),
        ("8, 1, 2", 100, [2, 1, 5]),
        ("1", 7, [7, 1, 1]),
    ] {
        let text = format!(
            "@group(0) @binding(0) var<storage, read_write> y: array<f32>; @compute @workgroup_size({lanes}) fn f() {{ y[0] = 1.0; }}"
        );
        let interface = reflect(&text, None, &[]).unwrap();
        let call = prepare(&interface, &[bytes("y", 4 * elements)], &[], None, 1 << 24).unwrap();
        assert_eq!(call.grid, grid, "{lanes} lanes, {elements} elements");
    }
}

#[test]
fn what_a_shader_wrote_comes_back_after_one_run() {
    let saxpy = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/saxpy.wgsl");
    let folder = common::Folder::new("dump");
    let file = |name: &str| folder.0.join(name).display().to_string();
    std::fs::write(file("ones"), 1f32.to_le_bytes().repeat(8)).unwrap();
    std::fs::write(file("twos"), 2f32.to_le_bytes().repeat(8)).unwrap();
    let [x, y] =
        [("x", "ones"), ("y", "twos")].map(|(name, from)| format!("{name}=@{}", file(from)));
    let given = ["bench", "kernels", "--wgsl", saxpy, "--bind", &x, "--bind", &y, "--set", "a=3"];
    let dumps = ["y.json", "y.npy", "y.bin"].map(|name| format!("y={}", file(name)));
    let ran =
        run(&[&given[..], &["--dump", &dumps[0], "--dump", &dumps[1], "--dump", &dumps[2]]]
            .concat());
    assert!(
        ran.code == 0 && ran.err.contains("y after one run: 8 numbers of f32 [2, 4] in"),
        "{ran:?}"
    );
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    assert_eq!(
        read("y.json"),
        b"{\"type\":\"f32\",\"shape\":[2,4],\"data\":[5.0,5.0,5.0,5.0,5.0,5.0,5.0,5.0]}\n"
    );
    let five = 5f32.to_le_bytes().repeat(8);
    assert!(
        read("y.bin") == five
            && read("y.npy").ends_with(&five)
            && read("y.npy").starts_with(b"\x93NUMPY")
    );
    let nowhere = format!("y={}", file("nowhere/y.npy"));
    let ran = run(&[&given[..], &["--dump", &nowhere]].concat());
    assert!(ran.code == 1 && ran.err.contains("cannot write"), "{ran:?}");
}

#[test]
fn a_shader_that_never_ends_is_given_up() {
    let endless = common::TempFile::new(
        "endless.wgsl",
        b"@group(0) @binding(0) var<storage, read_write> y: array<atomic<u32>>;
        @compute @workgroup_size(64) fn wait() { while (atomicLoad(&y[0]) != 7u) {} }",
    );
    let start = std::time::Instant::now();
    let path = endless.0.to_str().unwrap();
    let ran = run(&["bench", "kernels", "--wgsl", path, "--grid", "65535", "--timeout", "2"]);
    assert!(
        ran.code == 1 && ran.err.contains("a run did not end in 2 s: a loop in it may never end"),
        "{ran:?}"
    );
    assert!(ran.out.is_empty() && start.elapsed() < std::time::Duration::from_secs(60));
}
