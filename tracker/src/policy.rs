//! What an operator allows: which files, which addresses. No I/O; the connection's address is an
//! argument.

use crate::ask::Ask;
use cascade_format::tracker_wire::Command;
use cascade_format::{CascadeHash, PeerAddr};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

/// An operator's rules (protocol §2). The default tracks any file and trusts no address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// `None`: any file.
    allowed: Option<HashSet<CascadeHash>>,
    good: HashSet<Ipv4Addr>,
    ban_private: bool,
    own_address_only: bool,
}

/// Why a well-formed request is refused. Its text is the answer's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// The file is not on the allow-list.
    #[error("this tracker does not track {0}")]
    NotAllowed(CascadeHash),
    /// The address can only be reached inside some network, and the operator wants no such.
    #[error("{0} is a private address, and this tracker refuses those")]
    Private(IpAddr),
    /// Somebody else tries to register an address that others are told to prefer.
    #[error(
        "{claimed} is on this tracker's list of good addresses and registers itself only, not from {from}"
    )]
    NotYours {
        /// The address in the request.
        claimed: IpAddr,
        /// Where the connection comes from.
        from: IpAddr,
    },
    /// A peer registers another address than its own, and the operator wants none of that.
    #[error("this tracker registers a peer only at the address that it comes from: {from}, not {claimed}")]
    NotOwn {
        /// The address in the request.
        claimed: IpAddr,
        /// Where the connection comes from.
        from: IpAddr,
    },
}

impl Policy {
    /// Tracks any file.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Tracks these files alone.
    #[must_use]
    pub fn only(allowed: impl IntoIterator<Item = CascadeHash>) -> Self {
        Self { allowed: Some(allowed.into_iter().collect()), ..Self::default() }
    }

    /// The same policy with these files in addition, unless every file is tracked.
    #[must_use]
    pub fn with_files(mut self, files: impl IntoIterator<Item = CascadeHash>) -> Self {
        if let Some(allowed) = &mut self.allowed {
            allowed.extend(files);
        }
        self
    }

    /// The same policy with these addresses as good ones: they are listed first, and nobody else can
    /// register them.
    #[must_use]
    pub fn with_good(mut self, good: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        self.good = good.into_iter().collect();
        self
    }

    /// The same policy, refusing private addresses or not.
    #[must_use]
    pub const fn with_ban_private(mut self, ban: bool) -> Self {
        self.ban_private = ban;
        self
    }

    /// The same policy, registering a peer only at the address that its connection comes from, or at any
    /// that it names.
    #[must_use]
    pub const fn with_own_address_only(mut self, own_only: bool) -> Self {
        self.own_address_only = own_only;
        self
    }

    /// Number of files on the allow-list; `None` where any file is tracked.
    #[must_use]
    pub fn allowed(&self) -> Option<usize> {
        self.allowed.as_ref().map(HashSet::len)
    }

