#!/usr/bin/env bash
# Every strategy of every kernel against its reference on this machine's adapter, opened with less and less of what it
# has (`kaiwu doctor --matrix`), and, where that is lavapipe, those that use subgroups with subgroups of 4 and 16 lanes besides.
# Prints a table of each and fails if one is wrong. Two cores take a few minutes the first time, for the driver compiles it all.
set -euo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

cargo build --quiet --release --locked
target=${CARGO_TARGET_DIR:-target}
kaiwu=$target/release/kaiwu
widths=()
if "$kaiwu" devices | grep -q '^\* llvmpipe'; then widths=(128 512); fi

SECONDS=0 # without the build
status=0
"$kaiwu" doctor --matrix || status=1
for width in "${widths[@]}"; do
    echo "== subgroups of $((width / 32)) lanes"
    # A cache of its own: lavapipe would find what it compiled for registers of another width, and run that.
    MESA_SHADER_CACHE_DIR=$(cd "$target" && pwd)/shader-cache-$width LP_NATIVE_VECTOR_WIDTH=$width "$kaiwu" doctor --matrix --only-subgroups || status=1
done
echo "the whole matrix took $SECONDS s"
exit $status
