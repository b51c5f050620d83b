//! Damaged run directories and inputs, and those of others: refused by name, never answered with or followed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lucarne::{
    engine::{Stop, compact},
    error::Error,
    fits,
    pipeline::Pipeline,
    query::{QueryError, QueryOptions, Run},
    report::Report,
    run::{self, CommitRecord, RunRecord, RunState, TablePart, Verification, verify},
};
use tempfile::{TempDir, tempdir};

use super::skip::skip;

const RUN: &str = "
source: { simulated: { count: 24, size: 8 } }
sink:
  objects: { parquet: { images: [image] } }
  cutouts: { fits: { images: [image], objects_per_file: 5 } }
engine: { commit_rows: 8, batch_rows: 4, commit_seconds: 1000 }
";

fn unchecked() -> QueryOptions {
    let mut options = QueryOptions::default();
    options.checksums = false;
    options
}

/// A finished run.
fn finished() -> TempDir {
    let dir = tempdir().unwrap();
    Pipeline::from_yaml(RUN).run(dir.path()).unwrap();
    dir
}

/// The files of a run that its records name, and the records.
fn files(run_dir: &Path) -> Vec<PathBuf> {
    let tables = run::tables(run_dir).unwrap();
    let part = |table: &str, part| run::locate(run_dir, table, part).unwrap();
    let parts = tables.iter().flat_map(|(table, parts)| parts.iter().map(move |one| part(table, one)));
    let records = run::commits(run_dir).unwrap().into_iter().map(|commit| run::commit_path(run_dir, commit));
    parts.chain(records).collect()
}

/// A well-mixed number.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 7
}

/// Flips a bit of a file while `work` runs.
fn flipped<T>(path: &Path, number: u64, work: impl FnOnce() -> T) -> T {
    let whole = fs::read(path).unwrap();
    let mut damaged = whole.clone();
    damaged[(mix(number) % whole.len() as u64) as usize] ^= 1 << (number % 8);
    fs::write(path, damaged).unwrap();
    let result = work();
    fs::write(path, whole).unwrap();
    result
}

#[test]
fn ten_thousand_flipped_bits_are_found_and_named() {
    let dir = finished();
    let files = files(dir.path());
    let Verification { files: good, damaged, unchecked, .. } = verify(dir.path()).unwrap();
    assert_eq!((damaged.as_slice(), unchecked), ([].as_slice(), 0));
    assert!(good > 8, "{good} files");
    for number in 0..10_000 {
        let path = &files[number as usize % files.len()];
        let found = flipped(path, number, || verify(dir.path()));
        let said = found.map_or_else(|error| error.report(), |found| found.damaged.join("; "));
        assert!(said.contains(&path.display().to_string()), "{number}: `{}`: {said}", path.display());
    }
}

#[test]
fn a_flipped_bit_is_never_answered_with() {
    let dir = finished();
    let files = files(dir.path());
    let rows = |run: &Run| -> Result<Vec<_>, QueryError> { run.query("select * from objects")?.collect() };
    let expected = rows(&Run::open(dir.path()).unwrap()).unwrap();
    for number in 0..600 {
        let path = &files[number as usize % files.len()];
        let answer =
            flipped(path, number, || Run::open(dir.path()).map_err(QueryError::Run).and_then(|run| rows(&run)));
        match answer {
            Ok(answer) => {
                assert!(!path.starts_with(dir.path().join("objects")), "`{}` was read", path.display());
                assert_eq!(answer, expected);
            }
            Err(QueryError::Run(error @ Error::Data { .. })) => {
                assert!(error.report().contains(&path.display().to_string()), "{}", error.report());
            }
            Err(other) => panic!("`{}`: {other:?}", path.display()),
        }
    }
}

#[test]
fn what_is_damaged_is_not_compacted_or_reported() {
    let dir = finished();
    let path = run::part_files(dir.path(), "objects").unwrap().unwrap().swap_remove(1);
    for number in 0..40 {
        let error = flipped(&path, number, || compact(dir.path(), 1 << 20)).unwrap_err();
        assert!(error.report().contains(&path.display().to_string()), "{}", error.report());
    }
    // The one of those tables that every report asks.
    let rejects = run::part_files(dir.path(), "rejects").unwrap().unwrap().swap_remove(0);
    flipped(&rejects, 5, || {
        let page = Report::open(dir.path()).and_then(|report| report.page());
        let said = page.unwrap_or_else(|error| error.report());
        assert!(said.contains("is damaged: its bytes"), "{said}");
    });
    assert!(compact(dir.path(), 1 << 20).unwrap().parts_after > 0);
    assert!(verify(dir.path()).unwrap().damaged.is_empty());
}

