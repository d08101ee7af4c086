#!/usr/bin/env bash
# Khronos' validator on every .spv of a folder: scripts/portability/spirv-val.sh FOLDER
set -euo pipefail

validate() {
    local words
    if ! words=$(spirv-val --target-env vulkan1.1 "$1" 2>&1); then
        # It names no line of the source; its words end with the instruction.
        printf '%s: %s [spirv-val]\n' "$1" "${words//$'\n'/ }"
        return 1
    fi
}
export -f validate

count=$(find "$1" -name '*.spv' | wc -l)
if [ "$count" -eq 0 ]; then
    echo "$1 holds no .spv file" >&2
    exit 2
fi
status=0
# shellcheck disable=SC2016 # the inner shell is to expand it
find "$1" -name '*.spv' -print0 | sort -z | xargs -0 -P "$(nproc)" -I {} bash -c 'validate "$1"' validate {} || status=1
if [ $status -ne 0 ]; then echo "spirv-val: some of $count files refused"; exit 1; fi
echo "spirv-val: $count files accepted for Vulkan 1.1"
