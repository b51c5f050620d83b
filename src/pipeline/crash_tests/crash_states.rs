//! The states of a disk that a power loss may leave.
//!
//! POSIX promises little, and so does this model: a name is durable once its folder was synced, content once its file was. Of all
//! changes of names that are not durable yet, any subset may have reached the disk, in any order; a move between folders is durable
//! once both folders were synced, and is there whole or not at all. Content that is not durable may be missing, cut, zeros, or torn
//! at sectors of 512 bytes.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::operation_log::LoggedOperation;
use crate::io::digest;

const SECTOR: usize = 512;
/// The number of latest changes of which all subsets are tried. Of those before (removals, which nothing waits for) all, none, and
/// some.
const ALL_SUBSETS: usize = 8;
const OLDER: [Older; 4] = [Older::All, Older::None, Older::Some(1), Older::Some(2)];

/// The content of a file, shared by all states that have it.
#[derive(Debug, Clone)]
struct Bytes {
    bytes: Arc<Vec<u8>>,
    digest: u128,
}

impl Bytes {
    fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest::wide_number_of(&[&bytes]), bytes: Arc::new(bytes) }
    }
}

/// Files and folders (without content) below the folder of a run directory.
#[derive(Debug, Clone, Default)]
pub(super) struct CrashState {
    /// Where it comes from.
    pub(super) name: String,
    entries: Entries,
}

type Entries = BTreeMap<PathBuf, Option<Bytes>>;

impl CrashState {
    /// The state of a run directory now.
    pub(super) fn read(run_dir: &Path) -> Self {
        fn read(below: &Path, path: &Path, entries: &mut Entries) {
            let name = path.strip_prefix(below).expect("below").to_owned();
            if path.is_dir() {
                entries.insert(name, None);
                fs::read_dir(path)
                    .expect("a folder")
                    .for_each(|entry| read(below, &entry.expect("a name").path(), entries));
            } else if !path.ends_with("_lock") {
                entries.insert(name, Some(Bytes::new(fs::read(path).expect("a file"))));
            }
        }
        let mut entries = BTreeMap::new();
        read(run_dir.parent().expect("a folder"), run_dir, &mut entries);
        Self { name: "begin".into(), entries }
    }

    /// Makes the run directory of this state.
    pub(super) fn build(&self, run_dir: &Path) {
        let above = run_dir.parent().expect("a folder");
        for (path, content) in &self.entries {
            match content {
                None => fs::create_dir(above.join(path)).expect("room"),
                Some(content) => fs::write(above.join(path), content.bytes.as_slice()).expect("room"),
            }
        }
    }

    /// Equal for states with equal files.
    fn digest(&self) -> u128 {
        let line = |(path, content): (&PathBuf, &Option<Bytes>)| {
            format!("{}\0{:?}\0", path.display(), content.as_ref().map(|content| content.digest))
        };
        digest::wide_number_of(&[self.entries.iter().map(line).collect::<String>().as_bytes()])
    }
}

type Node = usize;

/// What is known of a file or a folder; its name is in the folder that has it.
#[derive(Debug, Clone)]
enum Content {
    Folder,
    /// What is durable, and what readers see now.
    File {
        durable: Bytes,
        now: Vec<u8>,
    },
}

/// A change of one name: what it stands for from now on.
#[derive(Debug, Clone)]
struct NameChange {
    folder: Node,
    name: String,
    node: Option<Node>,
}

/// Changes that reach the disk together.
#[derive(Debug, Clone)]
struct Pending {
    changes: Vec<NameChange>,
    /// Folders that have to be synced before it is durable.
    unsynced: Vec<Node>,
}

type Names = BTreeMap<(Node, String), Node>;

/// A disk with a volatile cache.
struct Cached {
    nodes: Vec<Content>,
    durable: Names,
    now: Names,
    pending: Vec<Pending>,
}

const ROOT: Node = 0;

