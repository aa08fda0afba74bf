#!/bin/sh
# Makes the function's ZIP: the program, its configuration, its schedules, and `bootstrap`, which Function Compute
# starts. Modes are kept in it; a ZIP made on Windows has none, and the function would end with CAExited.
#   package.sh BINARY CONFIG-FOLDER OUT.zip
# BINARY is for x86_64 Linux, static (musl) or made for glibc 2.36 or older, as custom.debian12 has.
# CONFIG-FOLDER holds sgwarden.toml, schedules/ and what they name (waivers, a private CA; no password).
set -eu

if [ $# -ne 3 ]; then
    echo "usage: package.sh BINARY CONFIG-FOLDER OUT.zip" >&2
    exit 2
fi
binary=$1 config=$2 out=$3

fail() {
    echo "package.sh: $1" >&2
    exit 1
}

command -v zip >/dev/null || fail "zip is not installed"
[ -f "$binary" ] || fail "$binary is not a file"
[ -f "$config/sgwarden.toml" ] || fail "$config/sgwarden.toml is missing"
[ -d "$config/schedules" ] || fail "$config/schedules is missing"

# The ELF header: its magic, 64 bits, and machine 62, which is x86_64.
magic=$(od -An -tx1 -N5 "$binary" | tr -d ' \n')
machine=$(od -An -tx1 -j18 -N2 "$binary" | tr -d ' \n')
[ "$magic$machine" = 7f454c46023e00 ] || fail "$binary is not a program for x86_64 Linux"

newest=$(LC_ALL=C grep -ao 'GLIBC_2\.[0-9]\{1,\}' "$binary" | sed 's/GLIBC_2\.//' | sort -nu | tail -n 1)
if [ -n "$newest" ] && [ "$newest" -gt 36 ]; then
    fail "$binary needs glibc 2.$newest, custom.debian12 has 2.36: build for x86_64-unknown-linux-musl"
fi

# What is wrong with a schedule is said here, and not at two in the morning.
program=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
(cd "$config" && "$program" schedules schedules) || fail "a schedule is wrong"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$config/." "$folder/"
cp "$binary" "$folder/sgwarden"
cat >"$folder/bootstrap" <<'SCRIPT'
#!/bin/bash
# Paths of sgwarden.toml are relative to it, and it lies here.
cd "$(dirname "$0")" && exec ./sgwarden fc
SCRIPT
chmod -R u=rwX,go=rX "$folder"
chmod 755 "$folder/bootstrap" "$folder/sgwarden"

case $out in
    /*) target=$out ;;
    *) target=$(pwd)/$out ;;
esac
rm -f "$target"
(cd "$folder" && zip -q -X -r "$target" .)
echo "$target"
