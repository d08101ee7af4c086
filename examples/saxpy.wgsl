// y = a * x + y: a shader of one's own for `kaiwu bench kernels --wgsl examples/saxpy.wgsl --set
// a=2 --operations 8388608`.
struct Numbers {
    a: f32,
}

override LANES: u32 = 64;

@group(0) @binding(0) var<uniform> numbers: Numbers;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn saxpy(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&y) {
        y[id.x] = numbers.a * x[id.x] + y[id.x];
    }
}
