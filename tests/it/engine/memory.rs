//! Memory is flat, however long the stream and however slow the monitor.

use std::path::Path;

use tempfile::tempdir;

use super::child::{self, LARGE_MIB};

/// The most memory that a child on a recipe ever held, MiB: the least of three, for one peak alone varies by a fifth from run to run.
fn least_peak_mib(recipe: &str, folder: &Path) -> f64 {
    let peaks = (0..3).map(|i| peak_mib(recipe, &folder.join(format!("{recipe} {i}"))));
    peaks.fold(f64::INFINITY, f64::min)
}

fn peak_mib(recipe: &str, run_dir: &Path) -> f64 {
    let output = child::spawn(recipe, run_dir).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(child::peak_file(run_dir)).unwrap();
    text.parse::<f64>().unwrap() / 1024.0
}

#[test]
fn ten_times_the_images_and_a_slow_monitor_take_no_more_memory() {
    if !Path::new("/proc/self/status").exists() {
        crate::skip::skip("the peak memory of a process: missing `/proc/self/status`");
        return;
    }
    let dir = tempdir().unwrap();
    let short = least_peak_mib("large 2000", dir.path());
    let long = least_peak_mib("large 20000", dir.path());
    println!("peak memory of 2,000 images {short:.1} MiB, of 20,000 images {long:.1} MiB");
    // 20,000 images of 120 kB are 2,300 MiB. On a quiet machine both peaks are the same. On a busy one the short run may end
    // before the batches on their way have filled their share, and the allocator may not have given back a tenth.
    let most = 1.1 * short + LARGE_MIB as f64 + 24.0;
    assert!(long < most, "{long} MiB is more than {most} MiB, from {short} MiB of the short run");
}
