#!/usr/bin/env bash
# Asks Segmill and DuckDB the same random queries, and compares their answers. DIR gets a virtual environment with DuckDB; what follows
# it are options of compare.py.
#
#     SEGMILL=PATH tests/random_sql/check.sh DIR [--seed N] [--count N] [--seconds N]
set -euo pipefail
folder="${1:?name the folder to install into}"
here="$(cd "$(dirname "$0")" && pwd)"
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
PYTHONDONTWRITEBYTECODE=1 "$folder/bin/python" "$here/compare.py" "${@:2}"
