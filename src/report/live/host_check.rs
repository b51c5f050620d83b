//! Checks the host name of requests.
//!
//! A server on a loopback address is for this machine only. A web page from elsewhere, open in a browser on this machine, could let
//! its own host name resolve to the loopback address and read the run (DNS rebinding). Such requests carry that host name, so they
//! are rejected.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, Uri, header::HOST, uri::Authority};

/// Whether an address can be reached from this machine only.
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether all host names of a request are names of the loopback interface. A request without a host name fails the check.
pub(super) fn names_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter().peekable();
    let has_host = hosts.peek().is_some();
    let authority = |host: &axum::http::HeaderValue| Authority::try_from(host.as_bytes()).ok();
    has_host
        && hosts.all(|host| authority(host).is_some_and(|authority| is_loopback_name(&authority)))
        && uri.authority().is_none_or(is_loopback_name)
}

fn is_loopback_name(authority: &Authority) -> bool {
    let host = authority.host();
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse().ok(),
    };
    let has_user = authority.as_str().contains('@');
    !has_user && (host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(uri: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().expect("a header"));
        }
        names_loopback(&uri.parse().expect("a URI"), &headers)
    }

    #[test]
    fn allows_only_names_of_the_loopback_interface() {
        for host in ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:8080"] {
            assert!(is_allowed("/", &[host]), "{host}");
        }
        for host in [
            "",
            "example.org",
            "example.org:8080",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "10.0.0.1",
            "0.0.0.0:8080",
            "[::]:80",
            "[fe80::1]",
            "me@localhost",
            "localhost@example.org",
            "localhost:8080:1",
            "local host",
        ] {
            assert!(!is_allowed("/", &[host]), "{host}");
        }
    }

    #[test]
    fn checks_every_host_name_of_a_request() {
        assert!(!is_allowed("/", &[]));
        assert!(!is_allowed("/", &["localhost", "example.org"]));
        assert!(!is_allowed("http://example.org/", &["localhost"]));
        assert!(is_allowed("http://localhost:80/", &["localhost"]));
    }

    #[test]
    fn recognises_loopback_addresses_in_every_notation() {
        for address in ["127.0.0.1:80", "127.1.2.3:0", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(is_loopback(&address.parse().expect("an address")), "{address}");
        }
        for address in ["0.0.0.0:80", "[::]:80", "192.168.0.1:80"] {
            assert!(!is_loopback(&address.parse().expect("an address")), "{address}");
        }
    }
}
