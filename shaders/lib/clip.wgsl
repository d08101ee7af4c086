// The row of the schedule for this step, and the factor that limits the norm of all gradients
// together to p.limit (Pascanu et al. 2013, arXiv:1211.5063). squares.x is the square of that norm.

fn schedule_now() -> vec4<f32> {
    return bitcast<vec4<f32>>(load_schedule(load_clock(0u).x));
}

fn clip() -> f32 {
    //% if has_squares
    let norm = sqrt(bitcast<vec4<f32>>(load_squares(0u)).x);
    return min(1.0, p.limit / (norm + 1e-6));
    //% else
    return 1.0;
    //% endif
}