impl Cached {
    fn new(begin: &CrashState) -> Self {
        let mut disk =
            Self { nodes: vec![Content::Folder], durable: Names::new(), now: Names::new(), pending: Vec::new() };
        for (path, content) in &begin.entries {
            let node = disk.nodes.len();
            disk.nodes.push(match content {
                None => Content::Folder,
                Some(content) => Content::File { durable: content.clone(), now: content.bytes.to_vec() },
            });
            let at = disk.place(path);
            disk.now.insert(at.clone(), node);
            disk.durable.insert(at, node);
        }
        disk
    }

    /// The folder and the name that a path means now.
    fn place(&self, path: &Path) -> (Node, String) {
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        (path.parent().map_or(ROOT, |folder| self.find(folder)), name)
    }

    fn find(&self, path: &Path) -> Node {
        let names = path.components().map(|part| part.as_os_str().to_str().expect("text").to_owned());
        names.fold(ROOT, |folder, name| self.now[&(folder, name)])
    }

    fn change(&mut self, changes: Vec<((Node, String), Option<Node>)>) {
        let mut unsynced: Vec<Node> = changes.iter().map(|((folder, _), _)| *folder).collect();
        unsynced.dedup();
        let changes = changes.into_iter().map(|((folder, name), node)| NameChange { folder, name, node });
        let pending = Pending { changes: changes.collect(), unsynced };
        apply(&mut self.now, &pending);
        self.pending.push(pending);
    }

    fn add(&mut self, path: &Path, content: Content) {
        self.nodes.push(content);
        let place = self.place(path);
        self.change(vec![(place, Some(self.nodes.len() - 1))]);
    }

    fn file(&mut self, path: &Path) -> (&mut Bytes, &mut Vec<u8>) {
        let node = self.find(path);
        match &mut self.nodes[node] {
            Content::File { durable, now } => (durable, now),
            Content::Folder => panic!("`{}` is a folder", path.display()),
        }
    }

    fn apply(&mut self, operation: &LoggedOperation) {
        match operation {
            LoggedOperation::CreateFolder(path) => self.add(path, Content::Folder),
            LoggedOperation::CreateFile(path) => {
                self.add(path, Content::File { durable: Bytes::new(Vec::new()), now: Vec::new() });
            }
            LoggedOperation::Write(path, bytes) => self.file(path).1.extend_from_slice(bytes),
            LoggedOperation::SyncFile(path) => {
                let (durable, now) = self.file(path);
                *durable = Bytes::new(now.clone());
            }
            LoggedOperation::SyncFolder(path) => {
                // The folder that the run directory is in comes as an empty path.
                let folder = self.find(path);
                for pending in &mut self.pending {
                    pending.unsynced.retain(|other| *other != folder);
                }
                let (done, open) = std::mem::take(&mut self.pending).into_iter().partition(|p| p.unsynced.is_empty());
                self.pending = open;
                let done: Vec<Pending> = done;
                done.iter().for_each(|pending| apply(&mut self.durable, pending));
            }
            LoggedOperation::Rename(from, to) => {
                let node = self.find(from);
                let (from, to) = (self.place(from), self.place(to));
                self.change(vec![(from, None), (to, Some(node))]);
            }
            // Removing what is not there changes nothing.
            LoggedOperation::Remove(path) => {
                let place = self.place(path);
                if self.now.contains_key(&place) {
                    self.change(vec![(place, None)]);
                }
            }
        }
    }

    /// The state when of the pending changes only some have reached the disk, and content as `fate` has it.
    fn state(&self, reached: impl Fn(usize) -> bool, fate: Fate, name: &str) -> CrashState {
        let mut names = self.durable.clone();
        for (_, pending) in self.pending.iter().enumerate().filter(|(index, _)| reached(*index)) {
            apply(&mut names, pending);
        }
        let mut entries = BTreeMap::new();
        self.visit(&names, ROOT, Path::new(""), fate, &mut entries);
        CrashState { name: name.to_owned(), entries }
    }

