#!/usr/bin/env bash
# The kernels' tests and the capability matrix on other adapters than the system's: lavapipe of a newer Mesa, and SwiftShader, which has no
# f16 and subgroups of four lanes only. For Debian 12:
#   scripts/adapters.sh [mesa | swiftshader]...     both if none is named
# Drivers are unpacked below target/, nothing is installed. Prints a table of what passed and what was skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/adapters"
work=$(cd "$target/adapters" && pwd)
[ $# -gt 0 ] || set -- mesa swiftshader

# apt with the system's mirror and keys, but lists, cache and a suite of its own.
apt_in() {
    local folder=$1 command=$2
    shift 2
    "$command" -qq -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" -o APT::Sandbox::User= "$@"
}

# unpack NAME SUITE SECURITY PACKAGE...: packages of a suite; SECURITY is how its archive's name goes on after "debian"
unpack() {
    local folder=$work/$1 suite=$2 security=$3 mirror key
    shift 3
    if [ -f "$folder/complete" ]; then return 0; fi
    rm -rf "$folder" && mkdir -p "$folder/lists/partial" "$folder/cache" "$folder/debs" "$folder/root"
    # shellcheck disable=SC2016 # apt fills these in
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep "/debian$security/*\$" | sort -u | head -n 1)
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ -z "$mirror" ] || [ ! -f $key ]; then
        echo "error: this system has no sources of Debian packages; these adapters come from there" >&2
        return 1
    fi
    echo "deb [signed-by=$key] $mirror $suite main" > "$folder/sources.list"
    echo "fetching $* of $suite"
    apt_in "$folder" apt-get update
    (cd "$folder/debs" && for package in "$@"; do apt_in "$folder" apt-get download "$package/$suite"; done)
    for package in "$folder"/debs/*.deb; do dpkg -x "$package" "$folder/root"; done
    rm -rf "$folder/debs" "$folder/cache" "$folder/lists"
    touch "$folder/complete"
}

rows=()
status=0

# try NAME DRIVER LIBRARIES: the tests with that driver alone.
try() {
    local name=$1 driver=$2 libraries=$3 log=$work/$1.log start=$SECONDS adapter verdict=passed
    local run=(env VK_DRIVER_FILES="$driver" VK_ICD_FILENAMES="$driver" LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
    adapter=$("${run[@]}" cargo run --quiet --release --locked -- devices --json |
        python3 -c 'import json, sys; d = json.load(sys.stdin); d = d.get("adapters", d) if isinstance(d, dict) else d
a = next(a for a in d if a["chosen"])
print(f"""{a["name"]}, {a["driver_info"] or a["driver"]} | {"yes" if a["f16"] else "no"} | {a["subgroup_sizes"]} | {a["storage_textures"]}""")')
    echo "== $name: $adapter"
    "${run[@]}" cargo test --release --locked --no-fail-fast --test kernels --test gpu -- reference:: device:: 2>&1 | tee "$log" || {
        verdict=FAILED
        status=1
    }
    local cells=passed
    "${run[@]}" "${CARGO_TARGET_DIR:-target}/release/kaiwu" doctor --matrix || {
        cells=FAILED
        status=1
    }
    rows+=("| $adapter | $(grep -c '^test .* ok$' "$log" || true) $verdict, $(grep -c '^SKIPPED' "$log" || true) skipped a storage | $cells | $((SECONDS - start)) s |")
}

for name in "$@"; do
    case $name in
        mesa)
            unpack mesa bookworm-backports "" mesa-vulkan-drivers libdrm2 libdrm-amdgpu1
            libraries=$work/mesa/root/usr/lib/$(uname -m)-linux-gnu
            driver=$work/mesa/lvp_icd.json
            sed "s|\"library_path\": *\"[^\"]*\"|\"library_path\": \"$libraries/libvulkan_lvp.so\"|" \
                "$work"/mesa/root/usr/share/vulkan/icd.d/lvp_icd*.json > "$driver"
            ;;
        swiftshader)
            unpack swiftshader bookworm-security -security chromium-common
            libraries=$work/swiftshader/root/usr/lib/chromium
            driver=$libraries/vk_swiftshader_icd.json
            # Chromium's own loader beside it is not for others.
            rm -f "$libraries/libvulkan.so.1"
            ;;
        *)
            echo "usage: scripts/adapters.sh [mesa | swiftshader]..." >&2
            exit 2
            ;;
    esac
    try "$name" "$driver" "$libraries"
done

echo "| adapter | f16 | subgroups | storage textures | tests of kernels and device | matrix | time |"
echo "|---|---|---|---|---|---|---|"
printf '%s\n' "${rows[@]}"
exit $status
