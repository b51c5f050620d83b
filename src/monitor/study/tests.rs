//! A study of small work.
