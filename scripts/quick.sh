#!/usr/bin/env bash
# The tests that need no model and take seconds: layers, unit tests, files and text, a row of each kernel, tiny models.
set -euo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

# some TARGET... -- FILTER...: those tests of the binaries
some() { cargo test --quiet --release --locked "$@"; }
some --lib --test layers
some --test files --test text -- --skip quantize:: --skip tokenizer:: --skip properties::
some --test kernels --test models --test train -- first_rows can_fail:: families:: recordings:: sampling:: gradients::
