"""Every code that a row or a route may bear, as a sentence and with what to do: docs/reasons.md as a value.

The document is the one that people read; a test keeps the two alike. Knows no row.
"""

from typing import Final

REASONS: Final[dict[str, tuple[str, str]]] = {
    "only-path": (
        "One place is offered, and it is usable.",
        "Nothing.",
    ),
    "llgr-stale": (
        "The others are long-lived stale (RFC 9494).",
        "Look why the other peer's routes have not been refreshed.",
    ),
    "sticky": (
        "It is a sticky MAC, which cannot move, so it wins whatever the sequence (RFC 7432 7.7, 15.2).",
        "If there is an alert, find the station that uses this MAC elsewhere.",
    ),
    "gateway": (
        "It is a default gateway's MAC, which counts as sticky.",
        "Nothing, unless the gateway should not be there.",
    ),
    "higher-seq": (
        "Its MAC mobility sequence is higher: the MAC moved there last.",
        "Nothing.",
    ),
    "lower-vtep": (
        "The sequences are equal, and the lower VTEP address wins.",
        "Two VTEPs claim the MAC: look for a duplicate or a loop.",
    ),
    "same-es": (
        "One Ethernet segment behind several VTEPs; the lowest of them is used.",
        "Nothing.",
    ),
    "non-proxy": (
        "On a segment of ours whose port does not forward: this VTEP heard the station, and the others at its sequence stand in for it.",
        "Nothing.",
    ),
    "total-order": (
        "Two routes of one place; a fixed order chose which one speaks for it.",
        "Nothing.",
    ),
    "taken-over": (
        "A better route came after the station was heard; it counts again when it is heard again.",
        "Nothing: a station that is here speaks soon.",
    ),
    "bad-mac": (
        "The MAC is zero, broadcast or multicast.",
        "Look at the peer that announces it.",
    ),
    "bad-vni": (
        "The label is 0, which is no VNI.",
        "Look at the peer that announces it.",
    ),
    "bad-nexthop": (
        "No frame can be sent to this next hop.",
        "Look for a route reflector that rewrites next hops.",
    ),
    "self-vtep": (
        "The next hop is one of our own tunnel addresses.",
        "Nothing, unless another leaf has our address.",
    ),
    "encap": (
        "The route offers encapsulations, and VXLAN is not among them.",
        "Set the peer to VXLAN.",
    ),
    "unknown-vni": (
        "Neither its label nor its Route Targets point at a VNI of ours.",
        "Add the VNI if it belongs here.",
    ),
    "rt-missing": (
        "It has no Route Target.",
        "Look whether something strips communities.",
    ),
    "rt-mismatch": (
        "Its label is a VNI of ours, and its Route Targets are not that VNI's.",
        "Compare `import_rt` with the peer's export.",
    ),
    "vni-mismatch": (
        "A Route Target of ours matches, and the label is another VNI.",
        "Use one VNI on both sides, or set `downstream_vni`.",
    ),
    "tag-mismatch": (
        "The Ethernet tag is not the VNI's.",
        "Set `tag`, or 0 on the peer.",
    ),
    "soo": (
        "It carries our own Site-of-Origin.",
        "Nothing: it came from this site.",
    ),
    "self-mac": (
        "The MAC is one of this host's devices.",
        "Nothing, unless another host has the same MAC.",
    ),
    "pending-ead": (
        "It is on an Ethernet segment whose per-segment route (Type 1) has not come from any VTEP.",
        "Look whether the segment is up at the peer.",
    ),
    "local-bias": (
        "It is on an Ethernet segment of ours, whose port forwards: the station is reached there.",
        "Nothing, unless `[[segment]]` names a segment that is not here.",
    ),
    "limit": (
        "The VNI has as many MACs as `macs_per_vni` allows.",
        "Look for a MAC flood, or raise the limit.",
    ),
    "no-ir": (
        "Its PMSI attribute is missing, unreadable, or not for ingress replication (such as PIM), so nothing says where its floods go.",
        "Set the peer to ingress replication, also called head-end replication.",
    ),
    "only-member": (
        "Nobody else is on the segment.",
        "Nothing, unless another leaf should be: then look for its Type-4 route.",
    ),
    "modulo": (
        "The default election: the VNI's remainder is its number (RFC 7432 8.5).",
        "Nothing.",
    ),
    "preference": (
        "Its preference is the highest, or the lowest where that is asked for (RFC 9785 4.1).",
        "Nothing.",
    ),
    "dont-preempt": (
        "The preferences are equal, and it alone asked not to be preempted.",
        "Nothing.",
    ),
    "election-default": (
        "The VTEPs of a segment ask for different elections, so that the default one is held (RFC 8584 2.2).",
        "Set the same algorithm on all.",
    ),
    "encap-default": (
        "No encapsulation community: taken as VXLAN, as configured (RFC 8365 5.1.3).",
        "Nothing, unless the peer means something else.",
    ),
    "first-mm": (
        "More than one MAC mobility community: the first one counts.",
        "Look at what adds the second.",
    ),
    "pmsi-mismatch": (
        "The floods go to the endpoint of the PMSI attribute, and the originator of the route is another address.",
        "Nothing where an anycast address is meant; else look at the peer.",
    ),
    "reserved-esi": (
        "The ESI is the reserved all-ones value, which is no segment.",
        "Look at the peer.",
    ),
    "rt-wildcard": (
        "Only a `*:N` import let it in.",
        "Nothing.",
    ),
    "stale": (
        "Only a session that is no more vouches for it.",
        "Wait for the peer, or look why it does not come back.",
    ),
    "sticky-violation": (
        "A VTEP announces a MAC that is sticky or a gateway elsewhere.",
        "Find the station at the VTEP that is named.",
    ),
    "sticky-conflict": (
        "Two VTEPs say that the MAC is sticky there.",
        "Remove one of the two static entries.",
    ),
    "dup-warn": (
        "The MAC moved as often as `[duplicates]` allows; the row keeps following.",
        "Find the duplicate or the loop.",
    ),
    "immutable": (
        "A VTEP announces, for another MAC, a host address that is immutable where it is (RFC 9047); the address stays.",
        "Find who uses the address at the VTEP that is named.",
    ),
    "dup-frozen": (
        "The same, and the row stays where it was.",
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
        "State: refused for good.",
        "See its reason.",
    ),
    "contested": (
        "State: somebody else has the row, and keeps it.",
        "Decide whose it is.",
    ),
    "held": (
        "State and reason: the picture is not complete, so nothing is removed or overruled.",
        "Wait, or look which peer sent no End-of-RIB.",
    ),
    "not-ready": (
        "The VNI's devices are not fit; the next table has the reasons.",
        "Mend the device.",
    ),
    "foreign": (
        "Another daemon's row, or a person's.",
        "Remove it if it is a leftover.",
    ),
    "local-static": (
        "A static entry of a local port.",
        "Remove the entry if the station is gone.",
    ),
    "local-learned": (
        "The station was heard at a local port, and no newer route says that it left.",
        "Nothing.",
    ),
    "permanent-error": (
        "The kernel will not take this row.",
        "Read the text: a capability or a kernel feature is missing, or the address family is another one than the device's.",
    ),
    "retrying": (
        "The kernel refused it this time.",
        "Nothing, unless it lasts.",
    ),
    "neigh-suppress-off": (
        "The VXLAN port does not answer for hosts, so their rows would be of no use.",
        "`bridge link set dev vxlan100 neigh_suppress on`, or `neighbors = false`.",
    ),
    "missing": (
        "Wanted, and not there.",
        "See the reason beside it, or look again: it may have been on its way.",
    ),
    "different": (
        "Ours, and not as wanted.",
        "Look again; if it stays, see the log.",
    ),
    "unwanted": (
        "Ours, and wanted no more.",
        "Look whether the picture is complete: nothing goes before.",
    ),
    "orphan": (
        "It bears our mark, and nobody wants or claims it.",
        "`vtep adopt` takes it, and what is unwanted then goes.",
    ),
    "repaired": (
        "An event: the row was ours and not as we left it, and was written again.",
        "Find whose hand it was if it happens often.",
    ),
    "recovered": (
        "An event: a row that was failed, suppressed or contested is so no more.",
        "Nothing.",
    ),
    "bridge-missing": (
        "There is no device of this name.",
        "Make the bridge, or correct `bridge`.",
    ),
    "not-a-bridge": (
        "The device is no bridge.",
        "Correct `bridge`.",
    ),
    "bridge-down": (
        "The bridge is down.",
        "`ip link set` it up.",
    ),
    "vlan-aware": (
        "The bridge filters VLANs, where a MAC without a VLAN is not one row.",
        "One bridge without VLAN filtering for each VNI.",
    ),
    "vlan-filtering-unreported": (
        "The kernel did not say whether it does.",
        "Report it with the kernel's version.",
    ),
    "vxlan-missing": (
        "There is no device of this name.",
        "Make the VXLAN device, or correct `vxlan`.",
    ),
    "not-a-vxlan": (
        "The device is no VXLAN device.",
        "Correct `vxlan`.",
    ),
    "device-down": (
        "The VXLAN device is down.",
        "`ip link set` it up.",
    ),
    "external": (
        "The device serves many VNIs (collect metadata).",
        "One VXLAN device for each VNI.",
    ),
    "external-unreported": (
        "The kernel did not say whether it does.",
        "Report it with the kernel's version.",
    ),
    "wrong-vni": (
        "The device has another VNI.",
        "Correct `vni`, or the device.",
    ),
    "vni-unreported": (
        "The kernel did not say which VNI it has.",
        "Report it with the kernel's version.",
    ),
    "local-address-missing": (
        "The device has no local address.",
        "Give it `local` with our tunnel address.",
    ),
    "wrong-local-address": (
        "The local address is not our tunnel address.",
        "Correct `vtep`, or the device.",
    ),
    "learning-on-device": (
        "The device learns from the tunnel, and would write rows of its own.",
        "`nolearning`.",
    ),
    "device-learning-unreported": (
        "The kernel did not say whether it does.",
        "Report it with the kernel's version.",
    ),
    "not-enslaved": (
        "The VXLAN device is not a port of this bridge.",
        "`ip link set` it `master` the bridge.",
    ),
    "learning-on-port": (
        "The bridge port learns from the tunnel.",
        "`bridge link set` it `learning off`.",
    ),
    "port-learning-unreported": (
        "The kernel did not say whether it does.",
        "Report it with the kernel's version.",
    ),
    "second-vxlan-port": (
        "The bridge has more than one VXLAN port.",
        "One VXLAN device for each bridge.",
    ),
}


def sentence(code: str) -> str:
    """Say what a code means; the code itself where it says all there is."""
    return REASONS.get(code, (code, ""))[0]


def advice(code: str) -> str:
    """Say what to do about it; nothing where there is nothing to do, whatever else is so."""
    todo = REASONS.get(code, ("", ""))[1]
    return "" if todo == "Nothing." else todo
