//! The source `alerts`: packets of fastavro, and public ones of LSST and ZTF, field by field and pixel by pixel.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use lucarne::{
    batch::{list_values, mask_values},
    engine::EngineSettings,
    error::{Code, Diagnostic},
    io::digest,
    pipeline::Pipeline,
    score::onnx::Onnx,
    source::{
        alerts::{Alerts, Centre, Packets, Survey},
        fits::{Companion, Policy},
    },
    stage::Settings,
};
use serde::Deserialize;

use crate::skip::skip;

const PACKETS: &str = "tests/golden/alerts/packets";
const SHARED: &str = "../shared/data";

fn own(files: &[&str]) -> Alerts {
    let packets = Packets {
        object_id: Some("source.id".into()),
        columns: [
            ("detector", "source.detector"),
            ("snr", "source.snr"),
            ("band", "source.band"),
            ("flags", "source.flags"),
            ("when", "source.when"),
            ("earlier_ids", "earlier.id"),
            ("earlier", "earlier"),
        ]
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .into(),
        stamps: Some([("science".to_owned(), "stamp".to_owned())].into()),
        size: Some(5),
        ..Packets::default()
    };
    Alerts { paths: files.iter().map(|file| format!("{PACKETS}/{file}")).collect(), packets }
}

/// All rows, and the origins and reasons of rejects.
fn rows(settings: Alerts, engine: EngineSettings) -> (RecordBatch, Vec<(String, String)>) {
    let mut stream = Pipeline::builder().source(settings).engine(engine).build().stream().unwrap();
    let (mut batches, mut rejects) = (Vec::new(), Vec::new());
    while let Some(batch) = stream.next_batch().unwrap() {
        batches.push(batch);
        rejects.extend(stream.take_rejects());
    }
    rejects.extend(stream.take_rejects());
    let rejects = rejects.into_iter().map(|reject| (reject.origin, reject.reason)).collect();
    (concat_batches(&batches[0].schema(), &batches).unwrap(), rejects)
}

/// The message of the first mistake that binding reports.
fn mistake(settings: Alerts) -> String {
    let bound = settings.build("source").and_then(|mut source| source.bind().map(|_| ()));
    bound.expect_err("a mistake")[0].message.clone()
}

#[test]
fn every_codec_gives_the_fields_that_fastavro_wrote() {
    let of = |codec: &str| rows(own(&[&format!("{codec}.avro")]), EngineSettings::default());
    let (expected, rejects) = of("null");
    assert!(rejects.is_empty());
    assert_eq!(expected.num_rows(), 12);
    for row in 0..12 {
        assert_eq!(expected["object_id"].as_string::<i32>().value(row), (169_298_432_598_474_793 + row).to_string());
        assert_eq!(expected["detector"].as_primitive::<Int32Type>().value(row), row as i32);
        let snr = expected["snr"].as_primitive::<Float32Type>();
        assert_eq!(snr.is_valid(row).then(|| snr.value(row)), (row % 4 != 3).then_some(row as f32 + 0.25));
        assert_eq!(expected["band"].as_string::<i32>().value(row), ["g", "r", "i"][row % 3]);
        assert_eq!(expected["flags"].as_list::<i32>().value(row).len(), row % 3);
        let when = expected["when"].as_primitive::<TimestampMicrosecondType>();
        assert_eq!(when.value(row), 1_757_000_000_000_000 + row as i64);
        let ids = expected["earlier_ids"].as_list::<i32>();
        assert_eq!(ids.is_valid(row), row % 5 != 4);
        if ids.is_valid(row) {
            let ids = ids.value(row);
            let found: Vec<i64> = ids.as_primitive::<Int64Type>().iter().flatten().collect();
            assert_eq!(found, (0..row as i64 % 3).map(|k| 169_298_432_598_474_793 + k).collect::<Vec<_>>());
        }
        let (pixels, length) = list_values(&expected, "science").unwrap();
        // Pixel n/2 stays pixel n/2: of 6 columns the first is cut off.
        let cut: Vec<f32> =
            (0..25).map(|i| (i / 5 * 6 + i % 5 + 1) as f32).map(|i| (i - 3.5) * (row + 1) as f32).collect();
        assert_eq!(&pixels[row * length..(row + 1) * length], cut);
    }
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(expected.schema().field_with_name("when").unwrap().data_type(), &timestamp);
    for codec in ["deflate", "bzip2", "snappy", "zstandard"] {
        let (found, rejects) = of(codec);
        assert!(rejects.is_empty(), "{codec}");
        let names = expected.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        for name in names.iter().filter(|name| *name != "origin") {
            assert_eq!(&found[name.as_str()], &expected[name.as_str()], "{codec}: {name}");
        }
    }
}

