//! What identifies the objects of FITS files.

use std::{fs, path::Path};

use lucarne::{
    error::Code,
    fits::{CardValue, Writer},
    pipeline::Pipeline,
    source::fits::{Catalogue, Fits},
};

use super::{key, read, read_in_batches, source::strings, text};

fn write(path: &Path, keys: &[(String, CardValue)]) {
    let mut file = Writer::new();
    file.image(&[2, 2], &[1.0; 4], keys);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file.into_bytes()).unwrap();
}

fn ids(settings: Fits) -> Vec<String> {
    strings(&read(settings).rows, "object_id").into_iter().flatten().collect()
}

#[test]
fn paths_below_the_named_folder_tell_files_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    write(&at("tract1/0001.fits"), &[]);
    write(&at("tract2/0001.fits"), &[]);
    assert_eq!(ids(Fits::new([text(folder.path())])), ["tract1/0001", "tract2/0001"]);
    assert_eq!(ids(Fits::new([text(&at("tract*/*.fits"))])), ["tract1/0001", "tract2/0001"]);
    assert_eq!(ids(Fits::new([text(&at("tract1/*.fits"))])), ["0001"]);
    let (first, second) = (text(&at("tract1/0001.fits")), text(&at("tract2/0001.fits")));
    let whole = second.strip_suffix(".fits").unwrap().to_owned();
    assert_eq!(ids(Fits::new([first, second])), ["0001".to_owned(), whole]);
}

#[test]
fn integers_beyond_64_bits_are_whole_ids() {
    let folder = tempfile::tempdir().unwrap();
    let expected = ["10133099161583616000", "10133099161583616512"];
    for (number, id) in expected.iter().enumerate() {
        let keys = [("SPECOBJ".to_owned(), CardValue::BigInteger((*id).to_owned()))];
        write(&folder.path().join(format!("{number}.fits")), &keys);
    }
    let mut settings = Fits::new([text(folder.path())]);
    settings.id = Some("SPECOBJ".into());
    settings.columns.insert("spec".into(), "SPECOBJ".into());
    let rows = read(settings).rows;
    for column in ["object_id", "spec"] {
        assert_eq!(strings(&rows, column), expected.map(|id| Some(id.to_owned())));
    }
}

#[test]
fn floats_are_not_identities() {
    let folder = tempfile::tempdir().unwrap();
    let float = ("SPECOBJ".to_owned(), CardValue::Real(4.00000000000001e17));
    let at = |number: usize| folder.path().join(format!("{number:03}.fits"));
    write(&at(0), &[("SPECOBJ".to_owned(), CardValue::Integer(400_000_000_000_000_123))]);
    write(&at(1), std::slice::from_ref(&float));
    let table = folder.path().join("objects.csv");
    fs::write(&table, "id,class\n400000000000000123,spiral\n").unwrap();
    let by_key = Fits { id: Some("SPECOBJ".into()), ..Fits::new([text(folder.path())]) };
    let catalogue = Catalogue::new(&text(&table), "id", [("label", "class")]);
    let looked_up = Catalogue { header_key: Some("SPECOBJ".into()), ..catalogue };
    let by_catalogue = Fits { catalogue: Some(looked_up), ..Fits::new([text(folder.path())]) };
    for (settings, setting) in [(&by_key, "id"), (&by_catalogue, "catalogue.header_key")] {
        let found = &read_in_batches(settings.clone(), 8).err().unwrap()[0];
        assert_eq!((found.code, found.path.join(".")), (Code::WrongColumn, setting.to_owned()));
        assert!(
            found.message.contains("001.fits`: identities are floats: key `SPECOBJ` is `4.0000000000000"),
            "{found}"
        );
        assert_eq!(found.help.as_deref(), Some("write them as integers or text, or name another key"));
    }
    // A key that nobody named does not identify objects where it is a float.
    write(&at(1), &[("OBJECT".to_owned(), CardValue::Real(7.5))]);
    assert_eq!(ids(Fits::new([text(folder.path())])), ["000", "001"]);
    // Files beyond the first ones are not looked at before they are read.
    for number in 1..70 {
        write(&at(number), &[("SPECOBJ".to_owned(), CardValue::Integer(number as i64))]);
    }
    write(&at(70), &[float]);
    for settings in [by_key, by_catalogue] {
        let output = read(settings);
        assert_eq!((output.rows.num_rows(), output.rejects.len()), (70, 1));
        assert!(output.rejects[0].reason.starts_with("identities are floats: key `SPECOBJ`"));
    }
}