    /// What is tracked, for people.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.allowed() {
            None => "open: any file".to_owned(),
            Some(1) => "1 file allowed".to_owned(),
            Some(count) => format!("{count} files allowed"),
        }
    }

    /// Whether `ip` is on the operator's list.
    #[must_use]
    pub fn is_good(&self, ip: Ipv4Addr) -> bool {
        self.good.contains(&ip)
    }

    fn is_on_list(&self, ip: IpAddr) -> bool {
        matches!(ip, IpAddr::V4(ip) if self.is_good(ip))
    }

    /// Checks whether a file is tracked.
    ///
    /// # Errors
    /// It is not.
    pub fn check_file(&self, file: &CascadeHash) -> Result<(), PolicyRefusal> {
        match &self.allowed {
            Some(allowed) if !allowed.contains(file) => Err(PolicyRefusal::NotAllowed(*file)),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks whether an address may be registered at all.
    ///
    /// # Errors
    /// It is private, and these are banned.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), PolicyRefusal> {
        if self.ban_private && is_private(ip) { Err(PolicyRefusal::Private(ip)) } else { Ok(()) }
    }

    /// The files that this policy allows and `other` does not; none where either allows any file.
    #[must_use]
    pub fn allowed_beyond(&self, other: &Self) -> Vec<CascadeHash> {
        match (&self.allowed, &other.allowed) {
            (Some(own), Some(others)) => own.difference(others).copied().collect(),
            (None, _) | (_, None) => Vec::new(),
        }
    }

    /// Checks a request that came over a connection from `from`.
    ///
    /// # Errors
    /// The file is not tracked, the address is private and these are banned, or a good address is
    /// registered from somewhere else. Any other address is believed, as version 1 does, unless the
    /// operator wants otherwise: a peer behind a forwarded port has no other way to name the address it
    /// is reached at.
    pub fn check(&self, request: &Ask, from: IpAddr) -> Result<(), PolicyRefusal> {
        let claimed = request.listen.ip();
        self.check_file(&request.cascade_hash)?;
        self.check_address(claimed)?;
        // On a socket for both families an IPv4 connection has an IPv6 address.
        let from = from.to_canonical();
        if request.command == Command::Subscribe && self.is_on_list(claimed) && from != claimed {
            return Err(PolicyRefusal::NotYours { claimed, from });
        }
        if request.command == Command::Subscribe && self.own_address_only && from != claimed {
            return Err(PolicyRefusal::NotOwn { claimed, from });
        }
        Ok(())
    }
}

/// Whether a peer can listen at an address: see [`PeerAddr::is_somewhere`].
#[must_use]
pub const fn can_listen(addr: PeerAddr) -> bool {
    addr.is_somewhere()
}

