"""The pages of the metrics listener: the status page, the JSON that it is drawn from, the metrics, the probes.

The JSON belongs to the page and changes with it: programs use the API, or `vtep … -o json`. Reads a `Source` and nothing
else. Knows HTTP only as requests and responses.
"""

import base64
import hashlib
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from importlib.resources import files
from itertools import chain
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vtep.addr import VNI_MAX, Ip, Mac, Prefix, Vni
from vtep.api import metrics, tokens
from vtep.api.http.server import Request, Response, Server, own_names
from vtep.api.metrics import Metrics
from vtep.errors import HostError, Problem, UsageError
from vtep.logs import escaped
from vtep.observe.model import Counts, Explanation, VtepStatus
from vtep.observe.source import MacQuery, Source
from vtep.observe.turns import Turns

T = TypeVar("T")

FRESH_S: Final = 1.0
"""A long answer is made once in this time, however many clients ask for it."""
STUCK_S: Final = 180.0
"""The actor audits every minute: if it has been silent for three, it will not come back by itself."""
ENTRIES_MAX: Final = 200
"""Events in one answer: the latest ones."""
STATIONS_MAX: Final = 100
"""How many stations the page shows; `vtep macs --local` has all of them."""
MACS_A_PAGE: Final = 50
"""MACs in one answer; the token in it leads to the next ones."""
VTEPS_MAX: Final = 200
"""How many remote VTEPs the page shows; `vtep vteps` has all of them."""
VRFS_MAX: Final = 20
"""VRFs in which the search looks for a prefix or an address."""
VNIS_OF_A_VTEP_MAX: Final = 50
"""How many VNIs of one VTEP the page shows."""
PROBES: Final = ("/livez", "/readyz", "/metrics")
"""What supervisors and Prometheus ask: other readers may not take its place (see `vtep.api.http.server`)."""

_TIMES: Final = frozenset(
    ("started", "last_line", "opened", "audited", "next_try", "since", "owned_since", "seen", "duplicate_since", "time")
)
"""Fields that are times of the daemon's clock, and are shown as seconds since 1970."""


