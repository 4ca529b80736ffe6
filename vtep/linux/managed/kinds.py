"""The kinds of rows that devices are made of: devices, settings, VLANs, VNIs of filters, addresses, gateways, and what is up.

A key begins with the name of its device. Every row needs its device: it is written after the device is there and ours, and it is
released before the device goes. A row of a device that bears our mark is ours if it is wanted; another value is drift.

A setting is never removed. When it is no longer wanted, its claim is released and the value stays, because nothing says what it
was before. A VLAN, an address or a MAC that we put and that is no longer wanted is removed; one of another program stays, as claims tell
the two apart.

    kind      key                               row
    device    (name,)                           its type, and what cannot be changed: a VNI, a UDP port, a table
    setting   (name, setting)                   a value: MTU, MAC, master
    port      (name, setting)                   a flag of a bridge port, after the device has joined its bridge
    vlan      (name, VLAN)                      pvid, untagged, the VNI to which it is mapped
    vni       (name, VNI)                       in the filter of a VXLAN device for many
    address   (name, address, prefix length)    there
    state     (name, "up")                      up, when all of the above is set
    sysctl    (name, setting)                   forwarding of IPv4 and IPv6
    gateway   (name, VLAN, MAC)                 of a VLAN device, whose frames the bridge takes itself

Pure: knows rows, settings and messages, and neither the configuration nor the kernel.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.intent import Intent
from vtep.linux.devices import Address, Link, Links
from vtep.linux.managed.wish import DeviceRow, MemberRow, Rows, SettingRow, VlanRow, Wish
from vtep.linux.settings import ABSENT, ORDER, SETTINGS, fixed_of
from vtep.linux.wire.device import AddressValue, DeviceMessage, MacValue, VlanValue
from vtep.linux.wire.neighbor import Entry
from vtep.reconcile.contract import Attachments, Change, Key, Kind, Seen
from vtep.reconcile.descriptor import Descriptor

ALL: Final = ""
"""The domain of the devices themselves. A device's own domain is its name."""
NOT_OURS: Final = "device-not-ours"
"""The holder of a device without our mark."""
VERBS: Final = {"create": "make", "replace": "replace", "delete": "remove"}
"""What a change of the engine is for a whole device; `replace` is always refused, with the command that an operator
may run."""


class Picture(Struct, frozen=True):
    """The devices and addresses of this host at one moment: the one entry of which all rows are read."""

    links: Links
    addresses: Sequence[Address] = ()
    own_macs: Sequence[Entry] = ()
    """The MACs whose frames a bridge of ours takes itself, by VLAN."""


def rows_of(intent: Intent, kind: str) -> Rows:
    """Return the rows of a kind that are wanted; an intent that is no wish wants none, as at the end of a daemon."""
    return intent.rows.get(kind, {}) if isinstance(intent, Wish) else {}


def wish_of(attachments: Attachments) -> Wish:
    """Return what is wanted, by which a kind tells drift from what is another program's."""
    found = attachments.ready.get(ALL)
    return found if isinstance(found, Wish) else Wish()


class _Kind:
    """What all kinds here have in common."""

    name = ""
    depends_on: tuple[str, ...] = ("device",)

    def __init__(self, name: str, descriptor: Descriptor) -> None:
        self.name = name
        self.descriptor = descriptor

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[Key]:
        return iter(list(rows_of(latest(), self.name)))

    def wanted_at(self, intent: Intent, key: Key) -> Any:
        return rows_of(intent, self.name).get(key)

    def touched(self, intent: Intent) -> Iterable[Key]:  # noqa: ARG002 - every change of a wish is followed by a survey
        return ()

    def domain(self, key: Key) -> Hashable:
        """Return the name of the device: rows of one device are written only if the device is ours or not there yet."""
        name: str = key[0]
        return name

    def needs(self, key: Key, row: Any) -> Iterable[tuple[str, Key]]:  # noqa: ARG002
        return (("device", (key[0],)),)

    def order(self, change: Change) -> Any:
        return change.keys[0]

    def pack(self, keys: Sequence[Key], row: Any) -> bytes:
        """Write the rows as JSON: there are few of them, and a human can read it. An address is text."""
        values = msgspec.structs.astuple(row)
        return msgspec.json.encode([[list(map(_plain, key)) for key in keys], list(map(_plain, values))])

    def ours(self, entries: Iterable[Any], attachments: Attachments) -> Iterator[tuple[Link, Picture]]:
        """Yield the devices that are ours."""
        for picture in entries:
            for link in picture.links:
                if attachments.ready.get(link.name) == link.index:
                    yield link, picture


