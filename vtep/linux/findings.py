"""What is unusual about the devices of this host, each with the command that mends it: for `vtep doctor`. Pure.

Asks `attachment.py` and `vrf.py`, which know what VNIs and VRFs need of their devices. Looks at nothing but one picture of the devices.
"""

from collections.abc import Iterator

from msgspec import Struct

from vtep.config.model import Config
from vtep.linux.attachment import survey
from vtep.linux.devices import Links
from vtep.linux.vrf import survey as survey_vrfs


class Finding(Struct, frozen=True):
    """One thing that is unusual."""

    code: str
    text: str
    mend: str
    """A command, or what to change."""


def of_devices(found: Config, links: Links) -> Iterator[Finding]:
    """Yield what the devices lack, and what works and deserves a look."""
    vnis = [vni for vni in found.vnis if vni.is_bound]
    judged, routed = survey(vnis, links), survey_vrfs(found.vrfs, links)
    managed = {one.vni for one in found.vnis if one.manage} | {one.vni for one in found.vrfs if one.manage}
    for vni, why in (*judged.not_ready.items(), *routed.not_ready.items()):
        for fault in why.faults:
            yield Finding(fault.code, fault.text, "vtep devices plan" if vni in managed else fault.mend)
    for fault in judged.unserved.values():
        yield Finding(fault.code, fault.text, fault.mend)
    for notes in (*judged.notes.values(), *routed.notes.values()):
        for note in notes:
            code, _, text = note.partition(": ")
            # One without a code is what keeps neighbor rows away: `unserved` has it.
            if " " not in code:
                yield Finding(code, text, "")


def of_others(found: Config, links: Links) -> Iterator[Finding]:
    """Yield VXLAN devices that no VNI of the configuration has: nothing keeps their rows."""
    known = {vni.vxlan for vni in found.vnis} | {vrf.vxlan for vrf in found.vrfs}
    for link in links:
        if link.vxlan is not None and link.name not in known:
            number = "many VNIs" if link.vxlan.external else f"VNI {link.vxlan.vni}"
            text = f"{link.name} is a VXLAN device of {number}, and the configuration does not have it"
            yield Finding("vxlan-unknown", text, f"add a [[vni]] for it, or: ip link del {link.name}")


def bridges_of(found: Config, links: Links) -> list[int]:
    """Return the bridges of the VNIs that are there."""
    return sorted({links.by_name[vni.bridge].index for vni in found.vnis if vni.bridge in links.by_name})
