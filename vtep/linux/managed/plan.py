"""What a pass over the devices would do, as lines with commands: `vtep devices plan`. Pure; changes nothing.

Knows no claim, so it needs no daemon and no file of one: a row that a daemon would remove because it is no longer wanted is not
among the lines, except a device that bears our mark.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from vtep.linux.devices import Link, Links
from vtep.linux.managed.kinds import MANAGED, Picture
from vtep.linux.managed.wish import DeviceRow, VlanRow, Wish
from vtep.linux.settings import SETTINGS, fixed_of, is_ours
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
    made again.
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
            text = f"it is {_words(there)}, must be {_words(wanted)}, and the kernel cannot change it: traffic stops while it is made again"
            yield Step(name, "replace", text, f"vtep devices adopt --replace {name}")
        elif not is_ours(link):
            yield Step(name, "adopt", "another program made it", f"vtep devices adopt {name}")
    elif wanted is None and link is not None and is_ours(link):
        yield Step(name, "left", "it bears our mark, and the configuration does not have it", f"ip link del {name}")


def _step(kind: str, key: Any, wanted: Any, there: Any, links: Links) -> Step:
    """Say what one setting, VLAN, VNI, gateway or address needs, with the command that would do the same."""
    device, what = key[:2]
    if kind in ("setting", "port", "sysctl", "state"):
        command = SETTINGS[what].command(links.by_name.get(device), device, wanted.value)
        was = "" if there is None else f"{_value(there.value)} -> "
        return Step(device, "set", f"{what} {was}{_value(wanted.value)}", command)
    if kind == "vlan":
        return Step(
            device, "put", f"VLAN {what}{_flags(wanted)}", f"bridge vlan add dev {device} vid {what}{_flags(wanted)}"
        )
    if kind == "vni":
        return Step(device, "put", f"VNI {what}", f"bridge vni add dev {device} vni {what}")
    if kind == "gateway":
        command = f"bridge fdb replace {key[2]} dev {device} vlan {what} self local"
        return Step(device, "put", f"{key[2]} of the gateway in VLAN {what}", command)
    return Step(device, "put", f"address {what}/{key[2]}", f"ip address add {what}/{key[2]} dev {device}")


AT_BIRTH: Final = ("alias", "vlan_filtering", "vlan_default_pvid", "mcast_snooping", "local", "learning", "mtu")
"""The settings with which a device is made."""


def make_command(name: str, row: DeviceRow, settings: Mapping[str, Any]) -> str:
    """Return the command that makes a device; what it lacks then has steps of its own."""
    fixed: dict[str, Any] = dict(row.fixed)
    if row.type == "vlan":
        return f"ip link add {name} link {fixed['below']} type vlan id {fixed['vlan']}"
    mtu = f" mtu {settings['mtu']}" if "mtu" in settings else ""
    words = [_words(row)]
    if row.type == "bridge":
        words += [f"{what} {settings[what]:d}" for what in AT_BIRTH[2:4] if what in settings]
        words += ["vlan_filtering 1"] * bool(settings.get("vlan_filtering"))
    elif row.type == "vxlan":
        words += [f"local {settings['local']}", "nolearning"]
        words += ["udp6zerocsumrx"] * settings["local"].is_v6
    return f"ip link add {name}{mtu} type {' '.join(words)}"


def _words(row: DeviceRow) -> str:
    """Say what a device is, in the words of `ip link`: its type and what cannot be changed."""
    fixed: dict[str, Any] = dict(row.fixed)
    if row.type == "vxlan":
        number = "external" if fixed.get("external") else f"id {fixed.get('id')}"
        return f"vxlan {number}{' vnifilter' * bool(fixed.get('vnifilter'))} dstport {fixed.get('dstport')}"
    return " ".join((row.type or "a physical device", *(f"{name} {value}" for name, value in row.fixed)))


def _flags(row: VlanRow) -> str:
    """Say what a VLAN of a port is, in the words of `bridge vlan`; with a blank before each."""
    mapped = "" if row.vni is None else f" tunnel_info id {row.vni}"
    return f"{' pvid' * row.pvid}{' untagged' * row.untagged}{' self' * row.itself}{mapped}"


def _value(value: Any) -> str:
    return _ON.get(value, "") if isinstance(value, bool) else str(value) or "none"


_ON: Final = {True: "on", False: "off"}