#[test]
fn versions_of_a_schema_are_mixed_and_threads_do_not_matter() {
    let engine = |threads| EngineSettings { threads, batch_rows: 3, ..EngineSettings::default() };
    let files = ["null.avro", "version_2.avro", "zstandard.avro"];
    let (expected, rejects) = rows(own(&files), engine(1));
    assert!(rejects.is_empty(), "{rejects:?}");
    assert_eq!(expected.num_rows(), 28);
    // Version 2 has doubles, longs, and its fields in another order.
    assert_eq!(expected["snr"].as_primitive::<Float32Type>().value(13), 13.25);
    assert_eq!(expected["detector"].as_primitive::<Int32Type>().value(15), 15);
    let earlier = expected["earlier"].as_list::<i32>().value(13);
    assert_eq!(earlier.as_struct()["detector"].as_primitive::<Int32Type>().values(), &[0]);
    assert_eq!(rows(own(&files), engine(4)).0, expected);
    // A column that only version 2 has is null before.
    let mut settings = own(&["version_2.avro", "null.avro"]);
    settings.packets.columns.insert("added".into(), "added".into());
    let (found, _) = rows(settings, engine(2));
    assert_eq!(found["added"].as_string::<i32>().value(0), "new");
    assert_eq!(found["added"].null_count(), 12);
}

#[test]
fn mistakes_name_the_field_and_what_is_there() {
    let message = |change: fn(&mut Packets)| {
        let mut settings = own(&["null.avro"]);
        change(&mut settings.packets);
        mistake(settings)
    };
    let found = message(|packets| packets.columns = [("x".into(), "source.sNr".into())].into());
    assert!(found.starts_with("`source` has no field `sNr`"), "{found}");
    let found = message(|packets| packets.stamps = Some([("x".into(), "source.band".into())].into()));
    assert_eq!(found, "the field `source.band` does not hold the bytes of a stamp");
    let found = message(|packets| packets.object_id = None);
    assert_eq!(found, "the field with the identity of a packet is not known");
    let found = message(|packets| packets.centre = Some(Centre::Source));
    assert_eq!(found, "`centre: source` needs the position of the source");
    let found = message(|packets| packets.images = [("x".into(), vec!["template".into()])].into());
    assert_eq!(found, "image `x` has the stamp `template`, which `stamps` does not have");
    let found = message(|packets| packets.images = [("x".into(), Vec::new())].into());
    assert_eq!(found, "image `x` has no stamps");
    let found = message(|packets| packets.columns = [("signal to noise".into(), "source.snr".into())].into());
    assert_eq!(found, "`signal to noise` cannot be the name of a column");
    let found = message(|packets| packets.survey = Some(Survey::Ztf));
    assert!(found.contains("packets have no field `candidate`"), "{found}");
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let found = |survey, columns: &[&str], images: &[&str]| {
        let mut packets = Packets { size: Some(5), ..Packets::of(survey) };
        packets.columns = columns.iter().map(|&name| (name.to_owned(), "source.snr".to_owned())).collect();
        packets.images = images.iter().map(|&name| (name.to_owned(), vec!["science".to_owned()])).collect();
        let built = Alerts { paths: vec!["packets".into()], packets }.build("source");
        let keys = |found: Vec<Diagnostic>| found.into_iter().map(|found| (found.code, found.path.join("."))).collect();
        built.err().map_or_else(Vec::new, keys)
    };
    let twice = |key: &str| vec![(Code::DuplicateLabel, key.to_owned())];
    assert_eq!(found(Survey::Lsst, &[], &["visit"]), twice("images.visit"));
    assert_eq!(found(Survey::Lsst, &["x"], &["x"]), twice("columns.x"));
    assert_eq!(found(Survey::Lsst, &["science_psf"], &[]), twice("columns.science_psf"));
    assert_eq!(found(Survey::Ztf, &[], &["x", "x_mask"]), twice("images.x_mask"));
    // The column of a survey is replaced by one of the same name.
    assert_eq!(found(Survey::Lsst, &["visit"], &["x", "y"]), []);
}

