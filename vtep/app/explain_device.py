"""What is wanted of a device, what is there, whose it is, and what to do: the answer of `vtep explain DEVICE`. Pure.

Is given what the task of the devices knows (`DeviceFacts`) and a picture of the devices that was just read. What differs is worded as
`vtep devices plan` words it, for one device alone. Where no device is managed, the facts are empty, and the answer still says what is there
and that vtep leaves it alone.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from vtep.config.model import Config, VniConfig, VrfConfig
from vtep.errors import UsageError
from vtep.linux.managed.kinds import Picture
from vtep.linux.managed.plan import Found, Step, command_of, found_of, plan_of_device, words_of
from vtep.linux.managed.wish import Wish
from vtep.linux.wire.device import DeviceMessage
from vtep.linux.wire.neighbor import Refusal
from vtep.observe.model import DeviceDifference, DeviceExplanation, DeviceWrite
from vtep.reconcile.claims import Claim
from vtep.reconcile.report import Trouble

VNIS_SHOWN: Final = 20
DIFFERENCES_SHOWN: Final = 100
"""A trunk may lack thousands of VLANs."""


class Sent(Struct, frozen=True):
    """The last change of a device that the kernel took, and the last that it refused, each with its command."""

    written: DeviceWrite | None = None
    refused: DeviceWrite | None = None

    def and_then(self, now: float, message: DeviceMessage, refusal: Refusal | None, wish: Wish) -> "Sent":
        """Return the same after one more change."""
        row = wish.rows.get("device", {}).get((message.device,))
        command = command_of(message, 0 if row is None else dict(row.fixed).get("id", 0))
        if refusal is None:
            return Sent(DeviceWrite(now, command), self.refused)
        return Sent(self.written, DeviceWrite(now, command, refusal.errno, refusal.text))


class DeviceFacts(Struct, frozen=True):
    """What the daemon knows of managed devices, and of the one that is explained."""

    wish: Wish = Wish()
    claims: Mapping[Any, Claim] = {}
    """Of devices, by their key."""
    troubles: Mapping[Any, Trouble] = {}
    """Those of this device, by kind and key."""
    sent: Sent = Sent()


def explain(name: str, config: Config, facts: DeviceFacts, picture: Picture) -> DeviceExplanation:
    """Return what is to be said about one device."""
    found, claim = found_of(name, facts.wish, picture), facts.claims.get((name,))
    wanted = facts.wish.rows.get("device", {}).get((name,))
    steps = list(islice(plan_of_device(name, facts.wish, facts.claims, picture), DIFFERENCES_SHOWN))
    configured: tuple[VniConfig | VrfConfig, ...] = (*config.vnis, *config.vrfs)
    users = [one for one in configured if name in devices_of(one)]
    owner = _owner(found, claim, is_wanted=wanted is not None, is_used=bool(users))
    differences = tuple(islice(_differences(steps, facts.troubles), DIFFERENCES_SHOWN))
    if owner == "absent" and wanted is None and not users:
        text = "is neither a MAC nor an IP address, and no device of this name is here or configured"
        raise UsageError(f"device: {name} {text}")
    summary, advice = _summary(name, owner, steps, differences)
    return DeviceExplanation(
        device=name,
        summary=summary,
        advice=advice,
        owner=owner,
        since=claim.since.time if claim is not None and claim.confirmed and claim.since is not None else None,
        wanted="" if wanted is None else words_of(wanted),
        there="" if found is None else found.words,
        alias="" if found is None else found.alias,
        differences=differences,
        right=() if found is None else found.right,
        vnis=tuple(one.vni for one in users[:VNIS_SHOWN]),
        vnis_left_out=max(0, len(users) - VNIS_SHOWN),
        written=facts.sent.written,
        refused=facts.sent.refused,
    )


def devices_of(one: VniConfig | VrfConfig) -> tuple[str, ...]:
    """Return the devices of a VNI or a VRF."""
    if isinstance(one, VrfConfig):
        return (one.name, one.bridge, one.vxlan, one.svi)
    return (one.bridge, one.vxlan, *([] if one.vlan is None else [f"{one.bridge}.{one.vlan}"])) if one.is_bound else ()


def _owner(found: Found | None, claim: Claim | None, *, is_wanted: bool, is_used: bool) -> str:
    if found is None:
        return "absent"
    if found.mark:
        return found.mark
    if is_wanted:
        return "claimed" if claim is not None and not claim.confirmed and not found.alias else "foreign"
    return "unmanaged" if is_used else "unknown"


def _differences(steps: list[Step], found: Mapping[Any, Trouble]) -> Iterator[DeviceDifference]:
    """Yield what differs, with the state of its row; then rows in trouble that the plan does not have, as removals."""
    troubles = {_text(kind, key): trouble for (kind, key), trouble in found.items()}
    for step in steps:
        if step.act in ("adopt", "replace", "left"):
            continue
        told = "" if step.act == "make" else next((text for text in troubles if _begins(step, text)), None)
        yield _difference(step.text, step.command, None if told is None else troubles.pop(told, None))
    for text, trouble in troubles.items():
        if text and trouble.state in ("failed", "suppressed", "contested"):
            yield _difference(text, "", trouble)


def _begins(step: Step, text: str) -> bool:
    return text != "" and f"{step.text} ".startswith(f"{text} ")


def _text(kind: str, key: tuple[Any, ...]) -> str:
    """Return how the text of a step begins that is about this row; nothing for the device itself."""
    match kind:
        case "device":
            return ""
        case "vlan" | "vni":
            return f"{kind.upper()} {key[1]}"
        case "gateway":
            return f"{key[2]} of the gateway in VLAN {key[1]}"
        case "address":
            return f"address {key[1]}/{key[2]}"
    return str(key[1])


def _difference(what: str, command: str, trouble: Trouble | None) -> DeviceDifference:
    if trouble is None:
        return DeviceDifference(what, command)
    why = f"{trouble.reason}: {trouble.text}" if trouble.text else trouble.reason
    return DeviceDifference(what, command, trouble.state, why, trouble.due)


def _summary(name: str, owner: str, steps: list[Step], differences: tuple[DeviceDifference, ...]) -> tuple[str, str]:
    """Say how things are in one sentence, and what to do."""
    replace = next((step for step in steps if step.act == "replace"), None)
    if replace is not None and all(step.act != "adopt" for step in steps):
        return f"{name} cannot become as wanted in place: {replace.text}", f"run: {replace.command}"
    if owner in _STANDING:
        return f"{name}{_STANDING[owner][0]}", _STANDING[owner][1].format(name=name)
    stuck = next((one for one in differences if one.state in ("failed", "suppressed", "contested")), None)
    if owner == "absent":
        if not steps:
            return f"{name} is not there, and vtep is not to make it", ""
        why = "" if stuck is None else f"; {stuck.why}"
        return f"{name} is wanted, and it is not there{why}", "vtep makes it by itself; by hand: see below"
    if any(step.act == "left" for step in steps):
        return f"{name} bears our mark, and the configuration does not have it", f"run: ip link del {name}"
    by = "vtep made it" if owner == "made" else "it was handed over to vtep"
    if not differences:
        return f"{name} is as wanted; {by}", ""
    names = ", ".join(one.what.split(" -> ")[0] for one in differences[:5])
    if stuck is not None:
        return f"{name} is not as wanted, and {stuck.what} is {stuck.state}: {stuck.why}", "see: vtep devices plan"
    return f"{name} is not as wanted: {names}; {by}", "vtep sets it right by itself; see: vtep devices plan"


_STANDING: Final[Mapping[str, tuple[str, str]]] = {
    "foreign": (
        " is wanted, and another program made it: vtep leaves it alone",
        "to hand it over, run: vtep devices adopt {name}",
    ),
    "claimed": (" was being made when the daemon ended: vtep finishes it", ""),
    "unmanaged": (" is in the configuration with `manage` off: vtep uses it, and never changes it", ""),
    "unknown": (" is not in the configuration: vtep never touches it", ""),
}
"""What is so, and what to do, of a device that is not ours."""
