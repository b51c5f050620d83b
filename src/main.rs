//! The command `lucarne`.

/// Keeps memory flat where batches vary in size; who embeds the library chooses an allocator of their own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// ONNX Runtime reads it when its library is loaded, which may be at any time later.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

#[allow(unsafe_code, reason = "the environment is changed before there are threads")]
fn main() -> std::process::ExitCode {
    if std::env::var_os(NO_TELEMETRY).is_none() {
        // SAFETY: this is the only thread, so no other reads the environment meanwhile.
        unsafe { std::env::set_var(NO_TELEMETRY, "1") };
    }
    lucarne::cli::main()
}
