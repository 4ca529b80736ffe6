"""ExaBGP as a feed: what arrives at the feed socket, as messages, and commands back to ExaBGP.

    relay ──▶ Stream ──items──▶ LineReader ──messages──▶ the daemon
      ▲                              └─answers─▶ Dialog ──reports──▶ on_report
      └─────────────── lines ◀──────────────────┘  ▲
                                                   └──commands── the daemon

`Stream` (`socket`) has the socket and the queue, `LineReader` (`lines`) the meaning of the lines, `Dialog` (`dialog`) what was
said to ExaBGP; this module joins the three to what `feed.contract` promises. The process id of ExaBGP, its counters and the words of its answers end here.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, assert_never

from vtep import logs
from vtep.addr import Ip
from vtep.evpn.advertise import Command
from vtep.evpn.event import Attached, Detached, Message, Missed, Received
from vtep.feed.contract import Report
from vtep.feed.exabgp import protocol
from vtep.feed.exabgp.answers import FINAL_ANSWERS, Answered
from vtep.feed.exabgp.dialog import Dialog
from vtep.feed.exabgp.grammar import OCTETS, OCTETS_ANSWER
from vtep.feed.exabgp.lines import LineReader
from vtep.feed.exabgp.socket import Stream

LOG_EVERY_S: Final = 1.0
BAD_NLRIS_LOGGED: Final = 3
"""Of one message; the counter has them all."""

PLAIN: Final = (
    "a malformed UPDATE, or a PMSI attribute with an IPv6 or empty endpoint, can end the session with all its routes"
)
"""What plain ExaBGP does, up to 4.2.25 and 5.0.15 for the first and up to 5.0.12 for the second."""

log = logging.getLogger(__name__)


class ExabgpFeed:
    """The feed of one ExaBGP, by way of its relay."""

    def __init__(
        self,
        path: str | Path,
        *,
        mode: int = 0o660,
        group: str = "",
        octets: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """With `octets`, an ExaBGP that can hand on UPDATEs as they came is asked to; it then needs far less time."""
        self._octets = octets
        self._asking = False
        """The answer whether it can has not come yet."""
        self._form = ""
        """How ExaBGP hands UPDATEs on, where neighbors are configured for nothing else."""
        self._stream = Stream(path, mode=mode, group=group)
        self._reader = LineReader(self._answer)
        self.on_report: Callable[[Report], None] = lambda _: None
        """Takes what became of commands, in order."""
        self._dialog = Dialog(self._stream.send, self._report, clock)
        self._pid: int | None = None
        """The ExaBGP that was attached last."""
        self._log_again_at = 0.0
        self._unlogged = 0
        """Malformed messages since the last line of the log about one."""

    async def start(self) -> None:
        """Open the feed socket. A HostError says why that cannot be."""
        await self._stream.start()

    async def stop(self) -> None:
        """Close the feed socket, after the commands under way have left or soon."""
        await self._stream.stop()

    @property
    def arrived(self) -> asyncio.Event:
        """Is set when something has arrived."""
        return self._stream.arrived

    async def events(self) -> list[Message]:
        """Return the messages that arrived together; wait for them if there are none."""
        return self._messages(await self._stream.receive())

    def events_at_once(self) -> list[Message] | None:
        """Return messages that arrived together, or None if nothing waits."""
        item = self._stream.receive_at_once()
        return None if item is None else self._messages(item)

    def form(self, peer: Ip | None) -> str:
        """Say how UPDATEs arrive, of a peer or at all: "octets", "parsed", or nothing while that is not known."""
        return self._form if peer is None else self._reader.forms.get(peer, "")

    @property
    def waiting(self) -> int:
        """How many messages have arrived and were not taken yet."""
        return self._stream.lines_waiting

    # Commands

    def ask(self) -> None:
        """Ask whether ExaBGP has the commands of `vtep exabgp`."""
        self._dialog.ask()

    def advertise(self, commands: Sequence[Command]) -> None:
        """Advertise or withdraw routes."""
        self._dialog.advertise(commands)

    def refresh(self, peer: Ip | None) -> None:
        """Have ExaBGP ask a peer for all of its routes again, or all peers."""
        self._dialog.refresh(peer)

    @property
    def room(self) -> int:
        """How many commands may be sent now."""
        return self._dialog.room

    @property
    def owes_since(self) -> float | None:
        """Since when ExaBGP owes an answer."""
        return self._dialog.owes_since

    # What arrives

    def _messages(self, item: protocol.Item) -> list[Message]:
        """Turn an item of the relay into messages of the feed contract."""
        match item:
            case protocol.Lines(lines=lines, replayed=replayed):
                messages: list[Message] = list(self._reader.read(lines, replayed=replayed))
                self._log_malformed(messages)
                return messages
            case protocol.Attached():
                return [self._attached(item)]
            case protocol.Detached():
                self._reader.end()
                self._dialog.end()
                self._form = ""
                return [Detached()]
            case protocol.Lost(lines=count):
                self._reader.forget()
                self._dialog.lose()
                return [Missed(count)]
            case protocol.Oversized(head=head, octets=octets):
                return [self._reader.refuse(head, octets, f"a line of {octets} octets")]
        assert_never(item)

    def _attached(self, relay: protocol.Attached) -> Attached:
        """Another relay of the same ExaBGP does not have the lines that the one before it took."""
        self._form = "" if self._octets else "parsed"
        if self._octets:
            self._asking = self._stream.send(OCTETS)
        again, self._pid = relay.exabgp_pid == self._pid, relay.exabgp_pid
        if not relay.guarded:
            logs.event(log, logging.WARNING, "exabgp is plain", why=PLAIN, hint="start it with: vtep exabgp")
        speaker = f"{relay.exabgp_pid}/{relay.exabgp_started}"
        self._dialog.begin(speaker)
        return Attached(speaker, f"ExaBGP {relay.exabgp_pid}", relay.complete and not again)

    def _report(self, report: Report) -> None:
        self.on_report(report)

    def _log_malformed(self, messages: list[Message]) -> None:
        """Log what is malformed, at most one line a second: a peer may send such messages all the time."""
        for message in messages:
            if not isinstance(message, Received) or not (message.malformed or message.bad_nlris):
                continue
            if (now := time.monotonic()) < self._log_again_at:
                self._unlogged += 1
                continue
            why = message.malformed or "; ".join(message.bad_nlris[:BAD_NLRIS_LOGGED])
            fields = {"peer": message.peer, "why": why, "more": self._unlogged}
            logs.event(log, logging.WARNING, "malformed message", **fields)
            self._log_again_at, self._unlogged = now + LOG_EVERY_S, 0

    def _answer(self, answer: Answered) -> None:
        """Keep the answer to our own question: the first final one after it was asked, for ExaBGP answers in order.

        If that one is the answer to an earlier command, ours is taken for it, and the number of answers is right again.
        """
        if self._asking and answer.text == OCTETS_ANSWER:
            self._form = "octets"
            log.info("exabgp sends octets", extra={"exabgp": answer.more})
        elif self._asking and answer.text in FINAL_ANSWERS:
            self._asking = False
            self._form = self._form or "parsed"
        else:
            self._dialog.receive(answer)
