//! The page of a run that goes on, over HTTP: what the run is doing now on top, below it the page as of the last commit.
//!
//! The run tells a [`Board`] how far it is; a [`Server`] reads the board, on a thread of its own, and answers three paths:
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page, made anew when there was a commit |
//! | `/status.json` | a [`Snapshot`] of the board |
//! | `/metrics` | the same for Prometheus |
//!
//! No path is ever looked up on a disk, and nothing can be changed.

mod board;
mod hosts;
mod metrics;
mod server;

use askama::Template;

pub use board::{Board, Snapshot, State, Waiting};
pub use hosts::is_loopback;
pub use server::Server;

/// What the strip on top of the page looks like.
pub(super) const CSS: &str = include_str!("live.css");
/// What fills the strip, and the page below it when there was a commit.
pub(super) const JS: &str = include_str!("live.js");

/// A page with the strip alone, for as long as there is no other.
#[derive(Template)]
#[template(path = "empty.html")]
struct Empty<'a> {
    run: &'a str,
    note: &'a str,
    style: &'static str,
    script: &'static str,
}

/// The page of a run of which there is nothing to show but the strip, and why.
fn empty_page(run: &str, note: &str) -> String {
    let page = Empty { run, note, style: CSS, script: JS }.render();
    page.unwrap_or_else(|error| format!("the page cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_page_shows_names_as_they_are_and_runs_none() {
        let page = empty_page("<b>run</b> & \"co\"", "no <script>");
        assert!(page.contains("<title>&#60;b&#62;run&#60;/b&#62; &#38; &#34;co&#34;</title>"), "{page}");
        assert!(page.contains("<p>no &#60;script&#62;</p>"), "{page}");
        assert_eq!(page.matches("<script>").count(), 1);
        assert_eq!(page.matches("</script>").count(), 1);
    }
}
