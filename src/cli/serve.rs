//! `lucarne run --serve`: serves the live view of a run.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::terminal;
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

/// The default port.
const PORT: u16 = 8080;
/// How long the server waits at the end of a run for open pages to fetch the final status.
const FAREWELL: Duration = Duration::from_secs(5);

/// The live view of a run, if `--serve` is set.
pub(super) struct Live(Option<(LiveStatus, Server)>);

impl Live {
    /// Binds the address before the run changes anything, and prints the address of the page.
    pub(super) fn start(address: Option<SocketAddr>, plan: &Plan, quiet: bool) -> Result<Self> {
        let (Some(address), Some(run_dir)) = (address, plan.run_dir()) else { return Ok(Self(None)) };
        let name = run_dir.file_name().unwrap_or(run_dir.as_os_str()).to_string_lossy().into_owned();
        let (live_status, run_dir) = (LiveStatus::new(name), run_dir.to_owned());
        let page = move || {
            if !run_dir.join(RUN_RECORD).exists() {
                return Err(Error::data("the run has not committed anything"));
            }
            Report::open(&run_dir)?.live_page()
        };
        let server = Server::start(address, live_status.clone(), page)?;
        if !quiet {
            let address = server.address();
            terminal::note(&format!("serving http://{address}/"));
            if !is_loopback(&address) {
                terminal::note("warning: anyone who can reach this machine can read the run at this address");
            }
        }
        Ok(Self(Some((live_status, server))))
    }

    /// Publishes the progress of the run.
    pub(super) fn show(&self, status: &Status<'_>) {
        if let Some((live_status, _)) = &self.0 {
            live_status.update(status);
        }
    }

    /// Publishes how the run ended, and waits until open pages have fetched it.
    pub(super) fn end(self, outcome: &Result<Summary>) {
        if let Some((live_status, server)) = self.0 {
            live_status.end(outcome.as_ref().err());
            server.wait_for_viewers(FAREWELL);
        }
    }
}

/// Parses the address of `--serve`: `8080`, `:8080`, `localhost`, `127.0.0.1:8080`, `[::1]:8080`. A port or name alone binds the
/// loopback interface; other machines can connect only if an explicit address allows it.
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
        "not an address; expected for example `8080`, `localhost:8080` or `127.0.0.1:8080` (write the pipeline before `--serve`)".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_a_name_or_both() {
        for (text, expected) in [
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
            assert_eq!(address(text), Ok(expected.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn rejects_texts_that_are_not_addresses() {
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
