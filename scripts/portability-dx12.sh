#!/usr/bin/env bash
# What DX12 will take: the HLSL of every shader through Microsoft's FXC and DXC, under wine. Prints a table.
#   scripts/portability-dx12.sh [EVERY]     of each row of the table, one text of EVERY; all by default, which may take hours
# The compilers come with Dawn for node, wine and the C compiler for Windows from Debian. Some minutes, 500 MB of packages.
set -euo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"

work=${CARGO_TARGET_DIR:-target}/portability
mkdir -p "$work"
work=$(cd "$work" && pwd)

find_wine() {
    for WINE in wine64 /usr/lib/wine/wine64 wine; do
        if command -v "$WINE" > /dev/null; then return 0; fi
    done
    return 1
}
missing=()
find_wine || missing+=(wine64)
command -v x86_64-w64-mingw32-gcc > /dev/null || missing+=(gcc-mingw-w64-x86-64-win32)
if [ ${#missing[@]} -gt 0 ]; then scripts/apt-install.sh "${missing[@]}"; fi
find_wine
scripts/portability/install.sh
scripts/portability/write.sh "$work/shaders"

mkdir -p "$work/dx12"
cp "$work"/node_modules/webgpu/dist/win32-x64/*.dll "$work/dx12"
x86_64-w64-mingw32-gcc -O1 -Wall -Wextra -Werror -o "$work/dx12/compile.exe" scripts/dx12/compile.c
export WINE COMPILE=$work/dx12/compile.exe
export WINEPREFIX=$work/wine WINEDEBUG=-all WINEDLLOVERRIDES="d3dcompiler_47=n;dxcompiler=n;mscoree=;mshtml="
unset DISPLAY

# Starting wine for the first time makes its folder; its words about that are of no interest.
broken=$work/dx12/broken.hlsl
printf '[numthreads(1, 1, 1)] void broken() { nothing = 1; }\n' > "$broken"
for asked in "fxc cs_5_1" "dxc cs_6_0"; do
    read -r compiler profile <<< "$asked"
    said=$(cd "$work/dx12" && echo "broken.hlsl broken $profile" | timeout 120 "$WINE" compile.exe "$compiler" 2> "$work/log") || true
    if ! grep -q "^refused.*undeclared identifier.*nothing" <<< "$said"; then
        cat "$work/log" >&2
        echo "error: $compiler does not refuse a broken shader as it should; it says: $said" >&2
        exit 1
    fi
done
node scripts/dx12/table.mjs "$work/shaders" "${1:-1}"
