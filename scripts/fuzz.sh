#!/usr/bin/env bash
# Feeds made-up files to everything that reads a model's files, with libFuzzer:
#   scripts/fuzz.sh [SECONDS [TARGET]...]     900 seconds each of config, gguf, index and safetensors unless named
# Fails on a panic, on more than 2 GiB of memory, on one allocation beyond 256 MiB, and on a minute for one file; each such
# file is kept below fuzz/artifacts/. What it learned is below target/fuzz-corpus and is gone on from the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}" LC_ALL=C

seconds=${1:-900}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- config gguf index safetensors
if ! command -v cargo-fuzz > /dev/null; then
    echo "error: cargo-fuzz is not installed; run \`cargo install cargo-fuzz --locked\`" >&2
    exit 1
fi

target=$PWD/${CARGO_TARGET_DIR:-target}
corpus=$target/fuzz-corpus
tiny=tests/data/tiny
# Millions of small files: in memory, where there is a place for them.
[ -d /dev/shm ] && export TMPDIR=/dev/shm

# Sound files to begin with: of safetensors and GGUF the beginnings, for the targets add weights themselves. A configuration has
# a letter before it, which says beside whose weights it is put: the folders in the order of their names.
seeds() {
    mkdir -p "$corpus"/{config,gguf,index,safetensors}
    # For folders without one.
    local tokenizer='{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true, "trim_offsets": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true, "trim_offsets": true}}'
    local folder name gguf letters=ABCDEFGHIJKLMNOPQRSTUVWXYZ number=0
    for folder in "$tiny"/*/; do
        name=$(basename "$folder")
        { printf %s "${letters:number:1}" && cat "$folder/config.json"; } > "$corpus/config/$name.json"
        number=$((number + 1))
        [ -f "$corpus/gguf/$name" ] && continue
        gguf=$corpus/$name.gguf
        rm -rf "$corpus/folder"
        cp -r "$folder" "$corpus/folder"
        [ -f "$folder/tokenizer.json" ] || echo "$tokenizer" > "$corpus/folder/tokenizer.json"
        cargo run --quiet --release --locked -- convert -m "$corpus/folder" -o "$gguf" --quantize q8_0 2> /dev/null || continue
        head -c 20480 "$gguf" > "$corpus/gguf/$name"
        rm "$gguf"
    done
    rm -rf "$corpus/folder"
    head -c 20480 tests/data/lora/gguf/llama-all.gguf > "$corpus/gguf/adapter"
    cp "$tiny/llama-bf16-sharded/model.safetensors.index.json" "$corpus/index/sound"
    local shard=$tiny/llama-bf16-sharded/model-00002-of-00002.safetensors length
    length=$(od -An -t u4 -N 4 "$shard" | tr -d ' ')
    head -c $((8 + length)) "$shard" > "$corpus/safetensors/sound"
    # Words that the readers look for.
    grep -oE '"[a-z_.A-Z0-9]+"' "$tiny"/*/config.json "$tiny"/*/*.index.json -h | sort -u > "$corpus/words"
    grep -ohE '"(general|tokenizer|llama|qwen|\{arch\}|)[a-z_.]*\.[a-z_.]+"' src/*/*.rs src/model/config/*.rs | sort -u >> "$corpus/words"
}
seeds

status=0
for name in "$@"; do
    echo "== $name, $seconds s"
    # Nothing of what runs is unsafe but the mapping of files, so that no sanitizer is asked for; the compiler's stable
    # version takes the flags of coverage with this variable.
    RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none --target-dir "$target/fuzz" "$name" "$corpus/$name" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=256 -timeout=60 -max_len=24576 \
        -dict="$corpus/words" -use_value_profile=1 -print_final_stats=1 2>&1 | tee "$corpus/$name.log" | grep -vE '	(REDUCE|NEW) ' || status=1
done
exit $status
