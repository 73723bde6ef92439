#!/usr/bin/env bash
# Damages sound files of each format in ways that a seed thinks of and reads them as extracts: no panic, no hang, bounded memory, and a ledger
# that adds up. A file that fails is kept, and its number is told.
# usage: fuzz/mutate.sh [FILES_OF_EACH_FORMAT [FIRST_NUMBER [FORMAT …]]]      10,000 of each from number 0 on without arguments
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo run --locked --quiet --package segmill-fuzz --example mutate -- "$@"
