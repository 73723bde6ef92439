#!/bin/sh
# Compiles the packages of this workspace so that libFuzzer sees which branches an input takes. As RUSTC_WORKSPACE_WRAPPER it leaves
# the dependencies as they are built already, and needs no nightly compiler.
exec "$@" --cfg fuzzing -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
