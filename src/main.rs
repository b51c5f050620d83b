//! The command `lucarne`.

/// Keeps memory flat where batches vary in size; who embeds the library chooses an allocator of their own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    lucarne::cli::main()
}
