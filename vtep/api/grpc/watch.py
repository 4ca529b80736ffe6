"""Streams of changes: the table, SYNCED, then batches as they come. All readers share the work for a batch.

    source ── batch ──> body (made once, shared) ──┬─> + token of this stream ──> write, and wait until it is taken
                                                   └─> + token of that stream ──> ...

Messages are joined as octets: protobuf reads two messages in a row as one with the fields of both. There is no queue
here: a stream asks for the next batch when its reader has taken the last one, and the source says when that was too
late. Knows no transport.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from vtep.api import tokens
from vtep.api.grpc import messages, requests, routed
from vtep.api.tokens import Cursor
from vtep.errors import VtepError
from vtep.intent import PrefixKey, RowKey
from vtep.observe.history import HistoryEntry
from vtep.observe.model import PrefixStatus
from vtep.observe.source import Batch, MacQuery, Source
from vtep.observe.turns import ROWS_A_TURN, Turns
from vtep.v1 import vtep_pb2 as pb

ROWS_A_RESPONSE: Final = 1000
"""Rows in one response; a larger batch is several, of which only the last one has a token."""
FIGURES_S: Final = 1.0
"""The figures of the daemon are made and sent at most this often."""
HEARTBEAT_S: Final = 10.0
"""After so long without anything to send, a stream sends its token, so that a reader knows that the daemon is
there."""
BODIES_KEPT: Final = 16
"""Batches whose octets are kept, for readers that take them a little later than the first reader."""


class Ended(VtepError):  # noqa: N818 - nothing is wrong
    """The daemon is stopping, and the stream ends."""


class Watching:
    """What all streams of a daemon share."""

    def __init__(self, source: Source, turns: Turns, ending: asyncio.Future[None]) -> None:
        self._source = source
        self._turns = turns
        self._ending = ending
        self._bodies: OrderedDict[int, tuple[Batch, asyncio.Task[list[bytes]]]] = OrderedDict()
        self._figures = b""
        self._figures_due = 0.0

    async def stream(self, request: pb.WatchRequest) -> AsyncGenerator[bytes, None]:
        """Yield one WatchResponse after another until the daemon ends, which raises Ended."""
        reader = _Reader(self, request)
        async for response in reader.begin():
            yield response
        news = self._source.batches(reader.cursor.revision)
        coming = asyncio.ensure_future(anext(news))
        try:
            while True:
                awaited: set[asyncio.Future[Any]] = {coming, self._ending}
                await asyncio.wait(awaited, timeout=FIGURES_S, return_when=asyncio.FIRST_COMPLETED)
                if self._ending.done():
                    raise Ended
                if not coming.done():
                    for response in reader.wait():
                        yield response
                    continue
                async for response in reader.take(coming.result()):
                    yield response
                coming = asyncio.ensure_future(anext(news))
        finally:
            coming.cancel()

    async def bodies(self, batch: Batch) -> list[bytes]:
        """Return the responses for a batch. They are made once, and shared by all readers."""
        known = self._bodies.get(id(batch))
        if known is None:
            known = batch, asyncio.create_task(self.make_bodies(batch))
            self._bodies[id(batch)] = known
            if len(self._bodies) > BODIES_KEPT:
                self._bodies.popitem(last=False)
        return await asyncio.shield(known[1])

    async def make_bodies(self, batch: Batch) -> list[bytes]:
        """Return a batch as responses without token; none if nothing is in it."""
        parts = (batch.macs, batch.gone, batch.prefixes, batch.gone_prefixes, batch.entries)
        rows = max(map(len, parts))
        starts = range(0, rows, ROWS_A_RESPONSE)
        return [await self._body(batch, start, min(start + ROWS_A_RESPONSE, rows)) for start in starts]

    async def _body(self, batch: Batch, start: int, end: int) -> bytes:
        slices = (slice(at, min(at + ROWS_A_TURN, end)) for at in range(start, end, ROWS_A_TURN))
        return b"".join([await self._turns.take(self._part, batch, part) for part in slices])

    def _part(self, batch: Batch, part: slice) -> bytes:
        wall = self._source.wall
        return pb.WatchResponse(
            macs=[messages.mac(row, wall) for row in batch.macs[part]],
            gone=[messages.mac_key(key) for key in batch.gone[part]],
            prefixes=[routed.prefix_row(row, wall) for row in batch.prefixes[part]],
            gone_prefixes=[routed.prefix_key(name) for name in batch.gone_prefixes[part]],
            events=[messages.event(entry, wall) for entry in batch.entries[part]],
        ).SerializeToString()

    async def table(self) -> AsyncIterator[bytes]:
        """Yield the tables of MACs and of prefixes, which are read page by page as the reader takes them."""
        async for body in self._macs():
            yield body
        key: PrefixKey | None = None
        while self._source.vrfs():
            page = await self._source.prefixes("", key, ROWS_A_TURN)
            if page.rows:
                yield await self._turns.take(self._prefixes, page.rows)
            if (key := page.last) is None:
                return

    def _prefixes(self, rows: Sequence[PrefixStatus]) -> bytes:
        wall = self._source.wall
        return pb.WatchResponse(prefixes=[routed.prefix_row(row, wall) for row in rows]).SerializeToString()

    async def _macs(self) -> AsyncIterator[bytes]:
        await self._source.prepare()
        after: RowKey | None = None
        parts: list[bytes] = []
        while True:
            after, part = await self._turns.take(self._page, after)
            parts.append(part)
            if after is None or len(parts) * ROWS_A_TURN >= ROWS_A_RESPONSE:
                yield b"".join(parts)
                parts = []
            if after is None:
                return

    def _page(self, after: RowKey | None) -> tuple[RowKey | None, bytes]:
        """Return the next rows of the table as octets, and the key after which to go on; None at its end."""
        page = self._source.macs(_EVERYTHING, after, ROWS_A_TURN)
        response = pb.WatchResponse(macs=[messages.mac(row, self._source.wall) for row in page.rows])
        return page.last, response.SerializeToString()

    def figures(self) -> bytes:
        """Return the daemon's figures, looked up once a second at most; the same object while they are the same."""
        now = asyncio.get_running_loop().time()
        if now >= self._figures_due:
            self._figures_due = now + FIGURES_S
            status = messages.get_status_response(self._source.status(), self._source.wall)
            figures = pb.WatchResponse(status=status).SerializeToString()
            if figures != self._figures:
                self._figures = figures
        return self._figures


