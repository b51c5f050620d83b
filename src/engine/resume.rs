//! Checks whether a run can be resumed: only with the pipeline, models and format that it was started with.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{Job, StepStage};
use crate::{
    error::{Error, Result},
    io::digest,
    run::{CommitRecord, RESUMED_FORMAT},
};

/// Refuses to continue a run of an older format: its source checkpoint, snapshots and columns have another meaning.
pub(super) fn check_format(run_dir: &Path, last: &CommitRecord) -> Result<()> {
    if last.format == RESUMED_FORMAT {
        return Ok(());
    }
    Err(Error::data(format!(
        "cannot resume `{}`: it has format {}, this version of lucarne ({}) resumes format {RESUMED_FORMAT}; query, report and compact still work, and the version that began it can finish it; or begin again with overwrite",
        run_dir.display(),
        last.format,
        env!("CARGO_PKG_VERSION"),
    )))
}

/// Refuses to continue a run with stages that have no digest, because they may have changed.
pub(super) fn check_digests(job: &Job) -> Result<()> {
    let Some(label) = job.undigested.first() else { return Ok(()) };
    Err(Error::data(format!(
        "cannot resume: the stage `{label}` is built in code and has no digest, so it may have changed since the run began; implement `digest`, or begin again with overwrite"
    )))
}

/// Refuses to resume with another pipeline.
pub(super) fn check_same(last: &CommitRecord, job: &Job, digest: &str, before: Option<&Value>) -> Result<()> {
    let begin_again = "use the pipeline that the run began with, another run directory, or overwrite";
    if last.seed != job.seed {
        let (old, new) = (last.seed, job.seed);
        return Err(Error::data(format!(
            "cannot resume with seed {new}: the run began with seed {old}; {begin_again}"
        )));
    }
    if last.limit != job.limit {
        let say =
            |limit: Option<u64>| limit.map_or_else(|| "no limit".into(), |limit| format!("a limit of {limit} rows"));
        let (old, new) = (say(last.limit), say(job.limit));
        return Err(Error::data(format!("cannot resume with {new}: the run began with {old}; {begin_again}")));
    }
    if last.digest != digest {
        let keys = unidentifying(job);
        let places = before.map(|before| differences(&relevant(before, &keys), &relevant(&job.document, &keys)));
        let places = places.unwrap_or_default();
        let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
        return Err(Error::data(format!(
            "cannot resume: the pipeline is not the one the run began with{places}; {begin_again}"
        )));
    }
    Ok(())
}

/// Refuses to resume with other models.
pub(super) fn check_models(last: &CommitRecord, models: &BTreeMap<String, String>) -> Result<()> {
    let changed = models.iter().find(|(label, digest)| last.models.get(*label).is_some_and(|old| old != *digest));
    changed.map_or(Ok(()), |(label, _)| {
        Err(Error::data(format!("cannot resume: the model of `{label}` is not the file that the run began with")))
    })
}

/// The digests of the files that stages have read beside the stream.
pub(super) fn input_digests(job: &Job) -> Result<BTreeMap<String, String>> {
    let mut files = job.source.stage.input_files();
    for step in &job.steps {
        if let StepStage::Transform(transform) = &step.stage {
            files.extend(transform.input_files());
        }
    }
    files.extend(job.monitors.iter().flat_map(|monitor| monitor.stage.stage.input_files()));
    files.sort();
    files.dedup();
    files.iter().map(|file| Ok((file.display().to_string(), digest::of_file(file)?))).collect()
}

/// The files that a resume may find beside the stream, although the run did not begin with them.
pub(super) fn growing_inputs(job: &Job) -> Vec<String> {
    let source = &job.source.stage;
    let files = if source.input_files_may_grow() { source.input_files() } else { Vec::new() };
    files.iter().map(|file| file.display().to_string()).collect()
}

/// Refuses to resume with other references, catalogues or constants, with fewer of them, or with more that are not in `growing`.
pub(super) fn check_inputs(last: &CommitRecord, inputs: &BTreeMap<String, String>, growing: &[String]) -> Result<()> {
    let added = inputs.keys().filter(|file| !growing.contains(file));
    let changed = last.inputs.keys().chain(added).find(|file| last.inputs.get(*file) != inputs.get(*file));
    changed.map_or(Ok(()), |file| {
        Err(Error::data(format!(
            "cannot resume: `{file}` is not the file that the run began with; restore it, or begin again with overwrite"
        )))
    })
}

/// The digest of a pipeline: equal for documents with equal results.
pub(super) fn pipeline_digest(job: &Job) -> String {
    document_digest(&job.document, &unidentifying(job))
}

fn document_digest(document: &Value, unidentifying: &[UnidentifyingKeys<'_>]) -> String {
    digest::of_bytes(relevant(document, unidentifying).to_string().as_bytes())
}

/// Keys of the settings of a stage that do not affect results, and where it stands in the document.
struct UnidentifyingKeys<'a> {
    section: &'static str,
    /// The label of a sink.
    label: Option<&'a str>,
    keys: &'static [&'static str],
}

fn unidentifying(job: &Job) -> Vec<UnidentifyingKeys<'_>> {
    let source = UnidentifyingKeys { section: "source", label: None, keys: job.source.stage.unidentifying() };
    let sinks = job.sinks.iter().map(|sink| UnidentifyingKeys {
        section: "sink",
        label: Some(&sink.label),
        keys: sink.stage.unidentifying(),
    });
    [source].into_iter().chain(sinks).collect()
}

