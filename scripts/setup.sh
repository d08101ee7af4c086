#!/usr/bin/env bash
# Installs what the build and the tests need beside Rust; says nothing when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo > /dev/null; then
    echo "error: cargo is not on the PATH; install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer" >&2
    exit 1
fi

any() {
    compgen -G "$1" > /dev/null
}

# A loader, and a driver that has something to drive: the software adapter, or a device node of a GPU.
has_vulkan() {
    if command -v vulkaninfo > /dev/null && vulkaninfo --summary > /dev/null 2>&1; then
        return 0
    fi
    any '/usr/lib*/libvulkan.so.1' || any '/usr/lib/*/libvulkan.so.1' || return 1
    any '/usr/share/vulkan/icd.d/lvp_icd*.json' && return 0
    any '/usr/share/vulkan/icd.d/*.json' || any '/etc/vulkan/icd.d/*.json' || return 1
    any '/dev/dri/renderD*' || any /dev/nvidia0 || any /dev/dxg
}

missing=()
# One dependency, the regular expressions of tokenizers, is compiled from C.
command -v cc > /dev/null || missing+=(gcc libc6-dev)
command -v make > /dev/null || missing+=(make)
case "$(uname -s)" in
    Linux) has_vulkan || missing+=(libvulkan1 mesa-vulkan-drivers) ;;
    *) ;; # Metal and DX12 come with the system
esac

if [ ${#missing[@]} -gt 0 ]; then
    scripts/apt-install.sh "${missing[@]}"
fi
