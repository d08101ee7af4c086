// C = alpha op(A) op(B) (+ base), all f32. FORM names which operand is transposed:
//   nn: A [M, K], B [K, N]      nt: A [M, K], B [N, K]      tn: A [K, M], B [K, N]
//
// With BROADCAST lane i loads the texels i, i + 8, … of A, and the lanes share them through the
// subgroup; else every lane loads all. Texel q of A is row q of the tile in nn and nt; in tn it is
// four rows, q / 4, of step q mod 4. With RAGGED, only in tn, the depth is no multiple of four.
//
// Grid: x over 32 * TEXELS columns, y over ROWS rows.
// Lane: owns ROWS rows and TEXELS texels, of four columns each, of C, all sums in registers, and
// takes four steps of K at once, STEPS times in a turn of the loop.
// Reads: of B, and of C, eight neighbouring lanes read and write neighbouring texels, 128
// contiguous bytes (in nt eight rows of B, contiguous along K, a line of a cache each for two
// steps); of A a texel serves all lanes at once.

fn gemm(workgroup: vec3<u32>, lane: u32) {
    let row = workgroup.y * {{ ROWS }}u;
    let column = workgroup.x * {{ 8 * TEXELS }}u + lane; // in texels
    // Surplus rows and columns repeat the last ones and store nothing. Parameters are read here,
    // outside the loop: a software adapter reads them lane by lane where lanes may have parted.
    let columns4 = p.columns4;
    let depth4 = p.depth4;
    //% if FORM == "tn"
    let rows4 = p.rows4;
    let depth = p.depth;
    //% endif
    //% for i in range(LOADS)
    //% if BROADCAST
    let q{{ i }} = {{ 8 * i }}u + lane;
    //% else
    let q{{ i }} = {{ i }}u;
    //% endif
    //% if FORM == "tn"
    var a_at{{ i }} = (q{{ i }} & 3u) * rows4 + min((row + q{{ i }}) >> 2u, rows4 - 1u);
    //% else
    var a_at{{ i }} = min(row + q{{ i }}, p.rows - 1u) * depth4;
    //% endif
    //% endfor
    //% for j in range(TEXELS)
    let own{{ j }} = min(column + {{ 8 * j }}u, columns4 - 1u);
    //% if FORM == "nt"
    var b_at{{ j }} = own{{ j }} * 4u * depth4;
    //% else
    var b_at{{ j }} = own{{ j }};
    //% endif
    //% for r in range(ROWS)
    var sum{{ r }}_{{ j }} = vec4<f32>();
    //% endfor
    //% endfor

    // sum<row>_<texel>: ROWS x TEXELS x 4 sums in registers. A step takes four columns of A,
    // a<load>, and four rows of B, b<row>_<texel>.
    for (var k4 = 0u; k4 < depth4; k4 += {{ STEPS }}u) {
        //% for s in range(STEPS)
        {
            //% for i in range(LOADS)
            //% if RAGGED
            let a{{ i }} = select(
                load_a(a_at{{ i }}),
                vec4<f32>(),
                4u * (k4 + {{ s }}u) + (q{{ i }} & 3u) >= depth,
            );
            //% else
            let a{{ i }} = load_a(a_at{{ i }});
            //% endif
            //% endfor
            //% for j in range(TEXELS)
            //% for k in range(4)
            //% if FORM == "nt"
            let w{{ k }}_{{ j }} = load_b(b_at{{ j }} + {{ k }}u * depth4);
            //% elif RAGGED
            let b{{ k }}_{{ j }} = load_b(
                min(4u * (k4 + {{ s }}u) + {{ k }}u, depth - 1u) * columns4 + own{{ j }},
            );
            //% else
            let b{{ k }}_{{ j }} = load_b(b_at{{ j }} + {{ k }}u * columns4);
            //% endif
            //% endfor
            //% if FORM == "nt"
            //% for k in range(4)
            let b{{ k }}_{{ j }} = vec4<f32>(
                w0_{{ j }}[{{ k }}], w1_{{ j }}[{{ k }}], w2_{{ j }}[{{ k }}], w3_{{ j }}[{{ k }}],
            );
            //% endfor
            //% endif
            //% endfor
            //% if FORM == "tn"
            //% for r4 in range(ROWS // 4)
            {
                //% for k in range(4)
                //% set q = 4 * r4 + k
                //% if BROADCAST
                let x{{ k }} = subgroupBroadcast(a{{ q // 8 }}, {{ q % 8 }}u);
                //% else
                let x{{ k }} = a{{ q }};
                //% endif
                //% endfor
                //% for c in range(4)
                //% set r = 4 * r4 + c
                //% for j in range(TEXELS)
                //% for k in range(4)
                sum{{ r }}_{{ j }} = fma(
                    b{{ k }}_{{ j }}, vec4<f32>(x{{ k }}[{{ c }}]), sum{{ r }}_{{ j }},
                );
                //% endfor
                //% endfor
                //% endfor
            }
            //% endfor
            //% else
            //% for r in range(ROWS)
            {
                //% if BROADCAST
                let x = subgroupBroadcast(a{{ r // 8 }}, {{ r % 8 }}u);
                //% else
                let x = a{{ r }};
                //% endif
                //% for j in range(TEXELS)
                //% for k in range(4)
                sum{{ r }}_{{ j }} = fma(
                    b{{ k }}_{{ j }}, vec4<f32>(x[{{ k }}]), sum{{ r }}_{{ j }},
                );
                //% endfor
                //% endfor
            }
            //% endfor
            //% endif
            //% for i in range(LOADS)
            //% if FORM == "tn"
            a_at{{ i }} += 4u * rows4;
            //% else
            a_at{{ i }} += 1u;
            //% endif
            //% endfor
            //% for j in range(TEXELS)
            //% if FORM == "nt"
            b_at{{ j }} += 1u;
            //% else
            b_at{{ j }} += 4u * columns4;
            //% endif
            //% endfor
        }
        //% endfor
    }

    //% for j in range(TEXELS)
    if column + {{ 8 * j }}u < p.columns4 {
        //% for r in range(ROWS)
        if row + {{ r }}u < p.rows {
            let at = (row + {{ r }}u) * p.columns4 + own{{ j }};
            //% if has_base
            store_c(at, fma(sum{{ r }}_{{ j }}, vec4<f32>(p.alpha), load_base(at)));
            //% else
            store_c(at, p.alpha * sum{{ r }}_{{ j }});
            //% endif
        }
        //% endfor
    }
    //% endfor
}
