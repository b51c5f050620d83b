//! The source kind `parquet`.
