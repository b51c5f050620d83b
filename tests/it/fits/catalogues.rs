//! Catalogues beside FITS files: formats, missing values, keys, and how many objects are found.

use std::{fs, path::Path};

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
};
use lucarne::{
    error::Code,
    fits::Writer,
    pipeline::Pipeline,
    source::fits::{Catalogue, Fits},
};

use super::{key, read, read_in_batches, source::strings, text};

/// The ids of the golden catalogues.
const IDS: [&str; 3] = ["36411452835238206", "36411452835248579", "36411452835249051"];

/// A folder of images with these values of `OBJECT`.
fn cutouts(ids: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, id) in ids.iter().enumerate() {
        let mut file = Writer::new();
        file.image(&[1, 1], &[1.0], &[key("OBJECT", id)]);
        fs::write(folder.path().join(format!("{number}.fits")), file.into_bytes()).unwrap();
    }
    folder
}

/// The settings that join columns of a catalogue to a folder.
fn joined(folder: &Path, catalogue: &Path, columns: &[&str]) -> Fits {
    let mut settings = Fits::new([format!("{}/*.fits", folder.display())]);
    settings.catalogue = Some(Catalogue::new(&text(catalogue), "id", columns.iter().map(|name| (*name, *name))));
    settings
}

/// The same with the text of a CSV catalogue.
fn joined_csv(folder: &Path, csv: &str, columns: &[&str]) -> Fits {
    let table = folder.join("objects.csv");
    fs::write(&table, csv).unwrap();
    joined(folder, &table, columns)
}

#[test]
fn reads_every_format_with_its_missing_values() {
    let folder = cutouts(&IDS);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/catalogues");
    for name in ["table.fits", "table.ecsv", "table.csv.gz", "tabledata.vot", "binary.vot", "binary2.vot"] {
        let mut columns = vec!["name", "morph", "z", "good"];
        columns.extend((name != "binary.vot").then_some("n"));
        columns.extend(name.starts_with("table.").then_some("big"));
        let rows = read(joined(folder.path(), &golden.join(name), &columns)).rows;
        let some = |value: &str| Some(value.to_owned());
        assert_eq!(strings(&rows, "name"), [some("007"), some("b c"), some("9")], "{name}");
        assert_eq!(strings(&rows, "morph"), [some("spiral"), None, some("merger")], "{name}");
        let z = rows.column_by_name("z").unwrap().as_primitive::<Float64Type>();
        assert_eq!(z.iter().collect::<Vec<_>>(), [Some(0.1), None, Some(0.3)], "{name}");
        let good = rows.column_by_name("good").unwrap().as_boolean();
        assert_eq!(good.iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(true)], "{name}");
        if let Some(n) = rows.column_by_name("n") {
            let n: Vec<Option<i64>> = n.as_primitive::<Int64Type>().iter().collect();
            assert_eq!(n, [Some(3), None, Some(-5)], "{name}");
        }
        if let Some(big) = rows.column_by_name("big") {
            assert_eq!(big.as_primitive::<UInt64Type>().values()[..], [1, (1 << 63) + 4096, 3], "{name}");
        }
    }
}

#[test]
fn words_for_missing_values_are_nulls() {
    let folder = cutouts(&["a", "b", "c", "d"]);
    let csv = "# made by hand\nid,label,z\na,spiral,0.1\nb,nan,nan\nc,,N/A\nd,none,null\n";
    let rows = read(joined_csv(folder.path(), csv, &["label", "z"])).rows;
    assert_eq!(strings(&rows, "label"), [Some("spiral".into()), None, None, Some("none".into())]);
    let z = rows.column_by_name("z").unwrap();
    assert_eq!((z.data_type(), z.null_count()), (&DataType::Float64, 3));
    let mut settings = joined_csv(folder.path(), csv, &["label", "z"]);
    settings.catalogue.as_mut().unwrap().nulls = Some(["", "none"].map(str::to_owned).to_vec());
    assert_eq!(strings(&read(settings).rows, "label"), [Some("spiral".into()), Some("nan".into()), None, None]);
}

