// y[t] = x[t] + W[step + t]: a learned vector for each position (Radford et al. 2019, GPT-2).
//
// Grid: x over texels of a token, 32 a workgroup; y over tokens.
// Lane: owns a texel of a token.
// Reads: neighbouring lanes read and write neighbouring texels, 512 contiguous bytes of each
// operand.

fn add_positions(invocation: vec3<u32>) {
    if invocation.x >= p.width4 {
        return;
    }
    let at = invocation.y * p.width4 + invocation.x;
    let row = (load_step(0u).x + invocation.y) * p.width4 + invocation.x;
    store_y(at, load_x(at) + load_w(row));
}
