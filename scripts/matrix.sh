#!/usr/bin/env bash
# Every strategy of every kernel against its reference on this machine's adapter, opened with less and less of what it
# has (`kaiwu doctor --matrix`), and, where that is lavapipe, with subgroups of 4, 8 and 16 lanes. Prints a table of each
# and fails if one is wrong. Two cores take a few minutes the first time, for the driver compiles it all.
set -euo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

cargo build --quiet --release --locked
kaiwu=${CARGO_TARGET_DIR:-target}/release/kaiwu
widths=(default)
if "$kaiwu" devices | grep -q '^\* llvmpipe'; then widths=(128 256 512); fi

status=0
for width in "${widths[@]}"; do
    echo "== subgroups: $width"
    if [ "$width" = default ]; then
        "$kaiwu" doctor --matrix || status=1
    else
        LP_NATIVE_VECTOR_WIDTH=$width "$kaiwu" doctor --matrix || status=1
    fi
done
echo "the whole matrix took $SECONDS s"
exit $status
