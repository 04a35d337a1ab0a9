//! Which addresses may be dialled: the public internet, and what an alias lists in `network`. Pure; depends on nothing.
//!
//! The ranges are those of the IANA special-purpose registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry/>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry/>), with the metadata services of clouds that sit outside them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address an alias may not dial, and what kind of address it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}")]
pub struct Forbidden {
    pub address: IpAddr,
    pub kind: &'static str,
}

/// Whether `address` may be dialled by an alias that lists `network`.
///
/// An IPv6 address that carries an IPv4 address in it has to pass twice: as what it is, and as what it carries.
pub fn check(address: IpAddr, network: &[IpNet]) -> Result<(), Forbidden> {
    let listed = |address: IpAddr| network.iter().any(|net| net.contains(&address));
    if let Some(kind) = kind(address)
        && !listed(address)
    {
        return Err(Forbidden { address, kind });
    }
    if let IpAddr::V6(address) = address
        && let Some(inner) = embedded(address)
    {
        check(IpAddr::V4(inner), network)?;
    }
    Ok(())
}

/// What makes `address` one that is not dialled unasked; none for an address of the public internet.
fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind),
        IpAddr::V6(address) => match V6.iter().find(|(net, _)| net.contains(&address)) {
            Some((_, kind)) => Some(kind),
            // Only 2000::/3 is global unicast (RFC 4291 section 2.4); the rest is not assigned for it.
            None if !v6(0x2000, 0, 0, 0, 3).contains(&address) => Some("not a global unicast address"),
            None => None,
        },
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const COMPATIBLE: Ipv6Net = v6(0, 0, 0, 0, 96);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 0, 96);
const NAT64_LOCAL: Ipv6Net = v6(0x64, 0xff9b, 1, 0, 48);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 0, 16);
const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 0, 32);

const V4: &[(Ipv4Net, &str)] = &[
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(169, 254, 169, 254, 32), "a metadata service"),
    (v4(168, 63, 129, 16, 32), "a metadata service"),
    (v4(100, 100, 100, 200, 32), "a metadata service"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(100, 64, 0, 0, 10), "a carrier-grade NAT address"),
    (v4(0, 0, 0, 0, 8), "an unspecified address"),
    (v4(192, 0, 0, 0, 24), "a protocol assignment"),
    (v4(192, 0, 2, 0, 24), "a documentation address"),
    (v4(198, 51, 100, 0, 24), "a documentation address"),
    (v4(203, 0, 113, 0, 24), "a documentation address"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay address"),
    (v4(198, 18, 0, 0, 15), "a benchmarking address"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(255, 255, 255, 255, 32), "the broadcast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

const V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "a loopback address"),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "an unspecified address"),
    (MAPPED, "an IPv4-mapped address"),
    (COMPATIBLE, "an IPv4-compatible address"),
    (NAT64, "a NAT64 address"),
    (NAT64_LOCAL, "a NAT64 address"),
    (SIX_TO_FOUR, "a 6to4 address"),
    (TEREDO, "a Teredo address"),
    (v6(0x2001, 0, 0, 0, 23), "a protocol assignment"),
    (v6(0x2001, 0xdb8, 0, 0, 32), "a documentation address"),
    (v6(0x3fff, 0, 0, 0, 20), "a documentation address"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), "a metadata service"),
    (v6(0xfc00, 0, 0, 0, 7), "a private address"),
    (v6(0xfe80, 0, 0, 0, 10), "a link-local address"),
    (v6(0xfec0, 0, 0, 0, 10), "a site-local address"),
    (v6(0xff00, 0, 0, 0, 8), "a multicast address"),
];

