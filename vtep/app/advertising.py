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
from vtep.config.model import Config
from vtep.errors import LedgerError
from vtep.evpn.event import Attached, Detached
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.feed import ExabgpFeed
from vtep.feed.exabgp.grammar import spell
from vtep.intent import Intent
from vtep.linux.ledger import this_place
from vtep.local.advertised import AdvertisedLedger, sequences
from vtep.local.advertiser import ABLE, IDLE, UNABLE, Advertiser
from vtep.local.exports import Exports
from vtep.observe.model import AnnouncingStatus
from vtep.projection.leaf import Leaf

REFUSALS_LOGGED: Final = 10
"""At a time; the status tells how many there are."""

log = logging.getLogger("vtep")


class Advertising:
    """One daemon's announcements."""

    def __init__(self, config: Config, leaf: Leaf, feed: ExabgpFeed, clock: Callable[[], float]) -> None:
        self._exports = Exports(config)
        self._leaf = leaf
        self._feed = feed
        self._clock = clock
        self._advertiser = Advertiser(AdvertisedLedger(), random.random)
        self._advertiser.need(bool(self._exports.vnis), clock())
        self._boot = this_place()["boot"]
        self._anew = False
        """The announcements mean something else by another configuration."""
        self._told_log = ("", "")
        feed.on_answer = self._receive

    def open(self, path: Path) -> None:
        """Take what an earlier life told; a file that cannot be believed is set aside, with its reason told."""
        try:
            ledger = AdvertisedLedger(path)
        except LedgerError as error:
            aside = path.with_name(f"{path.name}.refused")
            path.replace(aside)
            logs.event(log, logging.ERROR, "announcements of an earlier life unknown", why=error, kept=aside)
            ledger = AdvertisedLedger(path)
        if ledger.torn:
            logs.event(log, logging.WARNING, "ledger had a torn tail", octets=ledger.torn)
        self._advertiser.ledger = ledger
        self._leaf.remember_advertised(_highest(ledger))
        for problem in self._exports.left_out:
            logs.event(
                log, logging.INFO, "vni announces nothing", key=problem.path, why=problem.what, hint=problem.hint
            )

    def close(self) -> None:
        self._advertiser.ledger.close()

    def reconfigure(self, config: Config) -> None:
        self._exports = Exports(config)
        self._advertiser.need(bool(self._exports.vnis), self._clock())
        self._anew = True

    # The feed

    def attached(self, message: Attached) -> None:
        self._advertiser.attach(f"{self._boot}/{message.speaker}", self._clock())

    def detached(self) -> None:
        self._advertiser.detach(self._clock())

    def lost(self) -> None:
        """Lines are missing, and answers may be among them."""
        self._advertiser.lose(self._clock())

    def _receive(self, answer: Answered) -> None:
        self._advertiser.receive(answer, self._clock())

    def refresh(self, peer: Ip | None) -> None:
        self._advertiser.refresh(peer)

    def advertise_again(self) -> None:
        """Tell ExaBGP everything once more."""
        self._advertiser.advertise_again()

    def send(self, now: float) -> None:
        """Give ExaBGP what it is to have now."""
        for line in self._advertiser.lines(now):
            self._feed.send(line)
        self._tell_log()

    @property
    def due(self) -> float | None:
        return self._advertiser.due

    # The intent

    def permit(self, is_ready: Callable[[Vni], bool]) -> None:
        """Say, before it is judged, where our stations count now."""
        vnis = filter(is_ready, self._exports.vnis) if self._advertiser.can else ()
        self._leaf.set_advertising(frozenset(vnis))

    def follow(self, before: Intent, intent: Intent, *, seen: bool) -> None:
        """Want what an intent wants, each once and in order; `seen` tells that the kernel was read."""
        if self._anew:
            self._advertiser.want_only(self._exports.everything(intent))
            self._anew = False
        elif intent is not before:
            self._advertiser.want(self._exports.changes(before, intent))
        if seen and intent.complete and self._advertiser.can and not self._advertiser.may_withdraw:
            self._advertiser.settle()

    # The end

    async def withdraw(self, most_s: float) -> None:
        """Take everything back, and wait so long for ExaBGP to have done it."""
        advertiser = self._advertiser
        told = len(advertiser.ledger.advertised)
        advertiser.end()
        try:
            async with asyncio.timeout(most_s):
                while advertiser.state == ABLE and not advertiser.idle:
                    self.send(self._clock())
                    for message in (messages := await self._feed.events()):
                        if isinstance(message, Detached):
                            self.detached()
                    self._leaf.receive(messages, self._clock())
        except TimeoutError:
            pass
        left = len(advertiser.ledger.advertised)
        if told:
            level = logging.WARNING if left else logging.INFO
            logs.event(log, level, "withdrawn", routes=told - left, unanswered=left)

    # What may be read

    def status(self) -> AnnouncingStatus:
        left_out = tuple(f"{problem.what} ({problem.path.rpartition('.')[2]})" for problem in self._exports.left_out)
        return AnnouncingStatus(**msgspec.structs.asdict(self._advertiser.status()), left_out=left_out)

    def _tell_log(self) -> None:
        advertiser = self._advertiser
        for refused in advertiser.news[:REFUSALS_LOGGED]:
            logs.event(log, logging.WARNING, "announcement refused", command=spell(refused.command), why=refused.text)
        advertiser.news.clear()
        told, self._told_log = self._told_log, (advertiser.state, advertiser.why)
        if told == self._told_log:
            return
        if advertiser.state == UNABLE:
            logs.event(log, logging.WARNING, f"announcing nothing: {advertiser.why}")
        elif advertiser.why and advertiser.state != IDLE:
            logs.event(log, logging.WARNING, "announcing waits", why=advertiser.why)
        elif advertiser.state == ABLE:
            logs.event(log, logging.INFO, "announcing", vnis=len(self._exports.vnis))


def _highest(ledger: AdvertisedLedger) -> dict[tuple[Vni, Mac], int]:
    """Return the highest sequence that each MAC was announced with."""
    highest: dict[tuple[Vni, Mac], int] = {}
    for vni, mac, seq in sequences(ledger.advertised):
        highest[vni, mac] = max(seq, highest.get((vni, mac), 0))
    return highest