/// The document without the parts that do not affect results: the run directory, the description, the engine settings, and how the
/// world outside is reached.
fn relevant(document: &Value, unidentifying: &[UnidentifyingKeys<'_>]) -> Value {
    let mut document = document.clone();
    if let Some(top) = document.as_object_mut() {
        for key in ["description", "parameters", "run"] {
            top.shift_remove(key);
        }
        let engine = top.shift_remove("engine");
        let on_reject = engine.and_then(|engine| engine.get("on_reject").cloned());
        top.insert("on_reject".into(), on_reject.unwrap_or_else(|| "quarantine".into()));
    }
    for UnidentifyingKeys { section, label, keys } in unidentifying {
        let stage = document.get_mut(section);
        let stage = stage.and_then(|stage| match label {
            Some(label) => stage.get_mut(label),
            None => Some(stage),
        });
        // The settings of a stage are below the name of its kind.
        let settings = stage.and_then(Value::as_object_mut).into_iter().flat_map(|stage| stage.values_mut());
        for settings in settings.filter_map(Value::as_object_mut) {
            keys.iter().for_each(|key| drop(settings.shift_remove(*key)));
        }
    }
    document
}

/// The first five places where two documents differ.
fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut places = Vec::new();
    compare("", old, new, &mut places);
    places.truncate(5);
    places
}

fn compare(place: &str, old: &Value, new: &Value, places: &mut Vec<String>) {
    let inside = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            for key in keys {
                compare(
                    &inside(key),
                    old.get(key).unwrap_or(&Value::Null),
                    new.get(key).unwrap_or(&Value::Null),
                    places,
                );
            }
        }
        (old, new) if old != new => places.push(format!("`{place}` was {old}, is {new}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resume_needs_the_same_files_beside_the_stream() {
        let inputs = |files: &[(&str, &str)]| -> BTreeMap<String, String> {
            files.iter().map(|(file, digest)| ((*file).to_owned(), (*digest).to_owned())).collect()
        };
        let accepts = |now: &[(&str, &str)]| {
            let last = CommitRecord { inputs: inputs(&[("a", "1"), ("b", "2")]), ..CommitRecord::default() };
            check_inputs(&last, &inputs(now), &["b".into(), "schema".into()]).is_ok()
        };
        assert!(accepts(&[("a", "1"), ("b", "2")]));
        // Schemas of a folder are added while a survey lasts; a reference that has more files is another one.
        assert!(accepts(&[("a", "1"), ("b", "2"), ("schema", "4")]));
        for changed in [&[("a", "1"), ("b", "3")][..], &[("a", "1")], &[("a", "1"), ("b", "2"), ("c", "4")]] {
            assert!(!accepts(changed), "{changed:?}");
        }
    }

    #[test]
    fn threads_and_batches_do_not_alter_the_digest_of_a_pipeline() {
        let one = json!({ "run": "a", "seed": 1, "engine": { "threads": 1, "batch_rows": 16 }, "source": {} });
        let two = json!({ "run": "b", "seed": 1, "engine": { "threads": 4, "batch_rows": 64 }, "source": {} });
        let other = json!({ "run": "a", "seed": 1, "engine": { "on_reject": "fail" }, "source": {} });
        assert_eq!(document_digest(&one, &[]), document_digest(&two, &[]));
        assert_ne!(document_digest(&one, &[]), document_digest(&other, &[]));
        let reached = |servers: &str| json!({ "source": { "kafka": { "servers": servers, "topics": ["a"] } } });
        let keys = [UnidentifyingKeys { section: "source", label: None, keys: &["servers"] }];
        assert_eq!(document_digest(&reached("x"), &keys), document_digest(&reached("y"), &keys));
        assert_ne!(document_digest(&reached("x"), &[]), document_digest(&reached("y"), &[]));
    }

    #[test]
    fn another_format_or_model_is_refused() {
        let of_format = |format| check_format(Path::new("run"), &CommitRecord { format, ..CommitRecord::default() });
        assert!(of_format(RESUMED_FORMAT).is_ok());
        for format in [RESUMED_FORMAT - 1, RESUMED_FORMAT + 1] {
            let error = of_format(format).expect_err("another format").to_string();
            assert!(error.contains(&format!("cannot resume `run`: it has format {format}")), "{error}");
        }
        let models = |models: &[(&str, &str)]| -> BTreeMap<String, String> {
            models.iter().map(|(label, digest)| ((*label).to_owned(), (*digest).to_owned())).collect()
        };
        let last = CommitRecord { models: models(&[("a", "1"), ("b", "2")]), ..CommitRecord::default() };
        assert!(check_models(&last, &models(&[("a", "1"), ("b", "2")])).is_ok());
        let error = check_models(&last, &models(&[("a", "1"), ("b", "3")])).expect_err("another model").to_string();
        assert!(error.contains("the model of `b` is not the file"), "{error}");
    }

    #[test]
    fn the_first_five_differences_are_named_and_what_is_equal_is_not() {
        let document = |number: i32| {
            let keys = (0..7).map(|key| (format!("k{key}"), json!(number)));
            let keys: serde_json::Map<String, Value> = keys.chain([("same".to_owned(), json!([1, 2]))]).collect();
            json!({ "source": keys, "seed": 1 })
        };
        assert!(differences(&document(1), &document(1)).is_empty());
        let expected: Vec<String> = (0..5).map(|key| format!("`source.k{key}` was 1, is 2")).collect();
        assert_eq!(differences(&document(1), &document(2)), expected);
        assert_eq!(differences(&json!({ "a": 1 }), &json!({ "b": 1 })), ["`a` was 1, is null", "`b` was null, is 1"]);
    }

    #[test]
    fn a_refusal_names_the_setting_that_differs() {
        let old = json!({ "transform": { "y1": { "observe": { "years": 1 } } } });
        let new = json!({ "transform": { "y1": { "observe": { "years": 2 } } } });
        assert_eq!(differences(&old, &new), ["`transform.y1.observe.years` was 1, is 2"]);
    }
}