#[test]
fn an_object_that_several_cutouts_share_is_the_id_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        write(&folder.path().join(format!("{name}.fits")), &[key("OBJECT", "COSMOS")]);
    }
    let settings = Fits::new([text(folder.path())]);
    assert_eq!(ids(settings.clone()), ["COSMOS", "COSMOS@b", "COSMOS@c"]);
    // A key that the settings name is treated in the same way.
    let chosen = Fits { id: Some("OBJECT".into()), ..settings };
    assert_eq!(ids(chosen), ["COSMOS", "COSMOS@b", "COSMOS@c"]);
    write(&folder.path().join("a.fits"), &[key("OBJECT", "NGC 1")]);
    write(&folder.path().join("b.fits"), &[key("OBJECT", "NGC 2")]);
    assert_eq!(ids(Fits::new([text(folder.path())])), ["NGC 1", "NGC 2", "COSMOS"]);
    // The name of a file may be the object of another one.
    write(&folder.path().join("d.fits"), &[]);
    write(&folder.path().join("b.fits"), &[key("OBJECT", "d")]);
    assert_eq!(ids(Fits::new([text(folder.path())])), ["NGC 1", "d", "COSMOS", "d@d"]);
}

/// 300 files; those of numbers that are multiples of 100 share an id, which so first repeats after the first files, and in other splits.
fn with_a_late_repeat() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..300 {
        let id = if number % 100 == 0 { "COSMOS".into() } else { format!("NGC {number}") };
        write(&folder.path().join(format!("{number:03}.fits")), &[key("OBJECT", &id), key("FIELD", &id)]);
    }
    folder
}

#[test]
fn ids_that_first_repeat_late_are_told_apart() {
    let folder = with_a_late_repeat();
    let settings = Fits::new([text(folder.path())]);
    for settings in [settings.clone(), Fits { id: Some("FIELD".into()), ..settings }] {
        let ids = ids(settings);
        assert_eq!([0, 100, 200].map(|row| ids[row].as_str()), ["COSMOS", "COSMOS@100", "COSMOS@200"]);
        assert_eq!(ids[299], "NGC 299");
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 300);
    }
}

#[test]
fn a_split_that_is_opened_alone_has_the_ids_of_the_run() {
    use lucarne::stage::{Read, Settings};
    let folder = with_a_late_repeat();
    // A file that is rejected takes no id, whether all of it is read or its headers alone: the next `COSMOS` has it.
    fs::File::options().write(true).open(folder.path().join("000.fits")).unwrap().set_len(2880 + 1).unwrap();
    let mut source = Fits::new([text(folder.path())]).build("source").unwrap();
    source.bind().unwrap();
    let in_order = ids(Fits::new([text(folder.path())]));
    let splits = source.splits().unwrap();
    assert!(splits.len() > 2, "a later split holds an id that repeats");
    let ids_from = |split, offset: usize| {
        let mut reader = source.open(split, offset as u64).unwrap();
        let mut ids = Vec::new();
        while let Read::Batch { rows, .. } = reader.next(50, std::time::Instant::now()).unwrap() {
            ids.extend(strings(&rows, "object_id").into_iter().flatten());
        }
        ids
    };
    // The second reader of a split cannot go by the ids that the one of the split before has left.
    let mut first = 0;
    for split in &splits {
        let count = ids_from(split, 0).len();
        for offset in [0, 37] {
            // Offsets count the rejected file too.
            let rejected = usize::from(first == 0).min(offset);
            let expected = &in_order[first + offset - rejected..first + count];
            assert_eq!(ids_from(split, offset), expected, "split `{}` from {offset}", split.id);
        }
        first += count;
    }
    assert_eq!((first, in_order[99].as_str()), (299, "COSMOS"));
}

