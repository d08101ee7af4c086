#!/usr/bin/env bash
# Writes the King James Bible, a verse a line and without the verses' numbers, into a file: scripts/fetch-text.sh [book.txt]
# The text, in the public domain, is that of Debian's packages bible-kjv and bible-kjv-text, which need not be installed.
set -euo pipefail
target=${1:-book.txt}

if ! command -v apt-get > /dev/null || ! command -v dpkg-deb > /dev/null; then
    echo "error: this takes the text from packages of Debian or Ubuntu; elsewhere give kaiwu train any UTF-8 text" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
echo "fetching bible-kjv and bible-kjv-text"
if ! (cd "$work" && apt-get download -q bible-kjv bible-kjv-text > log 2>&1); then
    cat "$work/log" >&2
    echo "error: apt-get cannot fetch them; try apt-get update first" >&2
    exit 1
fi
for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$work/root"
done
# Without -f it breaks lines and puts chapters between them.
"$work/root/usr/bin/bible" -f -p "$work/root/usr/lib" 'Gen1:1-Rev22:21' > "$work/verses"
lines=$(grep -cE '^[0-9A-Za-z]+:[0-9]+ ' "$work/verses" || true)
if [ "$lines" -ne 31102 ]; then
    echo "error: 31102 verses were expected, there are $lines" >&2
    exit 1
fi
cut -d ' ' -f 2- "$work/verses" > "$target"
echo "$target: $lines verses, $(wc -c < "$target") bytes"
