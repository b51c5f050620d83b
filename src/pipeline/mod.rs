//! Pipelines: the document as written, the checked plan, and the builder.

mod tree;
