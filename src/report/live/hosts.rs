//! Which names of this machine a request may use.
//!
//! A server on a loopback address is for this machine alone. A page from elsewhere, open in a browser here, could have its own
//! name resolved to this machine and read the run; its requests are known by the name that they ask for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, Uri, header::HOST, uri::Authority};

/// Whether an address can be reached from this machine alone.
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether a request names this machine as only itself does, wherever it names it. One that names none does not.
pub(super) fn names_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter().peekable();
    let named = hosts.peek().is_some();
    let authority = |host: &axum::http::HeaderValue| Authority::try_from(host.as_bytes()).ok();
    named
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

    fn allowed(uri: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().expect("a header"));
        }
        names_loopback(&uri.parse().expect("a URI"), &headers)
    }

    #[test]
    fn only_names_of_this_machine_are_let_in() {
        for host in ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:8080"] {
            assert!(allowed("/", &[host]), "{host}");
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
            assert!(!allowed("/", &[host]), "{host}");
        }
    }

    #[test]
    fn every_name_of_a_request_counts() {
        assert!(!allowed("/", &[]));
        assert!(!allowed("/", &["localhost", "example.org"]));
        assert!(!allowed("http://example.org/", &["localhost"]));
        assert!(allowed("http://localhost:80/", &["localhost"]));
    }

    #[test]
    fn loopback_addresses_are_known_in_every_spelling() {
        for address in ["127.0.0.1:80", "127.1.2.3:0", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(is_loopback(&address.parse().expect("an address")), "{address}");
        }
        for address in ["0.0.0.0:80", "[::]:80", "192.168.0.1:80"] {
            assert!(!is_loopback(&address.parse().expect("an address")), "{address}");
        }
    }
}
