// v[k] = v[k] * p.factor + p.addend, UNROLL * p.rounds times, for CHAINS numbers that begin as
// x[lane] + k: how fast registers can be computed with.
//
// y[lane] is their sum. Component c of x and y belongs to the chains k with k mod 4 = c.
//
// Grid: x over texels of y, LANES a workgroup.
// Lane: owns a texel of x and y, and CHAINS numbers in registers.
// Reads: memory is touched twice a lane, by neighbouring lanes at neighbouring texels.

fn roof_multiply_add(invocation: vec3<u32>) {
    let lane = invocation.x;
    let x = load_x(lane);
    //% for k in range(CHAINS)
    var v{{ k }} = x[{{ k % 4 }}] + {{ k }}.0;
    //% endfor
    let factor = p.factor;
    let addend = p.addend;
    for (var round = 0u; round < p.rounds; round++) {
        //% for step in range(UNROLL)
        //% for k in range(CHAINS)
        v{{ k }} = v{{ k }} * factor + addend;
        //% endfor
        //% endfor
    }
    var sum = vec4<f32>();
    //% for k in range(CHAINS)
    sum[{{ k % 4 }}] += v{{ k }};
    //% endfor
    store_y(lane, sum);
}