#[test]
fn damaged_files_are_rejects_and_others_are_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(format!("{PACKETS}/null.avro")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("a.avro", &whole);
    write("b.avro", &whole[..whole.len() - 200]);
    write("c.avro", b"<!DOCTYPE html>");
    // The stamp of the last packet of the file: its gzip checksum is wrong.
    let mut bad_stamp = whole.clone();
    let at = bad_stamp.len() - 16 - 8;
    bad_stamp[at] ^= 0xff;
    write("d.avro", &bad_stamp);
    let mut settings = own(&[]);
    settings.paths = vec![folder.path().to_str().unwrap().to_owned()];
    let (found, rejects) = rows(settings, EngineSettings::default());
    let of = |name: &str| {
        let origins = found["origin"].as_string::<i32>();
        origins.iter().flatten().filter(|origin| origin.contains(name)).count()
    };
    assert_eq!((of("a.avro"), of("d.avro")), (12, 11));
    let reasons: BTreeMap<&str, &str> =
        rejects.iter().map(|(origin, reason)| (origin.rsplit('/').next().unwrap(), reason.as_str())).collect();
    assert!(of("b.avro") < 12 && reasons["b.avro"].starts_with("is cut off"), "{reasons:?}");
    assert!(reasons["c.avro"].starts_with("is not Avro: it begins with `<!DO`"), "{reasons:?}");
    assert!(reasons["d.avro[11]"].contains("stamp `science` (`stamp`) that cannot be decompressed"), "{reasons:?}");
}

/// Digests of fields and stamps of public packets, by file (`tests/golden/alerts/make.py`).
#[derive(Deserialize)]
struct Expected {
    lsst: BTreeMap<String, ExpectedPacket>,
    ztf: BTreeMap<String, ExpectedPacket>,
}

#[derive(Deserialize)]
struct ExpectedPacket {
    fields: BTreeMap<String, String>,
    stamps: BTreeMap<String, BTreeMap<String, String>>,
}

/// A value as bytes that tell its type and all of its bits, as `canonical` of the script.
fn canonical(array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    if array.is_null(row) {
        return out.extend(b"n;");
    }
    let text = match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) { "t;" } else { "f;" }.to_owned(),
        DataType::Int32 => format!("i{};", array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => format!("i{};", array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => format!("4{:08x};", array.as_primitive::<Float32Type>().value(row).to_bits()),
        DataType::Float64 => format!("8{:016x};", array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 => format!("s{};", array.as_string::<i32>().value(row)),
        DataType::LargeBinary => {
            let bytes = array.as_binary::<i64>().value(row);
            out.extend(format!("b{}:", bytes.len()).bytes());
            out.extend(bytes);
            ";".to_owned()
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            out.push(b'[');
            (0..items.len()).for_each(|item| canonical(&items, item, out));
            "]".to_owned()
        }
        DataType::Struct(_) => {
            out.push(b'{');
            array.as_struct().columns().iter().for_each(|field| canonical(field, row, out));
            "}".to_owned()
        }
        other => panic!("{other}"),
    };
    out.extend(text.bytes());
}

/// The digest of the pixels of a row, little-endian.
fn pixels_digest(batch: &RecordBatch, column: &str, row: usize) -> String {
    let bytes: Vec<u8> = if column.ends_with("_mask") {
        let (pixels, length) = mask_values(batch, column).unwrap();
        pixels[row * length..(row + 1) * length].iter().flat_map(|pixel| pixel.to_le_bytes()).collect()
    } else {
        let (pixels, length) = list_values(batch, column).unwrap();
        pixels[row * length..(row + 1) * length].iter().flat_map(|pixel| pixel.to_le_bytes()).collect()
    };
    digest::of_bytes(&bytes)
}

/// Compares every field and every stamp of public packets with what fastavro and astropy read.
fn compare(files: &BTreeMap<String, ExpectedPacket>, folder: &Path, packets: &Packets) {
    for (file, expected) in files {
        let mut packets = packets.clone();
        packets.columns = expected.fields.keys().map(|field| (format!("field_{field}"), field.clone())).collect();
        let paths = vec![folder.join(file).to_str().unwrap().to_owned()];
        let (batch, rejects) = rows(Alerts { paths, packets }, EngineSettings::default());
        assert!(rejects.is_empty() && batch.num_rows() == 1, "{file}: {rejects:?}");
        for (field, digest) in &expected.fields {
            let mut bytes = Vec::new();
            canonical(&batch[format!("field_{field}").as_str()], 0, &mut bytes);
            assert_eq!(&digest::of_bytes(&bytes), digest, "{file}: {field}");
        }
        for (stamp, planes) in &expected.stamps {
            for (plane, digest) in planes {
                let column = if plane == "image" { stamp.clone() } else { format!("{stamp}_{plane}") };
                assert_eq!(&pixels_digest(&batch, &column, 0), digest, "{file}: {column}");
            }
        }
    }
}

fn expected() -> Expected {
    serde_json::from_str(&fs::read_to_string("tests/golden/alerts/expected.json").unwrap()).unwrap()
}

fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(SHARED).join(folder);
    if !path.exists() {
        skip(format!("public alert packets: missing `{SHARED}/{folder}`"));
        return None;
    }
    Some(path)
}

