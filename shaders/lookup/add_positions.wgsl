// y[t] = x[t] + W[step + t]: a learned vector for each position (Radford et al. 2019, GPT-2). A
// lane owns a texel of a token: neighbouring lanes read and write neighbouring texels, 512
// contiguous bytes of each. Grid: x over width4, 32 a workgroup; y over tokens.

fn add_positions(invocation: vec3<u32>) {
    if invocation.x >= p.width4 {
        return;
    }
    let at = invocation.y * p.width4 + invocation.x;
    let row = (load_step(0u).x + invocation.y) * p.width4 + invocation.x;
    store_y(at, load_x(at) + load_w(row));
}
