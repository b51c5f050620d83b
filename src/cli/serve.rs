//! `lucarne run --serve`: the live view of a run, on an address of this machine.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    engine::{Status, Summary},
    error::{Error, Result},
    pipeline::Plan,
    report::{
        Report,
        live::{LiveStatus, Server, is_loopback},
    },
    run::RUN_RECORD,
};

/// The port where none is given.
const PORT: u16 = 8080;
/// How long a page that is open in a browser may take to see the end of the run.
const FAREWELL: Duration = Duration::from_secs(5);

/// The live view of a run, if one is wanted.
pub(super) struct Live(Option<(LiveStatus, Server)>);

impl Live {
    /// Binds the address, before the run touches anything, and says where the page is.
    pub(super) fn start(address: Option<SocketAddr>, plan: &Plan, quiet: bool) -> Result<Self> {
        let (Some(address), Some(run_dir)) = (address, plan.run_dir()) else { return Ok(Self(None)) };
        let name = run_dir.file_name().unwrap_or(run_dir.as_os_str()).to_string_lossy().into_owned();
        let (board, run_dir) = (LiveStatus::new(name), run_dir.to_owned());
        let page = move || {
            if !run_dir.join(RUN_RECORD).exists() {
                return Err(Error::data("the run has not committed anything"));
            }
            Report::open(&run_dir)?.live_page()
        };
        let server = Server::start(address, board.clone(), page)?;
        if !quiet {
            let address = server.address();
            eprintln!("serving http://{address}/");
            if !is_loopback(&address) {
                eprintln!("warning: anyone who can reach this machine can read the run at this address");
            }
        }
        Ok(Self(Some((board, server))))
    }

    /// Passes on how far the run is.
    pub(super) fn show(&self, status: &Status<'_>) {
        if let Some((board, _)) = &self.0 {
            board.update(status);
        }
    }

    /// Says how the run ended, to pages that are open.
    pub(super) fn end(self, outcome: &Result<Summary>) {
        if let Some((board, server)) = self.0 {
            board.end(outcome.as_ref().err());
            server.wait_for_viewers(FAREWELL);
        }
    }
}

/// The address that `--serve` names: `8080`, `:8080`, `localhost`, `127.0.0.1:8080`, `[::1]:8080`. Only an address that is
/// written so can be reached from elsewhere.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = |port: &str| port.parse::<u16>().ok();
    let loopback = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let of_name = || match text.strip_prefix("localhost") {
        Some("") => Some(PORT),
        Some(rest) => rest.strip_prefix(':').and_then(port),
        None => port(text.strip_prefix(':').unwrap_or(text)),
    };
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let of_address = || bare.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT));
    let found = of_name().map(loopback).or_else(|| text.parse().ok()).or_else(of_address);
    found.ok_or_else(|| {
        "no address: write `8080`, `localhost:8080` or `127.0.0.1:8080`, and a pipeline before `--serve` alone".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_a_name_or_both() {
        for (text, meant) in [
            ("8080", "127.0.0.1:8080"),
            ("9", "127.0.0.1:9"),
            (":8081", "127.0.0.1:8081"),
            ("localhost", "127.0.0.1:8080"),
            ("localhost:0", "127.0.0.1:0"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("127.0.0.2:80", "127.0.0.2:80"),
            ("::1", "[::1]:8080"),
            ("[::1]", "[::1]:8080"),
            ("[::1]:81", "[::1]:81"),
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("[::]:8080", "[::]:8080"),
        ] {
            assert_eq!(address(text), Ok(meant.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":",
            "pipelines/01_first_light.yaml",
            "70000",
            "localhost:",
            "localhost:x",
            "localhost8080",
            "a:80",
            "[::1]:",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
