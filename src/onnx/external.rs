//! Numbers of tensors that lie in files beside an ONNX file (`TensorProto.external_data`), as exporters of PyTorch write them.
//!
//! These files are part of the model: its digest covers them, and they have to lie in its folder. What ONNX Runtime would do with
//! another place depends on its version, and for a model in memory it looks into the current folder.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use prost::{Message, bytes::Bytes};

use super::{
    field_count::{check_fields, decode_model},
    wire::{StringStringEntryProto, TensorProto},
};
use crate::io::digest;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;
/// With this place ONNX Runtime takes the offset for an address in memory.
const ADDRESS: &str = "*/_ORT_MEM_ADDR_/*";
/// The most bytes of a protobuf message.
const MAX_INLINED: usize = i32::MAX as usize;

/// The digest of a model: that of its file, or of all its files if there are several.
///
/// # Errors
/// When the bytes are not a model, and when a file that it names is missing or lies outside of its folder.
pub(crate) fn digest(path: &Path, model: &Bytes) -> Result<String, String> {
    let own = digest::of_bytes(model);
    let files = files(path, model)?;
    if files.is_empty() {
        return Ok(own);
    }
    let mut all = digest::NamesDigest::default();
    all.push(&own);
    for (location, file) in files {
        all.push(&location);
        all.push(&digest::of_file(&file).map_err(|error| error.report())?);
    }
    Ok(all.hex())
}

/// The files that a model names, by the place that it gives, sorted.
fn files(path: &Path, model: &Bytes) -> Result<BTreeMap<String, PathBuf>, String> {
    check_fields(model).map_err(|error| error.to_string())?;
    let tensors = ModelTensors::decode(model.clone()).map_err(|error| format!("it is not an ONNX model: {error}"))?;
    let mut files = BTreeMap::new();
    let graphs = tensors.graph.iter().map(GraphTensors::all).chain(tensors.functions.iter().map(FunctionTensors::all));
    for tensor in graphs.flatten().filter(|tensor| tensor.data_location == EXTERNAL) {
        let location = tensor.value("location").unwrap_or_default();
        if !files.contains_key(location) {
            let file = locate(path, location).map_err(|reason| format!("tensor `{}` {reason}", tensor.name))?;
            files.insert(location.to_owned(), file);
        }
    }
    Ok(files)
}

/// The file at a place beside a model.
fn locate(model: &Path, location: &str) -> Result<PathBuf, String> {
    let shown = location.escape_debug();
    let outside = || format!("has its numbers in `{shown}`, which is not in the folder of the model");
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() {
        return Err("has its numbers in another file, and does not name it".into());
    }
    if location.starts_with(ADDRESS) || !Path::new(location).components().all(is_inside) {
        return Err(outside());
    }
    let file = folder_of(model).join(location);
    let unreadable = |error| format!("has its numbers in `{}`, which cannot be read: {error}", file.display());
    let target = fs::canonicalize(&file).map_err(unreadable)?;
    // Model hubs keep both files under other names in one folder, and link to them.
    let homes = [fs::canonicalize(folder_of(model)), fs::canonicalize(model).map(|path| folder_of(&path).to_owned())];
    if !homes.into_iter().flatten().any(|home| target.starts_with(home)) {
        return Err(format!("{}: it is a link to `{}`", outside(), target.display()));
    }
    if !target.is_file() {
        return Err(format!("has its numbers in `{}`, which is not an ordinary file", file.display()));
    }
    Ok(file)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The bytes of a model, with the numbers of its initialisers inside.
///
/// # Errors
/// As [`digest`], and when tensors in other places of the graph are in other files.
pub(super) fn inlined(path: &Path, model: Bytes) -> Result<Bytes, String> {
    let files = files(path, &model)?;
    if files.is_empty() {
        return Ok(model);
    }
    let not_onnx = |error| format!("it is not an ONNX model: {error}");
    let mut proto = decode_model(model).map_err(|error| error.to_string())?;
    let mut bytes = 0;
    for encoded in proto.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        let location = TensorLocation::decode(encoded.clone()).map_err(not_onnx)?;
        if location.data_location == EXTERNAL {
            let file = &files[location.value("location").unwrap_or_default()];
            let tensor = TensorProto::decode(encoded.clone()).map_err(not_onnx)?;
            let raw_data = location.read(file).map_err(|reason| format!("tensor `{}` {reason}", location.name))?;
            bytes += raw_data.len();
            if bytes > MAX_INLINED {
                return Err(format!("unsupported: more than {MAX_INLINED} bytes of numbers in external files"));
            }
            *encoded = TensorProto { raw_data, data_location: 0, ..tensor }.encode_to_vec().into();
        }
    }
    let inlined = Bytes::from(proto.encode_to_vec());
    if self::files(path, &inlined)?.is_empty() {
        Ok(inlined)
    } else {
        Err("unsupported: the numbers of a node are in an external file".into())
    }
}

