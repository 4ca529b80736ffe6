"""What a pass over the devices would do, as lines with commands: `vtep devices plan`. Pure; changes nothing.

Knows no claim, so it needs no daemon and no file of one: a row that a daemon would remove because it is no longer wanted is not
among the lines, except a device that bears our mark.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from vtep.linux.devices import Address, Link, Links
from vtep.linux.managed.kinds import MANAGED, Picture
from vtep.linux.managed.target import DeviceTarget
from vtep.linux.managed.wish import DeviceRow, VlanRow, Wish
from vtep.linux.settings import SETTINGS, alias_before, fixed_of, is_adopted, is_ours
from vtep.linux.wire.device import AddressValue, DeviceMessage, MacValue, VlanValue
from vtep.linux.wire.neighbor import Entry, Refusal
from vtep.reconcile.claims import Claim
from vtep.reconcile.contract import Attachments
from vtep.reconcile.verdict import Verdict, judge


class Step(Struct, frozen=True):
    """One thing that is not as wanted."""

    device: str
    """The name of the device, as it is or is to be."""
    act: str
    """make, set, put, adopt (it is there and is not ours), replace (it cannot be changed in place), or left (ours, and not wanted)."""
    text: str
    """What is there, and what is wanted."""
    command: str
    """Does the same by hand."""


def plan(wish: Wish, attachments: Attachments, picture: Picture) -> Iterator[Step]:
    """Yield what differs, in the order of writing.

    What follows a hand-over is among it, as if the device were ours already.

    A device that is missing gets one step with all that can be given at once (`AT_BIRTH`), and then one step for each
    other row. A device that cannot become as wanted gets `replace` alone: what it then lacks is known only when it was
    made again. One over IPv6 that drops packets without a UDP checksum gets it beside the rest.
    """
    links = picture.links
    alike = {name: link.index for (name,) in wish.rows["device"] if (link := _alike(name, wish, links)) is not None}
    handed_over = Attachments({**attachments.ready, **alike}, {})
    for kind in MANAGED:
        seen = kind.recognise([picture], attachments if kind.name == "device" else handed_over)
        for key in dict.fromkeys((*kind.wanted(lambda: wish), *seen)):
            wanted, there = kind.wanted_at(wish, key), seen.get(key)
            verdict = judge(wanted, there, None)
            if kind.name == "device":
                yield from _of_device(key[0], wanted, verdict, links, wish)
            elif kind.name == "setting" and (key[1] == "alias" or (key[1] in AT_BIRTH and key[0] not in links.by_name)):
                continue
            elif verdict in (Verdict.CREATE, Verdict.REPLACE) and (key[0] not in links.by_name or key[0] in alike):
                yield _step(kind.name, key, wanted, None if there is None else there.row, links)


def plan_of_device(name: str, wish: Wish, claims: Mapping[Any, Claim], picture: Picture) -> Iterator[Step]:
    """Yield the steps of one device; only the devices around it are looked at, because a host may have thousands."""
    link = picture.links.by_name.get(name)
    if not wish.rows or (link is None and (name,) not in wish.rows["device"]):
        return
    indexes = () if link is None else (link.index, link.master or 0, link.below or 0)
    links = Links.of(picture.links.by_index[index] for index in indexes if index in picture.links.by_index)
    alone = Picture(links, picture.addresses, picture.own_macs)
    rows = {kind: {key: row for key, row in found.items() if key[0] == name} for kind, found in wish.rows.items()}
    of_it = Wish(rows=rows, devices=frozenset([name]) & wish.devices, left_alone=wish.left_alone)
    attachments = DeviceTarget(_Read(links), of_it, claims).attachments()
    yield from (step for step in plan(of_it, attachments, alone) if step.device == name)


class _Read:
    """A kernel whose devices were read before."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def links(self) -> Links:
        return self._links

    def pictured(self) -> tuple[Links, list[Address], list[Entry]]:
        return self._links, [], []

    def send_devices(self, messages: Sequence[DeviceMessage]) -> list[Refusal]:
        raise NotImplementedError(f"a plan writes nothing, so it has no {messages}")


