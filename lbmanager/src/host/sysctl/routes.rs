//! What switching IPv6 forwarding on would take down: a host that forwards
//! drops the default routes that it learnt from routers' advertisements, and
//! may be gone from the network with them.

use std::collections::BTreeSet;

/// Flags of a route: a default one of a router, and one that was learnt.
const LEARNT: u32 = 0x0001_0000 | 0x0004_0000;
const NO_PREFIX: &str = "00";

/// The interfaces with default routes that were learnt, in the text of
/// /proc/net/ipv6_route.
pub(super) fn learnt_defaults(routes: &str) -> BTreeSet<&str> {
    let lines = routes.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, prefix, _, _, _, _, _, _, flags, interface] = fields[..] else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        (prefix == NO_PREFIX && flags & LEARNT != 0).then_some(interface)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_default_routes_that_were_learnt_count() {
        let zero = "0".repeat(32);
        let via = "fe800000000000000000000000000001";
        let routes = format!(
            "{zero} 00 {zero} 00 {via} 00000400 00000001 00000000 00450003     eth0\n\
             {zero} 00 {zero} 00 {via} 00000400 00000001 00000000 00000003     eth1\n\
             fd090000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 \
             00440001     eth2\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             nonsense\n"
        );
        assert_eq!(learnt_defaults(&routes), BTreeSet::from(["eth0"]));
    }
}
