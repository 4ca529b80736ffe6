"""What this leaf announces, in a running daemon: from the intent to ExaBGP, and from ExaBGP's answers to who may announce.

    intent ──▶ Exports ──announcements──▶ Announcer ──lines──▶ feed
                                            │   ▲
           which VNIs may announce ◀────────┘   └──answers──── feed

Joins the parts and tells the log. Does not know what an answer means (`speaker.announcer`), nor what a station is announced as
(`local.announce`).
"""

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from vtep import logs
from vtep.addr import Ip, Mac, Vni
from vtep.config.file import Config
from vtep.errors import LedgerError
from vtep.evpn.event import Answered
from vtep.feed.exabgp.grammar import spell
from vtep.feed.exabgp.socket import Attached, Detached, Item, Lines, Stream
from vtep.intent import Intent
from vtep.linux.ledger import this_place
from vtep.local.advertised import ToldLedger, sequences
from vtep.local.advertiser import ABLE, IDLE, UNABLE, Announcer
from vtep.local.exports import Exports
from vtep.observe.model import AnnouncingStatus
from vtep.projection.leaf import Listener

REFUSALS_LOGGED: Final = 10
"""At a time; the status tells how many there are."""

log = logging.getLogger("vtep")


class Announcing:
    """One daemon's announcements."""

    def __init__(self, config: Config, listener: Listener, stream: Stream, clock: Callable[[], float]) -> None:
        self._exports = Exports(config)
        self._listener = listener
        self._stream = stream
        self._clock = clock
        self._announcer = Announcer(ToldLedger(), random.random)
        self._announcer.need(bool(self._exports.vnis), clock())
        self._boot = this_place()["boot"]
        self._anew = False
        """The announcements mean something else by another configuration."""
        self._told_log = ("", "")
        listener.on_answer = self._hear

    def open(self, path: Path) -> None:
        """Take what an earlier life told; a file that cannot be believed is set aside, with its reason told."""
        try:
            ledger = ToldLedger(path)
        except LedgerError as error:
            aside = path.with_name(f"{path.name}.refused")
            path.replace(aside)
            logs.event(log, logging.ERROR, "announcements of an earlier life unknown", why=error, kept=aside)
            ledger = ToldLedger(path)
        if ledger.torn:
            logs.event(log, logging.WARNING, "ledger had a torn tail", octets=ledger.torn)
        self._announcer.ledger = ledger
        self._listener.told_before(_highest(ledger))
        for problem in self._exports.left_out:
            logs.event(
                log, logging.INFO, "vni announces nothing", key=problem.place, why=problem.what, hint=problem.hint
            )

    def close(self) -> None:
        self._announcer.ledger.close()

    def reconfigure(self, config: Config) -> None:
        self._exports = Exports(config)
        self._announcer.need(bool(self._exports.vnis), self._clock())
        self._anew = True

    # The feed

    def attached(self, relay: Attached) -> None:
        self._announcer.attach(f"{self._boot}/{relay.exabgp_pid}/{relay.exabgp_started}", self._clock())

    def detached(self) -> None:
        self._announcer.detach(self._clock())

    def lost(self) -> None:
        """Lines are missing, and answers may be among them."""
        self._announcer.lose(self._clock())

    def _hear(self, answer: Answered) -> None:
        self._announcer.hear(answer, self._clock())

    def refresh(self, peer: Ip | None) -> None:
        self._announcer.refresh(peer)

    def tell_again(self) -> None:
        """Tell ExaBGP everything once more."""
        self._announcer.tell_again()

    def send(self, now: float) -> None:
        """Give ExaBGP what it is to have now."""
        for line in self._announcer.lines(now):
            self._stream.send(line)
        self._tell_log()

    @property
    def due(self) -> float | None:
        return self._announcer.due

    # The intent

    def permit(self, is_ready: Callable[[Vni], bool]) -> None:
        """Say, before it is judged, where our stations count now."""
        vnis = filter(is_ready, self._exports.vnis) if self._announcer.can else ()
        self._listener.may_announce(frozenset(vnis))

    def follow(self, before: Intent, intent: Intent, *, seen: bool) -> None:
        """Want what an intent wants, each once and in order; `seen` tells that the kernel was read."""
        if self._anew:
            self._announcer.want_only(self._exports.everything(intent))
            self._anew = False
        elif intent is not before:
            self._announcer.want(self._exports.changes(before, intent))
        if seen and intent.complete and self._announcer.can and not self._announcer.may_withdraw:
            self._announcer.settle()

    # The end

    async def withdraw(self, most_s: float) -> None:
        """Take everything back, and wait so long for ExaBGP to have done it."""
        announcer = self._announcer
        told = len(announcer.ledger.told)
        announcer.end()
        try:
            async with asyncio.timeout(most_s):
                while announcer.state == ABLE and not announcer.idle:
                    self.send(self._clock())
                    self._take(await self._stream.receive())
        except TimeoutError:
            pass
        left = len(announcer.ledger.told)
        if told:
            level = logging.WARNING if left else logging.INFO
            logs.event(log, level, "withdrawn", routes=told - left, unanswered=left)

    def _take(self, item: Item) -> None:
        if isinstance(item, Lines):
            self._listener.hear(item.lines, self._clock(), replayed=item.replayed)
        elif isinstance(item, Detached):
            self.detached()

    # What may be read

    def status(self) -> AnnouncingStatus:
        left_out = tuple(f"{problem.what} ({problem.place.rpartition('.')[2]})" for problem in self._exports.left_out)
        return AnnouncingStatus(**msgspec.structs.asdict(self._announcer.status()), left_out=left_out)

    def _tell_log(self) -> None:
        announcer = self._announcer
        for refused in announcer.news[:REFUSALS_LOGGED]:
            logs.event(log, logging.WARNING, "announcement refused", command=spell(refused.command), why=refused.text)
        announcer.news.clear()
        told, self._told_log = self._told_log, (announcer.state, announcer.why)
        if told == self._told_log:
            return
        if announcer.state == UNABLE:
            logs.event(log, logging.WARNING, f"announcing nothing: {announcer.why}")
        elif announcer.why and announcer.state != IDLE:
            logs.event(log, logging.WARNING, "announcing waits", why=announcer.why)
        elif announcer.state == ABLE:
            logs.event(log, logging.INFO, "announcing", vnis=len(self._exports.vnis))


def _highest(ledger: ToldLedger) -> dict[tuple[Vni, Mac], int]:
    """Return the highest sequence that each MAC was announced with."""
    highest: dict[tuple[Vni, Mac], int] = {}
    for vni, mac, seq in sequences(ledger.told):
        highest[vni, mac] = max(seq, highest.get((vni, mac), 0))
    return highest
