#!/usr/bin/env bash
# Formats the Rust code; with --check says what is not formatted, and changes nothing.
# Kernels are declared by a macro, where cargo fmt does not find them: they are named to rustfmt.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt "$@"
rustfmt --edition 2024 "$@" src/kernels/*/*.rs
