#!/usr/bin/env bash
# Installs what `check.sh` asks into the folder named: rotel, a collector of OpenTelemetry, from PyPI; Prometheus, promtool and the node exporter
# from Debian, unpacked and not set up, so that no service is started.
set -euo pipefail
folder="${1:?name a folder}"
here="$(cd "$(dirname "$0")" && pwd)"
mkdir -p "$folder"
test -x "$folder/venv/bin/python" || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
if ! test -x "$folder/debian/usr/bin/promtool"; then
    mkdir -p "$folder/packages"
    download=(apt-get download -qq -o APT::Sandbox::User=root prometheus prometheus-node-exporter)
    # The lists of packages may be missing or old.
    (cd "$folder/packages" && { "${download[@]}" 2>/dev/null || { apt-get update -qq && "${download[@]}"; }; })
    for package in "$folder"/packages/*.deb; do
        dpkg-deb --extract "$package" "$folder/debian"
    done
fi
