//! Ports on this machine: a wanted one has to be free, any other is chosen by the operating system.
//!
//! Between choosing a port and the child's binding it, another program could take it. Passing an open socket instead
//! would need children that accept one; on a developer's machine the race is rare and ends with an error that says so.

use std::net::{Ipv4Addr, TcpListener};

use crate::failure::Failure;

/// Gives a port for a server: the wanted one if it is free, or any for 0.
pub(super) fn choose(wanted: u16, flag: &str) -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).map_err(|error| {
        Failure::bad_input(format!(
            "port {wanted} cannot be used ({error}): stop what has it, or give another with {flag} (0 takes a free one)"
        ))
    })?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| Failure::internal(format!("a free port cannot be found: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_with_the_flag_that_changes_it() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let failure = choose(port, "--port").unwrap_err();
        assert!(
            failure.message.contains("--port (0 takes a free one)"),
            "{}",
            failure.message
        );
        assert_ne!(choose(0, "--port").unwrap(), port);
    }
}
