//! The table of results.

use std::fs;

use super::Bench;

/// A line: a subject, and both sides in objects per CPU second.
pub(crate) struct Line {
    pub(crate) subject: &'static str,
    pub(crate) ours: f64,
    pub(crate) peer: String,
    pub(crate) theirs: f64,
    /// The ratio that the project set itself.
    pub(crate) goal: Option<f64>,
    /// How both were found to be equal.
    pub(crate) equal: String,
}

impl Line {
    pub(crate) fn print(&self) {
        let ratio = self.ours / self.theirs;
        let goal = self
            .goal
            .map_or_else(String::new, |goal| format!("{goal}{}", if ratio >= goal { "" } else { " (missed)" }));
        let ratio = if ratio < 3.0 { format!("{ratio:.2}") } else { format!("{ratio:.1}") };
        let Self { subject, peer, equal, .. } = self;
        let (ours, theirs) = (rate(self.ours), rate(self.theirs));
        println!("| {subject} | {ours} | {peer} | {theirs} | {ratio} | {goal} | {equal} |");
    }
}

/// A rate, with two digits after the point where it is small.
fn rate(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}

pub(crate) fn heading(bench: &Bench) {
    println!("{}; {}; median of {}\n", machine(), bench.python.versions(), bench.repetitions);
    println!(
        "| subject | lucarne, objects per CPU second | peer | peer, objects per CPU second | ratio | goal | equal |"
    );
    println!("|---|---|---|---|---|---|---|");
}

pub(crate) fn note(text: &str) {
    eprintln!("peers: {text}");
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':')).map_or("?", |(_, value)| value.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!(
        "{} (family {}, model {}), {cores} cores, load {load}",
        value("model name"),
        value("cpu family"),
        value("model\t")
    )
}