class _Reader:
    """One stream: how far it was sent."""

    def __init__(self, watching: Watching, request: pb.WatchRequest) -> None:
        self._watching = watching
        self._source = source = watching._source
        self._table_wanted = not request.changes_only
        self._since = requests.time(request.events_since, "events_since") if request.HasField("events_since") else None
        resumed = tokens.resume_cursor(source.epoch, request.resume_token) if request.resume_token else None
        self._has_lagged = bool(request.resume_token) and resumed is None
        """The token is from an earlier life of the daemon, so the reader may have missed changes."""
        self._goal: int | None = source.revision
        """SYNCED is sent at this revision; None after it was sent."""
        self._resumed = resumed is not None
        """The reader goes on where it was, and needs no table."""
        self.cursor = resumed or Cursor(source.revision, source.status().events)
        self._figures = b""
        self._figures_due = 0.0
        self._silent_since = 0.0

    async def begin(self) -> AsyncIterator[bytes]:
        """Yield what comes before the first change."""
        if self._resumed:
            if self.cursor.revision == self._goal:
                yield self._synced()
            return
        if self._has_lagged:
            yield _marked(pb.WATCH_MARK_LAGGED)
        entries = self._source.entries(since=self._source.clock(self._since))[0] if self._since is not None else ()
        async for response in self._everything(entries):
            yield response

    async def take(self, batch: Batch | None) -> AsyncIterator[bytes]:
        """Yield a batch, or everything if batches were missed."""
        if batch is None:
            yield _marked(pb.WATCH_MARK_LAGGED)
            entries = self._source.entries(after=self.cursor.entry)[0]
            self.cursor = Cursor(self._source.revision, self.cursor.entry)
            async for response in self._everything(entries):
                yield response
            return
        *first, last = await self._bodies(batch) or [b""]
        for body in first:
            yield body
        latest = batch.entries[-1].number if batch.entries else 0
        self.cursor = Cursor(batch.revision, max(self.cursor.entry, latest))
        if self._goal is not None and batch.revision >= self._goal:
            yield last + self._synced()
        else:
            yield last + self._end()

    def wait(self) -> Sequence[bytes]:
        """Return what to send after a second without changes: changed figures, a sign of life, or nothing."""
        is_due = asyncio.get_running_loop().time() >= self._silent_since + HEARTBEAT_S
        return [self._end()] if is_due or self._watching.figures() is not self._figures else []

    async def _everything(self, entries: Sequence[HistoryEntry]) -> AsyncIterator[bytes]:
        """Yield the events that the reader lacks, the table if it wants one, and SYNCED."""
        for body in await self._watching.make_bodies(Batch(self.cursor.revision, entries=entries)):
            yield body
        if entries:
            self.cursor = Cursor(self.cursor.revision, max(self.cursor.entry, entries[-1].number))
        if self._table_wanted:
            async for body in self._watching.table():
                yield body
        yield self._synced()

    async def _bodies(self, batch: Batch) -> list[bytes]:
        """Return a batch without events that the reader has had; only then is it made for this reader alone."""
        if not batch.entries or batch.entries[0].number > self.cursor.entry:
            return await self._watching.bodies(batch)
        later = [entry for entry in batch.entries if entry.number > self.cursor.entry]
        return await self._watching.make_bodies(replace(batch, entries=later))

    def _synced(self) -> bytes:
        self._goal = None
        return _marked(pb.WATCH_MARK_SYNCED) + self._end()

    def _end(self) -> bytes:
        """End a response: with the token after it, and with the figures if they changed and are due."""
        now = self._silent_since = asyncio.get_running_loop().time()
        token = pb.WatchResponse(resume_token=tokens.resume_token(self._source.epoch, self.cursor)).SerializeToString()
        figures = self._watching.figures()
        if figures is self._figures or now < self._figures_due:
            return token
        self._figures, self._figures_due = figures, now + FIGURES_S
        return token + figures


def _marked(mark: pb.WatchMark) -> bytes:
    return pb.WatchResponse(mark=mark).SerializeToString()


_EVERYTHING: Final = MacQuery()
