//! Addresses as a user writes them.

/// Checks that `text` looks like `HOST:PORT`. Whether the host exists is found out when it is used.
///
/// # Errors
/// What is missing, with an example.
pub(super) fn host_port(text: &str) -> Result<String, String> {
    let (host, port) =
        text.rsplit_once(':').ok_or("the port is missing, write HOST:PORT, as in 10.0.0.5:8888")?;
    if host.is_empty() {
        return Err("the host is missing, write HOST:PORT, as in 10.0.0.5:8888".into());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(text.to_owned()),
        Ok(0) | Err(_) => Err(format!("{port:?} is no port, ports are 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::host_port;

    #[test]
    fn hosts_and_ports_are_checked() {
        assert_eq!(host_port("a.b:80"), Ok("a.b:80".into()));
        for wrong in ["a.b", ":80", "a:", "a:x", "a:0", "a:65536"] {
            assert!(host_port(wrong).is_err(), "{wrong}");
        }
    }
}
