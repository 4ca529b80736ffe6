"""The kernel's nftables, for the filters of Ethernet segments: read our tables, carry out transactions, follow what others do.

Knows which requests read a table, and how a transaction is answered. Does not know what an element means (`linux.filters`), and
tries nothing twice. It has a socket of its own, because nftables is not part of rtnetlink.
"""

import contextlib
import errno
import socket
from collections.abc import Collection
from functools import partial
from typing import Final

from vtep.errors import KernelError
from vtep.linux.events import ForeignEvents, foreign
from vtep.linux.socket import Connection, failure
from vtep.linux.wire import nftables
from vtep.linux.wire.nftables import Base, Element
from vtep.linux.wire.tlv import Answer

NETLINK_NETFILTER: Final = 12
NFNLGRP_NFTABLES: Final = 7
SEND_BUFFER: Final = 32 << 20
"""A transaction is one datagram. With the MACs of a large segment it takes megabytes."""
_SO_SNDBUFFORCE: Final = 32


class KernelNftables:
    """The kernel's, over a socket of its own, which is opened when it is first needed."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def events(self) -> "FilterEvents":
        """Open a socket for what other programs do to our tables. The caller closes it."""
        return FilterEvents(self._opened().port)

    def base(self) -> Base:
        connection = self._opened()
        tables = [
            one
            for one in connection.dump("filters", nftables.request_tables, nftables.parse)
            if isinstance(one, nftables.Table) and one.name == nftables.TABLE and one.family in _FAMILIES
        ]
        if not tables:
            return Base()
        chains = connection.dump("filters", nftables.request_chains, nftables.parse)
        rules = [
            rule
            for family in _FAMILIES
            for rule in connection.dump("filters", partial(nftables.request_rules, family=family), nftables.parse)
        ]
        return Base(
            tables=sum(not table.dormant for table in tables),
            chains=tuple(
                one.name
                for family in _FAMILIES
                for one in chains
                if isinstance(one, nftables.Chain)
                and one.family == family
                and one.table == nftables.TABLE
                and one.hooked
            ),
            rules=tuple(rule.tag for rule in rules if isinstance(rule, nftables.Rule) and rule.table == nftables.TABLE),
        )

    def elements(self) -> set[Element]:
        found: set[Element] = set()
        for name in nftables.SETS:
            try:
                dumped = self._opened().dump("filters", partial(nftables.request_elements, name=name), nftables.parse)
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
                continue
            found.update(one for one in dumped if isinstance(one, Element))
        return found

    def dropped(self) -> dict[str, int]:
        # A connection of its own: a pass in another thread may be using the other one.
        with contextlib.closing(_connected()) as connection:
            rules = connection.dump(
                "filters", partial(nftables.request_rules, family=nftables.NFPROTO_BRIDGE), nftables.parse
            )
        return nftables.dropped([rule for rule in rules if isinstance(rule, nftables.Rule)])

    def transact(self, add: Collection[Element], remove: Collection[Element], *, make: bool) -> Answer:
        return self._carry_out(*nftables.encode_transaction(self._opened().take_seqs(_SEQS), add, remove, make=make))

    def drop(self) -> Answer:
        return self._carry_out(*nftables.encode_drop(self._opened().take_seqs(_SEQS)))

    def _carry_out(self, datagram: bytes, last: int) -> Answer:
        connection = self._opened()
        answers, lost = connection.exchange("filters", datagram, nftables.parse)
        found = [(seq, answer) for _, seq, answer in answers if isinstance(answer, Answer)]
        refused = next((answer for _, answer in found if answer.errno), None)
        if refused is not None:
            return refused
        if lost or last not in [seq for seq, _ in found]:
            return Answer(errno.ENOBUFS, "the kernel's answer was lost")
        return Answer(0)

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = _connected()
            try:
                self._connection.socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SEND_BUFFER)
            except PermissionError:
                self._connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return self._connection


def _connected() -> Connection:
    try:
        return Connection(protocol=NETLINK_NETFILTER)
    except OSError as error:  # the kernel has no netlink for netfilter
        raise failure("filters", error) from error


_SEQS: Final = 1 << 16
"""More than the messages of a transaction."""
_FAMILIES: Final = (nftables.NFPROTO_INET, nftables.NFPROTO_BRIDGE)


class FilterEvents(ForeignEvents):
    """One socket that receives what other programs do to tables; what we do ourselves is dropped in the kernel."""

    def __init__(self, own_port: int) -> None:
        super().__init__(foreign(NFNLGRP_NFTABLES, own_port), _EVENT_BUFFER, NETLINK_NETFILTER)

    def drain(self, most: int = 1024) -> bool:
        """Read what is queued, without waiting; tell whether it concerns our tables, or may because something was lost."""
        concerned = False
        for datagram in self.datagrams(most):
            concerned |= datagram is None or nftables.concerns_us(datagram)
        return concerned


_EVENT_BUFFER: Final = 1 << 20