class _Device(_Kind):
    depends_on = ()

    def domain(self, key: Key) -> Hashable:  # noqa: ARG002
        return ALL

    def needs(self, key: Key, row: DeviceRow) -> Iterable[tuple[str, Key]]:  # noqa: ARG002
        """A VLAN device needs the one below it; both are of this kind, which the order takes care of."""
        return ()

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Key, Seen]:
        """See the devices that are ours or wanted. One of another program is there, and held by it."""
        wanted = wish_of(attachments).rows.get("device", {})
        seen: dict[Key, Seen] = {}
        for picture in entries:
            for link in picture.links:
                ours = attachments.ready.get(link.name) == link.index
                if ours or (link.name,) in wanted:
                    row = DeviceRow(link.kind, fixed_of(link, picture.links))
                    seen[link.name,] = Seen(row, marked=ours, holder="" if ours else NOT_OURS)
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[DeviceMessage]]:
        act, row, wished = VERBS[change.verb], change.row, wish_of(attachments)
        if act == "remove":
            return ([DeviceMessage("remove", name) for (name,) in change.keys],)
        return (
            [
                DeviceMessage(act, name, row.type, dict(row.fixed), wished.settings_of(name))  # type: ignore[arg-type]
                for (name,) in change.keys
            ],
        )

    def order(self, change: Change) -> Any:
        """A VLAN device is made after the device below it, which is a bridge."""
        type_ = "" if change.row is None else change.row.type
        return (_TYPES.get(type_, 0), change.keys[0])

    def unpack(self, packed: bytes) -> tuple[list[Key], DeviceRow]:
        keys, (type_, fixed) = msgspec.json.decode(packed)
        return [tuple(key) for key in keys], DeviceRow(type_, tuple((name, value) for name, value in fixed))


_TYPES: Final = {"vrf": 0, "bridge": 1, "vxlan": 2, "vlan": 3}
"""A VLAN device comes after the bridge on which it is made. A VRF and a VXLAN device need no other device to be
made."""


class _Setting(_Kind):
    """Settings of one sort. A flag of a port needs the row by which the device joined its bridge."""

    def __init__(self, name: str, descriptor: Descriptor) -> None:
        super().__init__(name, descriptor)
        self.depends_on = ("device", "setting") if name == "port" else ("device",)
        self._names = [setting for setting, found in SETTINGS.items() if found.kind == name]

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Key, Seen]:
        """See the settings that are wanted, of devices that are ours.

        A setting that nothing wants is not seen, and so is left alone.
        """
        wanted = wish_of(attachments).rows.get(self.name, {})
        seen: dict[Key, Seen] = {}
        for link, picture in self.ours(entries, attachments):
            for name in self._names:
                row = wanted.get((link.name, name))
                value = ABSENT if row is None else SETTINGS[name].read(link, picture.links)
                if row is not None and value is not ABSENT:
                    # What the kernel does not report, it does not have either: there is nothing to set.
                    there = row if value is None else SettingRow(value)
                    seen[link.name, name] = Seen(there, marked=True, tagged=True)
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[DeviceMessage]]:  # noqa: ARG002
        if change.verb not in ("create", "replace"):
            return ()
        return ([DeviceMessage("set", device, name, change.row.value) for device, name in change.keys],)

    def order(self, change: Change) -> Any:
        device, name = change.keys[0]
        return (ORDER[name], device)

    def needs(self, key: Key, row: SettingRow) -> Iterable[tuple[str, Key]]:
        """A port joins a bridge that is ours: a bridge of another program is not changed by a port either."""
        yield "device", (key[0],)
        if key[1] == "master" and row.value:
            yield "device", (row.value,)
        if self.name == "port":
            yield "setting", (key[0], "master")

    def unpack(self, packed: bytes) -> tuple[list[Key], SettingRow]:
        """Read what `pack` wrote; addresses and MACs are text there."""
        keys, (value,) = msgspec.json.decode(packed)
        found = [tuple(key) for key in keys]
        return found, SettingRow(_VALUES.get(found[0][1], lambda same: same)(value))


