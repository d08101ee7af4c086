#!/usr/bin/env bash
# Formatting, clippy, documentation and shell scripts. Everything that fails is shown before this fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

status=0
check() {
    local name=$1
    shift
    if "$@"; then
        echo "lint $name: ok"
    else
        echo "lint $name: FAILED ($*)" >&2
        status=1
    fi
}

check formatting scripts/fmt.sh --check
check clippy cargo clippy --quiet --release --locked --all-targets -- -D warnings
check "clippy of the smallest set" cargo clippy --quiet --release --locked --lib --no-default-features -- -D warnings
# shellcheck disable=SC2317 # `check` calls it
inference_alone() {
    local tree
    tree=$(cargo tree --locked --no-default-features --edges normal --prefix none --format '{p}') || return
    ! grep -E '^(clap|ureq|rustls|ring|resvg|indicatif|rustyline|env_logger) ' <<< "$tree"
}
check "dependencies of the smallest set" inference_alone
# shellcheck disable=SC2317 # `check` calls it
no_c_in_browsers() {
    local tree
    tree=$(cargo tree --locked --no-default-features --target wasm32-unknown-unknown --edges normal,build --prefix none) || return
    ! grep -E '^(cc|cmake|onig|libc|memmap2|sysinfo) ' <<< "$tree"
}
check "no C library for browsers" no_c_in_browsers
check documentation env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --release --locked --no-deps
# shellcheck disable=SC2317 # `check` calls it
no_markers() {
    # Written so that this file has none itself.
    ! git grep --line-number --extended-regexp '^(<{7}|>{7}|[|]{7})( |$)'
}
check "conflict markers" no_markers
if command -v shellcheck > /dev/null; then
    check scripts shellcheck .ci/run scripts/*.sh scripts/*/*.sh
else
    echo "lint scripts: skipped, shellcheck is not installed"
fi
exit $status
