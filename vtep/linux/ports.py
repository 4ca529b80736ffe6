"""Where the backups of bridge ports can be written: the domain of a VNI, and what its ports have.

There is no such domain on a bridge that filters VLANs. This module knows no row, and not why a port should have a backup.
"""

from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Struct

from vtep.addr import Vni
from vtep.linux.attachment import Attached, Ready
from vtep.linux.devices import Links
from vtep.linux.wire.port import PortBackup


class PortDomain(Struct, frozen=True, order=True):
    """The domain of the ports of a VNI that have a backup, or should have one."""

    vni: int


class PortPlace(Struct, frozen=True):
    """The devices of a VNI, with what each of these ports has: after any change of it, the rows are looked at again."""

    devices: Ready
    ports: tuple[tuple[str, int, int | None], ...]
    """Name, index, and the index of the backup."""

    @property
    def vni(self) -> int:
        return self.devices.vni


def port_places(
    ready: Attached, named: Iterable[Iterable[tuple[Vni, str]]], links: Links, known: Collection[int] = ()
) -> dict[Any, Any]:
    """Return the VNIs of which a port has a backup, or is one of those that are named; and those that were known, without any port."""
    wanted = {key for ports in named for key in ports}
    names = {name for _, name in wanted}
    of_bridge: dict[int, list[tuple[str, int, int | None]]] = {}
    for link in links:
        if link.master and (port := link.bridge_port) is not None and (port.backup or link.name in names):
            of_bridge.setdefault(link.master, []).append((link.name, link.index, port.backup))
    found: dict[Any, Any] = {}
    for vni, devices in ready.items() if of_bridge or known else ():
        if isinstance(vni, Vni) and devices.vlan is None and (devices.bridge in of_bridge or vni in known):
            there = [one for one in of_bridge.get(devices.bridge, ()) if one[2] or (vni, one[0]) in wanted]
            if there or vni in known:
                found[PortDomain(vni)] = PortPlace(devices, tuple(there))
    return found


def port_backups(links: Links) -> list[PortBackup]:
    """Return every bridge port that has a backup."""
    return [
        PortBackup(link.master, link.name, link.bridge_port.backup)
        for link in links
        if link.master and link.bridge_port is not None and link.bridge_port.backup
    ]
