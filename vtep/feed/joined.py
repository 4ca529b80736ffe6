"""ExaBGP and routers that report by BMP, as one feed.

    ExaBGP ──▶ ExabgpFeed ──messages──┐
                  ▲                   ├──▶ the daemon, one picture
    routers ──▶ BmpFeed ───messages───┘
                  └── commands go to ExaBGP alone

Each message has the name of its stream, so the end of ExaBGP does not touch what routers report, and the other way round
(`evpn.rib.Rib.lose_feed`). What is left to decide is whose peer an address is, because one address is one peer.

**ExaBGP goes before BMP.** Its session is one of this leaf: it can be asked for its routes again, and BMP cannot. So when ExaBGP has
a session with a peer that a router reports, the router's routes are held as stale until ExaBGP's have come (`BmpFeed.cede`). From then
on the peer is ExaBGP's, whether its session is up or not, until ExaBGP itself ends; then routers that report it connect again and
send everything (`BmpFeed.reclaim`). A session that ExaBGP only tries to establish takes nothing.

This module knows no octet and no line of either.
"""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import structs

from vtep.addr import Ip
from vtep.evpn.advertise import Command
from vtep.evpn.event import Detached, Message, PeerOpened, Received, SessionClosed, SpeakerStopped
from vtep.feed.bmp.feed import BmpFeed
from vtep.feed.bmp.router import BMP
from vtep.feed.contract import Feed, Report

_TAKEN_OVER = "ExaBGP has a session with this peer now"


class JoinedFeed:
    """A feed that takes commands, and routers beside it. Both have one `arrived`."""

    def __init__(self, exabgp: Feed, bmp: BmpFeed) -> None:
        self._exabgp = exabgp
        self._bmp = bmp
        self.arrived = exabgp.arrived
        self._sessions: set[Ip] = set()
        """The peers with which this ExaBGP has or had a session."""
        self._opened: dict[Ip, Message] = {}
        """The last OPEN that ExaBGP received from a peer that a router reports; it comes before the session."""
        self._bmp_is_next = False

    async def start(self) -> None:
        """Let both attach."""
        await self._exabgp.start()
        await self._bmp.start()

    async def stop(self) -> None:
        """Let both go."""
        await self._bmp.stop()
        await self._exabgp.stop()

    async def events(self) -> list[Message]:
        """Return messages that arrived together; wait for them if there are none."""
        await asyncio.sleep(0)
        while (messages := self.events_at_once()) is None:
            self.arrived.clear()
            await self.arrived.wait()
        return messages

    def events_at_once(self) -> list[Message] | None:
        """Return messages of the one and of the other in turn, so that neither waits for the whole table of the other."""
        self._bmp_is_next = not self._bmp_is_next
        for is_bmp in (not self._bmp_is_next, self._bmp_is_next):
            messages = self._bmp.events_at_once() if is_bmp else self._exabgp.events_at_once()
            if messages is not None:
                return messages if is_bmp else [one for message in messages for one in self._of_exabgp(message)]
        return None

    def form(self, peer: Ip | None) -> str:
        """Say how UPDATEs arrive: those that routers report come as octets always."""
        is_bmp = peer is not None and self._bmp.reports(peer)
        return self._bmp.form(peer) if is_bmp else self._exabgp.form(peer)

    @property
    def waiting(self) -> int:
        """How many messages have arrived and were not taken yet."""
        return self._exabgp.waiting + self._bmp.waiting

    # Commands, all for ExaBGP

    @property
    def on_report(self) -> Callable[[Report], None]:
        """Takes the reports of ExaBGP."""
        return self._exabgp.on_report

    @on_report.setter
    def on_report(self, take: Callable[[Report], None]) -> None:
        self._exabgp.on_report = take

    def ask(self) -> None:
        """Ask whether ExaBGP can advertise."""
        self._exabgp.ask()

    def advertise(self, commands: Sequence[Command]) -> None:
        """Advertise or withdraw routes."""
        self._exabgp.advertise(commands)

    def refresh(self, peer: Ip | None) -> None:
        """Have ExaBGP ask a peer for all of its routes again; a peer that a router reports cannot be asked."""
        if peer is None or not self._bmp.reports(peer):
            self._exabgp.refresh(peer)

    @property
    def room(self) -> int:
        """How many commands may be sent now."""
        return self._exabgp.room

    @property
    def owes_since(self) -> float | None:
        """Since when ExaBGP owes an answer."""
        return self._exabgp.owes_since

    # Whose peer it is

    def _of_exabgp(self, message: Message) -> list[Message]:
        """Return what a message of ExaBGP means, after a peer that a router reports was taken over for it."""
        if isinstance(message, Received):
            if message.peer is None or message.peer in self._sessions:
                return [message]
            return self._meet(message.peer, message)
        if isinstance(message, Detached):
            ended, self._sessions = self._sessions, set()
            self._opened.clear()
            self._bmp.reclaim(ended)
        return [message]

    def _meet(self, peer: Ip, message: Received) -> list[Message]:
        """Take the peer if this shows a session with it; until then, what ExaBGP says of a peer of a router does not count."""
        is_reported = self._bmp.reports(peer)
        if all(isinstance(event, SessionClosed | PeerOpened | SpeakerStopped) for event in message.events):
            if not is_reported:
                return [message]
            if any(isinstance(event, PeerOpened) for event in message.events):
                self._opened[peer] = message
            return [structs.replace(message, events=(), peer=None)]
        self._sessions.add(peer)
        self._bmp.cede(peer)
        opened = self._opened.pop(peer, None)
        if not is_reported:
            return [message]
        ended = SessionClosed(peer, _TAKEN_OVER, lost=False, speaker_stops=True)
        before: list[Message] = [Received((ended,), peer=peer, feed=BMP)]
        return [*before, *([] if opened is None else [opened]), message]
