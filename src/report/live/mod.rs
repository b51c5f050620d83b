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

pub use board::{Board, Snapshot, State, Waiting};
pub use hosts::is_loopback;
pub use server::Server;

/// What the strip on top of the page looks like.
pub const CSS: &str = include_str!("live.css");
/// What fills the strip, and the page below it when there was a commit.
pub const JS: &str = include_str!("live.js");

/// A page with the strip alone, for as long as there is no other.
pub fn empty_page(run: &str, note: &str) -> String {
    let (run, note) = (escaped(run), escaped(note));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{run}</title>\n\
         <style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }}\n{CSS}</style>\n\
         <main data-empty>\n<h1>{run}</h1>\n<div id=\"live\"></div>\n<p>{note}</p>\n</main>\n<script>{JS}</script>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_page_shows_names_as_they_are_and_runs_none() {
        let page = empty_page("<b>run</b> & \"co\"", "no <script>");
        assert!(page.contains("<title>&lt;b&gt;run&lt;/b&gt; &amp; &quot;co&quot;</title>"), "{page}");
        assert!(page.contains("<p>no &lt;script&gt;</p>"), "{page}");
        assert_eq!(page.matches("<script>").count(), 1);
        assert_eq!(page.matches("</script>").count(), 1);
    }
}
