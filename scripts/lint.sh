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

check formatting cargo fmt --check
check clippy cargo clippy --quiet --release --locked --all-targets -- -D warnings
check documentation env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --release --locked --no-deps
if command -v shellcheck > /dev/null; then
    check scripts shellcheck .ci/run scripts/*.sh scripts/*/*.sh
else
    echo "lint scripts: skipped, shellcheck is not installed"
fi
exit $status
