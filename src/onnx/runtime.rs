//! Finds the shared library of ONNX Runtime and creates the one environment of the process.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use ort::{environment::Environment, logging::LogLevel};

use crate::error::{Error, Result};

/// The environment variable with which ONNX Runtime reports nothing to its makers. It is read when the library is loaded. Without it,
/// from 1.29 on, an identifier of the machine is kept in the home folder, and it is sent with what the models are, also when the
/// telemetry of the environment is switched off, because that is made before (microsoft/onnxruntime#27379, #25573). The command sets
/// it; a library must not change the environment of a process that may have threads.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
/// The environment variable that names the library or its folder.
const VARIABLE: &str = "ORT_DYLIB_PATH";
/// Where `make build` puts the library, under the project's folder.
const FOLDER: &str = ".lucarne/onnxruntime";
/// Prints the folder of the Python package, without importing it.
const PYTHON: &str =
    "import importlib.util as u; s = u.find_spec('onnxruntime'); print(s.submodule_search_locations[0])";

/// ONNX Runtime as loaded by this process.
pub(crate) struct Runtime {
    /// The environment of all sessions.
    pub(super) environment: Environment,
    /// The library.
    pub(crate) path: PathBuf,
    /// Its version, from the name of the file (in wheels it has one); the runtime itself reports only its commit.
    pub(crate) version: Option<String>,
    /// What it was built from.
    pub(crate) build: &'static str,
}

/// ONNX Runtime, loaded at the first call. A failure is not cached: the next call tries again.
pub(crate) fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    match RUNTIME.get() {
        Some(runtime) => Ok(runtime),
        None => {
            let runtime = load(find()?)?;
            tracing::debug!(path = %runtime.path.display(), build = runtime.build, "loaded ONNX Runtime");
            Ok(RUNTIME.get_or_init(|| runtime))
        }
    }
}

fn load(path: PathBuf) -> Result<Runtime> {
    let failed = |cause: String| {
        Error::environment(format!("cannot load ONNX Runtime from `{}`; {REMEDY}", path.display()))
            .caused_by(cause.trim().to_owned())
    };
    if env::var_os(NO_TELEMETRY).is_none() && !cfg!(windows) {
        tracing::warn!(
            "ONNX Runtime may report models and this machine to its makers: set `{NO_TELEMETRY}=1` before this process starts"
        );
    }
    let builder = ort::init_from(&path).map_err(|error| failed(error.to_string()))?;
    let environment = builder.with_telemetry(false).build().map_err(|error| failed(error.to_string()))?;
    // Its errors are returned too; a trial of a larger batch that fails is none.
    environment.set_log_level(LogLevel::Fatal);
    let resolved = path.canonicalize().unwrap_or_else(|_| path.clone());
    Ok(Runtime { environment, version: version_in(&resolved), path, build: ort::info() })
}

/// The version in a file name such as `libonnxruntime.so.1.31.1` or `libonnxruntime.1.31.1.dylib`.
fn version_in(path: &Path) -> Option<String> {
    let parts = path.file_name()?.to_str()?.split('.');
    let version: Vec<&str> = parts.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit())).collect();
    (!version.is_empty()).then(|| version.join("."))
}

const REMEDY: &str = "run `make build` in the project's folder, or `pip install onnxruntime==1.31.1`, \
                      or set `ORT_DYLIB_PATH` to the library";

/// The first of: the library that the variable names, one beside the executable, one in the project's folder, one in an
/// installed Python package.
fn find() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return named_by_variable(&named);
    }
    let executable = env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    let folders = folders(beside, env::current_dir().ok().as_deref());
    folders.iter().find_map(|folder| library_in(folder)).or_else(|| library_in(&python_package()?)).ok_or_else(|| {
        let beside = beside.map_or_else(|| "?".into(), |beside| beside.display().to_string());
        Error::environment(format!(
            "cannot find the ONNX Runtime library: `{VARIABLE}` is not set, and the library is not beside the executable (in \
             `{beside}`), in `{FOLDER}` of the current folder or a parent folder of the executable, or in a package of \
             `python3`; {REMEDY}"
        ))
    })
}

