//! The house rules that a reader of `src/ARCHITECTURE.md` relies on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rows of the Markdown table under a heading, as cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let map = include_str!("../../src/ARCHITECTURE.md");
    let section = map.split(heading).nth(1).expect("the heading stands in the map");
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every Rust file under a folder, with its path below `src` and its text without comments.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code =
                    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
                found.push((path.strip_prefix(root()).unwrap().to_owned(), code));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that a file names after `crate::`, braces included.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            let mut at_name = true;
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        used.insert(std::mem::take(&mut word));
                        at_name = true;
                        continue;
                    }
                    c if depth == 0 && at_name && (c.is_alphanumeric() || c == '_') => word.push(c),
                    ':' if depth == 0 => at_name = false,
                    _ => {}
                }
            }
            used.insert(word);
        } else {
            used.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    used.remove("");
    used
}

#[test]
fn the_map_names_every_module_and_no_other() {
    let mapped: BTreeSet<String> = table("## Modules").iter().flat_map(|row| names(&row[0])).collect();
    let real: BTreeSet<String> =
        sources().iter().map(|(path, _)| module(path)).filter(|name| name != "lib" && name != "main").collect();
    assert_eq!(mapped, real);
}

#[test]
fn edges_point_down_only() {
    let allowed: BTreeMap<String, BTreeSet<String>> =
        table("## Modules").iter().map(|row| (names(&row[0]).pop_first().unwrap(), names(&row[1]))).collect();
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let own = module(&path);
        let Some(allowed) = allowed.get(&own) else { continue };
        for used in used_modules(&code).difference(allowed).filter(|used| **used != own) {
            wrong.push(format!("{} uses crate::{used}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "edges that the map does not allow:\n{}", wrong.join("\n"));
}

#[test]
fn every_heavy_crate_has_one_home() {
    let mut wrong = Vec::new();
    for row in table("## Crates with one home") {
        let (name, homes) = (names(&row[0]).pop_first().unwrap(), names(&row[1]));
        for (path, code) in sources() {
            let uses = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let mut uses =
                uses.filter(|word| word.starts_with(&format!("{name}::")) || word.starts_with(&format!("::{name}::")));
            if !homes.contains(&module(&path)) && uses.next().is_some() {
                wrong.push(format!("{} uses `{name}`, whose home is {homes:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_kind_has_one_name_in_three_spellings() {
    let mut found = BTreeSet::new();
    for (path, code) in sources() {
        for family in ["source", "transform", "score", "monitor", "sink"] {
            let Some(rest) = code.split("const NAME: &'static str = \"").nth(1) else { continue };
            if module(&path) != family {
                continue;
            }
            let name = rest.split('"').next().unwrap().to_owned();
            let camel: String = name.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
            let below = path.strip_prefix(family).unwrap().with_extension("");
            assert!(
                below == Path::new(&name) || below.starts_with(&name),
                "kind `{name}` stands in {}",
                path.display()
            );
            assert!(code.contains(&format!("pub struct {camel} ")), "{} has no `pub struct {camel}`", path.display());
            found.insert(format!("{family}/{name}"));
        }
    }
    let tables = [
        ("source", lucarne::source::KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>()),
        ("transform", lucarne::transform::KINDS.iter().map(|kind| kind.name).collect()),
        ("score", lucarne::score::KINDS.iter().map(|kind| kind.name).collect()),
        ("monitor", lucarne::monitor::KINDS.iter().map(|kind| kind.name).collect()),
        ("sink", lucarne::sink::KINDS.iter().map(|kind| kind.name).collect()),
    ];
    let registered: BTreeSet<String> =
        tables.iter().flat_map(|(family, names)| names.iter().map(move |name| format!("{family}/{name}"))).collect();
    assert_eq!(found, registered, "files of kinds and tables of kinds differ");
}

#[test]
fn no_file_is_called_utils() {
    let vague = ["utils", "util", "helpers", "common", "misc"];
    for (path, _) in sources() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!vague.contains(&stem.as_str()), "{} says nothing by its name", path.display());
    }
}

#[test]
fn unsafe_stands_in_fits_and_before_the_first_thread_only() {
    for (path, code) in sources() {
        let has = code.split_whitespace().any(|word| word == "unsafe");
        assert!(!has || ["fits", "main"].contains(&module(&path).as_str()), "{} has unsafe code", path.display());
    }
}

/// ONNX Runtime reads it when its library is loaded, in Python with the import. Who runs a script of ours is not asked.
#[test]
fn scripts_let_onnx_runtime_report_nothing() {
    let mut scripts = 0;
    let mut folders = ["benches", "models", "pipelines", "tests"].map(PathBuf::from).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                let text = fs::read_to_string(&path).unwrap();
                let Some((before, _)) = text.split_once("import onnxruntime") else { continue };
                // Of the package `training` the first file that is imported says it.
                let says = |text: &str| text.contains("setdefault(\"ORT_DISABLE_TELEMETRY\", \"1\")");
                let package = path.starts_with("models/training");
                let of_package = || says(&fs::read_to_string("models/training/__init__.py").unwrap());
                assert!(says(before) || (package && of_package()), "{} loads ONNX Runtime", path.display());
                scripts += 1;
            }
        }
    }
    assert!(scripts >= 10, "{scripts} scripts");
}

#[test]
fn there_is_one_arrow_in_the_tree() {
    let lock = include_str!("../../Cargo.lock");
    for name in ["arrow-array", "arrow-schema", "parquet", "datafusion", "fitsio-sys"] {
        let count = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(count, 1, "{name} stands {count} times in Cargo.lock");
    }
}

/// Every Rust file under `src`, with its whole text.
fn texts() -> Vec<(PathBuf, String)> {
    let read = |(path, _): (PathBuf, String)| (path.clone(), fs::read_to_string(root().join(path)).unwrap());
    sources().into_iter().map(read).collect()
}

#[test]
fn no_type_name_is_used_for_more_than_two_types() {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, code) in sources() {
        for line in code.lines() {
            let words: Vec<&str> =
                line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
            let item = words.iter().position(|word| ["struct", "enum", "trait", "type", "union"].contains(word));
            let Some(item) =
                item.filter(|item| words[..*item].iter().all(|w| ["pub", "crate", "super", "in"].contains(w)))
            else {
                continue;
            };
            // An associated type is not a type of its own.
            if line.trim_start().starts_with("type ") && line.starts_with("    ") {
                continue;
            }
            if let Some(name) = words.get(item + 1).filter(|name| name.starts_with(char::is_uppercase)) {
                types.entry((*name).to_owned()).or_default().push(path.display().to_string());
            }
        }
    }
    let several: Vec<_> = types.iter().filter(|(_, paths)| paths.len() > 2).collect();
    assert!(types.len() > 300 && several.is_empty(), "{several:#?}");
}

/// Phrases that a reader must read twice (`CONTRIBUTING.md`, "How we write").
const DIALECT: &[&str] = &[
    "so many ",
    " in vain",
    "whoever",
    "as timing will",
    "without any\n",
    "is no kind",
    "is told of",
    "says of itself",
    "the last word",
    "what comes of it",
    "what becomes of",
];

#[test]
fn comments_and_messages_are_plain() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let prose = line.contains("//") || line.contains('"');
            for phrase in DIALECT.iter().filter(|phrase| prose && line.to_lowercase().contains(**phrase)) {
                found.push(format!("{}:{}: `{phrase}`", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_dependency_is_used() {
    let manifest = include_str!("../../Cargo.toml");
    let section = |name: &str| {
        let rest = manifest.split(&format!("\n[{name}]\n")).nth(1).unwrap_or_else(|| panic!("no section `{name}`"));
        let lines = rest.split("\n[").next().unwrap().lines();
        let keys = lines.filter(|line| line.starts_with(|c: char| c.is_alphanumeric()) && line.contains('='));
        keys.map(|line| line.split([' ', '=']).next().unwrap().replace('-', "_")).collect::<Vec<_>>()
    };
    let root = root().parent().unwrap().to_owned();
    let code = |folders: &[&str]| {
        let mut all = String::new();
        let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&fs::read_to_string(path).unwrap());
            }
        }
        all
    };
    let unused = |names: Vec<String>, code: &str| {
        let used = |name: &String| {
            [format!("{name}::"), format!("use {name};"), format!("{name}!")].iter().any(|use_| code.contains(use_))
        };
        names.into_iter().filter(|name| !used(name)).collect::<Vec<_>>()
    };
    // `getrandom` is there for its features alone (Cargo.toml says why).
    assert_eq!(unused(section("dependencies"), &code(&["src"])), ["getrandom"]);
    for kind in ["dev-dependencies", "target.'cfg(shuttle)'.dev-dependencies"] {
        assert_eq!(unused(section(kind), &code(&["src", "tests", "benches"])), [] as [String; 0]);
    }
}

#[test]
fn the_glossary_is_short_and_its_terms_are_used() {
    let terms = table("## Glossary");
    assert!((20..=30).contains(&terms.len()), "{} terms", terms.len());
    let text: String = texts().into_iter().map(|(_, text)| text.to_lowercase()).collect();
    for term in terms {
        let name = term[0].trim_matches('*').to_owned();
        let word = name.replace(' ', "_");
        assert!(text.contains(&name) || text.contains(&word), "no code or comment uses the term `{name}`");
    }
}

#[test]
fn the_formats_on_disk_are_those_that_the_schemas_describe() {
    let bless = std::env::var_os("LUCARNE_BLESS").is_some();
    for (name, schema) in lucarne::run::schemas().into_iter().chain([("card", lucarne::card::schema())]) {
        let path = root().parent().unwrap().join(format!("schemas/{name}.schema.json"));
        let text = format!("{:#}\n", schema.to_value());
        if bless {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "schemas/{name}.schema.json is not that of the code (`make bless` writes it again)");
    }
}
