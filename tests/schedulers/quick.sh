#!/usr/bin/env bash
# Validates the examples for Kubernetes, systemd and cron, in some seconds. What it needs goes into the folder named.
set -euo pipefail
folder="${1:?name a folder}"
here="$(cd "$(dirname "$0")" && pwd)"
mkdir -p "$folder"
missing=()
command -v crontab > /dev/null || missing+=(cron)
command -v systemd-analyze > /dev/null || missing+=(systemd)
if test "${#missing[@]}" -gt 0; then
    as_root=()
    test "$(id -u)" = 0 || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi
test -x "$folder/quick/bin/python" || python3 -m venv "$folder/quick"
"$folder/quick/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements-quick.txt"
"$folder/quick/bin/python" "$here/check_manifests.py" "${@:2}"
