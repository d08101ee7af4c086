// y = finish(W · norm(x)) for one token, decode, or for tokens that each have rows of their own.
//
// The 32 activations of a block are the same for all lanes: with BROADCAST each lane loads one of
// its eight texels and the lanes share them through the subgroup, else every lane loads all eight.
// RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467) costs no pass of its own: x is multiplied by
// the gain as it is read, its squares are summed on the way, and the sums are scaled at the end.
//
// Grid: x over 16 groups of four rows (with PAIRED, over 8 gate groups and their 8 up groups); y
// over tokens where they chose experts.
// Lane: owns two groups of four rows and keeps their sums in registers; lanes never meet. With
// PAIRED they are a gate group and its up group.
// Reads: neighbouring lanes read neighbouring texels of W, 128 contiguous bytes for eight lanes.
//% include FORMAT
//% include FINISH
//% include "experts"

struct Block {
    x: array<vec4<f32>, 8>, // activations times COLUMN_SCALE
    sum_lo: f32,
    sum_hi: f32,
}

fn matvec(workgroup: vec3<u32>, lane: u32) {
    let task = task_of(workgroup.y);
    //% if has_routes
    if !task.here {
        return;
    }
    //% endif
    // Slots beyond the last group hold zeros.
    let slot = workgroup.x * {{ 8 if PAIRED else 16 }}u + lane;
    let slot0 = task.slot + slot;
    //% if PAIRED
    let slot1 = slot0 + p.half4;
    //% else
    let slot1 = slot0 + 8u;
    //% endif
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var squares = 0.0;

    for (var b = 0u; b < p.blocks; b++) {
        // Before anything else: where a driver calls a function for each load, little is kept from
        // one to the next.
        //% for g in range(2)
        let s{{ g }} = scales(b, slot{{ g }});
        //% for j in range(4)
        let raw{{ g }}_{{ j }} = fetch(b, {{ j }}u, slot{{ g }});
        //% endfor
        //% endfor
        var block: Block;
        //% if BROADCAST
        var own = load_x(task.x + b * 8u + lane);
        squares += dot(own, own);
        //% if has_gain
        own *= load_gain(b * 8u + lane);
        //% endif
        let own_sum = own.x + own.y + own.z + own.w;
        own *= COLUMN_SCALE;
        //% for j in range(8)
        block.x[{{ j }}] = subgroupBroadcast(own, {{ j }}u);
        //% endfor
        if HAS_SCALES {
            //% for j in range(4)
            block.sum_lo += subgroupBroadcast(own_sum, {{ j }}u);
            block.sum_hi += subgroupBroadcast(own_sum, {{ j + 4 }}u);
            //% endfor
        }
        //% else
        //% for j in range(8)
        {
            var x = load_x(task.x + b * 8u + {{ j }}u);
            squares += dot(x, x);
            //% if has_gain
            x *= load_gain(b * 8u + {{ j }}u);
            //% endif
            //% if j < 4
            block.sum_lo += x.x + x.y + x.z + x.w;
            //% else
            block.sum_hi += x.x + x.y + x.z + x.w;
            //% endif
            block.x[{{ j }}] = x * COLUMN_SCALE;
        }
        //% endfor
        //% endif
        // sum<group>: 2 row groups x 4 sums in registers, to which each block adds 32 columns.
        //% for g in range(2)
        {
            var lo = vec4<f32>();
            var hi = vec4<f32>();
            //% for j in range(4)
            {
                let q = unpack(raw{{ g }}_{{ j }});
                //% for c in range(4)
                lo = fma(q.lo[{{ c }}], vec4<f32>(block.x[{{ j }}][{{ c }}]), lo);
                hi = fma(q.hi[{{ c }}], vec4<f32>(block.x[{{ j + 4 }}][{{ c }}]), hi);
                //% endfor
            }
            //% endfor
            if HAS_SCALES {
                sum{{ g }} += s{{ g }}.d_lo * lo + s{{ g }}.d_hi * hi
                    + s{{ g }}.m_lo * block.sum_lo + s{{ g }}.m_hi * block.sum_hi;
            } else {
                sum{{ g }} += lo + hi;
            }
        }
        //% endfor
    }

    //% if has_gain
    //% if BROADCAST
    squares = subgroupAdd(squares);
    //% endif
    let rms = inverseSqrt(squares / p.columns + p.eps);
    //% else
    let rms = 1.0;
    //% endif
    let r4 = group_of(slot);
    //% if PAIRED
    let groups = p.half4;
    //% else
    let groups = p.rows4;
    //% endif
    if r4 < groups {
        finish(task.token, r4, rms * sum0, rms * sum1);
    }
}
