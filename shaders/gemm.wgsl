// C = alpha * op(A) op(B) (+ base), all f32. FORM names which operand is transposed:
//   nn: A [M, K], B [K, N]      nt: A [M, K], B [N, K]      tn: A [K, M], B [K, N]
//
// A lane owns ROWS rows and four columns of C, all sums in registers, and takes four steps of K at once. The texels of
// A are the same for all lanes: with BROADCAST lane i loads texels i, i + 8, ... and the lanes share them through the
// subgroup, else every lane loads all. Texel q of A is row q of the tile in nn and nt; in tn it is four rows, q / 4, of
// step q mod 4.
//
// Grid: x over 32 columns, y over ROWS rows.

@compute @workgroup_size(8)
fn gemm(
    @builtin(workgroup_id) workgroup: vec3<u32>,
//% if BROADCAST
    @builtin(subgroup_invocation_id) lane: u32,
//% else
    @builtin(local_invocation_index) lane: u32,
//% endif
) {
    let row = workgroup.y * {{ ROWS }}u;
    let column = workgroup.x * 8u + lane; // in texels
    // Surplus rows and columns repeat the last ones and store nothing.
    let own = min(column, p.columns4 - 1u);
    //% for i in range(LOADS)
    let q{{ i }} = {{ 8 * i ~ "u + lane" if BROADCAST else i ~ "u" }};
    //% if FORM == "tn"
    let a_at{{ i }} = (q{{ i }} & 3u) * p.rows4 + min((row + q{{ i }}) >> 2u, p.rows4 - 1u);
    //% else
    let a_at{{ i }} = min(row + q{{ i }}, p.rows - 1u) * p.depth4;
    //% endif
    //% endfor
    //% for r in range(ROWS)
    var sum{{ r }} = vec4<f32>();
    //% endfor

    for (var k4 = 0u; k4 < p.depth4; k4++) {
        //% for i in range(LOADS)
        //% if FORM == "tn"
        var a{{ i }} = load_a(a_at{{ i }} + 4u * k4 * p.rows4);
        if 4u * k4 + (q{{ i }} & 3u) >= p.depth {
            a{{ i }} = vec4<f32>();
        }
        //% else
        let a{{ i }} = load_a(a_at{{ i }} + k4);
        //% endif
        //% endfor
        //% for k in range(4)
        //% if FORM == "nt"
        let w{{ k }} = load_b((own * 4u + {{ k }}u) * p.depth4 + k4);
        //% elif FORM == "tn"
        let b{{ k }} = load_b(min(4u * k4 + {{ k }}u, p.depth - 1u) * p.columns4 + own);
        //% else
        let b{{ k }} = load_b((4u * k4 + {{ k }}u) * p.columns4 + own);
        //% endif
        //% endfor
        //% if FORM == "nt"
        //% for k in range(4)
        let b{{ k }} = vec4<f32>(w0[{{ k }}], w1[{{ k }}], w2[{{ k }}], w3[{{ k }}]);
        //% endfor
        //% endif
        //% if FORM == "tn"
        //% for r4 in range(ROWS // 4)
        {
            //% for k in range(4)
            //% set q = 4 * r4 + k
            let x{{ k }} = {{ "subgroupBroadcast(a" ~ q // 8 ~ ", " ~ q % 8 ~ "u)" if BROADCAST else "a" ~ q }};
            //% endfor
            //% for c in range(4)
            //% for k in range(4)
            sum{{ 4 * r4 + c }} = fma(b{{ k }}, vec4<f32>(x{{ k }}[{{ c }}]), sum{{ 4 * r4 + c }});
            //% endfor
            //% endfor
        }
        //% endfor
        //% else
        //% for r in range(ROWS)
        {
            let x = {{ "subgroupBroadcast(a" ~ r // 8 ~ ", " ~ r % 8 ~ "u)" if BROADCAST else "a" ~ r }};
            //% for k in range(4)
            sum{{ r }} = fma(b{{ k }}, vec4<f32>(x[{{ k }}]), sum{{ r }});
            //% endfor
        }
        //% endfor
        //% endif
    }

    if column >= p.columns4 {
        return;
    }
    //% for r in range(ROWS)
    if row + {{ r }}u < p.rows {
        let at = (row + {{ r }}u) * p.columns4 + own;
        //% if has_base
        store_c(at, fma(sum{{ r }}, vec4<f32>(p.alpha), load_base(at)));
        //% else
        store_c(at, p.alpha * sum{{ r }});
        //% endif
    }
    //% endfor
}
