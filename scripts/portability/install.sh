#!/usr/bin/env bash
# What the portability gates ask: spirv-val from the system's packages, Dawn for node from npm, at the version and with
# the checksums of package-lock.json. It goes below target/; says nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=${CARGO_TARGET_DIR:-target}/portability
missing=()
command -v spirv-val > /dev/null || missing+=(spirv-tools)
command -v node > /dev/null || missing+=(nodejs)
command -v npm > /dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then scripts/apt-install.sh "${missing[@]}"; fi

mkdir -p "$work"
# npm takes a folder reached through a link for another one than its lock file is about.
work=$(cd "$work" && pwd -P)
if ! cmp -s scripts/portability/package-lock.json "$work/installed.json"; then
    cp scripts/portability/package.json scripts/portability/package-lock.json "$work"
    echo "fetching Dawn for node"
    # No script of a package is run: the only one is for another system.
    # A registry out of reach should fail, not hang: npm tries again for many minutes.
    timeout 300 npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel=error < /dev/null
    cp scripts/portability/package-lock.json "$work/installed.json"
fi