_VALUES: Final[Mapping[str, Callable[[Any], Any]]] = {"local": Ip.parse, "mac": Mac.parse}
"""Settings whose value is not what JSON has."""


class _Vlan(_Kind):
    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Key, Seen]:
        """See each VLAN of the ports that are ours, those that another program added included.

        A wanted one is ours by itself (`tagged`). Any other is removed only if a claim says that we put it. A range is
        one row for each of its VLANs, so a trunk of all VLANs is 4,094 rows.
        """
        wanted = wish_of(attachments).rows.get(self.name, {})
        return {
            (link.name, vlan): Seen(
                VlanRow(found.pvid, found.untagged, found.vni_of(vlan), link.bridge is not None),
                marked=True,
                tagged=(link.name, vlan) in wanted,
            )
            for link, _ in self.ours(entries, attachments)
            for found in link.vlans
            for vlan in range(found.first, found.last + 1)
        }

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[DeviceMessage]]:  # noqa: ARG002
        row: VlanRow = change.row
        act: Any = "drop" if change.verb == "delete" else "put"
        return (
            [
                DeviceMessage(act, device, "vlan", VlanValue(vlan, row.pvid, row.untagged, row.vni, row.itself))
                for device, vlan in change.keys
            ],
        )

    def unpack(self, packed: bytes) -> tuple[list[Key], VlanRow]:
        keys, row = msgspec.json.decode(packed)
        return [tuple(key) for key in keys], VlanRow(*row)


class _Vni(_Kind):
    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Key, Seen]:
        """See each VNI in the filters of devices that are ours. A wanted one is ours by itself, and any other only
        if it is claimed."""
        wanted = wish_of(attachments).rows.get(self.name, {})
        return {
            (link.name, vni): Seen(MemberRow(), marked=True, tagged=(link.name, vni) in wanted)
            for link, _ in self.ours(entries, attachments)
            for found in link.vnis
            for vni in range(found.first, found.last + 1)
        }

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[DeviceMessage]]:  # noqa: ARG002
        act: Any = "drop" if change.verb == "delete" else "put"
        return ([DeviceMessage(act, device, "vni", vni) for device, vni in change.keys],)

    def unpack(self, packed: bytes) -> tuple[list[Key], MemberRow]:
        keys, _ = msgspec.json.decode(packed)
        return [tuple(key) for key in keys], MemberRow()


class _Address(_Kind):
    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Key, Seen]:
        """See each address of the devices that are ours. Only a claim says that vtep put it."""
        there = list(entries)
        seen: dict[Key, Seen] = {}
        names = {link.index: link.name for link, _ in self.ours(there, attachments)}
        for picture in there:
            for address in picture.addresses:
                if address.device in names and address.prefix is not None:
                    seen[names[address.device], address.ip, address.prefix] = Seen(MemberRow(), marked=True)
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[DeviceMessage]]:  # noqa: ARG002
        act: Any = "drop" if change.verb == "delete" else "put"
        return (
            [DeviceMessage(act, device, "address", AddressValue(ip, prefix)) for device, ip, prefix in change.keys],
        )

    def unpack(self, packed: bytes) -> tuple[list[Key], MemberRow]:
        keys, _ = msgspec.json.decode(packed)
        return [(device, Ip.parse(ip), prefix) for device, ip, prefix in keys], MemberRow()