/// The parts of the messages of an ONNX file that say where numbers are; see [`super::wire`]. The numbers are not decoded.
#[derive(Clone, PartialEq, Message)]
struct ModelTensors {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphTensors>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<FunctionTensors>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphTensors {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeTensors>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorLocation>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializer: Vec<SparseTensors>,
}

#[derive(Clone, PartialEq, Message)]
struct FunctionTensors {
    #[prost(message, repeated, tag = "7")]
    node: Vec<NodeTensors>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeTensors {
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeTensors>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeTensors {
    #[prost(message, optional, tag = "5")]
    t: Option<TensorLocation>,
    #[prost(message, optional, boxed, tag = "6")]
    g: Option<Box<GraphTensors>>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<TensorLocation>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<GraphTensors>,
    #[prost(message, optional, tag = "22")]
    sparse_tensor: Option<SparseTensors>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<SparseTensors>,
}

#[derive(Clone, PartialEq, Message)]
struct SparseTensors {
    #[prost(message, optional, tag = "1")]
    values: Option<TensorLocation>,
    #[prost(message, optional, tag = "2")]
    indices: Option<TensorLocation>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorLocation {
    #[prost(string, tag = "8")]
    name: String,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<StringStringEntryProto>,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

impl GraphTensors {
    fn all(&self) -> Vec<&TensorLocation> {
        let sparse = self.sparse_initializer.iter().flat_map(SparseTensors::all);
        self.initializer.iter().chain(sparse).chain(self.node.iter().flat_map(NodeTensors::all)).collect()
    }
}

impl FunctionTensors {
    fn all(&self) -> Vec<&TensorLocation> {
        self.node.iter().flat_map(NodeTensors::all).collect()
    }
}

impl NodeTensors {
    fn all(&self) -> Vec<&TensorLocation> {
        let mut all = Vec::new();
        for attribute in &self.attribute {
            all.extend(attribute.t.iter().chain(&attribute.tensors));
            all.extend(attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors).flat_map(SparseTensors::all));
            all.extend(attribute.g.as_deref().into_iter().chain(&attribute.graphs).flat_map(GraphTensors::all));
        }
        all
    }
}

impl SparseTensors {
    fn all(&self) -> impl Iterator<Item = &TensorLocation> {
        self.values.iter().chain(&self.indices)
    }
}

impl TensorLocation {
    fn value(&self, key: &str) -> Option<&str> {
        self.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    fn number(&self, key: &str) -> Result<Option<u64>, String> {
        let wrong = |text: &str| format!("has the {key} `{}` in its file, expected a number", text.escape_debug());
        self.value(key).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }

    /// The numbers, from the file.
    fn read(&self, path: &Path) -> Result<Bytes, String> {
        let offset = self.number("offset")?.unwrap_or(0);
        let failed = |error| format!("has its numbers in `{}`, which cannot be read: {error}", path.display());
        let mut file = File::open(path).map_err(failed)?;
        let rest = file.metadata().map_err(failed)?.len().saturating_sub(offset);
        let length = self.number("length")?.unwrap_or(rest);
        if length > rest {
            let file = path.display();
            return Err(format!("has {length} bytes from byte {offset} of `{file}`, which has {rest} from there"));
        }
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::wire::ModelProto, *};

    fn entry(key: &str, value: &str) -> StringStringEntryProto {
        StringStringEntryProto { key: key.into(), value: value.into() }
    }

    fn tensor(location: &str) -> TensorLocation {
        TensorLocation {
            name: "weight".into(),
            external_data: vec![entry("location", location), entry("offset", "4"), entry("length", "8")],
            data_location: EXTERNAL,
        }
    }

    /// The places of a model in which a tensor can be.
    fn models(location: &str) -> Vec<ModelTensors> {
        let graph = |tensor| GraphTensors { initializer: vec![tensor], ..GraphTensors::default() };
        let sparse = || SparseTensors { values: None, indices: Some(tensor(location)) };
        let with = |attribute| NodeTensors { attribute: vec![attribute] };
        let nodes = [
            with(AttributeTensors { t: Some(tensor(location)), ..AttributeTensors::default() }),
            with(AttributeTensors { tensors: vec![tensor(location)], ..AttributeTensors::default() }),
            with(AttributeTensors { g: Some(Box::new(graph(tensor(location)))), ..AttributeTensors::default() }),
            with(AttributeTensors { graphs: vec![graph(tensor(location))], ..AttributeTensors::default() }),
            with(AttributeTensors { sparse_tensor: Some(sparse()), ..AttributeTensors::default() }),
            with(AttributeTensors { sparse_tensors: vec![sparse()], ..AttributeTensors::default() }),
        ];
        let of_graph = |graph| ModelTensors { graph: Some(graph), functions: vec![] };
        let in_node = |node: NodeTensors| of_graph(GraphTensors { node: vec![node], ..GraphTensors::default() });
        let mut models: Vec<ModelTensors> = nodes.iter().cloned().map(in_node).collect();
        let [first, ..] = nodes;
        models.push(of_graph(graph(tensor(location))));
        models.push(of_graph(GraphTensors { sparse_initializer: vec![sparse()], ..GraphTensors::default() }));
        models.push(ModelTensors { graph: None, functions: vec![FunctionTensors { node: vec![first] }] });
        models
    }

    #[test]
    fn files_outside_of_the_folder_are_refused_wherever_the_model_names_them() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("model");
        fs::create_dir(&folder).expect("made");
        fs::write(home.path().join("secret"), [0; 100]).expect("written");
        let model = folder.join("m.onnx");
        fs::write(&model, "").expect("written");
        #[cfg(unix)]
        std::os::unix::fs::symlink("../secret", folder.join("link")).expect("linked");
        fs::create_dir(folder.join("sub")).expect("made");
        let absolute = home.path().join("secret").display().to_string();
        for (location, expected) in [
            ("../secret", "not in the folder of the model"),
            ("sub/../../secret", "not in the folder of the model"),
            (absolute.as_str(), "not in the folder of the model"),
            ("link", "not in the folder of the model: it is a link to"),
            ("*/_ORT_MEM_ADDR_/*", "not in the folder of the model"),
            ("", "does not name it"),
            ("missing", "cannot be read"),
            ("sub", "not an ordinary file"),
        ] {
            for place in models(location) {
                let error = digest(&model, &place.encode_to_vec().into()).expect_err("refused");
                assert!(error.starts_with("tensor `weight` ") && error.contains(expected), "{location}: {error}");
            }
        }
    }

    #[test]
    fn a_digest_covers_the_files_that_a_model_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let (model, data) = (folder.path().join("m.onnx"), folder.path().join("m.data"));
        for place in models("m.data") {
            let bytes = Bytes::from(place.encode_to_vec());
            fs::write(&model, &bytes).expect("written");
            fs::write(&data, [1; 12]).expect("written");
            let first = digest(&model, &bytes).expect("a digest");
            assert_eq!(digest(&model, &bytes).expect("a digest"), first);
            fs::write(&data, [2; 12]).expect("written");
            assert_ne!(digest(&model, &bytes).expect("a digest"), first);
        }
    }

    #[cfg(unix)]
    #[test]
    fn models_of_a_hub_are_links_to_files_of_another_folder() {
        let hub = tempfile::tempdir().expect("a folder");
        for folder in ["blobs", "snapshot"] {
            fs::create_dir(hub.path().join(folder)).expect("made");
        }
        let model = hub.path().join("snapshot/m.onnx");
        for (name, blob) in [("m.onnx", "aa"), ("m.data", "bb")] {
            fs::write(hub.path().join("blobs").join(blob), [0; 12]).expect("written");
            std::os::unix::fs::symlink(format!("../blobs/{blob}"), hub.path().join("snapshot").join(name))
                .expect("linked");
        }
        let bytes = models("m.data").remove(0).encode_to_vec().into();
        digest(&model, &bytes).expect("a digest");
    }

    #[test]
    fn numbers_are_read_from_their_place_and_nothing_is_read_beyond_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("m.onnx");
        fs::write(folder.path().join("m.data"), (0..12).collect::<Vec<u8>>()).expect("written");
        let graph = GraphTensors { initializer: vec![tensor("m.data")], ..GraphTensors::default() };
        let bytes = ModelTensors { graph: Some(graph), functions: vec![] }.encode_to_vec().into();
        let proto = ModelProto::decode(inlined(&model, bytes).expect("a model")).expect("a model");
        let tensor = TensorProto::decode(proto.graph.expect("a graph").initializer[0].clone()).expect("a tensor");
        assert_eq!((tensor.name.as_str(), tensor.data_location), ("weight", 0));
        assert_eq!(tensor.raw_data.as_ref(), [4, 5, 6, 7, 8, 9, 10, 11]);

        let place = |offset: &str, length: &str| TensorLocation {
            external_data: vec![entry("offset", offset), entry("length", length)],
            ..TensorLocation::default()
        };
        let read = |offset, length| place(offset, length).read(&folder.path().join("m.data"));
        assert_eq!(read("10", "2").expect("numbers").as_ref(), [10, 11]);
        assert!(read("10", "3").unwrap_err().contains("has 3 bytes from byte 10 of"));
        assert!(read("18446744073709551615", "18446744073709551615").unwrap_err().contains("which has 0 from there"));
        assert!(read("-1", "2").unwrap_err().contains("has the offset `-1` in its file, expected a number"));
    }
}
