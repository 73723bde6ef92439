#!/usr/bin/env bash
# Installs what the checks of pages in a browser need: the packages of this folder, copied with it into the folder named, and Chromium.
set -euo pipefail
folder="${1:?name a folder}"
mkdir -p "$folder"
cp "$(dirname "$0")"/{package.json,package-lock.json,*.mjs} "$folder"
npm ci --prefix "$folder" --no-audit --no-fund --silent
if ! command -v chromium > /dev/null; then
    as_root=()
    test "$(id -u)" = 0 || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium > /dev/null
fi