class Found(Struct, frozen=True):
    """A device as it is there."""

    words: str
    """What it is, in the words of `ip link`."""
    mark: str
    """made or adopted; empty without our mark."""
    alias: str
    """The alias that another program gave it."""
    right: tuple[str, ...]
    """The settings that have the value that is wanted, each with it."""


def found_of(name: str, wish: Wish, picture: Picture) -> Found | None:
    """Return how a device is; None if it is not there."""
    links = picture.links
    if (link := links.by_name.get(name)) is None:
        return None
    alias = alias_before(link.alias) if is_adopted(link) else "" if is_ours(link) else link.alias
    mark = "" if not is_ours(link) else "adopted" if is_adopted(link) else "made"
    right = (
        f"{what} {_value(row.value)}"
        for kind in ("setting", "port", "sysctl", "state")
        for (device, what), row in wish.rows.get(kind, {}).items()
        if device == name and what != "alias" and SETTINGS[what].read(link, links) == row.value
    )
    return Found(words_of(DeviceRow(link.kind, fixed_of(link, links))), mark, alias, tuple(right))


def _alike(device: str, wish: Wish, links: Links) -> Link | None:
    """Return a device that is there and can become as wanted in place."""
    link = links.by_name.get(device)
    wanted = wish.rows["device"].get((device,))
    return link if link is not None and wanted == DeviceRow(link.kind, fixed_of(link, links)) else None


def _of_device(name: str, wanted: DeviceRow | None, verdict: Verdict, links: Links, wish: Wish) -> Iterator[Step]:
    """Say what is to happen to a device as a whole: make, replace or adopt it, or that it was left behind."""
    link = links.by_name.get(name)
    if verdict is Verdict.CREATE and wanted is not None:
        yield Step(name, "make", f"there is no {name}", make_command(name, wanted, wish.settings_of(name)))
    elif verdict is Verdict.CONTESTED and link is not None and wanted is not None:
        there = DeviceRow(link.kind, fixed_of(link, links))
        if there != wanted:
            text = f"it is {words_of(there)}, must be {words_of(wanted)}, and the kernel cannot change it: traffic stops while it is made again"
            yield Step(name, "replace", text, f"vtep devices adopt --replace {name}")
        elif not is_ours(link):
            yield Step(name, "adopt", "another program made it", f"vtep devices adopt {name}")
    if link is not None and wanted is not None and _drops_unchecked(link, wish.settings_of(name)):
        text = "it drops packets over IPv6 without a UDP checksum, and the kernel cannot change it: traffic stops while it is made again"
        yield Step(name, "replace", text, f"vtep devices adopt --replace {name}")
    if wanted is None and link is not None and is_ours(link):
        yield Step(name, "left", "it bears our mark, and the configuration does not have it", f"ip link del {name}")


def _drops_unchecked(link: Link, settings: Mapping[str, Any]) -> bool:
    """Tell whether a VXLAN device over IPv6 lacks `udp6zerocsumrx` (RFC 6935). All the rest of it can be as wanted, so it is kept as it is."""
    local = settings.get("local")
    return local is not None and local.is_v6 and link.vxlan is not None and link.vxlan.takes_no_checksum is False


