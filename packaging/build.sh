#!/usr/bin/env bash
# Builds what is handed out, into a folder: a wheel that carries the binary, an archive for machines without Python, their
# checksums, and a list of what they are built of (SBOM, CycloneDX). Takes a quarter to half an hour; nothing is published.
#
# usage: packaging/build.sh [FOLDER]        # dist/ if none is named
#
# The binary is linked by Zig's linker for glibc 2.28, so that it runs on every distribution since 2018 (RHEL 8, Debian 10).
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-dist}")
tools="$out/tools"
mkdir -p "$out"
rm -f "$out"/segmill* "$out/SHA256SUMS"

python3 -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check -r packaging/requirements.txt
PATH="$tools/bin:$PATH" maturin build --zig --compatibility manylinux_2_28 --out "$out"

# The archive is made of the wheel, so that both hold the same binary.
wheel=$(echo "$out"/segmill-*.whl)
"$tools/bin/python" packaging/archive.py "$wheel" "$out"
(cd "$out" && sha256sum segmill-* > SHA256SUMS && cat SHA256SUMS)
