"""What the daemon asks of a feed: the BGP speaker beside vtep, as messages in and routes out.

A feed is the connection to one BGP speaker. The daemon does not know which one: ExaBGP with its relay today
(`feed.exabgp`), another speaker by adding a folder here. A feed does four things.

**It reports.** `events` returns messages (`evpn.event.Message`) in the order in which things happened. `Received` carries
events in BGP's words: routes advertised and withdrawn, sessions opened and closed, End-of-RIB, refreshes begun and ended.

**It says whether anything was lost.** EVPN routes are state: one lost withdrawal is a MAC that stays behind the wrong VTEP
without end. So a feed must detect each loss, and answer two questions:

    Is this still the same stream?      Attached, Detached, and Continuity.RESTARTED on a message
    Was anything lost before this?      Attached.complete, Missed, Unreadable, and Continuity.GAP on a message

The RIB answers a loss with a refresh: the peer sends its routes again, and what does not come again is removed. It answers
the end of a stream by keeping every route as stale, because the loss of the speaker says nothing about the peers. How a
feed detects a loss is its own business: ExaBGP's counts lines for each peer and compares process ids.

**It carries commands.** `send` sends one line to the speaker: to advertise or withdraw a route of this leaf, or to ask a peer for
its routes (RFC 2918, RFC 7313). The answers go to `on_answer`, in order. `local.advertiser` writes the commands and matches the
answers, because a speaker may answer late, out of turn or not at all; so far it does that for ExaBGP alone. The end of a refresh
comes as a message, if the peer marks it.

A feed is never slow on purpose: while the daemon does not take messages, the feed holds a bounded number of them, and then
stops reading its speaker or reports `Missed`.
"""

import asyncio
from typing import Protocol

from vtep.evpn.event import Message


class Feed(Protocol):
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

    @property
    def waiting(self) -> int:
        """How many messages have arrived and were not taken yet."""

    def send(self, command: str) -> bool:
        """Send a command; False when the speaker is not attached or does not read."""
