#!/usr/bin/env bash
# All tests, on a machine that may have nothing but Rust. Arguments go to cargo test.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
scripts/fetch-model.sh smollm2
cargo test --release --locked "$@"