/// Whether an address means something only inside one network or host. IPv4: RFC 1918, loopback, link-local
/// (RFC 3927), shared with a carrier (RFC 6598), and "this network" (RFC 1122). IPv6: loopback, unique local (RFC 4193),
/// link-local, and nobody's.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || a == 0
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::tracker_wire::TrackerRequest;
    use std::net::{SocketAddr, SocketAddrV4};

    const FILE: CascadeHash = CascadeHash([1; 32]);
    const OTHER: CascadeHash = CascadeHash([2; 32]);
    const PUBLIC: [u8; 4] = [203, 0, 113, 5];

    fn request(command: Command, file: CascadeHash, ip: [u8; 4]) -> Ask {
        TrackerRequest { command, cascade_hash: file, listen: SocketAddrV4::new(ip.into(), 9000) }.into()
    }

    #[test]
    fn an_open_tracker_takes_any_file_and_any_claim() {
        let request = request(Command::Subscribe, OTHER, PUBLIC);
        assert_eq!(Policy::open().check(&request, [10, 0, 0, 1].into()), Ok(()));
    }

    #[test]
    fn only_allowed_files_are_tracked_or_listed() {
        let policy = Policy::only([FILE]);
        for command in [Command::List, Command::Subscribe] {
            assert_eq!(policy.check(&request(command, FILE, PUBLIC), PUBLIC.into()), Ok(()));
            let refused = policy.check(&request(command, OTHER, PUBLIC), PUBLIC.into());
            assert_eq!(refused, Err(PolicyRefusal::NotAllowed(OTHER)));
        }
        let nothing = Policy::only([]);
        assert!(nothing.check(&request(Command::List, FILE, PUBLIC), PUBLIC.into()).is_err());
    }

    #[test]
    fn a_good_address_registers_itself_only() {
        let policy = Policy::open().with_good([PUBLIC.into()]);
        let subscribe = request(Command::Subscribe, FILE, PUBLIC);
        let from = IpAddr::from([10, 0, 0, 1]);
        let refused = PolicyRefusal::NotYours { claimed: PUBLIC.into(), from };
        assert_eq!(policy.check(&subscribe, from), Err(refused));
        assert_eq!(policy.check(&subscribe, PUBLIC.into()), Ok(()));
        let mapped = Ipv4Addr::from(PUBLIC).to_ipv6_mapped();
        assert_eq!(policy.check(&subscribe, mapped.into()), Ok(()));
        assert_eq!(policy.check(&request(Command::List, FILE, PUBLIC), from), Ok(()));
        assert!(policy.is_good(PUBLIC.into()) && !policy.is_good([1, 1, 1, 1].into()));
    }

    #[test]
    fn only_its_own_address_is_registered_where_the_operator_wants_that() {
        let from = IpAddr::from([10, 0, 0, 1]);
        for (strict, policy) in [(false, Policy::open()), (true, Policy::open().with_own_address_only(true))]
        {
            let subscribe = request(Command::Subscribe, FILE, PUBLIC);
            let refused = PolicyRefusal::NotOwn { claimed: PUBLIC.into(), from };
            assert_eq!(policy.check(&subscribe, from).err(), strict.then_some(refused));
            assert_eq!(policy.check(&subscribe, PUBLIC.into()), Ok(()));
            assert_eq!(policy.check(&subscribe, Ipv4Addr::from(PUBLIC).to_ipv6_mapped().into()), Ok(()));
            assert_eq!(policy.check(&request(Command::List, FILE, PUBLIC), from), Ok(()));
        }
    }

    #[test]
    fn nobody_listens_at_port_0_or_where_no_host_is() {
        let can = |ip: [u8; 4], port| can_listen(SocketAddrV4::new(ip.into(), port).into());
        for nowhere in [[0, 0, 0, 0], [0, 9, 9, 9], [224, 0, 0, 1], [239, 1, 1, 1], [240, 0, 0, 1], [255; 4]]
        {
            assert!(!can(nowhere, 80), "{nowhere:?}");
        }
        for host in [[1, 0, 0, 0], [10, 0, 0, 1], [127, 0, 0, 1], [169, 254, 1, 1], [223, 255, 255, 255]] {
            assert!(can(host, 1) && can(host, 65535) && !can(host, 0), "{host:?}");
        }
    }

    #[test]
    fn private_addresses_are_refused_where_banned() {
        let policy = Policy::open().with_ban_private(true);
        let private = [
            [10, 0, 0, 1],
            [172, 16, 0, 1],
            [172, 31, 9, 9],
            [192, 168, 1, 1],
            [127, 0, 0, 1],
            [169, 254, 0, 1],
            [100, 64, 0, 1],
            [0, 0, 0, 0],
        ];
        for ip in private {
            let subscribe = request(Command::Subscribe, FILE, ip);
            assert_eq!(policy.check(&subscribe, ip.into()), Err(PolicyRefusal::Private(ip.into())), "{ip:?}");
            assert_eq!(Policy::open().check(&subscribe, ip.into()), Ok(()), "{ip:?}");
        }
        for ip in [PUBLIC, [172, 32, 0, 1], [100, 128, 0, 1], [8, 8, 8, 8]] {
            assert_eq!(policy.check(&request(Command::Subscribe, FILE, ip), PUBLIC.into()), Ok(()), "{ip:?}");
        }
    }

    #[test]
    fn the_same_holds_of_ipv6_addresses() {
        let subscribe = |text: &str| Ask {
            listen: PeerAddr::from(SocketAddr::new(text.parse().unwrap(), 9000)),
            ..request(Command::Subscribe, FILE, PUBLIC)
        };
        let strict = Policy::open().with_ban_private(true);
        for private in ["::1", "fd12::1", "fc00::1", "fe80::1", "::ffff:10.0.0.1"] {
            let ask = subscribe(private);
            assert_eq!(
                strict.check(&ask, ask.listen.ip()),
                Err(PolicyRefusal::Private(ask.listen.ip())),
                "{private}"
            );
            assert_eq!(Policy::open().check(&ask, ask.listen.ip()), Ok(()));
        }
        let (ask, other) = (subscribe("2001:db8::1"), "2001:db8::2".parse().unwrap());
        assert_eq!(strict.check(&ask, other), Ok(()));
        let own = Policy::open().with_own_address_only(true);
        assert_eq!(own.check(&ask, ask.listen.ip()), Ok(()));
        let refused = PolicyRefusal::NotOwn { claimed: ask.listen.ip(), from: other };
        assert_eq!(own.check(&ask, other), Err(refused));
    }
}
