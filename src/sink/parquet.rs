//! The sink kind `parquet`.
