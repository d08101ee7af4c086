// C = alpha A op(B) (+ base), all f32, of a depth that is known when the shader is made. FORM names
// whether B is transposed:
//   nn: A [M, K], B [K, N]      nt: A [M, K], B [N, K]
//
// B stays in registers and A passes, which the literature calls weight-stationary (Chen, Emer and
// Sze 2016, Eyeriss, ISCA). A software adapter keeps B in its core's nearest cache and takes it
// from there as an operand of the products; nothing but the row goes through the loop. The sum of a
// single texel is two that take turns, so that neither waits for itself.
//
// Grid: x over 32 * TEXELS columns, y over TURNS rows.
// Lane: owns TEXELS texels, one or two of four columns each, of C and holds all of B that they
// need, DEPTH4 times four texels for each, while it walks through TURNS rows. Lane i loads the
// texels i, i + 8, … of a row of A, and the lanes share them through the subgroup.
// Reads: of B, and of C, eight neighbouring lanes read and write neighbouring texels, 128
// contiguous bytes (in nt eight rows of B, contiguous along K, a line of a cache each for four
// steps); of A they read 128 contiguous bytes.

fn gemm_stationary(workgroup: vec3<u32>, lane: u32) {
    // Parameters are read here, outside the loop: a software adapter reads them lane by lane where
    // lanes may have parted.
    let rows = p.rows;
    let columns4 = p.columns4;
    let alpha = p.alpha;
    let column = workgroup.x * {{ 8 * TEXELS }}u + lane; // in texels
    // b<row of B>_<texel>: 4 x DEPTH4 x TEXELS texels of B in registers, for all rows of A.
    //% for j in range(TEXELS)
    // Surplus columns repeat the last ones and store nothing.
    let own{{ j }} = min(column + {{ 8 * j }}u, columns4 - 1u);
    //% for k4 in range(DEPTH4)
    //% for k in range(4)
    //% if FORM == "nt"
    let w{{ 4 * k4 + k }}_{{ j }} = load_b(
        (4u * own{{ j }} + {{ k }}u) * {{ DEPTH4 }}u + {{ k4 }}u,
    );
    //% else
    let b{{ 4 * k4 + k }}_{{ j }} = load_b({{ 4 * k4 + k }}u * columns4 + own{{ j }});
    //% endif
    //% endfor
    //% if FORM == "nt"
    //% for k in range(4)
    let b{{ 4 * k4 + k }}_{{ j }} = vec4<f32>(
        w{{ 4 * k4 }}_{{ j }}[{{ k }}],
        w{{ 4 * k4 + 1 }}_{{ j }}[{{ k }}],
        w{{ 4 * k4 + 2 }}_{{ j }}[{{ k }}],
        w{{ 4 * k4 + 3 }}_{{ j }}[{{ k }}],
    );
    //% endfor
    //% endif
    //% endfor
    //% endfor

    let first = workgroup.y * {{ TURNS }}u;
    let last = min(first + {{ TURNS }}u, rows);
    for (var row = first; row < last; row++) {
        //% for i in range((DEPTH4 + 7) // 8)
        //% if 8 * i + 8 > DEPTH4
        let a{{ i }} = load_a(row * {{ DEPTH4 }}u + min({{ 8 * i }}u + lane, {{ DEPTH4 - 1 }}u));
        //% else
        let a{{ i }} = load_a(row * {{ DEPTH4 }}u + {{ 8 * i }}u + lane);
        //% endif
        //% endfor
        //% for j in range(TEXELS)
        //% for part in range(2 // TEXELS)
        var sum{{ part }}_{{ j }} = vec4<f32>();
        //% endfor
        //% endfor
        // sum<part>_<texel>: two sums, of two texels or of the two parts of one.
        //% for k4 in range(DEPTH4)
        {
            let x = subgroupBroadcast(a{{ k4 // 8 }}, {{ k4 % 8 }}u);
            //% set part = k4 % (2 // TEXELS)
            //% for k in range(4)
            //% for j in range(TEXELS)
            sum{{ part }}_{{ j }} = fma(
                b{{ 4 * k4 + k }}_{{ j }}, vec4<f32>(x[{{ k }}]), sum{{ part }}_{{ j }},
            );
            //% endfor
            //% endfor
        }
        //% endfor
        //% for j in range(TEXELS)
        if column + {{ 8 * j }}u < columns4 {
            let at = row * columns4 + own{{ j }};
            //% if TEXELS == 1
            let sum = sum0_{{ j }} + sum1_{{ j }};
            //% else
            let sum = sum0_{{ j }};
            //% endif
            //% if has_base
            store_c(at, fma(sum, vec4<f32>(alpha), load_base(at)));
            //% else
            store_c(at, alpha * sum);
            //% endif
        }
        //% endfor
    }
}
