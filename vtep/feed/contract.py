"""What the daemon asks of a feed: the BGP speaker beside vtep, as messages in and routes out.

A feed is the connection to a BGP speaker. The daemon does not know which one: ExaBGP with its relay (`feed.exabgp`), routers that
report by BMP (`feed.bmp`), another speaker by adding a folder here. A feed does four things.

**It reports.** `events` returns messages (`evpn.event.Message`) in the order in which things happened. `Received` carries
events in BGP's words: routes advertised and withdrawn, sessions opened and closed, End-of-RIB, refreshes begun and ended.

**It says whether anything was lost.** EVPN routes are state: one lost withdrawal is a MAC that stays behind the wrong VTEP
without end. So a feed must detect each loss, and answer two questions:

    Is this still the same stream?      Attached, Detached, and Continuity.RESTARTED on a message
    Was anything lost before this?      Attached.complete, Missed, Unreadable, and Continuity.GAP on a message

The RIB answers a loss with a refresh: the peer sends its routes again, and what does not come again is removed. It answers
the end of a stream by keeping every route as stale, because the loss of the speaker says nothing about the peers. How a
feed detects a loss is its own business: ExaBGP's counts lines for each peer and compares process ids.

**It carries commands** (`Speaker`): to advertise and withdraw routes of this leaf, and to ask a peer for its routes again (RFC
2918, RFC 7313). They are typed calls; what a speaker calls them, and how its answers are told apart, ends in the feed. What
became of them is reported to `on_report`, in the order in which the speaker answers:

    ask()             CanAdvertise, CannotAdvertise
    advertise(…)      Done or Refused, once for each route
    refresh(…)        nothing: the end of a refresh comes as a message, if the peer marks it
    at any time       AnswersLost: nothing is reported about earlier calls any more, so ask again

`local.advertiser` decides what is sent and when. It sends at most one command for a route until that one is reported, because a
speaker may answer late or not at all.

**To add a feed**: a folder beside `exabgp` with a class that has these methods, and a word of the configuration by which
`app/daemon.py` makes it. A speaker that can only be listened to answers `ask` with CannotAdvertise. UPDATEs as octets are read by
`evpn.update`. `tests/promises/test_toy_feed.py` runs one of sixty lines through the daemon's tasks.

A feed is never slow on purpose: while the daemon does not take messages, the feed holds a bounded number of them, and then
stops reading its speaker or reports `Missed`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from vtep.addr import Ip
from vtep.evpn.advertise import Command, Route
from vtep.evpn.event import Message


class CanAdvertise(Struct, frozen=True):
    """The speaker can advertise EVPN routes: commands have an effect from now on."""


class CannotAdvertise(Struct, frozen=True):
    """This speaker cannot advertise EVPN routes."""

    why: str


class Done(Struct, frozen=True):
    """The speaker keeps what the last command for this route asked, and sends it to its peers."""

    route: Route


class Refused(Struct, frozen=True):
    """The last command for this route changed nothing."""

    route: Route
    why: str
    said: str
    """The command in the speaker's words, for people."""


class AnswersLost(Struct, frozen=True):
    """Answers are missing or out of turn, so that no command that was not reported yet ever will be."""


Report: TypeAlias = CanAdvertise | CannotAdvertise | Done | Refused | AnswersLost


class Speaker(Protocol):
    """One BGP speaker, as far as it takes commands. What is sent while none is attached has no effect."""

    on_report: Callable[[Report], None]
    """Takes the reports, in order."""

    def ask(self) -> None:
        """Ask whether the speaker can advertise EVPN routes. Nothing is reported any more about earlier commands."""

    def advertise(self, commands: Sequence[Command]) -> None:
        """Advertise or withdraw routes, no route twice. Their order is kept except where a route passes another."""

    def refresh(self, peer: Ip | None) -> None:
        """Ask a peer for all of its routes again, or all peers."""

    @property
    def room(self) -> int:
        """How many commands may be sent now: those that wait in the speaker can no longer be changed."""

    @property
    def owes_since(self) -> float | None:
        """When the speaker was sent something after it had answered all, or when it last answered; None if it owes no answer."""


class Feed(Speaker, Protocol):
    """One BGP speaker, as the daemon sees it."""

    async def start(self) -> None:
        """Make it possible for the speaker to attach. A HostError says why that cannot be."""

    async def stop(self) -> None:
        """Let the speaker go, after what was sent has left or soon."""

    @property
    def arrived(self) -> asyncio.Event:
        """Is set when messages have arrived. Who waits for it clears it first."""

    async def events(self) -> list[Message]:
        """Return messages that arrived together, in order; wait for them if there are none."""

    def events_at_once(self) -> list[Message] | None:
        """Return messages that arrived together, or None if there are none."""

    def form(self, peer: Ip | None) -> str:
        """Say how UPDATEs arrive, of a peer or at all: "octets" as the peer sent them, "parsed" as the speaker reads them."""

    @property
    def waiting(self) -> int:
        """How many messages have arrived and were not taken yet."""
