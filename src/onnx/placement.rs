//! On which execution providers the nodes of a graph run: ONNX Runtime places each node by itself, and reports it only in the
//! profile of a run.

use std::{
    collections::{BTreeMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::Deserialize;

/// The number of nodes that run on each provider, by its name in the run record.
pub(crate) type NodePlacement = BTreeMap<String, usize>;

/// What ONNX Runtime calls the providers, and their names in the run record.
const NAMES: [(&str, &str); 4] = [
    ("CPUExecutionProvider", "cpu"),
    ("CUDAExecutionProvider", "cuda"),
    ("TensorrtExecutionProvider", "tensorrt"),
    ("OpenVINOExecutionProvider", "openvino"),
];

/// A folder for the profile of one session, removed with everything in it.
pub(super) struct ProfileFolder(PathBuf);

/// An event of a profile, as far as it is used.
#[derive(Deserialize)]
struct ProfileEvent {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: EventArguments,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct EventArguments {
    provider: String,
    node_index: String,
}

impl ProfileFolder {
    /// A new folder among the temporary files.
    pub(super) fn new() -> std::io::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("lucarne-profile-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        // Fails where somebody else made it.
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// What the names of profiles in it begin with.
    pub(super) fn prefix(&self) -> PathBuf {
        self.0.join("profile")
    }
}

impl Drop for ProfileFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Counts the nodes in the profile of a run.
pub(super) fn read_placement(profile: &Path) -> Result<NodePlacement, String> {
    let text = fs::read_to_string(profile).map_err(|error| error.to_string())?;
    count_nodes(&text)
}

fn count_nodes(profile: &str) -> Result<NodePlacement, String> {
    let events: Vec<ProfileEvent> = serde_json::from_str(profile).map_err(|error| error.to_string())?;
    let mut placement = NodePlacement::new();
    // Nodes inside of a loop run several times.
    let mut seen = HashSet::new();
    for ProfileEvent { cat, name, args } in events {
        if cat == "Node" && !args.provider.is_empty() && seen.insert((name, args.node_index)) {
            let known = NAMES.iter().find(|(provider, _)| *provider == args.provider);
            let provider = known.map_or(args.provider, |(_, name)| (*name).to_owned());
            *placement.entry(provider).or_default() += 1;
        }
    }
    Ok(placement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_node_once_by_its_provider() {
        let event = |name: &str, index: &str, provider: &str| {
            format!(
                r#"{{"cat":"Node","dur":3,"name":"{name}","args":{{"node_index":"{index}","provider":"{provider}","x":[1]}}}}"#
            )
        };
        let events = [
            r#"{"cat":"Session","name":"model_run","args":{}}"#.to_owned(),
            event("conv_kernel_time", "0", "CUDAExecutionProvider"),
            event("relu_kernel_time", "1", "CUDAExecutionProvider"),
            event("in_loop_kernel_time", "2", "CPUExecutionProvider"),
            event("in_loop_kernel_time", "2", "CPUExecutionProvider"),
            event("odd_kernel_time", "3", "XnnpackExecutionProvider"),
        ];
        let placement = count_nodes(&format!("[{}]", events.join(","))).expect("a profile");
        let expected = [("XnnpackExecutionProvider", 1), ("cpu", 1), ("cuda", 2)];
        assert_eq!(placement, expected.map(|(name, count)| (name.to_owned(), count)).into());
        assert!(count_nodes("[{").is_err());
    }

    #[test]
    fn folders_of_profiles_are_distinct_and_removed() {
        let (a, b) = (ProfileFolder::new().expect("a folder"), ProfileFolder::new().expect("a folder"));
        let (first, second) = (a.0.clone(), b.0.clone());
        assert!(first != second && first.is_dir() && second.is_dir());
        drop((a, b));
        assert!(!first.exists() && !second.exists());
    }
}
