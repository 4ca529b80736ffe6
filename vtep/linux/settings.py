"""One table of settings of devices: how each is read, and the command that sets it; and when a device may be changed. Pure.

A setting is one row of the engine, so only what differs is set, and a setting that the kernel refuses holds up no other one. A
device gets its bridge before the flags of its port, and is up last.

Knows devices as values (`vtep.linux.devices`). Does not know which devices are managed, nor what they should have.
"""

import errno
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from vtep.errors import KernelError
from vtep.linux.devices import Bridge, BridgePort, Link, Links, Vxlan
from vtep.linux.wire.device import DeviceMessage

MARK: Final = "vtep"
"""The alias of a device that vtep made."""
ADOPTED: Final = "vtep: adopted"
"""How the alias of a device begins that an operator handed over; the alias that it had before follows."""


class Absent:
    """The device has no such setting yet, because it is not a port of a bridge."""


ABSENT: Final = Absent()
_NO_BRIDGE: Final = Bridge()
_NO_VXLAN: Final = Vxlan()


class Setting(Struct, frozen=True):
    """One setting."""

    read: Callable[[Link, Links], Any]
    """Its value, None if this kernel does not report it, or `ABSENT`."""
    command: Callable[[int, str, Any], str]
    """The command that sets it, for people: of the identifier of a VXLAN device, the name, and the value."""
    kind: str = "setting"
    """The kind of its row, by which it is written: a `port` has a bridge first, and the `state` is written last."""


def is_ours(link: Link) -> bool:
    """Tell whether the device bears our mark: vtep made it, or an operator handed it over."""
    return link.alias == MARK or is_adopted(link)


def is_adopted(link: Link) -> bool:
    return link.alias.startswith(ADOPTED)


def adopted_alias(before: str) -> str:
    """Return the alias of a device that is handed over, which keeps the one before."""
    return f"{ADOPTED}; {before}" if before else ADOPTED


def alias_before(alias: str) -> str:
    """Return the alias that an adopted device had."""
    return alias.removeprefix(ADOPTED).removeprefix("; ")


def fixed_of(link: Link, links: Links) -> tuple[tuple[str, Any], ...]:
    """Return what cannot be changed once a device of this type is made."""
    if link.vxlan is not None:
        found = link.vxlan
        is_shared = bool(found.external)
        return (
            ("id", 0 if is_shared else found.vni),
            ("dstport", found.udp_port),
            ("external", is_shared),
            ("vnifilter", bool(found.vni_filter)),
        )
    if link.kind == "vlan":
        below = links.by_index.get(link.below or 0)
        return (("below", "" if below is None else below.name), ("vlan", link.vlan))
    return (("table", link.table),) if link.kind == "vrf" else ()


def _of_port(read: Callable[[BridgePort], bool | None]) -> Callable[[Link, Links], Any]:
    return lambda link, _: ABSENT if link.bridge_port is None else read(link.bridge_port)


def _master(link: Link, links: Links) -> str:
    master = links.by_index.get(link.master or 0)
    return "" if master is None else master.name


def _onoff(value: Any) -> str:
    return "on" if value else "off"


def _set(words: Callable[[Any], str]) -> Callable[[int, str, Any], str]:
    return lambda _, name, value: f"ip link set dev {name} {words(value)}"


def _of_vxlan(words: Callable[[Any], str]) -> Callable[[int, str, Any], str]:
    """`ip` wants the identifier again with every change of a VXLAN device."""

    def command(vni: int, name: str, value: Any) -> str:
        return f"ip link set dev {name} type vxlan id {vni} {words(value)}"

    return command


def _slave(flag: str) -> Callable[[int, str, Any], str]:
    return lambda _, name, value: f"ip link set dev {name} type bridge_slave {flag} {_onoff(value)}"


SETTINGS: Final[Mapping[str, Setting]] = {
    "alias": Setting(
        lambda link, _: MARK if is_ours(link) else link.alias,
        _set(lambda value: f"alias {value}"),
    ),
    "vlan_filtering": Setting(
        lambda link, _: (link.bridge or _NO_BRIDGE).vlan_filtering,
        _set(lambda value: f"type bridge vlan_filtering {value:d}"),
    ),
    "vlan_default_pvid": Setting(
        lambda link, _: (link.bridge or _NO_BRIDGE).default_pvid,
        _set(lambda value: f"type bridge vlan_default_pvid {value}"),
    ),
    "mcast_snooping": Setting(
        lambda link, _: (link.bridge or _NO_BRIDGE).mcast_snooping,
        _set(lambda value: f"type bridge mcast_snooping {value:d}"),
    ),
    "local": Setting(lambda link, _: (link.vxlan or _NO_VXLAN).local, _of_vxlan(lambda value: f"local {value}")),
    "learning": Setting(
        lambda link, _: (link.vxlan or _NO_VXLAN).learning,
        _of_vxlan(lambda value: "learning" if value else "nolearning"),
    ),
    "link_local": Setting(
        lambda link, _: link.makes_link_local,
        _set(lambda value: f"addrgenmode {'eui64' if value else 'none'}"),
    ),
    "mac": Setting(lambda link, _: link.mac, _set(lambda value: f"address {value}")),
    "mtu": Setting(lambda link, _: link.mtu, _set(lambda value: f"mtu {value}")),
    "master": Setting(_master, _set(lambda value: f"master {value}" if value else "nomaster")),
    "port_learning": Setting(_of_port(lambda port: port.learning), _slave("learning"), "port"),
    "neigh_suppress": Setting(_of_port(lambda port: port.neigh_suppress), _slave("neigh_suppress"), "port"),
    "vlan_tunnel": Setting(_of_port(lambda port: port.vlan_tunnel), _slave("vlan_tunnel"), "port"),
    "forwards": Setting(
        lambda link, _: link.forwards,
        lambda _, name, value: f"sysctl -w net.ipv4.conf.{name.replace('.', '/')}.forwarding={value:d}",
        "sysctl",
    ),
    "forwards_v6": Setting(
        lambda link, _: link.forwards_v6,
        lambda _, name, value: f"sysctl -w net.ipv6.conf.{name.replace('.', '/')}.forwarding={value:d}",
        "sysctl",
    ),
    "up": Setting(lambda link, _: link.up, _set(lambda value: "up" if value else "down"), kind="state"),
}
ORDER: Final[Mapping[str, int]] = {name: place for place, name in enumerate(SETTINGS)}


def refuse_unfit(message: DeviceMessage, link: Link | None) -> None:
    """Raise KernelError if a change must not be made on what is there at this moment. Both kernels ask for each change."""
    name = message.device
    if message.act == "make":
        if link is not None:
            raise KernelError("make", errno.EEXIST, f"another program made {name}", name)
        return
    if link is None:
        code = errno.ENOENT if message.act in ("remove", "drop") else errno.ENODEV
        raise KernelError(message.act, code, f"there is no device {name}", name)
    if not (is_ours(link) or (message.what == "alias" and not link.alias)):
        raise KernelError(message.act, errno.EBUSY, f"{name} does not bear the mark of vtep any longer", name)
    if message.act == "replace":
        text = f"the kernel cannot change it in place: vtep devices adopt --replace {name} makes it again, and traffic stops meanwhile"
        raise KernelError("replace", errno.EOPNOTSUPP, text, name)
    if message.act == "set" and SETTINGS[message.what].kind == "port" and link.bridge_port is None:
        raise KernelError("set", errno.EBUSY, f"{name} is not a port of a bridge yet", name)
