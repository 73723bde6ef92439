#!/usr/bin/env bash
# Whether the files of the table of meanings, what is expected of them, and the table in docs/values.md are as their generator writes
# them. DIR gets a virtual environment with the writers. Spark's file is compared with what it must hold; to write it anew,
# `pip install 'pyspark==4.3.*'` (half a gigabyte, needs Java 17) and `generate.py --spark`.
#
#     tests/values/check.sh DIR
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
[ -x "$1/bin/python" ] || python3 -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
PYTHONDONTWRITEBYTECODE=1 "$1/bin/python" "$here/generate.py" --check
