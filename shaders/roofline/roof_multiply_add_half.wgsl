// v[k] = half(v[k] * p.factor + p.addend), UNROLL * p.rounds times, for CHAINS vectors that begin
// as x[lane] + k: how fast halves can be computed with, four to a register.
//
// y[lane] is their sum. With HALF the numbers are f16, which adapters need not have; else f32,
// rounded to halves after each step.
//
// Grid: x over texels of y, LANES a workgroup.
// Lane: owns a texel of x and y, and CHAINS vectors in registers.
// Reads: memory is touched twice a lane, by neighbouring lanes at neighbouring texels.
//% if HALF
alias Numbers = vec4<f16>;

fn numbers(v: vec4<f32>) -> Numbers {
    return vec4<f16>(v);
}

fn multiply_add(v: Numbers, factor: Numbers, addend: Numbers) -> Numbers {
    return v * factor + addend;
}
//% else
alias Numbers = vec4<f32>;

fn numbers(v: vec4<f32>) -> Numbers {
    return vec4<f32>(unpack2x16float(pack2x16float(v.xy)), unpack2x16float(pack2x16float(v.zw)));
}

fn multiply_add(v: Numbers, factor: Numbers, addend: Numbers) -> Numbers {
    return numbers(v * factor + addend);
}
//% endif

fn roof_multiply_add_half(invocation: vec3<u32>) {
    let lane = invocation.x;
    let x = load_x(lane);
    //% for k in range(CHAINS)
    var v{{ k }} = numbers(x + {{ k }}.0);
    //% endfor
    let factor = numbers(vec4<f32>(p.factor));
    let addend = numbers(vec4<f32>(p.addend));
    for (var round = 0u; round < p.rounds; round++) {
        //% for step in range(UNROLL)
        //% for k in range(CHAINS)
        v{{ k }} = multiply_add(v{{ k }}, factor, addend);
        //% endfor
        //% endfor
    }
    var sum = vec4<f32>();
    //% for k in range(CHAINS)
    sum += vec4<f32>(v{{ k }});
    //% endfor
    store_y(lane, sum);
}
