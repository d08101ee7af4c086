// y[lane] from CHAINS numbers v[k] = v[k] * p.factor + p.addend, UNROLL * p.rounds times each, v[k]
// = x[lane] + k at first: how fast registers can be computed with. Component c of x and y belongs
// to the chains k with k % 4 = c. Grid: one workgroup of LANES lanes for each LANES texels of y.
// Memory is touched twice a lane, neighbours side by side.

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
