// C = alpha op(A) op(B) (+ base), as in gemm.wgsl, for GPUs: in tiles of ROWS rows and 64 columns.
//
// A tile walks over the depth 32 steps at a time. Both operands' steps are staged in workgroup
// memory, then each lane multiplies its 8 rows by its 4 columns. Steps beyond the depth are zeros
// in both tiles. Surplus rows and columns repeat the last ones and store nothing.
//
// Workgroup memory: 8 KiB, and 128 bytes a row.
//
// Grid: x over 64 columns, y over ROWS rows.
// Lane: y * 16 + x owns texel x of the tile's columns and the rows y, y + ROWS / 8, …; in tn, where
// a texel of A is four rows, the texels y and y + ROWS / 8.
// Reads:
//   A      nn and nt, [M, K]: eight lanes read 128 contiguous bytes of a row; tn, [K, M]: lanes
//          read the texels of a step of K side by side, 128 or 256 contiguous bytes.
//   B      nn and tn, [K, N]: sixteen lanes read 256 contiguous bytes of a step of K; nt, [N, K]:
//          eight lanes read 128 contiguous bytes of a column, four columns each, and turn them in
//          registers into four steps of K.
//   tiles  `right` is [step][texel ^ step / 4]: sixteen lanes read sixteen different texels of a
//          step, and eight lanes that turned one texel of columns write eight different ones.
//          `left` is [row][texel ^ row] in nn and nt, so that the few rows which lanes read at
//          once, sixteen lanes one texel, are in different banks; in tn it is [step][texel of
//          rows].
//   C      sixteen lanes write 256 contiguous bytes of a row.

const ROWS: u32 = {{ ROWS }}u;
const LANES: u32 = 2u * ROWS;
const APART: u32 = ROWS / 8u; // rows of a lane, or texels of rows
var<workgroup> left: array<vec4<f32>, 8u * ROWS>;
var<workgroup> right: array<vec4<f32>, 512>;

fn right_at(step: u32, column: u32) -> u32 {
    return step * 16u + (column ^ (step >> 2u));
}

fn gemm_workgroup_tile(workgroup: vec3<u32>, lane: u32) {
    let x = lane & 15u;
    let y = lane >> 4u;
    let first_row = workgroup.y * ROWS;
    let first_column = workgroup.x * 16u; // in texels
    //% for r in range(8)
    var sum{{ r }} = vec4<f32>();
    //% endfor

    for (var start = 0u; start < p.depth; start += 32u) {
        //% if FORM == "tn"
        for (var task = lane; task < 8u * ROWS; task += LANES) {
            let step = start + task / (ROWS / 4u);
            let row4 = min((first_row >> 2u) + task % (ROWS / 4u), p.rows4 - 1u);
            let a = load_a(min(step, p.depth - 1u) * p.rows4 + row4);
            left[task] = select(vec4<f32>(), a, step < p.depth);
        }
        //% else
        for (var task = lane; task < 8u * ROWS; task += LANES) {
            let k4 = (start >> 2u) + (task & 7u);
            let row = task >> 3u;
            let a = load_a(min(first_row + row, p.rows - 1u) * p.depth4 + min(k4, p.depth4 - 1u));
            left[row * 8u + ((task ^ row) & 7u)] = select(vec4<f32>(), a, k4 < p.depth4);
        }
        //% endif
        //% if FORM == "nt"
        for (var task = lane; task < 128u; task += LANES) {
            let k4 = (start >> 2u) + (task & 7u);
            let column4 = task >> 3u;
            let column = 4u * min(first_column + column4, p.columns4 - 1u);
            let at = column * p.depth4 + min(k4, p.depth4 - 1u);
            var b = transpose(mat4x4<f32>(
                load_b(at),
                load_b(at + p.depth4),
                load_b(at + 2u * p.depth4),
                load_b(at + 3u * p.depth4),
            ));
            if k4 >= p.depth4 {
                b = mat4x4<f32>();
            }
            let step = 4u * (task & 7u);
            //% for k in range(4)
            right[right_at(step + {{ k }}u, column4)] = b[{{ k }}];
            //% endfor
        }
        //% else
        for (var task = lane; task < 512u; task += LANES) {
            let step = start + (task >> 4u);
            let column4 = min(first_column + (task & 15u), p.columns4 - 1u);
            let b = load_b(min(step, p.depth - 1u) * p.columns4 + column4);
            right[right_at(task >> 4u, task & 15u)] = select(vec4<f32>(), b, step < p.depth);
        }
        //% endif
        workgroupBarrier();
        // sum<row>: 8 rows x 4 columns of sums in registers.
        for (var k4 = 0u; k4 < 8u; k4++) {
            //% for k in range(4)
            let b{{ k }} = right[right_at(4u * k4 + {{ k }}u, x)];
            //% endfor
            //% if FORM == "tn"
            //% for k in range(4)
            {
                let low = left[(4u * k4 + {{ k }}u) * (ROWS / 4u) + y];
                let high = left[(4u * k4 + {{ k }}u) * (ROWS / 4u) + y + APART];
                //% for c in range(4)
                sum{{ c }} = fma(b{{ k }}, vec4<f32>(low[{{ c }}]), sum{{ c }});
                sum{{ 4 + c }} = fma(b{{ k }}, vec4<f32>(high[{{ c }}]), sum{{ 4 + c }});
                //% endfor
            }
            //% endfor
            //% else
            //% for r in range(8)
            {
                let row = y + {{ r }}u * APART;
                let a = left[row * 8u + ((k4 ^ row) & 7u)];
                //% for k in range(4)
                sum{{ r }} = fma(b{{ k }}, vec4<f32>(a[{{ k }}]), sum{{ r }});
                //% endfor
            }
            //% endfor
            //% endif
        }
        workgroupBarrier();
    }

    let column = first_column + x;
    if column < p.columns4 {
        //% for r in range(8)
        {
            //% if FORM == "tn"
            let row = first_row + 4u * (y + {{ r // 4 }}u * APART) + {{ r % 4 }}u;
            //% else
            let row = first_row + y + {{ r }}u * APART;
            //% endif
            if row < p.rows {
                let at = row * p.columns4 + column;
                //% if has_base
                store_c(at, fma(sum{{ r }}, vec4<f32>(p.alpha), load_base(at)));
                //% else
                store_c(at, p.alpha * sum{{ r }});
                //% endif
            }
        }
        //% endfor
    }
}
