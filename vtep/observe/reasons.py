"""Every reason code with its meaning and with what to do: docs/reasons.md as a value.

People read the document, and a test keeps the two equal. Knows no row.
"""

from typing import Final

REASONS: Final[dict[str, tuple[str, str]]] = {
    "only-path": (
        "Only one usable location is advertised.",
        "Nothing.",
    ),
    "llgr-stale": (
        "The other routes are long-lived stale (RFC 9494).",
        "Find out why the other peer has not refreshed its routes.",
    ),
    "sticky": (
        "The MAC is sticky, so it cannot move, and it wins whatever the sequence number (RFC 7432 7.7, 15.2).",
        "If there is an alert, find the station that uses this MAC elsewhere.",
    ),
    "gateway": (
        "The MAC belongs to a default gateway, which counts as sticky.",
        "Nothing, unless the gateway should not be there.",
    ),
    "higher-seq": (
        "Its MAC mobility sequence number is higher: the MAC moved there last.",
        "Nothing.",
    ),
    "lower-vtep": (
        "The sequence numbers are equal, and the lower VTEP address wins.",
        "Two VTEPs advertise the MAC: look for a duplicate or a loop.",
    ),
    "same-es": (
        "It is on an Ethernet segment. All VTEPs of the segment are one location, and share the frames unless the segment is single-active.",
        "Nothing.",
    ),
    "non-proxy": (
        "The MAC is on a segment of ours whose port does not forward. This VTEP learned the station; the others with its sequence number are proxies for it.",
        "Nothing.",
    ),
    "total-order": (
        "Two routes have the same location, and a fixed order chose this one.",
        "Nothing.",
    ),
    "taken-over": (
        "A better route arrived after the bridge learned the station. The station counts again when the bridge learns it again.",
        "Nothing: a station that is here sends a frame soon.",
    ),
    "bad-mac": (
        "The MAC is zero, broadcast or multicast.",
        "Look at the peer that advertises it.",
    ),
    "bad-vni": (
        "The label is 0, which is not a valid VNI.",
        "Look at the peer that advertises it.",
    ),
    "bad-nexthop": (
        "No frame can be sent to this next hop.",
        "Look for a route reflector that rewrites next hops.",
    ),
    "self-vtep": (
        "The next hop is one of our own tunnel addresses.",
        "Nothing, unless another leaf has our address.",
    ),
    "unlisted-vtep": (
        "The next hop or the endpoint is in none of `node.vtep_prefixes`.",
        "Find out who advertises it, or add its prefix.",
    ),
    "encap": (
        "The route offers encapsulations, and VXLAN is not one of them.",
        "Set the peer to VXLAN.",
    ),
    "unknown-vni": (
        "Neither its label nor its Route Targets belong to a VNI of ours.",
        "Add the VNI if it belongs here.",
    ),
    "rt-missing": (
        "It has no Route Target.",
        "Look for a router that strips communities.",
    ),
    "rt-mismatch": (
        "Its label is a VNI of ours, but its Route Targets are not those of that VNI.",
        "Compare `import_rt` with the peer's export.",
    ),
    "vni-mismatch": (
        "One of its Route Targets is ours, but the label is another VNI.",
        "Use one VNI on both sides, or set `downstream_vni`.",
    ),
    "tag-mismatch": (
        "The Ethernet tag is not the one of the VNI.",
        "Set `tag`, or set 0 on the peer.",
    ),
    "soo": (
        "It carries our own Site-of-Origin.",
        "Nothing: it came from this site.",
    ),
    "family-mismatch": (
        "The next hop or the endpoint is IPv6 and our VTEP address for the VNI is IPv4, or the other way round; the VXLAN device cannot send there.",
        "Use one address family for all VTEPs of the VNI; `vni.vtep` chooses ours.",
    ),
    "self-mac": (
        "The MAC belongs to a device of this host.",
        "Nothing, unless another host has the same MAC.",
    ),
    "pending-ead": (
        "It is on an Ethernet segment for which no VTEP has advertised the per-segment route (Type 1).",
        "Check whether the segment is up at the peer.",
    ),
    "pending-evi": (
        "The VTEP has the Ethernet segment, but neither a route per EVI for the VNI nor a MAC in it.",
        "Check whether the VNI is on the segment's port there.",
    ),
    "member-limit": (
        "The segment has more VTEPs than a group takes (16), and this one is not among the lowest.",
        "Find out who advertises so many VTEPs for one segment.",
    ),
    "not-primary": (
        "The segment is single-active, and another VTEP advertises the MACs.",
        "Nothing.",
    ),
    "on-backup": (
        "The segment is down at the primary VTEP, and the other VTEP of the segment has its frames.",
        "Find out why the segment is down there.",
    ),
    "no-member": (
        "No VTEP of the segment is left. The rows of its MACs are about to be removed; until then the group keeps its last VTEPs.",
        "Check whether the segment is up at the peers.",
    ),
    "local-bias": (
        "It is on an Ethernet segment of ours, and our port forwards: the station is reached there.",
        "Nothing, unless `[[segment]]` names a segment that is not here.",
    ),
    "limit": (
        "The VNI has as many MACs as `macs_per_vni` allows.",
        "Look for a MAC flood, or raise the limit.",
    ),
    "mac-limit": (
        "The peer has as many routes of this MAC as `limits.routes_per_mac` allows, so this one is not kept. It stands for all that were refused.",
        "Look at the peer: no machine has so many addresses. Or raise the limit.",
    ),
    "vtep-limit": (
        "The VNI has as many flood rows as `limits.vteps_per_vni` allows.",
        "Find out who advertises so many VTEPs, or raise the limit.",
    ),
    "near-vtep-limit": (
        "The VNI has 80 % or more of the flood rows that `limits.vteps_per_vni` allows.",
        "Find out who advertises so many VTEPs, or raise the limit before it is reached.",
    ),
    "bad-host": (
        "The host address is unspecified, loopback, multicast or broadcast, so no host can have it.",
        "Find the VTEP that advertises it.",
    ),
    "self-host": (
        "The host address is one of our tunnel addresses.",
        "Find the VTEP that advertises it, or the host that uses it.",
    ),
    "gateway-host": (
        "The host address is an address of the VNI's own bridge, or the broadcast address of its network.",
        "Nothing where all leaves have the same gateway address; otherwise find the host that uses it.",
    ),
    "local-host": (
        "A station of this leaf has the host address.",
        "Nothing, unless two machines use it.",
    ),
    "local-mac": (
        "The MAC of the host address is a station of this leaf.",
        "Nothing: the bridge learns the address from the station itself.",
    ),
    "ecmp": (
        "Several VTEPs reach the prefix, and each flow goes by one of them.",
        "Nothing.",
    ),
    "host-route": (
        "A host's own route (Type 2) comes before a prefix route (Type 5) for the same address.",
        "Nothing.",
    ),
    "max-paths": (
        "The prefix has as many paths as `max_paths` allows; the lowest VTEP addresses are used.",
        "Raise `max_paths` if more are to share the traffic.",
    ),
    "local-pref": (
        "Its LOCAL_PREF is higher (RFC 4271 9.1.1).",
        "Nothing, unless the other path should carry traffic as well: then give both the same.",
    ),
    "as-path": (
        "Its AS path is shorter (RFC 4271 9.1.2.2).",
        "Nothing, unless the other path should carry traffic as well: then make both as long.",
    ),
    "origin": (
        "Its ORIGIN is lower: IGP before EGP before incomplete (RFC 4271 9.1.2.2).",
        "Nothing, unless the other path should carry traffic as well: then give both the same, as by a route map.",
    ),
    "med": (
        "Its MED is lower than that of another route of the same neighboring AS (RFC 4271 9.1.2.2).",
        "Nothing, unless the other path should carry traffic as well: then give both the same.",
    ),
    "other-l3vni": (
        "Its label is the VRF's own L3VNI, or a lower one: all paths of a prefix leave by one L3VNI.",
        "Nothing, unless the other path should carry traffic as well: then advertise both with one L3VNI.",
    ),
    "overlay-index": (
        "The route names both a gateway and an Ethernet segment, which RFC 9136 3.2 forbids, or the reserved segment.",
        "Look at the peer that advertises it.",
    ),
    "segment-unresolved": (
        "The route names an Ethernet segment, and no VTEP has both Type-1 routes of it, per segment and per EVI, that the VRF imports.",
        "Look for them: `vtep routes --type 1`. The Route Target must be that of the VRF, and the label the L3VNI.",
    ),
    "gateway-unresolved": (
        "The route names a gateway address, and no route of that host with the L3VNI can be used.",
        "Look at the gateway: `vtep explain ADDRESS --vrf VRF`.",
    ),
    "vrf-limit": (
        "The VRF has as many prefixes as its `max_prefixes` allows, or else `limits.prefixes_per_vrf`.",
        "Find out who advertises so many prefixes, or raise the limit.",
    ),
    "router-mac-missing": (
        "The route has no Router's MAC community, which RFC 9136 4.4.1 requires with VXLAN.",
        "Have the peer advertise it: it needs an SVI for its L3VNI.",
    ),
    "bad-router-mac": (
        "The Router's MAC is zero, broadcast or multicast.",
        "Look at the peer that advertises it.",
    ),
    "prefix-limit": (
        "The prefix has more than 1024 routes, and those that came last are not judged; one of them stands for all.",
        "Look at the peer: no network has so many ways to a prefix.",
    ),
    "bad-prefix": (
        "The prefix is loopback, link-local or multicast, which no router forwards.",
        "Find the VTEP that advertises it.",
    ),
    "no-ir": (
        "Its PMSI attribute is missing, unreadable, or not for ingress replication (but for PIM, for example), so it names no endpoint for floods.",
        "Set the peer to ingress replication, also called head-end replication.",
    ),
    "only-member": (
        "No other VTEP is on the segment.",
        "Nothing, unless another leaf should be: then look for its Type-4 route.",
    ),
    "modulo": (
        "The default election chose it: the remainder of the VNI is its number (RFC 7432 8.5).",
        "Nothing.",
    ),
    "preference": (
        "Its preference is the highest, or the lowest where that is configured (RFC 9785 4.1).",
        "Nothing.",
    ),
    "no-filters": (
        "The kernel has no nftables for bridges or of family inet, or does not let vtep use it: a port on an Ethernet segment cannot be filtered, so the segment is not advertised.",
        "Use a kernel with CONFIG_NF_TABLES_BRIDGE and CONFIG_NF_TABLES_INET, and give vtep CAP_NET_ADMIN.",
    ),
    "shared-vxlan": (
        "The VXLAN device is for many VNIs, so a port on an Ethernet segment cannot be filtered by VNI, and the segment is not advertised.",
        "Use a VXLAN device for each VNI.",
    ),
    "filter-none": (
        'The configuration has `filter = "none"` for the segment: vtep writes no filter for its port, and the segment is advertised without one.',
        "Nothing, if another program or the hardware filters the port.",
    ),
    "random-weight": (
        "The highest random weight decides (RFC 8584 3.2): the forwarder changes only when it leaves, or when a VTEP with a higher weight comes.",
        "Nothing.",
    ),
    "dont-preempt": (
        "The preferences are equal, and it alone asked not to be preempted.",
        "Nothing.",
    ),
    "election-default": (
        "The VTEPs of a segment ask for different elections, so the default election is used (RFC 8584 2.2).",
        "Set the same algorithm on all.",
    ),
    "group-limit": (
        "There are as many groups of segments as `limits.segment_groups` allows, so the frames of this MAC go to one VTEP of its segment.",
        "Find out who advertises so many segments, or raise the limit. The MAC gets a group when it is judged again and there is room.",
    ),
    "encap-default": (
        "It has no encapsulation community, and counts as VXLAN, as configured (RFC 8365 5.1.3).",
        "Nothing, unless the peer means something else.",
    ),
    "first-mm": (
        "It has more than one MAC mobility community, and the first one counts.",
        "Find the router that adds the second.",
    ),
    "pmsi-mismatch": (
        "Floods go to the endpoint of the PMSI attribute, although the originator of the route is another address.",
        "Nothing if an anycast address is intended; otherwise look at the peer.",
    ),
    "reserved-esi": (
        "The ESI is the reserved all-ones value, which is not a segment.",
        "Look at the peer.",
    ),
    "rt-wildcard": (
        "Only an import of the form `*:N` matched it.",
        "Nothing.",
    ),
    "stale": (
        "The session that advertised it is down, and the route is kept for now.",
        "Wait for the peer, or find out why it does not come back.",
    ),
    "sticky-violation": (
        "A VTEP advertises a MAC that is sticky or a gateway elsewhere.",
        "Find the station at the VTEP that is named.",
    ),
    "sticky-conflict": (
        "Two VTEPs advertise the MAC as sticky.",
        "Remove one of the two static entries.",
    ),
    "session-reset": (
        "Our side ended the session with a peer, because it could not read a message of the peer. The routes are kept as stale until the peer sends End-of-RIB, or for `feed.restart_hold_max_s`.",
        "Find the router that originates the bad route: the log of ExaBGP has the message. The peer sends it again in each session.",
    ),
    "dup-warn": (
        "The MAC moved as often as `[duplicates]` allows, and the row still follows it.",
        "Find the duplicate or the loop.",
    ),
    "seq-exhausted": (
        "A station of this leaf cannot get the MAC back: the VTEP that is named, whose address is lower, advertises it with the highest sequence number there is.",
        "If the station is here, clear the MAC at that VTEP, or pin it here: `bridge fdb replace MAC dev PORT master static`.",
    ),
    "immutable": (
        "A VTEP advertises, for another MAC, a host address that is immutable where it is (RFC 9047), and the address stays.",
        "Find the station that uses the address at the VTEP that is named.",
    ),
    "dup-frozen": (
        "The MAC moved as often as `[duplicates]` allows, and the row stays where it was.",
        "Find the cause, then free the MAC.",
    ),
    "pending": (
        "State: nothing can be written yet.",
        "See its reason.",
    ),
    "failed": (
        "State: refused, and tried again soon.",
        "Look at the error if it lasts.",
    ),
    "suppressed": (
        "State: refused permanently.",
        "See its reason.",
    ),
    "contested": (
        "State: another program, or a local station, has the row and keeps it.",
        "Decide which of the two should have it.",
    ),
    "blocked": (
        "State: a row of another kind, which it needs, is not there. Shown as `pending`.",
        "See its reason.",
    ),
    "held": (
        "State and reason: the picture is not complete, so nothing is removed or overruled.",
        "Wait, or find the peer that has not sent End-of-RIB.",
    ),
    "waiting-for": (
        "The row needs a row of another kind that is not there, or is still needed by one that is; the text names it.",
        "Look at that row. This one follows by itself.",
    ),
    "not-ready": (
        "The devices of the VNI are not fit; a table below has the reasons.",
        "Repair the device.",
    ),
    "foreign": (
        "The row belongs to another program or to an operator.",
        "Remove it if it is a leftover.",
    ),
    "observed-missing": (
        "An observer sees no row, although a route wants one and no program has written it.",
        "Ask zebra with `vtysh`; FRR tries a lost or refused write never again. `vtep explain` has the command.",
    ),
    "observed-different": (
        "An observer sees a row that leads elsewhere.",
        "Ask zebra with `vtysh`. `vtep explain` has the command that writes the row.",
    ),
    "observed-half": (
        "An observer sees only the entry of the bridge, or only that of the VXLAN device.",
        "Find the program that removed the other one. `vtep explain` has the command that writes both.",
    ),
    "observed-unwanted": (
        "An observer sees a row of an EVPN daemon that no route wants.",
        "Wait for 5 s, and then remove it. `vtep explain` has the command.",
    ),
    "observed-no-object": (
        "An observer sees no nexthop object that leads to these VTEPs.",
        "Nothing if the routes are in sync: a route may name its VTEPs by itself. Otherwise look at the routes.",
    ),
    "local-static": (
        "A local port has a static entry.",
        "Remove the entry if the station is gone.",
    ),
    "local-learned": (
        "The bridge learned the station at a local port, and no newer route says that it left.",
        "Nothing.",
    ),
    "permanent-error": (
        "The kernel will not take this row.",
        "Read the text: a capability or a kernel feature is missing, or the address family is not the one of the device.",
    ),
    "retrying": (
        "The kernel refused it this time.",
        "Nothing, unless it lasts.",
    ),
    "state-dir": (
        "The row was not written, because its claim cannot be written below `state_dir`; the kernel was not asked.",
        "Make room on the filesystem of `state_dir`; the text names the file and the error. The row follows by itself.",
    ),
    "neigh-suppress-off": (
        "The VXLAN port does not answer for hosts, so their rows would have no effect.",
        "Run `bridge link set dev vxlan100 neigh_suppress on`, or set `neighbors = false`.",
    ),
    "neigh-suppress-off-in-vlan": (
        "The VXLAN port answers for hosts by VLAN (`neigh_vlan_suppress`), and not in this one.",
        "Run `bridge vlan set dev VXLAN vid VLAN neigh_suppress on`, or set `neighbors = false`.",
    ),
    "svi-missing": (
        "The VLAN has no device of its own on the bridge, and the bridge answers for hosts by the neighbor rows of that device.",
        "Run `ip link add link BRIDGE name BRIDGE.VLAN up type vlan id VLAN`, or set `neighbors = false`.",
    ),
    "svi-down": (
        "The device of the VLAN is down, and a device that is down keeps no neighbor rows.",
        "Run `ip link set dev DEVICE up`.",
    ),
    "missing": (
        "The row is wanted, and it is not there.",
        "See the reason beside it, or compare again: it may have been on its way.",
    ),
    "different": (
        "The row is ours, and it is not as wanted.",
        "Compare again; if it stays, see the log.",
    ),
    "unwanted": (
        "The row is ours, and it is no longer wanted.",
        "Check whether the picture is complete: until then, nothing is removed.",
    ),
    "adoptable": (
        "Another daemon has the row, and it is as we want it.",
        "If that daemon has ended for good, run `vtep adopt --foreign`: the row becomes ours as it is. Otherwise stop it first.",
    ),
    "orphan": (
        "The row bears our signature, but it is neither wanted nor claimed.",
        "Run `vtep adopt`: it claims the row, and removes it if it is not wanted.",
    ),
    "repaired": (
        "An event: another program changed a row of ours, and it was written again.",
        "Find that program if it happens often.",
    ),
    "recovered": (
        "An event: a row is no longer failed, suppressed or contested.",
        "Nothing.",
    ),
    "bridge-missing": (
        "There is no device of this name.",
        "Make the bridge, or correct `bridge`.",
    ),
    "not-a-bridge": (
        "The device is not a bridge.",
        "Correct `bridge`.",
    ),
    "bridge-down": (
        "The bridge is down.",
        "Run `ip link set dev BRIDGE up`.",
    ),
    "vlan-aware": (
        "The bridge filters VLANs, and the VNI is not configured with one.",
        "Set `vlan` of the VNI, or use a bridge without VLAN filtering for it.",
    ),
    "vlan-filtering-unreported": (
        "The kernel did not say whether the bridge filters VLANs.",
        "Report it with the kernel's version. A VNI with `vlan` needs a kernel with CONFIG_BRIDGE_VLAN_FILTERING.",
    ),
    "vlan-filtering-off": (
        "The VNI has `vlan`, and the bridge does not keep VLANs apart.",
        "Run `ip link set dev BRIDGE type bridge vlan_filtering 1`.",
    ),
    "vlan-missing": (
        "The VXLAN device does not have the VLAN of the VNI: no frame passes, and the kernel refuses the rows.",
        "Run `bridge vlan add dev VXLAN vid VLAN pvid untagged`; without the last two words if the device is for many VNIs.",
    ),
    "wrong-pvid": (
        "The VLAN of the VNI is on the VXLAN device, but not as its `pvid untagged`: frames that arrive get another VLAN, or none.",
        "Run `bridge vlan add dev VXLAN vid VLAN pvid untagged`.",
    ),
    "vlan-untagged": (
        "The VLAN of a VNI is `pvid` or `untagged` on a VXLAN device for many VNIs, where it must be tagged: no frame passes.",
        "Run `bridge vlan add dev VXLAN vid VLAN`.",
    ),
    "not-external": (
        "Several VNIs have this VXLAN device, and it is for one VNI.",
        "Make it again with `external vnifilter`: the kernel cannot change that.",
    ),
    "vlan-tunnel-off": (
        "The VXLAN device does not map VLANs to VNIs. The kernel forgot all mappings when that was switched off.",
        "Run `bridge link set dev VXLAN vlan_tunnel on`, and map the VLANs again.",
    ),
    "tunnel-mapping-missing": (
        "The VLAN of the VNI is not mapped to it: no frame passes.",
        "Run `bridge vlan add dev VXLAN vid VLAN tunnel_info id VNI`.",
    ),
    "wrong-tunnel-mapping": (
        "The VLAN of the VNI is mapped to another VNI: its frames would reach another tenant.",
        "Remove that mapping, and map the VLAN to its VNI; `vtep vnis` has the commands.",
    ),
    "vni-not-in-filter": (
        "The VXLAN device does not take this VNI: no frame passes, and nothing else shows it.",
        "Run `bridge vni add dev VXLAN vni VNI`.",
    ),
    "vxlan-missing": (
        "There is no device of this name.",
        "Make the VXLAN device, or correct `vxlan`.",
    ),
    "not-a-vxlan": (
        "The device is not a VXLAN device.",
        "Correct `vxlan`.",
    ),
    "device-down": (
        "The VXLAN device is down.",
        "Run `ip link set dev VXLAN up`.",
    ),
    "external": (
        "The device serves many VNIs (collect metadata).",
        "Use one VXLAN device for each VNI, or a VLAN-aware bridge and `vlan`.",
    ),
    "external-unreported": (
        "The kernel did not say whether the device serves many VNIs.",
        "Report it with the kernel's version.",
    ),
    "wrong-vni": (
        "The device has another VNI.",
        "Correct `vni`, or the device.",
    ),
    "vni-unreported": (
        "The kernel did not say which VNI the device has.",
        "Report it with the kernel's version.",
    ),
    "local-address-missing": (
        "The device has no local address.",
        "Run `ip link set dev VXLAN type vxlan id VNI local ADDRESS`: ADDRESS is `vni.vtep`, or else `node.vtep`.",
    ),
    "wrong-local-address": (
        "The local address is not our tunnel address.",
        "Correct `vtep`, or run `ip link set dev VXLAN type vxlan id VNI local ADDRESS`.",
    ),
    "learning-on-device": (
        "The device learns from the tunnel, and would write rows of its own.",
        "Run `ip link set dev VXLAN type vxlan id VNI nolearning`.",
    ),
    "device-learning-unreported": (
        "The kernel did not say whether the device learns.",
        "Report it with the kernel's version.",
    ),
    "not-enslaved": (
        "The VXLAN device is not a port of this bridge.",
        "Run `ip link set dev VXLAN master BRIDGE`.",
    ),
    "learning-on-port": (
        "The bridge port learns from the tunnel.",
        "Run `ip link set dev VXLAN type bridge_slave learning off`.",
    ),
    "port-learning-unreported": (
        "The kernel did not say whether the bridge port learns.",
        "Report it with the kernel's version.",
    ),
    "second-vxlan-port": (
        "The bridge, or the VLAN of the VNI, has more than one VXLAN port.",
        "Use one VXLAN device for each bridge, or for each VLAN of a bridge.",
    ),
    "vrf-missing": (
        "There is no device of this name.",
        "Make the VRF device, or correct `name`.",
    ),
    "not-a-vrf": (
        "The device is not a VRF device.",
        "Correct `name`, or set `table` to use a routing table without a VRF device.",
    ),
    "vrf-down": (
        "The VRF device is down.",
        "Run `ip link set dev VRF up`.",
    ),
    "svi-not-in-vrf": (
        "The SVI of the L3VNI is not in the VRF.",
        "Run `ip link set dev SVI master VRF`.",
    ),
    "svi-no-carrier": (
        "No port of the SVI's bridge is up, and the kernel has removed its nexthops and routes.",
        "Run `ip link set dev VXLAN up`.",
    ),
    "router-mac-differs": (
        "The SVI has another MAC than `router_mac` says.",
        "Run `ip link set dev SVI address MAC`, or correct `router_mac`.",
    ),
    "tunnel-address-missing": (
        "No device has our tunnel address, its device is down, or another host has the address.",
        "Run `ip addr add ADDRESS/32 dev lo`, or `ip link set dev DEVICE up`.",
    ),
    "underlay-down": (
        "The device by which a VTEP is reached, or was reached last, is down or has no carrier.",
        "Run `ip link set dev DEVICE up`, or look at the cable.",
    ),
    "vtep-unreachable": (
        "There is no route to the VTEP, or one that discards.",
        "Run `ip route get VTEP from ADDRESS`, and mend the routing of the underlay.",
    ),
    "vtep-is-local": (
        "The VTEP is an address of this host.",
        "Find out which device has it (`ip addr show to VTEP`), and give one of the hosts another address.",
    ),
    "underlay-mtu": (
        "A full frame of the VXLAN device is a larger packet than the route carries: `ping` works, and a download stops.",
        "Run `ip link set dev VXLAN mtu N`, or raise the MTU of the underlay.",
    ),
    "vtep-in-use": (
        "Routes of another leaf, by their Route Distinguisher, have our tunnel address as next hop.",
        "Give one of the leaves another `node.vtep`.",
    ),
    "own-routes-returned": (
        "Routes with our tunnel address and our Route Distinguisher come from a peer.",
        "Nothing, if a reflector returns what we advertise. Otherwise look for a leaf with a copy of this configuration.",
    ),
}


def sentence(code: str) -> str:
    """Return what a code means; an unknown code stands for itself."""
    return REASONS.get(code, (code, ""))[0]


def advice(code: str) -> str:
    """Return what to do; nothing where there is nothing to do in any case."""
    todo = REASONS.get(code, ("", ""))[1]
    return "" if todo == "Nothing." else todo
