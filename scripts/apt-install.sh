#!/usr/bin/env bash
# Installs Debian or Ubuntu packages without asking anything: scripts/apt-install.sh PACKAGE...
set -euo pipefail

if ! command -v apt-get > /dev/null; then
    echo "error: this machine lacks the equivalent of the Debian packages: $*" >&2
    echo "       install them with its own package manager, then run this again" >&2
    exit 1
fi

become_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null; then
        echo "error: the packages $* are missing, and there is no sudo; run as root:" >&2
        echo "       apt-get install -y $*" >&2
        exit 1
    fi
    # Only a person at a terminal can be asked for a password.
    if [ -t 0 ]; then become_root=(sudo); else become_root=(sudo -n); fi
fi

apt() {
    "${become_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" < /dev/null
}

echo "installing $*"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt update && apt install -y --no-install-recommends "$@"; } > "$log" 2>&1; then
    cat "$log" >&2
    echo "error: could not install $*; run: apt-get update && apt-get install -y $*" >&2
    exit 1
fi
