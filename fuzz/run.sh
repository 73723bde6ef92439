#!/usr/bin/env bash
# Fuzzes each target for a while, two at a time, beginning with its seeds and with what earlier runs found worth keeping.
# usage: fuzz/run.sh SECONDS [TARGET …]      FUZZ_PROFILE=release tries more, once that profile is built;
# FUZZ_SEED=1 begins with the same ideas every time
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
[ $# -gt 0 ] || set -- csv ndjson pipeline rules
profile=${FUZZ_PROFILE:-dev}
built=${CARGO_TARGET_DIR:-target}
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh cargo build --locked --package segmill-fuzz --profile "$profile" --bins

fuzz() {
    local target=$1 seconds=$2 binary=$3 kept=$4
    mkdir -p "$kept/$target"
    if ! "$binary/$target" "$kept/$target" "fuzz/seeds/$target" -max_total_time="$seconds" -seed="${FUZZ_SEED:-0}" -timeout=60 -rss_limit_mb=2048 \
        -artifact_prefix="$kept/$target-" -print_final_stats=1 >"$kept/$target.log" 2>&1; then
        echo "$target: FAILED"
        tail -n 60 "$kept/$target.log"
        return 1
    fi
    echo "$target: $(grep -o 'number_of_executed_units: .*' "$kept/$target.log"), none of which broke a law"
}
export -f fuzz
mkdir -p "$built/fuzz"
binary=$built/$([ "$profile" = dev ] && echo debug || echo "$profile")
printf '%s\n' "$@" | xargs -P 2 -I TARGET bash -c 'fuzz "$@"' fuzz TARGET "$seconds" "$(realpath "$binary")" "$(realpath "$built/fuzz")"
