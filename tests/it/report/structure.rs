//! Checks the machine-independent structure of a figure: its elements, colours and words. Numbers come from models, whose last
//! digits differ between processors; they are tested where they are computed.

use std::{collections::BTreeSet, fs, path::PathBuf};

use resvg::usvg::roxmltree::{Document, Node};

use super::NAMES;

/// Compares with `tests/golden/report/NAME.txt`. With `LUCARNE_BLESS=1` the file is written instead.
pub(super) fn check(name: &str, svg: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report").join(format!("{name}.txt"));
    let found = structure(svg);
    if std::env::var_os("LUCARNE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &found).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, golden, "`{}` has another structure", path.display());
}

/// A line for each kind of element and for each text, sorted.
fn structure(svg: &str) -> String {
    let document = Document::parse(svg).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    let elements: BTreeSet<String> = root.descendants().filter(Node::is_element).map(kind).collect();
    let texts: BTreeSet<String> =
        root.descendants().filter(|node| node.tag_name().name() == "text").filter_map(words).collect();
    elements.into_iter().chain(texts).map(|line| line + "\n").collect()
}

fn kind(node: Node<'_, '_>) -> String {
    // Outlined marks are attacked objects, whose classes depend on the model.
    let names: &[&str] = if node.attribute("stroke") == Some("#1F2328") { &["stroke"] } else { &["fill", "stroke"] };
    let colours = names.iter().map(|name| node.attribute(*name).map(|value| format!(" {name}={value}")));
    format!("{}{}", node.tag_name().name(), colours.flatten().collect::<String>())
}

/// A text without numbers; `None` for texts of numbers only, and for ids of objects, because the drawn objects depend on the model.
fn words(node: Node<'_, '_>) -> Option<String> {
    let text: String = node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect();
    let words: Vec<&str> = text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).collect();
    let is_name = NAMES.iter().any(|name| text.trim_start_matches('\u{2068}').chars().take(4).eq(name.chars().take(4)));
    (!words.is_empty() && !is_name).then(|| format!("text: {}", words.join(" ")))
}
