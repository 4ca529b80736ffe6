"""Where the filters of Ethernet segments can be written: the domain of a VNI, and the name of its VXLAN device.

Filters name devices by their names, so they can be written before a device is there, and they outlive it. What they need is a kernel
with nftables for bridges, and a VXLAN device that is for one VNI alone: in a frame that a device for many VNIs delivers, no rule can
see the VNI. This module knows which VXLAN device a VNI has, and nothing about ports or rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Vni
from vtep.config.model import VniConfig
from vtep.reconcile.contract import Attachments

UNAVAILABLE: Final = "no-filters"
"""The kernel has no nftables for bridges, or does not let us use it."""
SHARED: Final = "shared-vxlan"
"""The VXLAN device has other VNIs as well."""


class FilterDomain(Struct, frozen=True, order=True):
    """The domain of the filters of a VNI."""

    vni: int


class FilterPlace(Struct, frozen=True):
    """What the filters of a VNI name."""

    vni: Vni
    vxlan: str


class Filtered(dict[FilterDomain, FilterPlace]):
    """Every VNI whose filters can be written, and the way back from a VXLAN device to the VNI."""

    def __init__(self, ready: Mapping[Any, Any]) -> None:
        super().__init__({domain: place for domain, place in ready.items() if isinstance(domain, FilterDomain)})
        self._vni_of = {place.vxlan: place.vni for place in self.values()}

    def vni_of(self, vxlan: str) -> Vni | None:
        return self._vni_of.get(vxlan)


def filtered(attachments: Attachments) -> Filtered:
    """Return the VNIs whose filters can be written."""
    return Filtered(attachments.ready)


def survey(vnis: Iterable[VniConfig], *, available: bool) -> tuple[dict[Any, Any], dict[Any, tuple[str, ...]]]:
    """Return the VNIs whose filters can be written, and the others with the reasons."""
    ready: dict[Any, Any] = {}
    not_ready: dict[Any, tuple[str, ...]] = {}
    for vni in vnis:
        domain = FilterDomain(vni.vni)
        if not available:
            not_ready[domain] = (UNAVAILABLE,)
        elif vni.shares_vxlan:
            not_ready[domain] = (SHARED,)
        else:
            ready[domain] = FilterPlace(vni.vni, vni.vxlan)
    return ready, not_ready