fn named_by_variable(named: &OsStr) -> Result<PathBuf> {
    let path = PathBuf::from(named);
    let library = if path.is_dir() { library_in(&path) } else { path.is_file().then(|| path.clone()) };
    library.ok_or_else(|| {
        let path = path.display();
        Error::environment(format!(
            "`{VARIABLE}` is `{path}`, which is not an ONNX Runtime library or a folder with one; set it to the library, or \
             unset it"
        ))
    })
}

/// The folders to search, in order.
fn folders(beside: Option<&Path>, current: Option<&Path>) -> Vec<PathBuf> {
    let above = beside.into_iter().flat_map(Path::ancestors);
    let projects = current.into_iter().chain(above).map(|root| root.join(FOLDER));
    beside.map(Path::to_path_buf).into_iter().chain(projects).collect()
}

/// The library in a folder, or in the subfolders where a wheel has it. A name without a version comes first.
fn library_in(folder: &Path) -> Option<PathBuf> {
    ["", "capi", "onnxruntime/capi"].iter().find_map(|inner| {
        let entries = fs::read_dir(folder.join(inner)).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        entries.filter(|path| is_library(path)).min_by_key(|path| path.as_os_str().len())
    })
}

fn is_library(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return false };
    let fits = match env::consts::OS {
        "windows" => name.eq_ignore_ascii_case("onnxruntime.dll"),
        "macos" => name.starts_with("libonnxruntime.") && name.ends_with(".dylib"),
        _ => name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so."),
    };
    fits && path.is_file()
}

fn python_package() -> Option<PathBuf> {
    ["python3", "python"].into_iter().find_map(|python| {
        let output =
            Command::new(python).args(["-c", PYTHON]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn touch(root: &Path, name: &str) -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, "").expect("written");
        path
    }

    #[test]
    fn finds_the_library_of_a_wheel_and_ignores_its_helpers() {
        let root = tempfile::tempdir().expect("a folder");
        touch(root.path(), "onnxruntime/capi/libonnxruntime_providers_shared.so");
        assert_eq!(library_in(root.path()), None);
        let versioned = touch(root.path(), "onnxruntime/capi/libonnxruntime.so.1.31.1");
        assert_eq!(library_in(root.path()), Some(versioned));
        let plain = touch(root.path(), "onnxruntime/capi/libonnxruntime.so");
        assert_eq!(library_in(root.path()), Some(plain));
    }

    #[test]
    fn reads_the_version_from_the_file_name() {
        let version = |name: &str| version_in(Path::new(name));
        assert_eq!(version("/a.1/libonnxruntime.so.1.31.1").as_deref(), Some("1.31.1"));
        assert_eq!(version("libonnxruntime.1.31.1.dylib").as_deref(), Some("1.31.1"));
        assert_eq!(version("libonnxruntime.so"), None);
    }

    #[test]
    fn searches_beside_the_executable_then_the_current_folder_then_parent_folders() {
        let found = folders(Some(Path::new("/p/target/release")), Some(Path::new("/w")));
        let names: Vec<String> = found.iter().map(|folder| folder.display().to_string()).collect();
        let expected = ["/p/target/release", "/w/.lucarne/onnxruntime", "/p/target/release/.lucarne/onnxruntime"];
        assert_eq!(names[..3], expected);
        assert!(names.contains(&"/p/.lucarne/onnxruntime".to_owned()), "{names:?}");
    }

    #[test]
    fn rejects_a_variable_that_does_not_name_a_library() {
        let error = named_by_variable(OsStr::new("/nowhere/libonnxruntime.so")).expect_err("no library");
        assert!(error.to_string().contains("`ORT_DYLIB_PATH` is `/nowhere/libonnxruntime.so`"), "{error}");
    }
}
