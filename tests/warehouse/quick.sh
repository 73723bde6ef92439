#!/usr/bin/env bash
# The checks of tests/warehouse/run.sh that take seconds: PostgreSQL, DuckDB, Polars, pandas, the SQL of the other warehouses, and
# the tables of Delta Lake.
#
# usage: SEGMILL=PATH tests/warehouse/quick.sh [FOLDER]
set -euo pipefail
exec "$(dirname "$0")/run.sh" "${1:-$(mktemp -d)}" postgres duckdb frames sql delta
