"""Changes of devices over rtnetlink: each device is read first, so that only what differs is set, and only on a device of ours.

A setting that has its value already is not sent. Most are harmless, but the MAC of a bridge, set to what it is, deletes the neighbors
of the bridge (kernels 6.1 to 7.2). A device without our mark is refused, because another program may have made it again since
the survey. What the kernel cannot change in place is refused with the command; nothing is torn down for it unasked.
"""

import contextlib
import errno
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

from vtep.errors import KernelError
from vtep.linux.devices import Address, Link, Links
from vtep.linux.events import EVENTS_PER_DRAIN, LINKS, EventQueue, Hints
from vtep.linux.kernel import picture
from vtep.linux.settings import MARK, SETTINGS, adopted_alias, alias_before, is_adopted, is_ours, refuse_unfit
from vtep.linux.socket import REQUEST_BUFFER, Connection
from vtep.linux.wire.address import parse_addresses, request_addresses
from vtep.linux.wire.device import DeviceMessage, encode, request_link
from vtep.linux.wire.link import parse_links
from vtep.linux.wire.neighbor import Entry, Refusal, parse_neighbors, request_rows
from vtep.linux.wire.tlv import Answer

EVENT_BUFFER: Final = 1 << 20
"""Links change seldom, so an eighth of the buffer for rows is enough; an overrun is noticed and followed by a
survey."""


class DeviceKernel:
    """The devices of the network namespace in which this was made."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as opened:
            self._events = opened.enter_context(contextlib.closing(EventQueue(LINKS, EVENT_BUFFER)))
            self._requests = opened.enter_context(contextlib.closing(Connection(REQUEST_BUFFER)))
            self._dumps = opened.enter_context(contextlib.closing(Connection(REQUEST_BUFFER)))
            opened.pop_all()
        self._dumping = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for queue in (self._requests, self._dumps, self._events):
            queue.close()

    def links(self) -> Links:
        return picture(self._requests)

    def addresses(self) -> list[Address]:
        return self._requests.dump("addresses", request_addresses, parse_addresses)

    def pictured(self) -> tuple[Links, list[Address], list[Entry]]:
        """Return devices, addresses, and the MACs that our bridges take as their own in their VLANs.

        It has a socket of its own: it may be called in threads, which wait for each other.
        """
        with self._dumping:
            links = picture(self._dumps)
            addresses = self._dumps.dump("addresses", request_addresses, parse_addresses)
            own_macs: list[Entry] = []
            for link in links:
                if link.bridge is not None and link.bridge.vlan_filtering and is_ours(link):
                    # Asked for a bridge as a port, the kernel returns the rows that have no port (6.1 to 7.2).
                    own_macs += self._dumps.dump("rows", partial(request_rows, port=link.index), parse_neighbors)
            return links, addresses, own_macs

    def events_fileno(self) -> int:
        return self._events.fileno()

    def drain(self, most: int = EVENTS_PER_DRAIN) -> Hints:
        return self._events.drain(most)

    def send_devices(self, messages: Sequence[DeviceMessage]) -> list[Refusal]:
        """Carry out the changes one after the other, and return those that were refused."""
        refusals = []
        for place, message in enumerate(messages):
            try:
                self._carry_out(message)
            except KernelError as error:
                refusals.append(Refusal(place, error.errno, error.message))
        return refusals

    def adopt(self, name: str) -> None:
        """Put our mark on a device, at an operator's wish; the alias that it has follows the mark."""
        link = self._link(name)
        self._ask(DeviceMessage("set", name, "alias", adopted_alias("" if link is None else link.alias)))

    def remove(self, name: str) -> None:
        """Remove a device, at an operator's wish, no matter who made it."""
        self._ask(DeviceMessage("remove", name))

    def _carry_out(self, message: DeviceMessage) -> None:
        """Make, set or remove one device. A new device bears our mark at once, and a setting that is right is not set again."""
        link = self._link(message.device)
        refuse_unfit(message, link)
        if link is None:
            self._ask(message)
            self._ask(DeviceMessage("set", message.device, "alias", MARK))
        elif message.act == "remove" and is_adopted(link):
            self._ask(DeviceMessage("set", link.name, "alias", alias_before(link.alias)))
        elif not (message.act == "set" and self._has(link, message)):
            self._ask(message)

    def _has(self, link: Link, message: DeviceMessage) -> bool:
        """Tell whether a setting has its value already, or is one that this kernel does not have."""
        around = [link]
        if message.what == "master" and link.master is not None and (master := self._link(link.master)) is not None:
            around.append(master)
        return SETTINGS[message.what].read(link, Links.of(around)) in (None, message.value)

    def _ask(self, message: DeviceMessage) -> None:
        """Send one request and wait for its answer. Forwarding of IPv6 has no netlink message and is a sysctl."""
        if message.what == "forwards_v6":
            _write_sysctl(f"ipv6/conf/{message.device}/forwarding", bool(message.value))
            return
        seq = self._requests.take_seqs(1)
        datagram = encode(message, self._index, seq)
        answers, _ = self._requests.exchange("devices", datagram, parse_links)
        found = (answer for _, answered, answer in answers if answered == seq and isinstance(answer, Answer))
        answer = next(found, Answer(errno.ENOBUFS, "the kernel's answer was lost"))
        if answer.errno:
            raise KernelError(message.act, answer.errno, answer.text, message.device)

    def _index(self, name: str) -> int:
        """Return the index of a device by its name, asked at this moment; ENODEV if it is gone."""
        link = self._link(name)
        if link is None:
            raise KernelError("devices", errno.ENODEV, f"there is no device {name}", name)
        return link.index

    def _link(self, device: str | int) -> Link | None:
        """Read one device by its name or its index. None if it is not there, or if the answer was lost."""
        seq = self._requests.take_seqs(1)
        answers, _ = self._requests.exchange("device", request_link(device, seq), parse_links)
        return next((found for _, answered, found in answers if answered == seq and isinstance(found, Link)), None)


def _write_sysctl(name: str, value: bool) -> None:
    """Set what netlink cannot: a unit that protects /proc/sys makes this fail, and the refusal says so."""
    path = Path("/proc/sys/net") / name
    try:
        path.write_text(f"{value:d}\n", encoding="ascii")
    except OSError as error:
        raise KernelError(
            "set",
            error.errno or errno.EIO,
            f"{path}: {error.strerror}; set net.ipv6.conf.all.forwarding=1 in /etc/sysctl.d",
        ) from None
