// meet() = all workers of a chain of kernels are here: they walk through all stages of all layers
// and wait for each other after each of them.
//
// A worker is a workgroup of eight lanes that does its share of every stage. All of them must run
// at once, which WGSL does not promise: an adapter of threads starts as many workgroups as it has
// threads. So the wait has an end, and so has the sum of all waits. Who has waited too long says so
// in `missed`, after which nobody waits, and the host runs the calls again one by one.
//
// What one worker stored is there for another: stores come before the atomic operations that follow
// them, on CPUs and for their compilers. An atomicLoad is no more than a load to some of these, and
// is then taken out of the loop; adding nothing is not.
//
// There is no barrier: a worker's lanes are one subgroup's (`Gpu::workers` sees to it), one
// register's, and go on together. With one, lavapipe keeps the shader's variables in memory, so
// that another subgroup of the workgroup can run meanwhile, and there is none.
//
// Grid: one workgroup a worker.
// Lane: does what a stage's lane does; lane 0 waits for the others.
// Reads: what the stages read; of `meeting` all workers' first lanes read the same words.

struct Meeting {
    arrived: atomic<u32>,
    missed: atomic<u32>,
    waited: atomic<u32>, // turns of all workers in all chains of a submission
    most: u32, // of these, written by the host
}

@group(0) @binding(0) var<storage, read_write> meeting: Meeting;

var<private> turns: u32 = 0u; // in all meetings so far

fn meet(lane: u32) {
    if lane == 0u {
        // Nobody arrives twice before all have arrived once, so the quotient numbers the meetings.
        let number = atomicAdd(&meeting.arrived, 1u) / {{ WORKERS }}u;
        var time = 0.0;
        loop {
            if atomicAdd(&meeting.arrived, 0u) / {{ WORKERS }}u != number
                || atomicAdd(&meeting.missed, 0u) != 0u {
                break;
            }
            // Time goes by: each division waits for the one before. It never exceeds 1, but no
            // compiler knows.
            //% for division in range(DIVISIONS)
            time = 1.0 / (1.0 + time);
            //% endfor
            turns += select(1u, 2u, time > 1.0);
            if turns >= {{ TURNS }}u {
                atomicStore(&meeting.missed, 1u);
                break;
            }
        }
    }
}

@compute @workgroup_size(8)
fn chain(@builtin(workgroup_id) worker: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    for (var layer = 0u; layer < {{ LAYERS }}u; layer++) {
        //% for stage in STAGES
        {
            let p = layers[layer].p_{{ loop.index0 }};
            let end = (worker.x + 1u) * {{ stage.count }}u / {{ WORKERS }}u;
            for (var i = worker.x * {{ stage.count }}u / {{ WORKERS }}u; i < end; i++) {
                let grid = vec3<u32>({{ stage.x }}u, {{ stage.y }}u, {{ stage.z }}u);
                let workgroup = vec3<u32>(i % grid.x, i / grid.x % grid.y, i / (grid.x * grid.y));
                {{ stage.call }};
            }
        }
        meet(lane);
        //% endfor
    }
    if lane == 0u && atomicAdd(&meeting.waited, turns) + turns > meeting.most {
        atomicStore(&meeting.missed, 1u);
    }
}