class Site:
    """The pages of one source."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic, fresh_s: float = FRESH_S) -> None:
        self._source = source
        self._clock = clock
        self._fresh_s = fresh_s
        self._metrics = Metrics(source)
        self._kept: dict[str, tuple[float, Any]] = {}
        """What was made last, by its name, with the time: pages by their paths, and what several pages show."""
        self._page = _page()
        self._turns = Turns()
        self._pages: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
            "/": self._in_turn(lambda _: self._page),
            "/metrics": self._in_turn(self._kept_for_a_while(lambda: Response(self._metrics.text(), metrics.KIND))),
            "/livez": self._at_once(self._live),
            "/readyz": self._at_once(self._ready),
            "/status.json": self._in_turn(self._kept_for_a_while(self._status)),
            "/vnis.json": self._in_turn(
                self._kept_for_a_while(lambda: _json(self._told({"vnis": self._source.vnis()})))
            ),
            "/events.json": self._in_turn(self._events),
            "/history.json": self._in_turn(lambda _: _json({"points": self._told(self._source.points())})),
            "/stations.json": self._stations,
            "/macs.json": self._macs,
            "/vteps.json": self._in_turn(self._kept_for_a_while(self._vteps)),
            "/vrfs.json": self._in_turn(
                self._kept_for_a_while(lambda: _json(self._told({"vrfs": self._source.vrfs()})))
            ),
            "/explain.json": self._explain,
        }

    async def answer(self, request: Request) -> Response:
        """Answer a request. A request that is wrong gets an answer that says what is wrong."""
        page = self._pages.get(request.path)
        if page is None:
            paths = "\n".join(self._pages)
            return Response(f"There is no such page. The pages are:\n{paths}\n", status=HTTPStatus.NOT_FOUND)
        try:
            return await page(request)
        except ValueError as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def _at_once(self, make: Callable[[], Response]) -> Callable[[Request], Awaitable[Response]]:
        """Return a page that is made when it is asked for: a probe costs little, and must not wait for other readers."""

        async def answer(_: Request) -> Response:
            return make()

        return answer

    def _in_turn(self, make: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        """Return a page that is made in a turn of its own, so that many readers do not hold the event loop."""

        async def answer(request: Request) -> Response:
            return await self._turns.take(make, request)

        return answer

    def _kept_for_a_while(self, make: Callable[[], Response]) -> Callable[[Request], Response]:
        """Return a page that is made once in FRESH_S for all clients. What they get may be that old."""

        def answer(request: Request) -> Response:
            return self._fresh(request.path, make)

        return answer

    def _fresh(self, name: str, make: Callable[[], T]) -> T:
        """Return what was made under this name, and make it again if it is older than FRESH_S."""
        now = self._clock()
        made, found = self._kept.get(name, (0.0, None))
        if found is None or now - made >= self._fresh_s:
            found = make()
            self._kept[name] = (now, found)
        return cast("T", found)

    def _live(self) -> Response:
        """Answer a liveness probe: whether a restart would help.

        It says no only if the actor has been silent for too long. A daemon without a kernel has no actor, and is
        alive.
        """
        alive = self._source.figures().actor_alive
        if alive is not None and (quiet_s := self._clock() - alive) > STUCK_S:
            text = f"no sign of the actor for {quiet_s:.0f} s\n"
            return Response(text, status=HTTPStatus.SERVICE_UNAVAILABLE)
        return Response("ok\n")

    def _ready(self) -> Response:
        """Answer a readiness probe: whether this leaf may get traffic.

        A degraded daemon may, with 200 and its problems in the text: what it has installed forwards, and other VNIs
        are not affected.
        """
        status = self._source.status()
        if status.state == "ready":
            return Response("ready\n")
        problems = "".join(f"{escaped(problem)}\n" for problem in status.problems or ("not ready yet",))
        if status.ready:
            return Response(f"degraded\n{problems}")
        return Response(problems, status=HTTPStatus.SERVICE_UNAVAILABLE)

    def _status(self) -> Response:
        status = self._source.status()
        figures = self._source.figures()
        moves, repaired = sum(figures.moves.values()), sum(figures.repaired.values())
        told = self._told(status)
        told |= {"ready": status.ready, "state": status.state, "problems": self._told(status.all_problems)}
        told["own_segments"] = figures.segments
        told["epoch"] = self._source.epoch
        told |= {"now": self._source.wall(self._clock()), "moves": moves, "repaired": repaired}
        return _json(told)

    def _events(self, request: Request) -> Response:
        after = _number(request, "after", 1 << 63)
        latest, forgotten = self._source.entries(after=after, latest=ENTRIES_MAX)
        return _json({"epoch": self._source.epoch, "forgotten": forgotten, "entries": self._told(latest)})

    async def _stations(self, _: Request) -> Response:
        page = await self._source.stations(None, None, STATIONS_MAX)
        rows = await self._turns.take(self._told, page.rows)
        return _json({"stations": rows, "total": page.total})

    async def _macs(self, request: Request) -> Response:
        """Return one page of the remote MACs; `next` asks for the one after it."""
        source, token = self._source, request.query.get("after", "")
        try:
            after = tokens.macs_after(source.epoch, token) if token else None
        except UsageError as error:
            raise ValueError(str(error)) from None
        await source.prepare()
        page = await self._turns.take(source.macs, MacQuery(), after, MACS_A_PAGE)
        rows = await self._turns.each(self._told, page.rows)
        following = tokens.macs_token(source.epoch, page.last) if page.last else ""
        return _json({"macs": list(chain.from_iterable(rows)), "total": page.total, "next": following})

    def _vteps(self) -> Response:
        """Return the remote VTEPs, each once for all VNIs: those with notes first."""
        rows = [
            {
                "vtep": vtep,
                "vnis": len(found),
                "macs": sum(one.macs for one in found),
                "floods": sum(one.flood for one in found),
                "notes": list(dict.fromkeys(note for one in found for note in one.notes)),
            }
            for vtep, found in sorted(self._by_vtep().items(), key=lambda one: one[0].order)
        ]
        rows.sort(key=lambda row: not row["notes"])
        return _json({"vteps": self._told(rows[:VTEPS_MAX]), "total": len(rows)})

    def _by_vtep(self) -> Mapping[Ip, Sequence[VtepStatus]]:
        """Return what the VNIs have of each remote VTEP, made once in FRESH_S for all clients."""

        def make() -> Mapping[Ip, Sequence[VtepStatus]]:
            found: dict[Ip, list[VtepStatus]] = {}
            for one in self._source.vteps(None):
                found.setdefault(one.vtep, []).append(one)
            return found

        return self._fresh("by VTEP", make)

    def _as_vtep(self, ip: Ip) -> dict[str, Any]:
        """Return what the VNIs have of a VTEP: the first VNIs, and how many there are."""
        found = self._by_vtep().get(ip, ())
        return {"vnis": self._told(found[:VNIS_OF_A_VTEP_MAX]), "total": len(found)}

    async def _explain(self, request: Request) -> Response:
        vni = _number(request, "vni", VNI_MAX)
        if ip := request.query.get("ip", ""):
            address = Ip.parse(ip)
            host = await self._source.explain_host(address, Vni(vni) if vni else None)
            told: dict[str, Any] = await self._turns.take(self._told, host)
            there = await self._turns.take(self._as_vtep, address)
            routed = await self._routed(Prefix.of(address, 8 * len(address)), every=False)
            return _json(told | routed | {"as_vtep": there})
        if prefix := request.query.get("prefix", ""):
            return _json(await self._routed(Prefix.parse(prefix), every=True))
        mac = Mac.parse(request.query.get("mac", ""))
        answer = await self._source.explain(mac, Vni(vni) if vni else None)
        explanations = [await self._explained(explanation) for explanation in answer.explanations]
        return _json({"explanations": explanations, "left_out": answer.left_out})

    async def _routed(self, prefix: Prefix, *, every: bool) -> dict[str, Any]:
        """Return where packets to a prefix go in each VRF, or only in those that have a route to it."""
        names = [vrf.name for vrf in self._source.vrfs()]

        def explained(name: str) -> dict[str, Any] | None:
            one = self._source.explain_prefix(prefix, name)
            return self._told(one) | {"summary": one.summary} if every or one.row is not None else None

        told = [await self._turns.take(explained, name) for name in names[:VRFS_MAX]]
        found = [one for one in told if one is not None]
        return {"routed": found, "vrfs": len(names), "vrfs_left_out": max(0, len(names) - VRFS_MAX)}

    async def _explained(self, explanation: Explanation) -> dict[str, Any]:
        """Turn an explanation into JSON, its candidates a few at a time: they may be many."""
        told: dict[str, Any] = await self._turns.take(self._told, replace(explanation, candidates=()))
        found = await self._turns.each(self._told, explanation.candidates)
        return told | {"candidates": list(chain.from_iterable(found))}

    def _told(self, value: Any, field: str = "") -> Any:
        """Turn a tree of structs into one that JSON has words for."""
        if isinstance(value, Struct):
            told = {name: self._told(getattr(value, name), name) for name in value.__struct_fields__}
            return told | {"pending": value.pending} if isinstance(value, Counts) else told
        if isinstance(value, Mapping):
            return {str(name): self._told(inner) for name, inner in value.items()}
        if isinstance(value, bytes):
            return str(value)
        if isinstance(value, Vni):
            return int(value)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._told(inner) for inner in value]
        return self._source.wall(value) if field in _TIMES and value is not None else value


async def start(address: str, site: Site) -> Server:
    """Serve the site at `host:port`; a HostError says why it cannot be served there."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    server = Server(site.answer, own_names() | {host}, PROBES)
    try:
        await server.start(host, int(port))
    except OSError as error:
        hint = 'use another address, end what listens there, or set metrics = "" to do without'
        # asyncio puts its own words around those of the system.
        what = str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise HostError(Problem("api.metrics", f"{address}: {what}", hint)) from None
    return server


def _number(request: Request, name: str, most: int) -> int:
    """Return a parameter that is a number; 0 if it is not given. Only ASCII digits count, as `int` takes many more."""
    text = request.query.get(name, "") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > most:
        raise ValueError(f"{name} is not a number between 0 and {most}: {text!r}")
    return int(text)


def _json(value: Any, status: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(value), "application/json", status)


def _page() -> Response:
    """Return the page, with a policy that allows its own script and style and nothing else."""
    html = files("vtep.api.http").joinpath("page.html").read_text(encoding="utf-8")
    script, style = _digest("script", html), _digest("style", html)
    rules = f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:"
    policy = f"{rules}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    # With this, the browser refuses to make elements from text, even if the script tries to.
    policy += "; require-trusted-types-for 'script'; trusted-types 'none'"
    return Response(html, "text/html; charset=utf-8", fields={"Content-Security-Policy": policy})


def _digest(tag: str, html: str) -> str:
    """Return the hashes of the page's own scripts or styles, as a content security policy names them (CSP 3,
    'sha256-')."""
    text = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in text]
    return " ".join(f"'sha256-{each}'" for each in hashes)
