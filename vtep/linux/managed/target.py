"""Where rows of devices can be written: on devices that bear our mark, and on those that are not there yet.

The target of the second engine. A device that is there without our mark has no domain that is ready, so none of its settings is
looked at; the device itself is contested, and says so. Knows the wish, because only a wanted row is told apart from what another
hand put on the same device.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

from vtep.linux.devices import Address, Link, Links
from vtep.linux.managed.kinds import ALL, NOT_OURS, Picture
from vtep.linux.managed.wish import DeviceRow, Wish
from vtep.linux.settings import fixed_of, is_ours
from vtep.linux.wire.device import DeviceMessage
from vtep.linux.wire.neighbor import Entry, Refusal
from vtep.reconcile.claims import Claim
from vtep.reconcile.contract import Attachments


class Devices(Protocol):
    """What the real kernel and the one in memory have in common."""

    def links(self) -> Links: ...
    def pictured(self) -> tuple[Links, list[Address], list[Entry]]: ...
    def send_devices(self, messages: Sequence[DeviceMessage]) -> list[Refusal]: ...


class DeviceTarget:
    """The devices of this network namespace as the engine's target."""

    def __init__(self, kernel: Devices, wish: Wish, claims: Mapping[Any, Claim]) -> None:
        self.kernel = kernel
        self.wish = wish
        self._claims = claims
        """Of devices, by their key."""
        self.picture: Picture | None = None
        """Read ahead of a pass by the owner, who takes it back if a device changes; a write of ours takes it back as well."""
        self.note: Callable[[DeviceMessage, Refusal | None], None] = lambda _message, _refusal: None
        """Is told each change that was sent, with its refusal if the kernel refused it."""

    def attachments(self) -> Attachments:
        """Say for each device whether rows may be written to it: it is ours, was never finished, or is not there yet."""
        links = self.kernel.links() if self.picture is None else self.picture.links
        ready: dict[Hashable, Any] = {ALL: self.wish}
        not_ready: dict[Hashable, tuple[str, ...]] = {}
        for name in self.wish.devices:
            link = links.by_name.get(name)
            if link is None or is_ours(link) or self._is_unfinished(link, links):
                ready[name] = 0 if link is None else link.index
            else:
                not_ready[name] = (NOT_OURS,)
        for link in links:
            if is_ours(link) and link.name not in self.wish.left_alone:
                ready.setdefault(link.name, link.index)
        return Attachments(ready, not_ready, unfit=not_ready)

    def _is_unfinished(self, link: Link, links: Links) -> bool:
        """Tell whether a crash of ours came between the making of a device and its mark: it is claimed, and has no alias at all."""
        claim = self._claims.get((link.name,))
        made = DeviceRow(link.kind, fixed_of(link, links))
        return claim is not None and not claim.confirmed and not link.alias and made in claim.rows

    def unreadable_entries(self, *_: object) -> list[Picture] | None:
        """Return None: only a dump of all devices shows their rows."""
        return None

    def entries(self, attachments: Attachments) -> list[Picture]:  # noqa: ARG002
        """Return one entry, the whole picture: devices are few, and a row may need two of them (`master`)."""
        ahead, self.picture = self.picture, None
        return [ahead or Picture(*self.kernel.pictured())]

    def look(self, lookups: Sequence[Any]) -> list[Any]:
        """Return nothing: rows of devices are seen in a survey alone."""
        return [None for _ in lookups]

    def unlike(self, check: Any) -> Sequence[int]:  # noqa: ARG002
        """Return nothing: no kind of device row compares many at once."""
        return ()

    def send(self, messages: Sequence[DeviceMessage]) -> list[Refusal]:
        self.picture = None
        refusals = self.kernel.send_devices(messages)
        refused = {refusal.index: refusal for refusal in refusals}
        for position, message in enumerate(messages):
            self.note(message, refused.get(position))
        return refusals
