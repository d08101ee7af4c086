#!/usr/bin/env bash
# From a fresh clone to an answer. Other words on the command line replace the question.
set -euo pipefail
cd "$(dirname "$0")/.."
# Without it some Vulkan drivers look for a display and complain on standard error.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

scripts/setup.sh
scripts/fetch-model.sh smollm2
cargo build --release --locked
question=${*:-What is gravity? Answer in one sentence.}
echo "\$ kaiwu generate -n 48 --chat \"$question\"" >&2
"${CARGO_TARGET_DIR:-target}/release/kaiwu" generate -n 48 --chat "$question"