#[test]
fn text_keeps_its_zeros_and_coordinates_may_be_sexagesimal() {
    let folder = cutouts(&["a", "b"]);
    let csv = "id,field,ra,dec\na,007,10:00:28.6,-00:30:00\nb,012,10:00:28.7,+02:12:36\n";
    let rows = read(joined_csv(folder.path(), csv, &["field", "ra", "dec"])).rows;
    assert_eq!(strings(&rows, "field"), [Some("007".into()), Some("012".into())]);
    assert_eq!(rows.column_by_name("dec").unwrap().as_primitive::<Float64Type>().values()[..], [-0.5, 2.21]);
    let ra = rows.column_by_name("ra").unwrap().as_primitive::<Float64Type>().value(0);
    assert!((ra - (150.0 + 28.6 / 240.0)).abs() < 1e-12, "{ra}");
    let wrong = read_in_batches(joined_csv(folder.path(), "id,ra\na,10:00\nb,1\n", &["ra"]), 8).err().unwrap();
    assert!(wrong[0].message.contains("has `10:00`, expected degrees"), "{wrong:?}");
}

#[test]
fn a_name_in_a_comment_line_is_a_header() {
    let folder = cutouts(&["a", "b"]);
    let rows = read(joined_csv(folder.path(), "# from TOPCAT\n#id,z\na,1\n# a break\nb,2\n", &["z"])).rows;
    assert_eq!(rows.column_by_name("z").unwrap().as_primitive::<Int64Type>().values()[..], [1, 2]);
    let short = read_in_batches(joined_csv(folder.path(), "id,z\na\n", &["z"]), 8).err().unwrap();
    assert!(short[0].message.ends_with("line 2 has 1 fields, expected 2"), "{short:?}");
}

#[test]
fn keys_of_floats_are_mistakes() {
    let folder = cutouts(&IDS);
    let csv = "id,morph\n3.641145283523821e+16,spiral\n3.641145283524858e+16,merger\n";
    let mistake = &read_in_batches(joined_csv(folder.path(), csv, &["morph"]), 8).err().unwrap()[0];
    assert_eq!((mistake.code, mistake.path.join(".").as_str()), (Code::WrongColumn, "catalogue.key"));
    assert!(mistake.message.contains("holds floats (`3.641145283523821e+16`)"), "{mistake}");
}

#[test]
fn a_catalogue_without_any_of_the_objects_is_a_mistake() {
    let folder = cutouts(&IDS);
    let mistake = &read_in_batches(joined_csv(folder.path(), "id,z\nA,1\nB,2\n", &["z"]), 8).err().unwrap()[0];
    assert_eq!((mistake.code, mistake.path.join(".").as_str()), (Code::Conflict, "catalogue.key"));
    let expected =
        "none of 3 objects (`36411452835238206`, `36411452835248579`, `36411452835249051`) is in column `id`";
    assert!(mistake.message.starts_with(expected), "{mistake}");
    assert!(mistake.message.ends_with("which has `A`, `B`"), "{mistake}");
}

/// A document that runs a folder with a catalogue into the folder `run` beside it.
fn document(folder: &Path) -> String {
    format!(
        "source: {{ fits: {{ paths: ['{0}/*.fits'], catalogue: {{ path: '{0}/objects.csv', key: id, \
         columns: {{ z: z }} }} }} }}\nsink: {{ objects: {{ parquet: {{ images: [] }} }} }}\n",
        folder.display()
    )
}

