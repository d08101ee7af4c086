#!/usr/bin/env bash
# Hands every shader text of every strategy, format and storage to compilers that do not run here: naga's translations
# (a test), Khronos' validator of SPIR-V, and Tint, the compiler of Chromium. Fails with file, line and message.
# First all of them must refuse what is broken; a check that cannot fail proves nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

work=${CARGO_TARGET_DIR:-target}/portability
mkdir -p "$work"
work=$(cd "$work" && pwd)
shaders=$work/shaders

scripts/setup.sh
scripts/portability/install.sh
export NODE_MODULES=$work/node_modules

cargo test --release --locked --test layers
cargo test --release --locked --test kernels -- portability:: --show-output
scripts/portability/write.sh "$shaders"

status=0
scripts/portability/self-test.sh "$shaders" "$work/broken" || status=1
scripts/portability/spirv-val.sh "$shaders" || status=1
node scripts/portability/tint.mjs "$shaders" || status=1
if [ $status -ne 0 ]; then echo "portability: FAILED" >&2; fi
exit $status