#[test]
fn without_checksums_only_lengths_are_checked() {
    let dir = finished();
    let path = run::part_files(dir.path(), "objects").unwrap().unwrap().swap_remove(0);
    // Within the pixels, which Parquet does not check.
    let opened = flipped(&path, 3, || Run::open_with(dir.path(), unchecked()).map(|run| run.tables().to_vec()));
    assert_eq!(opened.unwrap(), ["objects", "rejects"]);
    fs::OpenOptions::new().append(true).open(&path).unwrap().set_len(100).unwrap();
    let error = Run::open_with(dir.path(), unchecked()).err().unwrap().report();
    assert!(error.contains("has 100 bytes, expected"), "{error}");
}

#[test]
fn a_run_with_a_fits_sink_can_be_queried() {
    let dir = finished();
    let run = Run::open(dir.path()).unwrap();
    assert_eq!(run.tables(), ["objects", "rejects"]);
    assert!(Report::open(dir.path()).unwrap().page().is_ok());
}

#[test]
fn a_run_with_a_damaged_run_record_is_resumed_and_overwritten() {
    let dir = finished();
    let record = dir.path().join("run.json");
    for damage in ["", "{}"] {
        fs::write(&record, damage).unwrap();
        assert!(Pipeline::from_yaml(RUN).resume().run(dir.path()).unwrap().already_finished);
        let written = RunRecord::read(dir.path()).unwrap().unwrap();
        assert_eq!((written.state, written.rows("objects")), (RunState::Finished, 24));
        fs::write(&record, damage).unwrap();
        assert_eq!(Pipeline::from_yaml(RUN).overwrite().run(dir.path()).unwrap().counts.source, 24);
    }
}

/// Rewrites the last commit record with names of somebody else.
fn rename(run_dir: &Path, change: impl FnOnce(&mut CommitRecord)) -> String {
    let last = *run::commits(run_dir).unwrap().last().unwrap();
    let mut record = CommitRecord::read(run_dir, last).unwrap().unwrap();
    change(&mut record);
    // `write` refuses such names itself.
    let error = record.write(run_dir).unwrap_err().report();
    let text = serde_json::to_string(&CommitRecord { format: 1, ..record }).unwrap();
    fs::write(run::commit_path(run_dir, last), text).unwrap();
    error
}

