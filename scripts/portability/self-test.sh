#!/usr/bin/env bash
# Shows that the gates can turn red: breaks a shader that they accept, in one way at a time, and fails unless each is
# refused for the right reason: scripts/portability/self-test.sh SHADERS WORK
set -euo pipefail
cd "$(dirname "$0")/../.."
shaders=$1 work=$2

# A kernel's last strategy in buffers: what is asked under the default limits too.
file=$(node -e '
    const index = JSON.parse(require("fs").readFileSync(process.argv[1] + "/index.json"));
    console.log(index.find((shader) => shader.least && shader.buffers && shader.kernel === "argmax").file);
' "$shaders")
status=0

# refuses NAME WORDS COMMAND...: the command fails, and says why.
refuses() {
    local name=$1 words=$2 said
    shift 2
    if said=$("$@" 2>&1); then
        echo "self-test: $name was accepted" >&2
        status=1
    elif ! grep -q -- "$words" <<< "$said"; then
        printf 'self-test: %s was refused, but not with "%s":\n%s\n' "$name" "$words" "$said" >&2
        status=1
    else
        echo "self-test: refused $name: $(grep -m 1 -- "$words" <<< "$said" | sed 's|.*/||' | cut -c -150)"
    fi
}

# tint NAME WORDS SUBGROUPS: what was read from standard input, added to the text.
tint() {
    local folder=$work/wgsl
    rm -rf "$folder" && mkdir -p "$folder"
    { cat "$shaders/$file.wgsl" - ; } > "$folder/$file.wgsl"
    printf '[{"file": "%s", "what": "broken", "entry": "extra", "subgroups": %s, "least": true, "buffers": true}]' \
        "$file" "$3" > "$folder/index.json"
    refuses "$1" "$2" node scripts/portability/tint.mjs "$folder"
}

tint "an unknown name" "unresolved value 'nothing'" false <<'WGSL'
@compute @workgroup_size(1) fn extra() { store_ids(0u, nothing); }
WGSL
tint "a barrier that not all lanes reach" "must only be called from uniform control flow" false <<'WGSL'
@compute @workgroup_size(64) fn extra(@builtin(local_invocation_index) i: u32) { if (i > 3u) { workgroupBarrier(); } }
WGSL
tint "a subgroup operation that not all lanes reach" "must only be called from subgroup uniform control flow" true <<'WGSL'
@compute @workgroup_size(64) fn extra(@builtin(local_invocation_index) i: u32) { if (i > 3u) { _ = subgroupAdd(i); } }
WGSL
tint "subgroups where none are promised" "default limits" true <<'WGSL'
@compute @workgroup_size(64) fn extra(@builtin(local_invocation_index) i: u32) { _ = subgroupAdd(i); }
WGSL
tint "too much workgroup memory" "workgroup storage" false <<'WGSL'
var<workgroup> much: array<vec4<u32>, 1025>;
@compute @workgroup_size(1) fn extra() { much[0] = vec4<u32>(1u); }
WGSL
tint "too many lanes" "workgroup" false <<'WGSL'
@compute @workgroup_size(64, 8) fn extra() {}
WGSL
tint "nine storage buffers" "storage buffers" false <<'WGSL'
@group(0) @binding(101) var<storage, read_write> b1: array<u32>; @group(0) @binding(102) var<storage, read_write> b2: array<u32>;
@group(0) @binding(103) var<storage, read_write> b3: array<u32>; @group(0) @binding(104) var<storage, read_write> b4: array<u32>;
@group(0) @binding(105) var<storage, read_write> b5: array<u32>; @group(0) @binding(106) var<storage, read_write> b6: array<u32>;
@group(0) @binding(107) var<storage, read_write> b7: array<u32>; @group(0) @binding(108) var<storage, read_write> b8: array<u32>;
@group(0) @binding(109) var<storage, read_write> b9: array<u32>;
@compute @workgroup_size(1) fn extra() { b1[0] = b2[0] + b3[0] + b4[0] + b5[0] + b6[0] + b7[0] + b8[0] + b9[0]; }
WGSL

rm -rf "$work/spirv" && mkdir -p "$work/spirv"
head -c -8 "$shaders/$file.checked.spv" > "$work/spirv/cut.spv"
refuses "SPIR-V without its end" "cut.spv: error" scripts/portability/spirv-val.sh "$work/spirv"
rm -rf "$work/spirv" && mkdir -p "$work/spirv"
{ head -c 20 "$shaders/$file.checked.spv"; printf '\xff\xff\x01\x00'; tail -c +25 "$shaders/$file.checked.spv"; } > "$work/spirv/opcode.spv"
refuses "SPIR-V with an unknown instruction" "opcode.spv: error" scripts/portability/spirv-val.sh "$work/spirv"
exit $status
