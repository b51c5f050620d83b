//! A table on disk: Parquet parts that are staged, made durable, and published by a commit record.
