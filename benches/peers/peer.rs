//! The Python side, and arrays exchanged as `.npy` files.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{Result, measure::Spent};

const SCRIPT: &str = "benches/peers.py";

/// The interpreter that has the peers.
#[derive(Clone)]
pub(crate) struct Python {
    program: PathBuf,
    versions: String,
}

/// The last line that a child process prints.
#[derive(Deserialize)]
struct ReportedWork {
    objects: usize,
    cpu_seconds: f64,
}

impl Python {
    /// `LUCARNE_BENCH_PYTHON`, or the one that `make bench` sets up.
    pub(crate) fn find() -> Result<Self> {
        let program = env::var_os("LUCARNE_BENCH_PYTHON").unwrap_or_else(|| ".lucarne/bench/bin/python".into());
        let output = Command::new(&program).args([SCRIPT, "versions", "."]).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| {
            format!("cannot run `{}`: {error}; `make bench` sets it up", Path::new(&program).display())
        })?;
        if !output.status.success() {
            return Err("the Python packages of `benches/requirements.txt` cannot be used".into());
        }
        Ok(Self { program: program.into(), versions: String::from_utf8_lossy(&output.stdout).trim().to_owned() })
    }

    /// `LUCARNE_ALIBI_PYTHON`, where it names an interpreter that has alibi-detect and PyTorch: 3 GB that the others do not need.
    pub(crate) fn of_alibi_detect() -> Option<Self> {
        let program: PathBuf = env::var_os("LUCARNE_ALIBI_PYTHON")?.into();
        Some(Self { program, versions: String::new() })
    }

    /// Whether it has a package that the others do not need.
    pub(crate) fn has(&self, package: &str) -> bool {
        let find = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{package}') is None)");
        Command::new(&self.program).args(["-c", &find]).status().is_ok_and(|status| status.success())
    }

    /// The versions of the packages.
    pub(crate) fn versions(&self) -> &str {
        &self.versions
    }

    /// Writes a night of alert packets into a folder.
    pub(crate) fn night(&self, folder: &Path, packets: usize) -> Result<()> {
        let mut command = Command::new(&self.program);
        let status = command.arg("benches/night.py").arg(folder).arg(packets.to_string()).status()?;
        if status.success() { Ok(()) } else { Err("`benches/night.py` failed".into()) }
    }

    /// Runs a work of `peers.py` on a folder or file, in a child process.
    pub(crate) fn run(&self, work: &str, input: &Path, options: &[(&str, OsString)]) -> Result<Spent> {
        let mut command = Command::new(&self.program);
        command.args([SCRIPT, work]).arg(input).stderr(Stdio::inherit());
        for (name, value) in options {
            command.arg(name).arg(value);
        }
        spent(&mut command)
    }
}

/// Runs a child process; its last line reports its work.
pub(crate) fn spent(command: &mut Command) -> Result<Spent> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().filter(|_| output.status.success());
    let work: ReportedWork = serde_json::from_str(last.ok_or_else(|| format!("{command:?} failed"))?)?;
    Ok(Spent { objects: work.objects, cpu_seconds: work.cpu_seconds })
}

/// Reads an array of float32 in C order: its shape and numbers.
pub(crate) fn read_npy(path: &Path) -> Result<(Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path)?;
    let wrong = || format!("`{}` is not an array of float32", path.display());
    let (head, rest) = bytes.split_at_checked(10).ok_or_else(wrong)?;
    let (header, data) =
        rest.split_at_checked(usize::from(u16::from_le_bytes([head[8], head[9]]))).ok_or_else(wrong)?;
    let header = String::from_utf8_lossy(header);
    if !header.contains("'<f4'") || !header.contains("'fortran_order': False") {
        return Err(wrong().into());
    }
    let shape = header.split(['(', ')']).nth(1).ok_or_else(wrong)?;
    let shape = shape.split(',').filter_map(|length| length.trim().parse().ok()).collect();
    Ok((shape, data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
}

/// Writes an array of float32.
pub(crate) fn write_npy(path: &Path, shape: &[usize], values: &[f32]) -> Result<()> {
    let shape = shape.iter().map(|length| format!("{length},")).collect::<String>();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{header:<0$}\n", length - 1).into_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(fs::write(path, bytes)?)
}