#[test]
fn cutouts_of_one_field_get_different_noise() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let mut file = Writer::new();
        let keys = [key("OBJECT", "COSMOS"), key("BUNIT", "nJy"), key("FILTER", "r")];
        let scale = ("PIXSCALE".to_owned(), CardValue::Real(0.2));
        let pixels: Vec<f32> = (0..256).map(|pixel| pixel as f32).collect();
        file.image(&[16, 16], &pixels, &[&keys[..], &[scale]].concat());
        fs::write(folder.path().join(format!("{name}.fits")), file.into_bytes()).unwrap();
    }
    let document = format!(
        "source: {{ fits: {{ paths: ['{}'], bands: [r] }} }}\n\
         transform: {{ dead: {{ dead_pixels: {{ image: image, fraction: 0.5 }} }} }}\n",
        folder.path().display()
    );
    let rows: Vec<_> = Pipeline::from_yaml(document).stream().unwrap().collect::<Result<_, _>>().unwrap();
    let rows = arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
    let (pixels, size) = lucarne::batch::list_values(&rows, "dead").unwrap();
    assert_ne!(pixels[..size], pixels[size..]);
}

#[test]
fn columns_of_numbers_hold_what_any_file_has() {
    use arrow::{
        array::{Array, AsArray},
        datatypes::Float64Type,
    };
    let folder = tempfile::tempdir().unwrap();
    for number in 0..70 {
        let exptime = if number < 66 { CardValue::Integer(30) } else { CardValue::Real(30.5) };
        let seeing = match number % 3 {
            0 => CardValue::Real(0.5),
            1 => CardValue::Text("NaN".into()),
            _ => CardValue::Text("0.75".into()),
        };
        let coordinates = match number % 4 {
            0 => (CardValue::Real(150.1), CardValue::Real(2.2)),
            1 => (CardValue::Text("10:00:28.6".into()), CardValue::Text("-00:30:00".into())),
            2 => (CardValue::Text("150.1".into()), CardValue::Text("2.2".into())),
            _ => (CardValue::Text(String::new()), CardValue::Text("N/A".into())),
        };
        let keys = [("EXPTIME", exptime), ("SEEING", seeing), ("RA", coordinates.0), ("DEC", coordinates.1)];
        write(&folder.path().join(format!("c{number:03}.fits")), &keys.map(|(key, value)| (key.to_owned(), value)));
    }
    let mut settings = Fits::new([text(folder.path())]);
    settings.columns =
        [("exptime", "EXPTIME"), ("seeing", "SEEING")].map(|(name, key)| (name.into(), key.into())).into();
    (settings.ra, settings.dec) = (Some("RA".into()), Some("DEC".into()));
    let output = read(settings);
    assert_eq!((output.rows.num_rows(), output.rejects.len()), (70, 0));
    let values = |name: &str| -> Vec<Option<f64>> {
        output.rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
    };
    assert_eq!((values("exptime")[0], values("exptime")[66]), (Some(30.0), Some(30.5)));
    assert_eq!(values("seeing")[..3], [Some(0.5), None, Some(0.75)]);
    assert_eq!(values("dec")[..4], [Some(2.2), Some(-0.5), Some(2.2), None]);
    let ra = values("ra");
    assert_eq!((ra[0], ra[2], ra[3]), (Some(150.1), Some(150.1), None));
    assert!((ra[1].unwrap() - (150.0 + 28.6 / 240.0)).abs() < 1e-12);
    assert_eq!(output.rows.column_by_name("ra").unwrap().null_count(), 17);
}
