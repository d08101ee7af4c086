#!/usr/bin/env bash
# Writes every shader text, its SPIR-V and its HLSL to a folder: scripts/portability/write.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$1
rm -rf "$folder"
mkdir -p "$folder"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! KAIWU_SHADERS=$folder cargo test --quiet --release --locked --test kernels -- --ignored write_shaders > "$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
