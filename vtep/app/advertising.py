"""What this leaf advertises, in a running daemon: from the intent to ExaBGP, and from ExaBGP's answers back.

    intent ──▶ Exports ──routes──▶ Advertiser ──commands──▶ feed ──▶ ExaBGP
                                    │    ▲
        which VNIs may advertise ◀──┘    └──reports──────── feed

Joins these parts and logs what they report. Knows neither what a report means (`local.advertiser`) nor which route a
station becomes (`local.exports`), nor which speaker the feed has.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from vtep import logs
from vtep.addr import Ip, Mac, Vni
from vtep.app.state import StateDirectory
from vtep.config.model import Config
from vtep.evpn.advertise import Announcement, Route
from vtep.evpn.event import Attached, Detached
from vtep.feed.contract import Feed, Report
from vtep.intent import Intent, OwnKey
from vtep.linux.ledger import this_place
from vtep.local.advertised import AdvertisedLedger, sequences
from vtep.local.advertiser import ABLE, IDLE, UNABLE, Advertised, Advertiser
from vtep.local.exports import Exports, LocalRouter
from vtep.observe.model import AdvertisingStatus
from vtep.projection.leaf import Leaf

REFUSALS_LOGGED: Final = 10
"""At a time; the status has how many there are."""
WITHDRAW_S_MAX: Final = 4.0

log = logging.getLogger("vtep")


class Advertising:
    """The routes that one daemon advertises."""

    def __init__(self, config: Config, leaf: Leaf, feed: Feed, clock: Callable[[], float]) -> None:
        self._exports = Exports(config)
        self._leaf = leaf
        self._feed = feed
        self._clock = clock
        self._advertiser = Advertiser(feed, AdvertisedLedger(), random.random)
        self._advertiser.need(self._exports.is_needed, clock())
        self._boot = this_place()["boot"]
        self._differences: Iterator[dict[Route, Announcement | None]] | None = None
        """What is left to compare of the prefixes that are advertised with those that the VRFs reach."""
        self._reconfigured = False
        """The configuration changed, so every route must be compared with what is advertised."""
        self._logged = ("", "")
        """The state that was logged last, and why."""
        feed.on_report = self._report

    @contextlib.asynccontextmanager
    async def opened(self, config: Callable[[], Config], state: StateDirectory) -> AsyncIterator[None]:
        """Remember what is advertised while within; at the end, withdraw it where the configuration says so."""
        self.open(state)
        try:
            yield
            if config().node.on_stop == "drain":
                await self.withdraw(WITHDRAW_S_MAX)
        finally:
            self.close()

    def open(self, state: StateDirectory) -> None:
        """Read what an earlier daemon advertised."""
        self._advertiser.ledger = ledger = state.open(
            "announced", lambda path, afresh: AdvertisedLedger(path, afresh=afresh), "advertised routes unknown"
        )
        self._leaf.remember_advertised(_highest(ledger))
        for problem in self._exports.left_out:
            logs.event(
                log, logging.INFO, "vni advertises nothing", key=problem.path, why=problem.what, hint=problem.hint
            )

    def close(self) -> None:
        self._advertiser.ledger.close()

    def reconfigure(self, config: Config) -> None:
        before, self._exports = self._exports, Exports(config)
        self._exports.routers, self._exports.compared = before.routers, before.compared
        self._differences = self._exports.prefix_changes()
        self._advertiser.need(self._exports.is_needed, self._clock())
        self._reconfigured = True

    # The feed

    def attached(self, message: Attached) -> None:
        self._advertiser.attach(f"{self._boot}/{message.speaker}", self._clock())

    def detached(self) -> None:
        self._advertiser.detach(self._clock())

    def _report(self, report: Report) -> None:
        self._advertiser.take(report, self._clock())

    def refresh(self, peer: Ip | None) -> None:
        self._feed.refresh(peer)

    def advertise_again(self) -> None:
        """Send ExaBGP every route again."""
        self._advertiser.advertise_again()

    def send(self, now: float) -> None:
        """Send ExaBGP the commands that are due now."""
        self._advertiser.send(now)
        self._log_state()

    @property
    def able(self) -> bool:
        """Whether ExaBGP has the commands, or had them when it last answered."""
        return self._advertiser.can

    @property
    def due(self) -> float | None:
        return self._advertiser.due if self._differences is None else self._clock()

    # The intent

    def permit(self, is_ready: Callable[[Vni], bool]) -> None:
        """Set, before the next judgement, the VNIs whose stations count: those that are ready, if ExaBGP can
        advertise."""
        vnis = filter(is_ready, self._exports.vnis) if self._advertiser.can else ()
        self._leaf.set_advertising(frozenset(vnis))

    def learn_routers(self, routers: Mapping[Vni, LocalRouter]) -> None:
        """Take the VRFs that are ready, with what they reach: a VRF that is not ready advertises nothing."""
        routers = routers if self._advertiser.can else _NO_ROUTERS
        known = self._exports.routers
        if routers is not known:
            self._exports.learn_routers(routers)
            self._differences = self._exports.prefix_changes()
            if {vni: one.mac for vni, one in known.items()} != {vni: one.mac for vni, one in routers.items()}:
                self._reconfigured = True  # hosts have the Router's MAC as well
        if self._differences is None or self._reconfigured:
            return
        if (changes := next(self._differences, None)) is None:
            self._differences = None
        else:
            self._advertiser.want(changes)

    def follow(self, before: Intent, intent: Intent, *, seen: bool) -> None:
        """Take an intent; each must come once and in order. `seen` says that the kernel was read since the start."""
        if self._reconfigured:
            self._advertiser.want_only(self._exports.everything(intent))
            self._reconfigured = False
        elif intent is not before:
            self._advertiser.want(self._exports.changes(before, intent))
        if seen and intent.complete and self._advertiser.can and not self._advertiser.may_withdraw:
            self._advertiser.settle()

    # The end

    async def withdraw(self, most_s: float) -> None:
        """Withdraw every route, and wait for ExaBGP's answers until the time is over."""
        advertiser = self._advertiser
        before = len(advertiser.ledger.advertised)
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
        if before:
            level = logging.WARNING if left else logging.INFO
            logs.event(log, level, "routes withdrawn", routes=before - left, unanswered=left)

    # What may be read

    def routes(self) -> Iterable[Route]:
        return self._advertiser.routes()

    def of(self, route: Route) -> Advertised | None:
        return self._advertiser.of(route)

    def of_station(self, key: OwnKey) -> Advertised | None:
        """Return how far the speaker knows the route of a station, or of one of its host addresses."""
        route = self._exports.route(key)
        return None if route is None else self._advertiser.of(route)

    def status(self) -> AdvertisingStatus:
        left_out = tuple(f"{problem.what} ({problem.path.rpartition('.')[2]})" for problem in self._exports.left_out)
        return AdvertisingStatus(**msgspec.structs.asdict(self._advertiser.status()), left_out=left_out)

    def _log_state(self) -> None:
        advertiser = self._advertiser
        for refused in advertiser.news[:REFUSALS_LOGGED]:
            logs.event(log, logging.WARNING, "advertisement refused", command=refused.said, why=refused.text)
        advertiser.news.clear()
        before, self._logged = self._logged, (advertiser.state, advertiser.why)
        if before == self._logged:
            return
        if advertiser.state == UNABLE:
            logs.event(log, logging.WARNING, "not advertising", why=advertiser.why)
        elif advertiser.why and advertiser.state != IDLE:
            logs.event(log, logging.WARNING, "advertising waits", why=advertiser.why)
        elif advertiser.state == ABLE:
            logs.event(log, logging.INFO, "advertising", vnis=len(self._exports.vnis))


_NO_ROUTERS: Final[Mapping[Vni, LocalRouter]] = {}


def _highest(ledger: AdvertisedLedger) -> dict[tuple[Vni, Mac], int]:
    """Return the highest sequence number with which each MAC was advertised."""
    highest: dict[tuple[Vni, Mac], int] = {}
    for vni, mac, seq in sequences(ledger.advertised):
        highest[vni, mac] = max(seq, highest.get((vni, mac), 0))
    return highest
