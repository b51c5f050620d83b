//! Pipelines from documents and from code: equal results, mistakes, and the command line.

use std::{fs, path::Path, process::Command};

use arrow::array::RecordBatchReader;
use lucarne::{
    error::{Code, Error},
    pipeline::{self, Pipeline, mermaid},
    sink::parquet::Parquet,
    source::simulated::Simulated,
    transform::crop::Crop,
};

const SMALL: &str = "
parameters: { count: 40, size: 16 }
seed: 3
source:
  simulated: { count: \"${count}\" }
transform:
  small: { crop: { image: image, size: \"${size}\" } }
sink:
  objects: { parquet: { images: [small] } }
";

fn lucarne(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lucarne")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The rows of a table, as text.
fn rows(run: &Path, table: &str) -> String {
    let sql = format!("select * from {table}");
    let (code, out, error) = lucarne(&["query", &run.display().to_string(), &sql, "--format", "json"]);
    assert_eq!(code, 0, "{error}");
    out
}

#[test]
fn the_schema_file_equals_the_schema_of_the_kinds() {
    let path = Path::new("schemas/pipeline.schema.json");
    let schema = format!("{:#}\n", pipeline::schema());
    if std::env::var_os("LUCARNE_BLESS").is_some() {
        fs::write(path, &schema).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(kept == schema, "schemas/pipeline.schema.json is not that of the kinds (`make bless` writes it again)");
}

#[test]
fn every_reference_of_the_schema_is_defined() {
    let schema = pipeline::schema();
    let text = schema.to_string();
    let references: Vec<&str> = text.split("\"#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.len() > 20, "{references:?}");
    for name in references {
        assert!(schema["$defs"][name].is_object(), "`{name}` is not defined");
    }
}

#[test]
fn a_document_and_a_builder_make_the_same_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (written, built) = (folder.path().join("written"), folder.path().join("built"));
    Pipeline::from_yaml(SMALL).run(&written).unwrap();
    let pipeline = Pipeline::builder()
        .source(Simulated { count: 40, ..Simulated::default() })
        .transform("small", Crop { image: "image".into(), size: Some(16), ..Crop::default() })
        .sink("objects", Parquet { images: vec!["small".into()], ..Parquet::default() })
        .seed(3)
        .build();
    assert_eq!(pipeline.run(&built).unwrap().counts.written, 40);
    assert_eq!(rows(&written, "objects"), rows(&built, "objects"));
}

#[test]
fn parameters_and_settings_of_the_caller_change_the_run() {
    let pipeline = Pipeline::from_yaml(SMALL).set("count", "7").configure("small:size", "${size}");
    let summary = pipeline.limit(5).run(tempfile::tempdir().unwrap().path().join("run")).unwrap();
    assert_eq!((summary.counts.source, summary.tables["objects"]), (5, 5));
}

#[test]
fn batches_can_be_pulled_and_hold_what_the_sink_would_keep() {
    let stream = Pipeline::from_yaml(SMALL).batch_rows(16).stream().unwrap();
    let names: Vec<String> = stream.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert!(names.contains(&"small".into()) && !names.contains(&"image".into()), "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with('_')), "{names:?}");
    let rows: Vec<usize> = stream.map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(rows.iter().sum::<usize>(), 40);
    assert!(rows.iter().all(|rows| *rows <= 16));
}

#[test]
fn images_are_made_without_the_steps_that_do_not_make_them() {
    // The model is not there, and is not needed to make what it would see.
    let yaml = SMALL.replace(
        "sink:",
        "  y1: { asinh_stretch: { image: small, constants: { model: not_there.onnx, domain: y1 } } }\nsink:",
    );
    let stream = Pipeline::from_yaml(yaml.clone()).images(&[]).unwrap();
    let names: Vec<String> = stream.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["object_id", "origin", "small"]);
    let Err(Error::Pipeline(mistakes)) = Pipeline::from_yaml(yaml).images(&["smal".into()]) else { panic!("mistakes") };
    assert_eq!(mistakes[0].help.as_deref(), Some("did you mean `small`?"));
}

#[test]
fn mistakes_of_a_builder_have_labels() {
    let pipeline = Pipeline::builder()
        .source(Simulated::default())
        .transform("small", Crop { image: "imag".into(), size: Some(3), ..Crop::default() })
        .transform("_x", Crop { image: "image".into(), size: Some(3), ..Crop::default() })
        .build();
    let Err(Error::Pipeline(mistakes)) = pipeline.check() else { panic!("mistakes") };
    let codes: Vec<Code> = mistakes.iter().map(|mistake| mistake.code).collect();
    assert!(codes.contains(&Code::BadLabel) && codes.contains(&Code::UnknownColumn), "{mistakes:?}");
}

#[test]
fn exit_codes_distinguish_the_outcomes_of_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.yaml").display().to_string();
    let run = folder.path().join("run").display().to_string();
    fs::write(&file, SMALL).unwrap();
    assert_eq!(lucarne(&["check", &file]), (0, String::new(), String::new()));
    assert_eq!(lucarne(&["check", &file, "--set", "size=0"]).0, 2);
    assert_eq!(lucarne(&["check", "not_there.yaml"]).0, 2);
    assert_eq!(lucarne(&["chek", &file]).0, 2);
    let (code, _, stderr) = lucarne(&["run", &file]);
    assert_eq!(code, 2);
    assert!(stderr.contains("the pipeline has no run directory"), "{stderr}");
    let (code, out, stderr) = lucarne(&["run", &file, "-o", &run, "--threads", "2", "--batch", "8", "--limit", "20"]);
    assert_eq!((code, out.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains("20 rows in, 20 kept, 0 rejected"), "{stderr}");
    assert_eq!(lucarne(&["run", &file, "-o", &run, "--limit", "20"]).0, 3, "an existing run is not overwritten");
    assert_eq!(
        lucarne(&["-q", "run", &file, "-o", &run, "--limit", "20", "--overwrite"]),
        (0, String::new(), String::new())
    );
}

#[test]
fn explain_shows_where_a_column_is_made_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.yaml").display().to_string();
    fs::write(&file, SMALL).unwrap();
    let (code, out, _) = lucarne(&["explain", &file]);
    assert_eq!(code, 0);
    let after = out.split("transform small: crop of image").nth(1).unwrap();
    assert!(after.contains("+ small                    image g r i, 16x16 pixels, nJy, 0.2 arcsec/pixel"), "{out}");
    assert!(after.contains("- image\n"), "{out}");
    let (_, graph, _) = lucarne(&["explain", &file, "--format", "mermaid"]);
    assert!(graph.starts_with("flowchart LR\n") && graph.contains("n_image -->|image| n_small"), "{graph}");
    let plan = Pipeline::from_yaml(SMALL).check().unwrap();
    assert_eq!(mermaid(plan.logical_plan()), graph);
}

#[test]
fn the_reference_has_every_kind_and_every_setting() {
    let (code, list, _) = lucarne(&["kinds"]);
    assert_eq!(code, 0);
    for family in pipeline::Family::ALL {
        for (name, schema) in pipeline::kinds(family) {
            assert!(list.contains(&format!("\n  {name} ")), "`{name}` is not in the list");
            assert!(schema["description"].is_string(), "the kind `{name}` has no description");
            let (code, reference, _) = lucarne(&["kinds", &format!("{}.{name}", family.name())]);
            assert_eq!(code, 0);
            for (key, setting) in schema["properties"].as_object().into_iter().flatten() {
                assert!(reference.contains(&format!("\n{key}: ")), "`{key}` of `{name}` is not in the reference");
                let is_described = setting["description"].is_string() || setting["$ref"].is_string();
                assert!(is_described, "`{key}` of `{name}` has no description");
            }
        }
    }
    let (code, _, stderr) = lucarne(&["kinds", "observ"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("did you mean `observe`?"), "{stderr}");
}

#[test]
fn stretch_constants_are_measured_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let calibration = folder.path().join("calibration.json").display().to_string();
    let yaml = SMALL.replace(
        "sink:",
        &format!(
            "  y1: {{ asinh_stretch: {{ image: small, constants: {{ file: {calibration}, domain: small }} }} }}\nsink:"
        ),
    );
    let file = folder.path().join("small.yaml").display().to_string();
    fs::write(&file, yaml).unwrap();
    assert_eq!(lucarne(&["check", &file]).0, 2, "there are no constants yet");
    let (code, _, stderr) = lucarne(&["calibrate", &file, "-o", &calibration]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(lucarne(&["check", &file]).0, 0);
    let found: serde_json::Value = serde_json::from_str(&fs::read_to_string(&calibration).unwrap()).unwrap();
    assert_eq!(found["domains"]["small"]["images"], 40);
    assert_eq!(found["domains"]["small"]["pixels"], 40 * 3 * 16 * 16);
}

#[test]
fn two_exposures_of_one_image_share_its_blur() {
    let yaml = SMALL.replace(
        "sink:",
        "  y10: { observe: { image: image, survey: lsst, years: 10 } }
  y1: { observe: { image: image, survey: lsst, years: 1 } }
sink:",
    );
    let plan = Pipeline::from_yaml(yaml).check().unwrap();
    let hidden: Vec<_> = plan.logical_plan().steps.iter().filter(|step| step.label.starts_with('_')).collect();
    assert_eq!(hidden.len(), 1, "{hidden:?}");
    assert_eq!(hidden[0].shared_by, ["y10", "y1"]);
    let last = plan.logical_plan().steps.last().unwrap();
    assert!(last.label == "y1" && last.dropped.contains(&hidden[0].label), "{last:?}");
    let left: Vec<_> = plan.logical_plan().output.fields().iter().map(|field| field.name().as_str()).collect();
    assert!(!left.contains(&"image") && !left.contains(&"y1") && left.contains(&"small"), "{left:?}");
}

#[test]
fn a_run_is_resumed_by_other_threads_and_not_by_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.yaml").display().to_string();
    let run = folder.path().join("run").display().to_string();
    fs::write(&file, SMALL).unwrap();
    assert_eq!(lucarne(&["run", &file, "-o", &run, "--resume"]).0, 0);
    let (code, _, stderr) = lucarne(&["run", &file, "-o", &run, "--resume", "--threads", "3", "--batch", "7"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("already finished"), "{stderr}");
    let commented = format!("description: nothing else is new\n{SMALL}");
    fs::write(&file, commented).unwrap();
    assert_eq!(lucarne(&["run", &file, "-o", &run, "--resume"]).0, 0);
    for change in [["--set", "size=17"], ["-c", "source:size=90"], ["--seed", "4"]] {
        let (code, _, stderr) = lucarne(&["run", &file, "-o", &run, "--resume", change[0], change[1]]);
        assert_eq!(code, 3, "{change:?}: {stderr}");
        assert!(stderr.starts_with("error (data): cannot resume"), "{stderr}");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_exits_130_after_a_commit_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.yaml").display().to_string();
    let run = folder.path().join("run");
    fs::write(&file, SMALL).unwrap();
    // Enough rows that the run cannot finish before it is interrupted.
    let mut child = Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .args(["run", &file, "--set", "count=10000000", "--threads", "1", "-o"])
        .arg(&run)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !run.join("_commits").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run finished before it was interrupted");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("stopping after a commit") && stderr.contains("continue with `--resume`"), "{stderr}");
    let record: serde_json::Value = serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["state"], "interrupted", "{record:#}");
}

/// The messages of `lucarne check` of a document with arguments.
fn check(yaml: impl AsRef<[u8]>, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml").display().to_string();
    fs::write(&file, yaml).unwrap();
    let (code, _, stderr) = lucarne(&[&["check", &file], arguments].concat());
    assert_eq!(code, 2, "{stderr}");
    stderr.replace(&file, "p.yaml")
}

#[test]
fn documents_that_are_not_utf8_have_the_place_of_the_byte() {
    let latin1 = check(b"run: a\n# gr\xFC\xDFe\nsource: { simulated: {} }\n", &[]);
    let expected = "error[syntax]: the pipeline is not UTF-8: line 2 has the byte 0xFC\n --> p.yaml:2:5\n";
    assert!(latin1.starts_with(expected), "{latin1}");
    assert!(latin1.contains("2 | # gr") && latin1.contains("help: save it as UTF-8"), "{latin1}");
    for (mark, bytes) in
        [(true, u16::to_le_bytes as fn(u16) -> [u8; 2]), (true, u16::to_be_bytes), (false, u16::to_le_bytes)]
    {
        let mark = mark.then_some('\u{feff}');
        let text: String = mark.into_iter().chain("run: a\nsource: { simulated: {} }\n".chars()).collect();
        let stderr = check(text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>(), &[]);
        let expected = "error[syntax]: the pipeline is UTF-16, expected UTF-8\n --> p.yaml:1:1\n";
        assert!(stderr.starts_with(expected), "{stderr}");
    }
}

/// In a process of its own: without optimisation, many levels need more stack than a thread of a test has.
#[test]
fn a_document_of_too_many_levels_is_refused() {
    let lists = format!("description: {}{}\n", "[".repeat(70), "]".repeat(70));
    let maps: String = (0..70).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    for yaml in [lists, maps] {
        let stderr = check(yaml, &[]);
        assert!(stderr.starts_with("error[syntax]: the document has more than 64 levels\n"), "{stderr}");
    }
    let stderr = check("[".repeat(100_000), &[]);
    assert!(stderr.starts_with("error[syntax]: the document has more than 64 levels\n"), "{stderr}");
}

#[test]
fn text_on_the_command_line_arrives_as_typed() {
    let yaml = "parameters: { p: ~ }\nsource: { parquet: { paths: [\"${p}\", \"${p}/b\"] } }\n";
    for text in ["*.parquet", "#x", "a #b", "&a b", "!x", "a: b", "{", " a ", "5", "007", "true", "[a, b]", "`x"] {
        let stderr = check(yaml, &["--set", &format!("p={text}")]);
        assert!(stderr.contains(&format!("`{text}`")) && stderr.contains(&format!("`{text}/b`")), "{text}: {stderr}");
        assert!(stderr.contains("2 mistakes"), "{stderr}");
        let stderr = check(yaml, &["--set", "p=a", "-c", &format!("source:paths.0={text}")]);
        assert!(stderr.contains(&format!("`{text}`")), "{text}: {stderr}");
    }
}

#[test]
#[cfg(unix)]
fn a_tilde_is_the_home_folder_in_documents_and_on_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    let in_home = |arguments: &[&str]| {
        let command = &mut Command::new(env!("CARGO_BIN_EXE_lucarne"));
        let output = command.args(arguments).env("HOME", home.path()).current_dir(home.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout) + &text(output.stderr))
    };
    let write = |name: &str, yaml: &str| fs::write(home.path().join(name), yaml).unwrap();
    write("small.yaml", &format!("run: ~/runs/a\n{SMALL}"));
    let read = "parameters: { root: \"~\" }\nsource: { parquet: { paths: [\"${root}/runs/a/objects\"] } }
sink: { objects: { parquet: {} } }\n";
    write("read.yaml", read);
    write("of_run.yaml", "source: { parquet: { run: ~/runs/a } }\nsink: { objects: { parquet: {} } }\n");
    for arguments in [
        &["run", "small.yaml"][..],
        &["run", "~/read.yaml", "--output=~/runs/b"],
        &["run", "read.yaml", "-o", "~/runs/c", "--set", "root=~/."],
        &["run", "read.yaml", "-o", "~/runs/d", "-c", "source:paths.0=~/runs/a/objects/*.parquet"],
        &["run", "of_run.yaml", "-o", "runs/e"],
        &["query", "~/runs/a"],
        &["verify", "~/runs/a"],
        &["compact", "~/runs/a"],
        &["report", "~/runs/a", "--output=~/a.html"],
    ] {
        let (code, text) = in_home(arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
    }
    for run in ["a", "b", "c", "d", "e"] {
        assert!(home.path().join("runs").join(run).join("run.json").exists(), "{run}");
    }
    assert!(home.path().join("a.html").exists() && !home.path().join("~").exists());
    let (code, text) = in_home(&["query", "~somebody/a"]);
    assert_eq!(code, 2);
    assert!(text.contains("the home folders of other users are not looked up"), "{text}");
}

#[test]
fn a_run_directory_with_a_nul_is_a_mistake() {
    let Err(Error::Pipeline(mistakes)) = Pipeline::from_yaml(SMALL).run("a\0b") else { panic!("mistakes") };
    assert_eq!(mistakes[0].message, "the run directory has a NUL character, which no path can have");
}

/// Class and error of a score are read where the monitor finds them, so they must not be dropped when no sink keeps them.
#[test]
fn a_monitor_sees_all_columns_of_a_score_without_a_sink() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "
source: { simulated: { count: 12 } }
transform:
  y10_sky: { observe: { image: image, survey: lsst, years: 10 } }
  y10: { asinh_stretch: { image: y10_sky, constants: { model: models/convnet-da.onnx, domain: y10 } } }
score: { da: { onnx: { model: models/convnet-da.onnx, image: y10 } } }
monitor: { drawn: { isomap: { score: da, n: 10 } } }
";
    let scored = folder.path().join("scored");
    let run = folder.path().join("run");
    Pipeline::from_yaml(yaml).run(&scored).unwrap();
    Pipeline::from_yaml(format!("{yaml}sink: {{ objects: {{ parquet: {{}} }} }}\n")).run(&run).unwrap();
    let again = format!(
        "source: {{ parquet: {{ run: {} }} }}\nmonitor: {{ drawn: {{ isomap: {{ score: da, n: 10 }} }} }}\n",
        run.display()
    );
    let of_run = folder.path().join("of_run");
    Pipeline::from_yaml(again).run(&of_run).unwrap();
    for run in [scored, run, of_run] {
        let drawn = rows(&run, "drawn");
        assert_eq!(drawn.matches("\"class\":\"").count(), 10, "{drawn}");
    }
}

/// The constants of a model are for one exposure: images of another would be stretched to numbers that the model has never seen.
#[test]
fn images_of_another_exposure_are_refused_by_the_constants_of_a_model() {
    let checked = |survey: &str, years: u32, domain: &str, scale_to: &str| {
        let yaml = format!(
            "
source: {{ simulated: {{ count: 2 }} }}
transform:
  ten: {{ observe: {{ image: image, survey: lsst, years: 10 }} }}
  sky: {{ observe: {{ image: image, survey: {survey}, years: {years} }} }}
  seen: {{ asinh_stretch: {{ image: sky, constants: {{ model: models/convnet-da.onnx, domain: {domain} }}{scale_to} }} }}
sink: {{ objects: {{ parquet: {{ images: [seen] }} }} }}
"
        );
        match Pipeline::from_yaml(yaml).check() {
            Ok(_) => None,
            Err(Error::Pipeline(mistakes)) => Some(mistakes[0].to_string()),
            Err(error) => panic!("{}", error.report()),
        }
    };
    assert_eq!(checked("lsst", 10, "y10", ""), None);
    assert_eq!(checked("lsst", 1, "y1", ""), None);
    assert_eq!(checked("lsst", 1, "y10", ", scale_to: { image: ten }"), None);
    let why = checked("lsst", 1, "y10", "").unwrap();
    let message = "`sky` has 13.3419 electrons per nJy in band `g`, the constants of `y10` are for 133.4195";
    assert!(why.contains(message) && why.contains("scale it with `scale_to"), "{why}");
    assert!(checked("des", 1, "y10", "").unwrap().contains("the constants of `y10` are for"));
}
