//! The form of a server's address: `host:port`, a scheme before it or none.

use std::net::Ipv6Addr;

/// Says what is wrong with an address; the SDK would take one without a port and try port 80 or 443.
pub(super) fn mistake(address: &str) -> Option<String> {
    let place = ["http://", "https://"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme))
        .unwrap_or(address);
    let place = place.strip_suffix('/').unwrap_or(place);
    // The last part of an address of the sixth version looks like a port; brackets tell the two apart.
    let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && !host.contains(|letter: char| "/:@[]?#".contains(letter) || letter.is_whitespace())
        }
    };
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    // Who writes a password into an address wants it no more in a message.
    let shown = if address.contains('@') {
        "the address"
    } else {
        &format!("`{address}`")
    };
    (!is_host || !is_port).then(|| {
        format!(
            "{shown} is not `host:port`; for example `localhost:7233`, or `https://temporal.example:7233`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::mistake;

    #[test]
    fn a_host_and_a_port_are_an_address_and_nothing_less_or_more_is() {
        for right in [
            "localhost:7233",
            "10.0.0.1:1",
            "[::1]:7233",
            "http://h:1",
            "https://a.example:443/",
        ] {
            assert_eq!(mistake(right), None, "{right}");
        }
        for wrong in [
            "",
            "foo",
            "foo:",
            ":7233",
            "foo:0",
            "foo:70000",
            "foo:port",
            "::1:7233",
            "[::1]",
            "[foo]:1",
            "http://foo",
            "https://",
            "grpc://foo:1",
            "foo:1/path",
            "a b:1",
            "foo:+1x",
        ] {
            let said = mistake(wrong).unwrap_or_else(|| panic!("{wrong} passes"));
            assert!(
                said.starts_with(&format!("`{wrong}`")) && said.contains("`localhost:7233`"),
                "{said}"
            );
        }
        assert!(!mistake("http://me:secret@foo:1").unwrap().contains("secret"));
    }
}
