// y[t] = x[t] + W[step + t]: a learned vector for each position (Radford et al. 2019, GPT-2). A
// lane owns a texel of a token: neighbouring lanes read and write neighbouring texels, 512
// contiguous bytes of each. Grid: x over width4, 32 a workgroup; y over tokens.

@compute @workgroup_size(32)
fn add_positions(@builtin(global_invocation_id) global: vec3<u32>) {
    if global.x >= p.width4 {
        return;
    }
    let at = global.y * p.width4 + global.x;
    let row = (load_step(0u).x + global.y) * p.width4 + global.x;
    store_y(at, load_x(at) + load_w(row));
}