#[test]
fn a_run_counts_the_objects_that_it_found_and_none_is_a_finding() {
    // More files than `check` looks at, so that it cannot tell.
    let names: Vec<String> = (0..70).map(|number| format!("object {number:02}")).collect();
    let folder = cutouts(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let run = |csv: &str| {
        fs::write(folder.path().join("objects.csv"), csv).unwrap();
        let _ = fs::remove_dir_all(folder.path().join("run"));
        Pipeline::from_yaml(document(folder.path())).run(folder.path().join("run")).unwrap()
    };
    let some = run("id,z\nobject 69,1\nobject 00,2\n");
    let lookups = some.stages[0].lookups;
    assert_eq!((lookups.rows, lookups.found, some.findings.len()), (70, 2, 0));
    let none = run("id,z\nA,1\n");
    assert_eq!(none.stages[0].lookups.found, 0);
    let expected =
        format!("none of 70 objects is in column `id` of catalogue `{}/objects.csv`", folder.path().display());
    assert_eq!((none.findings[0].monitor.as_str(), none.findings[0].message.as_str()), ("source", expected.as_str()));
}

#[test]
fn files_below_a_folder_are_found_by_their_names_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (path, value) in [("1/a.fits", 1.0), ("1/b.fits", 2.0), ("2/b.fits", 3.0)] {
        let mut file = Writer::new();
        file.image(&[1, 1], &[value], &[]);
        fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        fs::write(folder.path().join(path), file.into_bytes()).unwrap();
    }
    let mut settings = joined_csv(folder.path(), "id,z\na,1\nb,2\n2/b,3\n", &["z"]);
    settings.paths = vec![text(folder.path())];
    let rows = read(settings).rows;
    assert_eq!(strings(&rows, "object_id"), ["1/a", "1/b", "2/b"].map(|id| Some(id.to_owned())));
    // `b` is the name of two files.
    let z = rows.column_by_name("z").unwrap().as_primitive::<Int64Type>();
    assert_eq!(z.iter().collect::<Vec<_>>(), [Some(1), None, Some(3)]);
}

#[test]
fn keys_that_are_paths_of_files_are_found() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["images/x.fits", "images/y.fits.gz", "other/z.fits", "tract1/0001.fits", "tract2/0001.fits"] {
        let mut file = Writer::new();
        file.image(&[1, 1], &[1.0], &[]);
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.into_bytes()).unwrap();
    }
    // Files, in order: x, y, z, 1/0001, 2/0001.
    let labels = |csv: &str, paths: &str| {
        let mut settings = joined_csv(folder.path(), csv, &["label"]);
        settings.paths = vec![format!("{}{paths}", folder.path().display())];
        strings(&read(settings).rows, "label").into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    let csv = "id,label\nimages/x.fits,X\nimages/y.fits.gz,Y\nelsewhere/z.fits,Z\ntract2/0001.fits,T\n";
    assert_eq!(labels(csv, ""), ["X", "Y", "", "", "T"]);
    // Also where the folder of the keys is the one that is named.
    assert_eq!(labels(csv, "/images"), ["X", "Y"]);
    assert_eq!(labels("id,label\nimages/x,X\ny.fits.gz,Y\n", "/images"), ["X", "Y"]);
    // A key that is the end of two paths is none of them.
    assert_eq!(labels("id,label\nx.fits,X\n0001.fits,T\n", ""), ["X", "", "", "", ""]);
}

#[test]
fn names_of_files_are_looked_up_where_no_header_is_found() {
    let folder = cutouts(&["COSMOS", "COSMOS", "GOODS"]);
    let rows = read(joined_csv(folder.path(), "id,label\n0,a\n1.fits,b\n2,c\n", &["label"])).rows;
    assert_eq!(strings(&rows, "object_id"), [Some("COSMOS".into()), Some("COSMOS@1".into()), Some("GOODS".into())]);
    assert_eq!(strings(&rows, "label"), [Some("a".into()), Some("b".into()), Some("c".into())]);
    // Once a header is found, names of files that are keys by chance are not.
    let rows = read(joined_csv(folder.path(), "id,label\nCOSMOS,a\n2,c\n", &["label"])).rows;
    assert_eq!(strings(&rows, "label"), [Some("a".into()), Some("a".into()), None]);
    // A file without the header that is found by its name says nothing of those with it.
    let mut file = Writer::new();
    file.image(&[1, 1], &[1.0], &[]);
    fs::write(folder.path().join("3.fits"), file.into_bytes()).unwrap();
    let rows = read(joined_csv(folder.path(), "id,label\n0,a\n1,b\n3.fits,d\n", &["label"])).rows;
    assert_eq!(strings(&rows, "label"), ["a", "b", "", "d"].map(|label| (!label.is_empty()).then(|| label.to_owned())));
}
