// drows[r].x = dtotals[clock] / count for rows that count, else 0: the share of each row in the
// mean.
//% include "pointwise"

fn texel(i: u32) {
    let count = max(bitcast<vec4<f32>>(load_totals(0u)).z, 1.0);
    //% if has_clock
    let at = load_clock(0u).x;
    //% else
    let at = 0u;
    //% endif
    let slope = load_dtotals(at >> 2u)[at & 3u];
    store_drows(i, vec4<f32>(slope * load_rows(i).w / count, 0.0, 0.0, 0.0));
}