class _Gateway(_Kind):
    depends_on = ("device", "vlan")

    def needs(self, key: Key, row: Any) -> Iterable[tuple[str, Key]]:  # noqa: ARG002
        """A bridge takes such a row only in a VLAN of its own."""
        return (("device", (key[0],)), ("vlan", key[:2]))

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[Key, Seen]:
        """See the MACs of bridges that are ours. A wanted one is ours by itself, and any other only if it is claimed. The MAC that
        a bridge has anyway stays when it is no longer wanted."""
        wanted = wish_of(attachments).rows.get(self.name, {})
        there = list(entries)
        bridges = {link.index: link for link, _ in self.ours(there, attachments)}
        seen: dict[Key, Seen] = {}
        for entry in (entry for picture in there for entry in picture.own_macs):
            if (bridge := bridges.get(entry.port)) is not None:
                key = (bridge.name, entry.vlan, entry.mac)
                seen[key] = Seen(MemberRow(), marked=key in wanted or entry.mac != bridge.mac, tagged=key in wanted)
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[DeviceMessage]]:  # noqa: ARG002
        act: Any = "drop" if change.verb == "delete" else "put"
        return ([DeviceMessage(act, device, "mac", MacValue(vlan, mac)) for device, vlan, mac in change.keys],)

    def unpack(self, packed: bytes) -> tuple[list[Key], MemberRow]:
        keys, _ = msgspec.json.decode(packed)
        return [(device, vlan, Mac.parse(mac)) for device, vlan, mac in keys], MemberRow()


def _plain(part: Any) -> Any:
    """Return what JSON can have; addresses become text."""
    return str(part) if isinstance(part, Ip | Mac) else part


def _value_in_words(row: SettingRow) -> str:
    return {True: "on", False: "off"}.get(row.value, str(row.value)) if isinstance(row.value, bool) else str(row.value)


def _described(name: str, key_text: Callable[[Any], str], in_words: Callable[[Any], str]) -> Descriptor:
    return Descriptor(
        public=name, key_name="device", in_words=in_words, domain_of=lambda device: device, key_text=key_text
    )


def _pair(key: Key) -> str:
    return f"{key[0]} {key[1]}"


DEVICE: Final = _Device("device", _described("device", lambda key: str(key[0]), lambda row: f"of type {row.type}"))
SETTING: Final = _Setting("setting", _described("setting", _pair, _value_in_words))
PORT: Final = _Setting("port", _described("port", _pair, _value_in_words))
VLAN: Final = _Vlan("vlan", _described("vlan", _pair, lambda row: "" if row.vni is None else f"VNI {row.vni}"))
VNI: Final = _Vni("vni", _described("vni", _pair, lambda _: "taken"))
ADDRESS: Final = _Address("address", _described("address", lambda key: f"{key[0]} {key[1]}/{key[2]}", lambda _: "put"))
GATEWAY: Final = _Gateway(
    "gateway", _described("gateway", lambda key: f"{key[0]} {key[2]} VLAN {key[1]}", lambda _: "taken")
)
STATE: Final = _Setting("state", _described("state", _pair, _value_in_words))

SYSCTL: Final = _Setting("sysctl", _described("sysctl", _pair, _value_in_words))

MANAGED: Final[tuple[Kind, ...]] = (DEVICE, SETTING, PORT, VLAN, VNI, ADDRESS, STATE, SYSCTL, GATEWAY)
"""In the order of writing: a device that has all its settings, VLANs and addresses is put up. The file of claims has the places
of this list, so a kind is added at its end."""
