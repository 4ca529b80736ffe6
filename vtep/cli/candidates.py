"""`vtep complete`: the VNIs, MACs, VTEPs, peers and devices of a running daemon that may stand where the cursor is.

The completion scripts call it; it is not for typing. Knows how to ask, and that a person waits: it asks for at most a
second, prints what it has, and says nothing of what goes wrong.
"""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final

from vtep.cli.connection import Address, Client, Tls
from vtep.cli.options import DEFAULT_ADDRESS
from vtep.cli.output import pages
from vtep.cli.text import plain
from vtep.errors import VtepError
from vtep.v1 import vtep_pb2 as pb

PATIENCE_S: Final = 1.0
CANDIDATES_MAX: Final = 200


def main(words: Sequence[str]) -> int:
    """Take the kind, the beginning of the word, and the whole line, which may name another daemon and a VNI."""
    kind, begun, line = (*words, "", "", "")[:3]
    if kind not in _KINDS:
        return 2
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    typed = _typed(line)
    text = typed.get("--address") or os.environ.get("VTEP_ADDRESS") or DEFAULT_ADDRESS
    tls = Tls(
        *(
            typed.get(f"--tls-{name}") or os.environ.get(f"VTEP_TLS_{name.upper()}", "")
            for name in ("ca", "cert", "key")
        )
    )
    found: set[str] = set()
    with suppress(VtepError), Client(Address.parse(text), tls, PATIENCE_S) as daemon:
        end = time.monotonic() + PATIENCE_S
        vni = typed.get("--vni", "")
        for candidate in _KINDS[kind](daemon, int(vni) if vni.isdigit() else 0):
            if candidate.lower().startswith(begun.lower()):
                found.add(plain(candidate))
            if len(found) >= CANDIDATES_MAX or time.monotonic() > end:
                break
    print(*sorted(found), sep="\n", end="\n" * bool(found))
    return 0


def _typed(line: str) -> dict[str, str]:
    """Return the options of a line with what follows each; an open quote ends nothing."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    pairs = {word: after for word, after in pairwise(words) if word.startswith("--")}
    return pairs | dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)


def _vnis(daemon: Client, _: int) -> Iterator[str]:
    return (str(row.vni) for row in daemon.ask(pb.ListVnisRequest(), pb.ListVnisResponse).vnis)


def _macs(daemon: Client, vni: int) -> Iterator[str]:
    request = pb.ListMacsRequest(vni=vni)
    return (row.mac for page in pages(daemon, request, pb.ListMacsResponse) for row in page.macs)


def _vteps(daemon: Client, vni: int) -> Iterator[str]:
    return (row.vtep for row in daemon.ask(pb.ListVtepsRequest(vni=vni), pb.ListVtepsResponse).vteps)


def _peers(daemon: Client, _: int) -> Iterator[str]:
    return (row.address for row in daemon.ask(pb.ListPeersRequest(), pb.ListPeersResponse).peers)


def _devices(daemon: Client, _: int) -> Iterator[str]:
    for vni in daemon.ask(pb.ListVnisRequest(), pb.ListVnisResponse).vnis:
        yield from filter(None, (vni.bridge, vni.vxlan))
    for vrf in daemon.ask(pb.ListVrfsRequest(), pb.ListVrfsResponse).vrfs:
        yield from filter(None, (vrf.name, vrf.svi, vrf.vxlan))


def _subjects(daemon: Client, vni: int) -> Iterator[str]:
    """Yield devices before MACs, of which there may be more than are shown."""
    yield from _devices(daemon, vni)
    yield from _macs(daemon, vni)


_KINDS: Final[dict[str, Callable[[Any, int], Iterator[str]]]] = {
    "vnis": _vnis,
    "macs": _macs,
    "vteps": _vteps,
    "peers": _peers,
    "devices": _devices,
    "subjects": _subjects,
}
