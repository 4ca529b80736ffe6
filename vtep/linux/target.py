"""The kernel as the engine's target: where rows can be written, what is there, and how messages get there.

Joins a kernel (real, or in memory) with the configured VNIs. `attachment.py` says what the devices mean. Knows no row of ours
and no verdict.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Protocol

from vtep.addr import Mac, Vni
from vtep.config.model import VniConfig
from vtep.intent import HostKey, RowKey
from vtep.linux.attachment import Attached, Fault, attached, domains, own_hosts, survey
from vtep.linux.devices import Address, Links
from vtep.linux.wire.neighbor import Entry, FdbEvent, Lookup, Neighbor, Refusal
from vtep.reconcile.contract import Attachments
from vtep.store.histogram import Histogram


class KernelRows(Protocol):
    """What `vtep.linux.kernel.Kernel` and `vtep.linux.memory.kernel.MemoryKernel` have in common."""

    def links(self) -> Links: ...
    def addresses(self) -> list[Address]: ...
    def neighbors(self, devices: Iterable[int]) -> list[Entry]: ...
    def rows(self, bridges: Sequence[int], ports: Sequence[int] = ()) -> list[Entry]: ...
    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]: ...
    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]: ...


class KernelTarget:
    """The target for the rows of these VNIs. What it knows of devices is as of the last call of `attachments`."""

    def __init__(self, kernel: KernelRows, vnis: Sequence[VniConfig], clock: Callable[[], float] | None = None) -> None:
        self.kernel = kernel
        self.message_s = Histogram()
        """The time that the kernel took for each message; nothing is measured without a clock."""
        self._clock = clock
        self._vnis = tuple(vni for vni in vnis if vni.is_bound)
        self._given_up: frozenset[Vni] = frozenset()
        self.own_macs: frozenset[Mac] = frozenset()
        """The MACs of all devices."""
        self.own_hosts: frozenset[HostKey] = frozenset()
        """Addresses that no remote host of a VNI can have, because its bridge has them."""
        self.faults: Mapping[Vni, tuple[Fault, ...]] = {}
        """What the VNIs that are not ready lack, in sentences."""
        self.unserved: Mapping[Hashable, Fault] = {}
        """Why a VNI that is ready has no neighbor rows, by their domain."""
        self._names: dict[int, str] = {}
        self._attached = Attached()

    def reconfigure(self, vnis: Sequence[VniConfig]) -> None:
        """Take other VNIs. One that left, or lost its bridge, stays attached, so that its rows can be removed."""
        bound = tuple(vni for vni in vnis if vni.is_bound)
        staying = {vni.vni for vni in bound}
        left = tuple(vni for vni in self._vnis if vni.vni not in staying)
        self._vnis = bound + left
        self._given_up = frozenset(vni.vni for vni in left)

    def attachments(self) -> Attachments:
        links = self.kernel.links()
        self._names = {link.index: link.name for link in links}
        self.own_macs = frozenset(link.mac for link in links if link.mac is not None and any(link.mac))
        self.own_hosts = frozenset(own_hosts(self._vnis, links, self.kernel.addresses()))
        found = survey(self._vnis, links)
        self._attached = found.ready
        not_ready = {vni: why for vni, why in found.not_ready.items() if vni not in self._given_up}
        self.unserved = found.unserved
        self.faults = {vni: why.faults for vni, why in not_ready.items()}
        return Attachments(
            ready=found.ready,
            not_ready={domain: why.reasons for vni, why in not_ready.items() for domain in domains(vni)},
            unfit={vni: why.reasons for vni, why in not_ready.items()},
            unconfigured=frozenset(domain for vni in self._given_up for domain in domains(vni)),
            notes=found.notes,
            replaced=found.replaced,
        )

    def name_of(self, index: int) -> str:
        """Return the name of a device."""
        return self._names.get(index, f"device {index}")

    def holds(self, devices: Iterable[int]) -> bool:
        """Tell whether any of these devices has rows of ours."""
        return not self._attached.devices.isdisjoint(devices)

    def keys_of(self, events: Iterable[FdbEvent]) -> set[RowKey]:
        """Return the rows of MACs that these events may concern."""
        return self._attached.keys_of_events(events)

    def entries(self, attachments: Attachments) -> list[Entry]:
        ready = attached(attachments)
        return self.kernel.rows(ready.bridges, ready.alone) + self.kernel.neighbors(ready.host_devices)

    def look(self, lookups: Sequence[Lookup]) -> list[Entry | None]:
        return self.kernel.get_many(lookups)

    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]:
        if self._clock is None:
            return self.kernel.send(messages)
        began = self._clock()
        refusals = self.kernel.send(messages)
        if count := sum(1 + len(message.also) for message in messages):
            self.message_s.observe((self._clock() - began) / count, count)
        return refusals