#[test]
fn names_that_lead_out_of_a_run_directory_are_refused() {
    let outside = tempdir().unwrap();
    let victim = outside.path().join("victim.txt");
    fs::write(&victim, "mine").unwrap();
    for name in ["../victim.txt".to_owned(), victim.display().to_string(), "..".into(), ".hidden".into(), String::new()]
    {
        for place in ["table", "part", "state"] {
            let dir = outside.path().join("run");
            let _ = fs::remove_dir_all(&dir);
            Pipeline::from_yaml(RUN).run(&dir).unwrap();
            let error = rename(&dir, |record| match place {
                "table" => {
                    let parts = record.tables.remove("objects").unwrap();
                    record.tables.insert(name.clone(), parts);
                }
                "part" => record.tables.get_mut("objects").unwrap().push(TablePart::new(name.as_str(), 1, 1)),
                _ => {
                    record.monitors.insert(name.clone(), run::StateFile { file: name.clone(), digest: String::new() });
                }
            });
            assert!(error.contains("expected letters, digits"), "{error}");
            let refused = |error: Option<Error>| {
                let error = error.unwrap().report();
                assert!(error.contains("expected letters, digits"), "{place} `{name}`: {error}");
            };
            refused(Run::open(&dir).err());
            refused(compact(&dir, 1 << 20).err());
            refused(Pipeline::from_yaml(RUN).resume().run(&dir).err());
            refused(verify(&dir).err());
            assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_in_place_of_files_and_folders_are_refused_and_never_followed() {
    use std::os::unix::fs::symlink;

    let outside = tempdir().unwrap();
    for (name, is_folder) in [("objects", true), ("_commits", true), ("_staging", true), ("run.json", false)] {
        let dir = finished();
        let (inside, moved) = (dir.path().join(name), outside.path().join(name));
        if inside.exists() {
            fs::rename(&inside, &moved).unwrap();
        } else {
            fs::create_dir(&moved).unwrap();
        }
        symlink(&moved, &inside).unwrap();
        let before = if is_folder { fs::read_dir(&moved).unwrap().count() } else { 1 };
        for error in [compact(dir.path(), 1 << 20).err(), Pipeline::from_yaml(RUN).resume().run(dir.path()).err()] {
            let error = error.unwrap().report();
            assert!(error.contains("symbolic link") || error.contains("not an ordinary file"), "`{name}`: {error}");
        }
        assert_eq!(if is_folder { fs::read_dir(&moved).unwrap().count() } else { 1 }, before, "`{name}`");
    }
    // Queries follow no link either.
    let dir = finished();
    let moved = outside.path().join("elsewhere");
    fs::rename(dir.path().join("objects"), &moved).unwrap();
    symlink(&moved, dir.path().join("objects")).unwrap();
    let error = Run::open(dir.path()).err().unwrap().report();
    assert!(error.contains("is a symbolic link, expected a folder"), "{error}");
    assert_eq!(verify(dir.path()).unwrap().damaged.len(), 3, "the parts of `objects`");
    // The temporary of a record as a link to somebody's file.
    let dir = finished();
    let victim = outside.path().join("victim.txt");
    fs::write(&victim, "mine").unwrap();
    symlink(&victim, dir.path().join(".run.json.new")).unwrap();
    Pipeline::from_yaml(RUN).overwrite().run(dir.path()).unwrap_err();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

/// A pipeline over files, with a survey in a file of its own.
fn over_files(folder: &Path, source: &str) -> Pipeline {
    let survey = folder.join("survey.yaml");
    Pipeline::from_yaml(format!(
        "source: {source}
transform: {{ seen: {{ observe: {{ image: image, years: 1, survey: '{}' }} }} }}
sink: {{ objects: {{ parquet: {{}} }} }}
engine: {{ commit_rows: 2, batch_rows: 2, threads: 1 }}",
        survey.display()
    ))
}

/// Runs until the first commit that leaves something to do.
fn interrupted(pipeline: Pipeline, run_dir: &Path) {
    let stop = Stop::default();
    let request = stop.clone();
    let pipeline = pipeline.stop(&stop).on_progress(move |status| {
        if status.commits > 0 {
            request.request();
        }
    });
    assert!(matches!(pipeline.run(run_dir), Err(Error::Interrupted)));
}

#[test]
fn a_resume_refuses_files_that_are_not_those_that_the_run_has_read() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy("src/survey/lsst.yaml", path("survey.yaml")).unwrap();
    for (name, count) in [("long", 12), ("short", 9)] {
        let yaml = format!(
            "source: {{ simulated: {{ count: {count}, size: 8 }} }}
sink:
  objects: {{ parquet: {{ images: [image] }} }}
  cutouts: {{ fits: {{ images: [image], objects_per_file: 100 }} }}"
        );
        Pipeline::from_yaml(yaml).run(path(name)).unwrap();
    }
    let only = |table: &str, run: &str| {
        let mut files = fs::read_dir(path(run).join(table)).unwrap();
        files.next().unwrap().unwrap().path()
    };
    for (source, table, file) in [
        (format!("{{ parquet: {{ paths: ['{}'] }} }}", path("in.parquet").display()), "objects", "in.parquet"),
        (format!("{{ fits: {{ paths: ['{}'] }} }}", path("in.fits").display()), "cutouts", "in.fits"),
    ] {
        let run_dir = path(&format!("{table}_run"));
        fs::copy(only(table, "long"), path(file)).unwrap();
        let pipeline = || over_files(folder.path(), &source);
        interrupted(pipeline(), &run_dir);
        fs::copy(only(table, "short"), path(file)).unwrap();
        let error = pipeline().resume().run(&run_dir).unwrap_err().report();
        assert!(error.contains("the source has changed: the first"), "{error}");
        fs::copy(only(table, "long"), path(file)).unwrap();
        fs::write(path("survey.yaml"), fs::read_to_string("src/survey/lsst.yaml").unwrap() + "\n# better\n").unwrap();
        let error = pipeline().resume().run(&run_dir).unwrap_err().report();
        assert!(error.contains("survey.yaml` is not the file that the run began with"), "{error}");
        fs::copy("src/survey/lsst.yaml", path("survey.yaml")).unwrap();
        assert_eq!(pipeline().resume().run(&run_dir).unwrap().counts.source, 12, "{file}");
    }
}

/// A file of a case from an outside trial, if the cases are there.
fn case(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases").join(name);
    if !path.exists() {
        skip(format!("cases of an outside trial: missing `../shared/cases/{name}`"));
    }
    path.exists().then_some(path)
}

#[test]
fn damaged_parquet_files_are_refused_by_name_where_the_libraries_panic() {
    for number in 0..12 {
        let Some(path) = case(&format!("relia-parquet-panics/p{number}.parquet")) else { return };
        let dir = tempdir().unwrap();
        let source = format!("source: {{ parquet: {{ paths: ['{}'] }} }}", path.display());
        let outcome =
            Pipeline::from_yaml(format!("{source}\nsink: {{ objects: {{ parquet: {{}} }} }}")).run(dir.path());
        match outcome {
            Err(error @ (Error::Pipeline(_) | Error::Data { .. })) => {
                let text = format!("{error:?} {}", error.report());
                assert!(text.contains(&format!("p{number}.parquet")), "{text}");
            }
            other => panic!("`{}`: {other:?}", path.display()),
        }
    }
}

#[test]
fn objects_that_cannot_be_found_are_rejects() {
    let dir = tempdir().unwrap();
    for (files, settings, expected) in [
        (&["relia-rows-vanish/zero4.fits", "relia-rows-vanish/ok.fits"][..], ", hdu: ['0']", [2, 1]),
        (&["relia-rows-vanish/ok.fits", "relia-gcount-0-panics/gcount0.fits"], "", [3, 2]),
        // 67 million objects in 65 kB: they are not listed before the first is read.
        (&["relia-rows-vanish/ok.fits", "relia-stack-bomb/bomb.fits.gz"], ", axes: [object, band, y, x]", [3, 2]),
    ] {
        let Some(files) = files.iter().map(|file| case(file)).collect::<Option<Vec<_>>>() else { return };
        let paths: Vec<String> = files.iter().map(|file| format!("'{}'", file.display())).collect();
        let yaml = format!(
            "source: {{ fits: {{ paths: [{}], bands: [x, y], size: 4{settings} }} }}
sink: {{ objects: {{ parquet: {{}} }} }}",
            paths.join(", ")
        );
        let counts = Pipeline::from_yaml(yaml).limit(3).overwrite().run(dir.path()).unwrap().counts;
        assert_eq!([counts.source, counts.rejected], expected, "{files:?}");
    }
}

#[test]
fn a_tile_that_is_cut_off_is_not_an_image() {
    for (kind, expected) in [
        ("f32_RICE_1", "ends after"),
        ("i16_RICE_1", "ends after"),
        ("f32_GZIP_1", "cannot be decompressed as gzip"),
        ("i16_GZIP_1", "cannot be decompressed as gzip"),
        ("f32_HCOMPRESS_1", "ends in bit plane"),
        ("i16_HCOMPRESS_1", "ends in bit plane"),
        ("i16_PLIO_1", "declares"),
    ] {
        for (half, expected) in [("good", None), ("half", Some(expected))] {
            let Some(path) = case(&format!("relia-truncated-tiles-are-kept/{kind}_{half}.fits")) else { return };
            let file = fits::FitsFile::open(&path, &fits::Limits::default()).unwrap();
            let image = file.hdus().iter().find(|hdu| hdu.has_pixels()).unwrap().index;
            let reason = file.image(image).err().map(|error| error.reason());
            let matches = match (&reason, expected) {
                (Some(reason), Some(expected)) => reason.contains(expected),
                (reason, expected) => reason.is_none() && expected.is_none(),
            };
            assert!(matches, "{kind}_{half}: {reason:?}");
        }
    }
    // Files at which cfitsio read past its buffer.
    for name in ["len00264.fits", "m001.fits", "w5000_32.fits"] {
        let Some(path) = case(&format!("relia-rice-out-of-bounds/{name}")) else { return };
        let file = fits::FitsFile::open(&path, &fits::Limits::default()).unwrap();
        let image = file.hdus().iter().find(|hdu| hdu.has_pixels()).unwrap().index;
        assert!(file.image(image).is_err(), "{name}");
    }
}