/// The IPv4 address inside an IPv6 one, for the ways of carrying one: RFC 4291 section 2.5.5 (mapped, compatible), RFC 6052
/// (NAT64; in the local prefix the layout of a /96 is assumed), RFC 3056 (6to4), RFC 4380 section 4 (Teredo: the client, inverted).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    let last = Ipv4Addr::new(a, b, c, d);
    if address.is_loopback() || address.is_unspecified() {
        None
    } else if [MAPPED, COMPATIBLE, NAT64, NAT64_LOCAL].iter().any(|net| net.contains(&address)) {
        Some(last)
    } else if SIX_TO_FOUR.contains(&address) {
        let [_, _, a, b, c, d, ..] = address.octets();
        Some(Ipv4Addr::new(a, b, c, d))
    } else if TEREDO.contains(&address) {
        Some(Ipv4Addr::from_bits(!last.to_bits()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(address: &str, network: &[&str]) -> Result<(), &'static str> {
        let network: Vec<IpNet> = network.iter().map(|net| net.parse().unwrap()).collect();
        check(address.parse().unwrap(), &network).map_err(|forbidden| forbidden.kind)
    }

    #[test]
    fn refuses_every_address_that_is_not_of_the_public_internet() {
        for (address, kind) in [
            ("127.0.0.1", "a loopback address"),
            ("127.255.255.254", "a loopback address"),
            ("0.0.0.0", "an unspecified address"),
            ("0.1.2.3", "an unspecified address"),
            ("10.0.0.1", "a private address"),
            ("172.16.0.1", "a private address"),
            ("172.31.255.255", "a private address"),
            ("192.168.1.1", "a private address"),
            ("169.254.169.254", "a metadata service"),
            ("168.63.129.16", "a metadata service"),
            ("100.100.100.200", "a metadata service"),
            ("169.254.0.7", "a link-local address"),
            ("100.64.0.1", "a carrier-grade NAT address"),
            ("100.127.255.255", "a carrier-grade NAT address"),
            ("192.0.0.8", "a protocol assignment"),
            ("192.0.2.1", "a documentation address"),
            ("198.51.100.1", "a documentation address"),
            ("203.0.113.255", "a documentation address"),
            ("192.88.99.1", "a 6to4 relay address"),
            ("198.19.255.255", "a benchmarking address"),
            ("224.0.0.1", "a multicast address"),
            ("239.255.255.255", "a multicast address"),
            ("240.0.0.1", "a reserved address"),
            ("255.255.255.255", "the broadcast address"),
            ("::1", "a loopback address"),
            ("::", "an unspecified address"),
            ("::ffff:127.0.0.1", "an IPv4-mapped address"),
            ("::ffff:8.8.8.8", "an IPv4-mapped address"),
            ("::127.0.0.1", "an IPv4-compatible address"),
            ("64:ff9b::7f00:1", "a NAT64 address"),
            ("64:ff9b::8.8.8.8", "a NAT64 address"),
            ("64:ff9b:1::10.0.0.1", "a NAT64 address"),
            ("2002:7f00:1::", "a 6to4 address"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "a Teredo address"),
            ("2001:2::1", "a protocol assignment"),
            ("2001:db8::1", "a documentation address"),
            ("3fff::1", "a documentation address"),
            ("fd00:ec2::254", "a metadata service"),
            ("fc00::1", "a private address"),
            ("fe80::1", "a link-local address"),
            ("fec0::1", "a site-local address"),
            ("ff02::1", "a multicast address"),
            ("100::1", "not a global unicast address"),
            ("5f00::1", "not a global unicast address"),
            ("::ffff:0:127.0.0.1", "not a global unicast address"),
        ] {
            assert_eq!(verdict(address, &[]), Err(kind), "{address}");
        }
    }

    #[test]
    fn lets_addresses_of_the_public_internet_through() {
        for address in
            ["8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111", "2001:200::1"]
        {
            assert_eq!(verdict(address, &[]), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_listed_network_opens_that_network_and_nothing_beside_it() {
        assert_eq!(verdict("127.0.0.1", &["127.0.0.0/8"]), Ok(()));
        assert_eq!(verdict("10.1.2.3", &["127.0.0.0/8", "10.1.0.0/16"]), Ok(()));
        assert_eq!(verdict("10.2.0.1", &["10.1.0.0/16"]), Err("a private address"));
        assert_eq!(verdict("::1", &["127.0.0.0/8"]), Err("a loopback address"));
        assert_eq!(verdict("::1", &["::1/128"]), Ok(()));
    }

    #[test]
    fn an_address_inside_an_address_has_to_be_listed_as_well() {
        assert_eq!(verdict("64:ff9b::127.0.0.1", &["64:ff9b::/96"]), Err("a loopback address"));
        assert_eq!(verdict("64:ff9b::127.0.0.1", &["64:ff9b::/96", "127.0.0.0/8"]), Ok(()));
        assert_eq!(verdict("64:ff9b::8.8.8.8", &["64:ff9b::/96"]), Ok(()));
        assert_eq!(verdict("::ffff:169.254.169.254", &["::ffff:0:0/96"]), Err("a metadata service"));
        assert_eq!(verdict("::ffff:127.0.0.1", &["127.0.0.0/8"]), Err("an IPv4-mapped address"));
        assert_eq!(verdict("2002:a00:1::", &["2002::/16"]), Err("a private address"));
        // The client of this Teredo address is 10.0.0.1, inverted.
        assert_eq!(verdict("2001:0:4136:e378:8000:63bf:f5ff:fffe", &["2001::/32"]), Err("a private address"));
    }
}