def _step(kind: str, key: Any, wanted: Any, there: Any, links: Links) -> Step:
    """Say what one setting, VLAN, VNI, gateway or address needs, with the command that would do the same."""
    device, what = key[:2]
    link = links.by_name.get(device)
    vni = 0 if link is None or link.vxlan is None else link.vxlan.vni or 0
    if kind in ("setting", "port", "sysctl", "state"):
        was = "" if there is None else f"{_value(there.value)} -> "
        command = command_of(DeviceMessage("set", device, what, wanted.value), vni)
        return Step(device, "set", f"{what} {was}{_value(wanted.value)}", command)
    if kind == "vlan":
        value: Any = VlanValue(what, wanted.pvid, wanted.untagged, wanted.vni, wanted.itself)
        text = f"VLAN {what}{_flags(wanted)}"
    elif kind == "vni":
        value, text = what, f"VNI {what}"
    elif kind == "gateway":
        kind, value, text = "mac", MacValue(what, key[2]), f"{key[2]} of the gateway in VLAN {what}"
    else:
        value, text = AddressValue(what, key[2]), f"address {what}/{key[2]}"
    return Step(device, "put", text, command_of(DeviceMessage("put", device, kind, value)))


def command_of(message: DeviceMessage, vni: int = 0) -> str:
    """Return the command that does by hand what a message does; `vni` is the identifier of a VXLAN device, 0 for any other."""
    device, value = message.device, message.value
    if message.act == "make":
        return make_command(device, DeviceRow(message.what, tuple(value.items())), message.settings)
    if message.act == "remove":
        return f"ip link del {device}"
    if message.act == "replace":
        return f"vtep devices adopt --replace {device}"
    if message.act == "set":
        return SETTINGS[message.what].command(vni, device, value)
    verb = "add" if message.act == "put" else "del"
    if message.what == "vlan":
        return f"bridge vlan {verb} dev {device} vid {value.vlan}{_flags(value)}"
    if message.what == "vni":
        return f"bridge vni {verb} dev {device} vni {value}"
    if message.what == "mac":
        verb = "replace" if message.act == "put" else "del"
        return f"bridge fdb {verb} {value.mac} dev {device} vlan {value.vlan} self local"
    return f"ip address {verb} {value.ip}/{value.prefix} dev {device}"


AT_BIRTH: Final = ("alias", "vlan_filtering", "vlan_default_pvid", "mcast_snooping", "local", "learning", "mtu")
"""The settings with which a device is made."""


def make_command(name: str, row: DeviceRow, settings: Mapping[str, Any]) -> str:
    """Return the command that makes a device; what it lacks then has steps of its own."""
    fixed: dict[str, Any] = dict(row.fixed)
    if row.type == "vlan":
        return f"ip link add {name} link {fixed['below']} type vlan id {fixed['vlan']}"
    mtu = f" mtu {settings['mtu']}" if "mtu" in settings else ""
    words = [words_of(row)]
    if row.type == "bridge":
        words += [f"{what} {settings[what]:d}" for what in AT_BIRTH[2:4] if what in settings]
        words += ["vlan_filtering 1"] * bool(settings.get("vlan_filtering"))
    elif row.type == "vxlan":
        words += [f"local {settings['local']}", "nolearning"]
        words += ["udp6zerocsumrx"] * settings["local"].is_v6
    return f"ip link add {name}{mtu} type {' '.join(words)}"


def words_of(row: DeviceRow) -> str:
    """Say what a device is, in the words of `ip link`: its type and what cannot be changed."""
    fixed: dict[str, Any] = dict(row.fixed)
    if row.type == "vxlan":
        number = "external" if fixed.get("external") else f"id {fixed.get('id')}"
        return f"vxlan {number}{' vnifilter' * bool(fixed.get('vnifilter'))} dstport {fixed.get('dstport')}"
    return " ".join((row.type or "a physical device", *(f"{name} {value}" for name, value in row.fixed)))


def _flags(row: VlanRow | VlanValue) -> str:
    """Say what a VLAN of a port is, in the words of `bridge vlan`; with a blank before each."""
    mapped = "" if row.vni is None else f" tunnel_info id {row.vni}"
    return f"{' pvid' * row.pvid}{' untagged' * row.untagged}{' self' * row.itself}{mapped}"


def _value(value: Any) -> str:
    return _ON.get(value, "") if isinstance(value, bool) else str(value) or "none"


_ON: Final = {True: "on", False: "off"}