#[test]
fn all_fields_and_stamps_of_public_lsst_packets_are_those_of_fastavro_and_astropy() {
    let Some(folder) = shared("alerts_lsst") else { return };
    let packets = Packets {
        size: Some(71),
        pad: Policy::Fill,
        nan: Policy::Fill,
        centre: Some(Centre::Middle),
        companions: vec![Companion::Variance, Companion::Mask, Companion::Psf],
        psf_size: Some(77),
        ..Packets::of(Survey::Lsst)
    };
    compare(&expected().lsst, &folder, &packets);
}

#[test]
fn all_fields_and_stamps_of_public_ztf_packets_are_those_of_fastavro_and_astropy() {
    let Some(folder) = shared("alerts_ztf") else { return };
    let companions = vec![Companion::Mask];
    let packets = Packets { nan: Policy::Fill, companions, ..Packets::of(Survey::Ztf) };
    compare(&expected().ztf, &folder, &packets);
}

/// Rubin's own network on Rubin's packets gives the score that the packets carry, where their stamps hold its 51 by 51 pixels: about
/// the pixel of the source, which is not always the middle one.
#[test]
fn rubins_network_gives_the_reliability_of_the_packets() {
    let Some(folder) = shared("alerts_lsst") else { return };
    let model = Path::new(SHARED).join("rubin_reliability/rubin_reliability_dp1.onnx");
    let card = "format: 3\nhead: sigmoid\nclasses: [bogus, real]\nbands: [difference, science, template]\nsize: 51\n\
                pixel_scale_arcsec: any\nunit: nJy\nlogits: score\nlatent: latent\n";
    let copied = tempfile::tempdir().unwrap();
    fs::copy(model, copied.path().join("reliability.onnx")).unwrap();
    fs::write(copied.path().join("reliability.card.yaml"), card).unwrap();
    let packets = Packets {
        size: Some(51),
        nan: Policy::Fill,
        images: [("stamps".to_owned(), ["difference", "science", "template"].map(str::to_owned).to_vec())].into(),
        ..Packets::of(Survey::Lsst)
    };
    let paths = vec![format!("{}/1*.avro", folder.display())];
    let model = copied.path().join("reliability.onnx").to_str().unwrap().to_owned();
    let pipeline = Pipeline::builder().source(Alerts { paths, packets });
    let mut stream = pipeline.score("real", Onnx::new(model, "stamps")).build().stream().unwrap();
    let (mut sizes, mut worst) = (0, 0.0_f32);
    while let Some(batch) = stream.next_batch().unwrap() {
        let (probabilities, length) = list_values(&batch, "real_probability").unwrap();
        let theirs = batch["reliability"].as_primitive::<Float32Type>();
        for row in 0..batch.num_rows() {
            worst = worst.max((probabilities[row * length + 1] - theirs.value(row)).abs());
            sizes += 1;
        }
    }
    // The stamps of 62 and 52 pixels have their source left of and below the middle.
    assert_eq!((sizes, stream.take_rejects().len()), (6, 34));
    assert!(worst < 1e-5, "{worst}");
}
