#!/usr/bin/env bash
# Publishes with metrics, a collector and notifications, and asks the real programs what arrived: `check.sh DIR [SEGMILL]`, where DIR is the
# folder of `install.sh`, which is run first.
set -euo pipefail
folder="${1:?name the folder to install into}"
here="$(cd "$(dirname "$0")" && pwd)"
"$here/install.sh" "$folder"
segmill="${2:-${CARGO_TARGET_DIR:-$here/../../target}/debug/segmill}"
exec "$folder/venv/bin/python" "$here/check.py" "$folder" "$segmill"
