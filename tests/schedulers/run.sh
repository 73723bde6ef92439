#!/usr/bin/env bash
# Runs the examples for schedulers in the schedulers themselves: Airflow, Dagster, dbt; and the commands of Kubernetes,
# systemd and cron. Everything that they need is installed into the folder named.
#
#   tests/schedulers/run.sh DIR [airflow|dagster|dbt|manifests …]
#
# SEGMILL names the binary; without it, it is the one that `cargo build` makes.
set -euo pipefail
folder="${1:?name a folder}"
here="$(cd "$(dirname "$0")" && pwd)"
parts=("${@:2}")
test "${#parts[@]}" -gt 0 || parts=(manifests dbt dagster airflow)
segmill="$(realpath "${SEGMILL:-${CARGO_TARGET_DIR:-$here/../../target}/debug/segmill}")"
test -x "$segmill" || { echo "there is no binary at $segmill: run cargo build, or name one with SEGMILL" >&2; exit 1; }

mkdir -p "$folder/bin"
folder="$(cd "$folder" && pwd)"
ln -sf "$segmill" "$folder/bin/segmill"
test -x "$folder/uv/bin/uv" || { python3 -m venv "$folder/uv" && "$folder/uv/bin/pip" install --quiet --disable-pip-version-check uv; }
# Examples are part of the binary: nothing may be left beside them.
export PYTHONDONTWRITEBYTECODE=1

# An environment for each, because they need different versions of the same packages.
in_environment() {
    local name="$1"
    shift
    test -x "$folder/$name/bin/python" || "$folder/uv/bin/uv" venv --quiet --python python3 "$folder/$name"
    "$folder/uv/bin/uv" pip install --quiet --python "$folder/$name/bin/python" -r "$here/requirements-$name.txt"
    PATH="$folder/$name/bin:$folder/bin:$PATH" "$folder/$name/bin/python" "$@"
}

for part in "${parts[@]}"; do
    printf '== %s (%ss)\n' "$part" "$SECONDS"
    case "$part" in
        airflow) in_environment airflow "$here/check_airflow.py" "$folder/airflow-runs" ;;
        dagster) in_environment dagster "$here/check_dagster.py" "$folder/dagster-runs" ;;
        dbt) in_environment dbt "$here/check_dbt.py" "$folder/dbt-runs" ;;
        manifests) "$here/quick.sh" "$folder" "$folder/manifest-runs" "$folder/bin/segmill" ;;
        *) echo "there is no part $part" >&2; exit 1 ;;
    esac
done
printf '== done (%ss)\n' "$SECONDS"
