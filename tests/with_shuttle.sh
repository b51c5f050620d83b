#!/bin/sh
# Compiles this crate with `--cfg shuttle` (`RUSTC_WORKSPACE_WRAPPER` of `make schedules`), and its dependencies without: they are
# shared with the other builds, while a flag in RUSTFLAGS would build all of them again.
exec "$@" --cfg shuttle
