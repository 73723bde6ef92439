#!/usr/bin/env bash
# Runs the examples of examples/warehouse against the real programs, in FOLDER, and compares every value that arrives; and reads what runs copy to
# Delta Lake tables, with the package deltalake, DuckDB and ClickHouse. (Spark is left out there: its jars for Delta Lake come from Maven alone.)
#
# usage: SEGMILL=PATH tests/warehouse/run.sh [FOLDER [CHECK ...]]
#
# The checks are all of postgres, duckdb, frames, sql, delta, delta_clickhouse, clickhouse and spark unless some are named. FOLDER keeps what was installed.
# It installs from PyPI, and PostgreSQL from Debian if the machine has none; Spark needs Java 17.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
: "${SEGMILL:?names the program, such as target/debug/segmill}"
SEGMILL="$(realpath "$SEGMILL")"
folder="${1:-$(mktemp -d)}"
mkdir -p "$folder"
LOADS_FOLDER="$(realpath "$folder")"
export SEGMILL LOADS_FOLDER
checks=("${@:2}")
test ${#checks[@]} -gt 0 || checks=(postgres duckdb frames sql delta delta_clickhouse clickhouse spark)

test -x "$LOADS_FOLDER/uv/bin/uv" || { python3 -m venv "$LOADS_FOLDER/uv" && "$LOADS_FOLDER/uv/bin/pip" install --quiet --disable-pip-version-check uv; }

# python NAME: the interpreter with the packages of that list, which is installed if it is not.
python() {
    test -x "$LOADS_FOLDER/$1/bin/python" || "$LOADS_FOLDER/uv/bin/uv" venv --quiet "$LOADS_FOLDER/$1"
    "$LOADS_FOLDER/uv/bin/uv" pip install --quiet --python "$LOADS_FOLDER/$1/bin/python" -r "$here/$1.txt"
    echo "$LOADS_FOLDER/$1/bin/python"
}

quick="$(python requirements)"
case " ${checks[*]} " in *" delta_clickhouse "* | *" clickhouse "* | *" spark "*) engines="$(python requirements-engines)" ;; esac
case " ${checks[*]} " in *" postgres "*) compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || apt-get install --quiet --yes postgresql ;; esac

"$quick" "$here/publish.py" "$LOADS_FOLDER"
echo "published (${SECONDS}s)"
# The checks touch nothing in common, so they run side by side.
pids=()
for check in "${checks[@]}"; do
    case "$check" in delta_clickhouse | clickhouse | spark) interpreter="$engines" ;; *) interpreter="$quick" ;; esac
    {
        "$interpreter" "$here/check_$check.py" > "$LOADS_FOLDER/$check.log" 2>&1
        echo "$check holds (${SECONDS}s)"
    } &
    pids+=($!)
done
failed=0
for at in "${!pids[@]}"; do
    wait "${pids[$at]}" || { failed=1; echo "== ${checks[$at]} FAILED"; }
    cat "$LOADS_FOLDER/${checks[$at]}.log"
done
exit "$failed"
