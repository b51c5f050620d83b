//! Every YAML file in `tests/mistakes` is a document with mistakes, with the expected diagnostics next to it. A first line
//! `# arguments: --set a=b -c label:key=value` sets arguments. With `LUCARNE_BLESS=1` the expected files are written instead of compared.

use std::{collections::BTreeSet, fs, path::PathBuf};

use lucarne::{
    error::{Code, Error},
    pipeline::{Paint, Pipeline, render},
};

fn documents() -> Vec<PathBuf> {
    let files = fs::read_dir("tests/mistakes").unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    files.sort();
    files
}

/// The diagnostics of a document, as text.
fn diagnostics(path: &PathBuf) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut pipeline = Pipeline::from_file(path).unwrap();
    let arguments = text.lines().next().unwrap().strip_prefix("# arguments: ").unwrap_or_default();
    let words: Vec<&str> = arguments.split_whitespace().collect();
    for pair in words.chunks(2) {
        let (name, value) = pair[1].split_once('=').unwrap();
        pipeline = if pair[0] == "--set" { pipeline.set(name, value) } else { pipeline.configure(name, value) };
    }
    match pipeline.check() {
        Err(Error::Pipeline(mistakes)) => render(&mistakes, Paint::Plain),
        Err(other) => panic!("{} returned an error that is not a list of mistakes: {other}", path.display()),
        Ok(_) => panic!("{} has no mistake", path.display()),
    }
}

#[test]
fn diagnostics_equal_the_expected_files() {
    let bless = std::env::var_os("LUCARNE_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in documents() {
        let (expected, found) = (path.with_extension("txt"), diagnostics(&path));
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{} differs from the diagnostics:\n{found}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\n(`make bless` writes them again)", wrong.join("\n"));
}

#[test]
fn a_document_that_fails_names_at_least_one_mistake() {
    for path in documents() {
        let text = diagnostics(&path);
        let mistakes = text.matches("error[").count();
        assert!(mistakes > 0, "{}:\n{text}", path.display());
        let count = if mistakes == 1 { "1 mistake".to_owned() } else { format!("{mistakes} mistakes") };
        assert!(text.ends_with(&format!("error: {count}\n")), "{}:\n{text}", path.display());
    }
}

#[test]
fn every_code_has_a_document() {
    let all: String = documents().iter().map(diagnostics).collect();
    // `tests/it/kafka.rs` has one that is unreachable, which takes seconds to find out.
    let codes = Code::ALL.iter().filter(|code| **code != Code::Unreachable);
    let missing: BTreeSet<&str> =
        codes.map(|code| code.name()).filter(|name| !all.contains(&format!("error[{name}]"))).collect();
    assert!(missing.is_empty(), "no document in tests/mistakes shows {missing:?}");
}

#[test]
fn every_mistake_of_a_document_has_a_caret() {
    for path in documents().iter().filter(|path| !path.ends_with("nothing_kept.yaml")) {
        let text = diagnostics(path);
        let mistakes = text.matches("error[").count();
        let carets = text.lines().filter(|line| line.trim_start().starts_with("| ") && line.contains('^')).count();
        assert_eq!(mistakes, carets, "{}:\n{text}", path.display());
    }
}
