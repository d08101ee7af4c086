#!/usr/bin/env bash
# All tests, on a machine that may have nothing but Rust. Arguments go to cargo test.
set -euo pipefail
cd "$(dirname "$0")/.."
# Without it some Vulkan drivers look for a display and complain on standard error.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

scripts/setup.sh
scripts/fetch-model.sh smollm2
cargo test --release --locked "$@"
