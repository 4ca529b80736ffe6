"""The kernel as the engine's target: the bound VNIs' devices as its ground, their FDB rows as its entries.

Joins a kernel (real, or in memory) with the configured device names. Knows no row of ours and no verdict.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Protocol

from vtep.addr import Mac, Vni
from vtep.config.model import VniConfig
from vtep.linux.attachment import Hosts, NotReady, Ready, answers_for_hosts, judge
from vtep.linux.wire.link import Links
from vtep.linux.wire.neighbor import Entry, Half, Neighbor, Refusal
from vtep.reconcile.contract import Attachments
from vtep.store.histogram import Histogram

Lookup = tuple[int, Mac, Half]


class KernelRows(Protocol):
    """What `kernel.socket.Kernel` and `kernel.memory.MemoryKernel` have in common."""

    def links(self) -> Links: ...
    def neighbors(self, devices: Iterable[int]) -> list[Entry]: ...
    def rows(self, bridges: Sequence[int], ports: Sequence[int] = ()) -> list[Entry]: ...
    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]: ...
    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]: ...


def _notes(vni: VniConfig, ready: Mapping[Hashable, Ready]) -> tuple[str, ...]:
    notes = ready[vni.vni].notes
    if vni.neighbors and Hosts(vni.vni) not in ready:
        return (*notes, f"neigh_suppress is off on {vni.vxlan}: remote hosts get no neighbor rows")
    return notes


class KernelTarget:
    """Where the rows of these VNIs are written."""

    def __init__(self, kernel: KernelRows, vnis: Sequence[VniConfig], clock: Callable[[], float] | None = None) -> None:
        self.kernel = kernel
        self.message_s = Histogram()
        """The time that the kernel took for each message; nothing is measured without a clock."""
        self._clock = clock
        self._vnis = tuple(vni for vni in vnis if vni.is_bound)
        self._given_up: frozenset[Vni] = frozenset()
        self.own_macs: frozenset[Mac] = frozenset()
        """Of all devices, as of the last look at them."""
        self._vni_of_port: dict[int, Vni] = {}
        self._names: dict[int, str] = {}
        self._holding: frozenset[int] = frozenset()
        """Devices whose rows are ours to keep."""

    def reconfigure(self, vnis: Sequence[VniConfig]) -> None:
        """Take other VNIs; one that left, or lost its bridge, stays a place, so that its rows can be removed."""
        bound = tuple(vni for vni in vnis if vni.is_bound)
        staying = {vni.vni for vni in bound}
        left = tuple(vni for vni in self._vnis if vni.vni not in staying)
        self._vnis = bound + left
        self._given_up = frozenset(vni.vni for vni in left)

    def attachments(self) -> Attachments:
        links = self.kernel.links()
        self._names = {link.index: link.name for link in links.by_name.values()}
        self.own_macs = frozenset(link.mac for link in links.by_name.values() if link.mac is not None and any(link.mac))
        judged = {vni.vni: judge(vni.vni, vni.bridge, vni.vxlan, vni.vtep, links) for vni in self._vnis}
        self._holding = frozenset(
            device for result in judged.values() if isinstance(result, Ready) for device in (result.bridge, result.port)
        )
        vni_of_bridge = {result.bridge: vni for vni, result in judged.items() if isinstance(result, Ready)}
        self._vni_of_port = {
            link.index: vni_of_bridge[link.master] for link in links.by_name.values() if link.master in vni_of_bridge
        }
        ready: dict[Hashable, Ready] = {vni: result for vni, result in judged.items() if isinstance(result, Ready)}
        for vni in self._vnis:
            if vni.vni in ready and answers_for_hosts(vni.vxlan, links):
                ready[Hosts(vni.vni)] = ready[vni.vni]
        return Attachments(
            ready=ready,
            not_ready={
                domain: result.reasons
                for vni, result in judged.items()
                if isinstance(result, NotReady) and vni not in self._given_up
                for domain in (vni, Hosts(vni))
            },
            unconfigured=self._given_up | {Hosts(vni) for vni in self._given_up},
            notes={vni.vni: notes for vni in self._vnis if vni.vni in ready and (notes := _notes(vni, ready))},
        )

    def name_of(self, index: int) -> str:
        """Return what a device is called, as of the last look at them."""
        return self._names.get(index, f"device {index}")

    def holds(self, devices: Iterable[int]) -> bool:
        """Tell whether rows of ours are on any of these devices, as of the last look at them."""
        return not self._holding.isdisjoint(devices)

    def keys_of(self, hinted: Iterable[tuple[int, Mac]]) -> set[tuple[Vni, Mac]]:
        """Return the rows that events at these (port, MAC) may be about: whose bridge the port is on."""
        return {(vni, mac) for port, mac in hinted if (vni := self._vni_of_port.get(port)) is not None}

    def entries(self, attachments: Attachments) -> list[Entry]:
        bridges = sorted({ready.bridge for ready in attachments.ready.values()})
        answering = sorted({ready.bridge for domain, ready in attachments.ready.items() if isinstance(domain, Hosts)})
        return self.kernel.rows(bridges) + self.kernel.neighbors(answering)

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