    fn visit(&self, names: &Names, folder: Node, path: &Path, fate: Fate, entries: &mut Entries) {
        for ((_, name), node) in names.range((folder, String::new())..(folder + 1, String::new())) {
            let path = path.join(name);
            match &self.nodes[*node] {
                Content::Folder => {
                    entries.insert(path.clone(), None);
                    self.visit(names, *node, &path, fate, entries);
                }
                Content::File { durable, now } => _ = entries.insert(path, Some(fate.of(durable, now))),
            }
        }
    }

    /// Whether some file has content that is not durable.
    fn has_volatile_content(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node, Content::File { durable, now } if durable.bytes.len() != now.len()))
    }
}

fn apply(names: &mut Names, pending: &Pending) {
    for NameChange { folder, name, node } in &pending.changes {
        match node {
            Some(node) => _ = names.insert((*folder, name.clone()), *node),
            None => _ = names.remove(&(*folder, name.clone())),
        }
    }
}

/// Which of the older changes have reached the disk.
#[derive(Debug, Clone, Copy)]
enum Older {
    All,
    None,
    Some(u64),
}

impl Older {
    fn reached(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Some(seed) => mix(seed, index as u64).is_multiple_of(2),
        }
    }
}

/// The state of content that is not durable.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept,
    Missing,
    Zeros,
    Half,
    Torn(u64),
}

impl Fate {
    fn of(self, durable: &Bytes, now: &[u8]) -> Bytes {
        let volatile = durable.bytes.len();
        if volatile == now.len() {
            return durable.clone();
        }
        let mut content = now.to_owned();
        match self {
            Self::Kept => {}
            Self::Missing => content.truncate(volatile),
            Self::Zeros => content[volatile..].fill(0),
            Self::Half => content.truncate(volatile + (now.len() - volatile) / 2),
            Self::Torn(seed) => {
                for (index, sector) in content[volatile..].chunks_mut(SECTOR).enumerate() {
                    if mix(seed, index as u64).is_multiple_of(2) {
                        sector.fill(0);
                    }
                }
            }
        }
        Bytes::new(content)
    }
}

/// A well-mixed number of two.
fn mix(a: u64, b: u64) -> u64 {
    digest::number_of(&[&a.to_le_bytes(), &b.to_le_bytes()])
}

/// The different states that a power loss after every prefix of the operations may leave, from a state that was durable.
pub(super) fn crash_states(begin: &CrashState, operations: &[LoggedOperation]) -> Vec<CrashState> {
    let mut disk = Cached::new(begin);
    let (mut states, mut seen) = (Vec::new(), HashSet::new());
    for number in 0..=operations.len() {
        if let Some(operation) = number.checked_sub(1).map(|last| &operations[last]) {
            disk.apply(operation);
        }
        let fates: &[Fate] = if disk.has_volatile_content() {
            &[Fate::Kept, Fate::Missing, Fate::Zeros, Fate::Half, Fate::Torn(1), Fate::Torn(2)]
        } else {
            &[Fate::Kept]
        };
        let changes = disk.pending.len();
        for fate in fates {
            let mut state = |what: &str, reached: &dyn Fn(usize) -> bool| {
                let name = format!("after {number} operations, {what}, {fate:?} ({:?})", operations.get(number));
                let state = disk.state(reached, *fate, &name);
                if seen.insert(state.digest()) {
                    states.push(state);
                }
            };
            let old = changes.saturating_sub(ALL_SUBSETS);
            for older in &OLDER[..if old == 0 { 1 } else { OLDER.len() }] {
                for subset in 0..1_u32 << (changes - old) {
                    state(&format!("names {subset:b}, {older:?} before"), &|index| match index.checked_sub(old) {
                        Some(latest) => subset >> latest & 1 == 1,
                        None => older.reached(index),
                    });
                }
            }
        }
    }
    states
}
