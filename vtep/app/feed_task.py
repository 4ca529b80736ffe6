"""The task that turns the feed's messages into the next intent, and hands the intent to all who follow it.

    feed ──messages──▶ leaf ──intent──┬──▶ kernel task      (what the kernel should have)
                        ▲             ├──▶ advertising      (what ExaBGP should advertise)
       bridge watcher ──┘             └──▶ observer         (what may be read)

One round takes what has arrived, judges once, and publishes. It waits for messages, for news of another task (`nudge`),
or for the moment at which time alone changes something: a hold that ends, a command to try again. While very much
arrives, the round judges a part of it and lets the other tasks run. Knows neither ExaBGP nor the kernel.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, assert_never

from vtep import logs
from vtep.addr import Vni
from vtep.app import gc
from vtep.app.advertising import Advertising
from vtep.app.kernel_task import KernelTask
from vtep.app.station_task import StationTask
from vtep.evpn.event import Attached, Detached, Message, Missed, Received, Unreadable
from vtep.feed.contract import Feed
from vtep.local.segment_ports import SegmentPorts
from vtep.observe.history import HistoryEntry
from vtep.observe.observer import Observer
from vtep.projection.leaf import Leaf

WORK_AT_ONCE: Final = 2048
"""MACs that one round judges: this and publishing the result block the loop for 25 to 35 ms in a table of a million."""
ITEMS_AT_ONCE: Final = 64
"""Batches of messages in one round. Messages that change nothing cause no work, and must not delay those that do."""

log = logging.getLogger("vtep")


class FeedDoor:
    """Where the BGP speaker attaches."""

    def __init__(self, feed: Feed, key: str = "feed.socket") -> None:
        self.key = key
        self.open = feed.start
        self.close = feed.stop


class FeedTask:
    """Messages in, intents out."""

    def __init__(
        self, feed: Feed, leaf: Leaf, observer: Observer, advertising: Advertising, clock: Callable[[], float]
    ) -> None:
        self.kernel: KernelTask | None = None
        self.stations: StationTask | None = None
        self._feed = feed
        self._has_exabgp = leaf.config.feed.exabgp
        self._leaf = leaf
        self._observer = observer
        self._advertising = advertising
        self._clock = clock
        self.segments = SegmentPorts(leaf.config.segments)
        self._collector = gc.Collector()

    def nudge(self) -> None:
        """Begin a round soon: another task changed something that must be judged."""
        self._feed.arrived.set()

    async def run(self) -> None:
        """Make round after round, until cancelled."""
        while True:
            messages = await self._next_messages()
            now = self._clock()
            self._leaf.tick(now)
            if messages is not None:
                self._take(messages, now)
                await self._take_what_waits(now)
            if self.kernel is not None:
                self._leaf.learn_own_macs(self.kernel.own_macs)
                self._leaf.learn_own_hosts(self.kernel.own_hosts)
                self._leaf.learn_ungrouped(self.kernel.ungrouped)
                self._advertising.learn_routers(self.kernel.routers())
                # Without a session no other leaf knows of this one, so two would deliver the same frames to a segment.
                is_heard = self._leaf.rib.is_heard
                may_advertise = self._advertising.able and self._leaf.intent.complete and is_heard
                self.segments.see(self.kernel.port_of, now, may_advertise=may_advertise)
                self._leaf.set_segments(self.segments.states)
                self._note_segments()
            self._advertising.permit(self._is_ready)
            self._judge(now, None if messages is None else now)
            for peer in self._leaf.refreshes(now):
                self._advertising.refresh(peer)
                logs.event(
                    log, logging.INFO, "route refresh requested", peer=peer or "all", sent=self._observer.attached
                )
            self._advertising.send(now)
            if self._collector.is_due:
                await asyncio.sleep(0)  # other tasks run before the collection, which takes some milliseconds
                self._collector.look()

    def _note_segments(self) -> None:
        """Log how the ports of our Ethernet segments are, where that changed, and tell the observer."""
        before, now = self._observer.segment_ports, self.segments.status()
        for one in now if now != before else ():
            if one not in before:
                level = logging.WARNING if one.why else logging.INFO
                logs.event(log, level, "segment", esi=one.segment, port=one.port, state=one.state, why=one.why or None)
        self._observer.segment_ports = now

    def _judge(self, now: float, received_at: float | None) -> None:
        """Judge what changed, and hand the intent to all who follow it."""
        before = self._leaf.intent
        intent = self._leaf.judge(now, WORK_AT_ONCE)
        if self.stations is not None:
            self.stations.look_again(self._leaf.take_unverified(), complete=intent.complete)
        if (intent.complete, intent.why) != (before.complete, before.why):
            name = "routes complete" if intent.complete else "routes incomplete"
            logs.event(log, logging.INFO, name, why=intent.why)
        self._observer.note_intent(before, intent)
        self._observer.note_peers()
        if intent is not before:
            self._collector.count(len(intent.touched) + len(intent.touched_hosts))
        if self.kernel is not None:
            self.kernel.follow(intent, received_at, judged_all=self._leaf.is_rejudged)
        self._advertising.follow(before, intent, seen=self.kernel is None or self.kernel.was_read)

    def _is_ready(self, vni: Vni) -> bool:
        return self.kernel is not None and self.kernel.is_ready(vni)

    async def _next_messages(self) -> list[Message] | None:
        """Return messages; None if time or a nudge came first, or if there is more to judge."""
        await asyncio.sleep(0)  # other tasks get a turn even while messages wait
        messages = self._feed.events_at_once()
        if messages is not None or self._leaf.unjudged:
            return messages
        due = min(
            (time for time in (self._leaf.due, self._advertising.due, self.segments.due) if time is not None),
            default=None,
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                await self._feed.arrived.wait()
        self._feed.arrived.clear()
        return self._feed.events_at_once()

    async def _take_what_waits(self, now: float) -> None:
        """Take more messages before judging, because many MACs that are judged together cost less each."""
        for _ in range(ITEMS_AT_ONCE):
            if self._leaf.unjudged >= WORK_AT_ONCE or (messages := self._feed.events_at_once()) is None:
                break
            await asyncio.sleep(0)  # other tasks get a turn
            self._take(messages, now)
        await asyncio.sleep(0)

    def _take(self, messages: list[Message], now: float) -> None:
        """Hand messages to the leaf, and log and record when a speaker came, went, or lost some."""
        self._leaf.receive(messages, now)
        for message in messages:
            match message:
                case Received() | Unreadable():
                    self._observer.last_line = now
                case Attached():
                    is_bmp = bool(message.feed)
                    self._observer.record(
                        HistoryEntry("bmp-connected" if is_bmp else "exabgp-connected", text=message.name)
                    )
                    event = "bmp connected" if is_bmp else "exabgp connected"
                    logs.event(log, logging.INFO, event, speaker=message.name, complete=message.complete)
                    if self._is_first(message):
                        self._observer.attached = True
                        self._advertising.attached(message)
                case Detached():
                    is_bmp = bool(message.feed)
                    held = "every route that it reported is held as stale"
                    self._observer.record(
                        HistoryEntry("bmp-disconnected" if is_bmp else "exabgp-disconnected", text=held)
                    )
                    event = "bmp disconnected" if is_bmp else "exabgp disconnected"
                    logs.event(log, logging.WARNING, event, held="every route as stale")
                    if self._is_first(message):
                        self._observer.attached = False
                        self._advertising.detached()
                case Missed(messages=count):
                    logs.event(log, logging.WARNING, "exabgp lines lost", lines=count)
                    self._observer.record(HistoryEntry("exabgp-lines-lost", text=f"{count} lines"))
                case _:
                    assert_never(message)

    def _is_first(self, message: Attached | Detached) -> bool:
        """Tell whether the message is about the stream that takes commands; routers beside ExaBGP take none."""
        return not (message.feed and self._has_exabgp)
