//! Paths of the command line. A shell leaves `~` as it is after the `=` of an option.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::io::home::{self, BadPath};

/// Reads a path, with `~/` as the home folder.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    let refused = |BadPath { message, help }: BadPath| match help {
        Some(help) => format!("it {message}: {help}"),
        None => format!("it {message}"),
    };
    PathBufValueParser::new().try_map(move |path| home::expanded_path(path).map_err(refused))
}
