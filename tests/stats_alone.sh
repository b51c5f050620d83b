#!/bin/sh
# Makes a crate of `src/stats` alone, with its tests and their golden numbers, in a folder: `make mutants` tests a change of a line there in
# seconds, because the module uses nothing else of this crate. Versions are those of Cargo.toml and Cargo.lock.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1/src" "$1/tests"
rm -rf "$1/src/stats"
cp -R src/stats "$1/src/stats"
cp Cargo.lock "$1/Cargo.lock"
ln -sfn "$(pwd)/tests/golden" "$1/tests/golden"
echo 'pub mod stats;' >"$1/src/lib.rs"
{
    printf '[package]\nname = "stats"\nversion = "0.0.0"\nedition = "2024"\npublish = false\n\n[workspace]\n\n[dependencies]\n'
    grep -E '^(multiversion|proptest|serde|serde_json) = (".*"|\{ version = .*\})$' Cargo.toml
    printf '\n[profile.dev]\nopt-level = 1\ndebug = false\n\n[profile.dev.package."*"]\nopt-level = 3\n'
} >"$1/Cargo.toml"
