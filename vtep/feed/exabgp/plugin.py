"""Inside ExaBGP's process: registers the EVPN commands, and carries them out with ExaBGP's own Adj-RIB-Out.

This module knows the insides of ExaBGP 4.2 and 5.0, as little of them as possible; docs/decisions/0010-exabgp-commands.md lists
what is touched and why. It does not know which program sends the commands. A command takes effect for all the neighbors that
that it names, or for none.

    line ──▶ Waiting ──one a step──▶ parse ──▶ Route, CommandAttributes ──▶ Adj-RIB-Out of each neighbor ──▶ UPDATEs
                                       │                                └──▶ Announced, for neighbors that a reload adds
                                       └──▶ `done`, or a line that says why and `error`

**Whose turn it is.** ExaBGP's loop reads one message of each peer, carries out some commands, and sends. Commands that come
faster than that would keep it from its peers, so one is carried out in a turn while a peer sends (`Waiting`).

**The last command for a route counts.** ExaBGP sends what waits by attributes, and keeps several entries about one route. So an
entry that was not sent yet is removed before the newest one is added (`_take_back`), and each command's attributes have an index of
their own, which keeps the order of commands.

**Routes that are sent together.** A command for many MACs makes routes that share one set of attributes. ExaBGP itself sends an
EVPN route in an UPDATE of its own; here, routes that follow one another in its Adj-RIB-Out, with the same action, next hop and
attributes, go into one UPDATE (`_join`). None passes another, so peers receive the same routes in the same order. A route is
held in two small objects, because a leaf may have a hundred thousand.
"""

import json
import select
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any, Final

from exabgp.bgp.message.update import Update
from exabgp.bgp.message.update.attribute import Attribute, Attributes, GenericAttribute
from exabgp.bgp.message.update.attribute.community.extended import ExtendedCommunity
from exabgp.bgp.message.update.attribute.community.extended.communities import ExtendedCommunities
from exabgp.bgp.message.update.nlri.evpn.nlri import GenericEVPN
from exabgp.protocol.family import AFI, SAFI
from exabgp.protocol.ip import IP
from exabgp.reactor.api.command.command import Command as Commands
from exabgp.reactor.api.command.limit import extract_neighbors, match_neighbors
from exabgp.reactor.loop import Reactor
from exabgp.rib.change import Change
from exabgp.rib.outgoing import OutgoingRIB
from exabgp.version import release

from vtep import __version__
from vtep.errors import UsageError
from vtep.evpn.advertise import Command, MacGroup, Multicast, Withdrawal
from vtep.evpn.keys import key_of
from vtep.feed.exabgp import damping, grammar, tap
from vtep.feed.exabgp.guard import guard
from vtep.feed.exabgp.new_neighbors import Announced, For, Means, follow_reloads

EVPN: Final = (AFI.l2vpn, SAFI.evpn)
ANNOUNCE: Final = 1
WITHDRAW: Final = 2
"""What 4.2 has as OUT and 5.0 as Action."""
UPDATE_OCTETS: Final = 3500
"""NLRIs that go into one UPDATE, which leaves room for the attributes in 4,096 octets; ExaBGP divides what is still too long."""
LOGGED_MAX: Final = 400
NO_SOCKET: Final = -1
"""Of a peer without a connection."""

Handler = Callable[..., bool]

_announced: Final = Announced()
"""For the neighbors that a reload will add."""


def register_4_2() -> None:
    """Register with a release of 4.2, whose commands are text and have no other form.

    It has no way to write the markers of RFC 7313: it would end the session of a peer that asks for our routes again. Sent
    without them they are an answer by RFC 2918.
    """
    resend = OutgoingRIB.resend
    OutgoingRIB.resend = lambda rib, families, _enhanced: resend(rib, families, False)
    _register(partial(Commands.register, "text"))
    logger = import_module("exabgp.logger")  # which makes no Logger before ExaBGP has read its settings
    guard(lambda text: logger.Logger().warning(text, "reactor"))
    follow_reloads(Reactor, "load", _announced, Means(_advertise, match_neighbors, _peers_send))


def register_5_0() -> None:
    """Register with a release of 5.0. It looks for the JSON form of any line with the word json, even in a bad one."""
    _register(partial(Commands.register, json_support=True))
    log = import_module("exabgp.logger").log
    guard(lambda text: log.warning(lambda: text, "reactor"))
    follow_reloads(Reactor, "reload", _announced, Means(_advertise, match_neighbors, _peers_send))


def _register(register: Callable[[str], Callable[[Handler], Any]]) -> None:
    """Register our commands, and what makes ExaBGP quick and safe for EVPN, before its configuration is read."""
    register(grammar.ANNOUNCE)(_inject)
    register(grammar.WITHDRAW)(_inject)
    register(grammar.QUESTION)(_inject)
    register(grammar.OCTETS)(_inject)
    _join(OutgoingRIB)
    damping.register()
    tap.register()


def _inject(api: Any, reactor: Any, service: str, line: str, _use_json: bool = False) -> bool:
    """Put a command behind all that wait. In ExaBGP's queue, the commands of one process are one entry."""
    queue = reactor.asynchronous._async
    last = queue[-1][1] if queue else None
    if not isinstance(last, Waiting) or last.service != service:
        last = Waiting(api, reactor, service)
        reactor.asynchronous.schedule(service, line, last)
    last.lines.append(line)
    return True


class Waiting:
    """The commands that wait, as an iterator for ExaBGP's queue: each step carries out one command, or rests.

    A turn of ExaBGP's loop reads one message from each peer and makes LIMIT steps. While a peer sends, a turn carries out one
    command only; otherwise routes that come one an UPDATE would be read at a fraction of their pace. There is one entry for
    all commands, because 5.0 looks at each entry of its queue in each turn.
    """

    def __init__(self, api: Any, reactor: Any, service: str) -> None:
        self.service = service
        self.lines: deque[str] = deque()
        self._api = api
        self._reactor = reactor
        self._rests = 0

    def __iter__(self) -> "Waiting":
        return self

    def __next__(self) -> bool:
        if self._rests:
            self._rests -= 1
        elif self.lines:
            self._do(self.lines.popleft())
            if _peers_send(self._reactor):
                self._rests = self._reactor.asynchronous.LIMIT
        else:
            raise StopIteration
        return True

    def _do(self, line: str) -> None:
        """Carry out one command and answer it. An error answers this command alone."""
        processes = self._reactor.processes
        try:
            if line == grammar.QUESTION:
                name = f"vtep {__version__}, ExaBGP {release}"
                self._say(f"evpn commands {grammar.VERSION}", name, versions=grammar.VERSIONS)
            elif line == grammar.OCTETS:
                tap.ask(self.service)
                self._say(grammar.OCTETS_ANSWER, f"vtep {__version__}, ExaBGP {release}")
            else:
                neighbors = _carry_out(self._reactor, self.service, line)
                self._api.log_message(f"{_shortened(line)} for {', '.join(neighbors)}")
        except Exception as error:  # noqa: BLE001 - this is ExaBGP's loop, which would drop all that wait
            why = str(error) if isinstance(error, UsageError) else repr(error)
            self._api.log_message(
                f"command refused: {_shortened(why)}: {_shortened(line)}", "WARNING"
            )  # a level that both lines know
            self._say("refused", why)
            processes.answer_error(self.service)
        else:
            processes.answer_done(self.service)

    def _say(self, answer: str, message: str, **more: object) -> None:
        """Answer more than `done` or `error`, as JSON like 5.0 does, unless the process asked for no answers."""
        self._reactor.processes._answer(self.service, json.dumps({"answer": answer, "message": message, **more}))


def _shortened(line: str) -> str:
    """Return a line for the log: one with very many MACs would fill it."""
    return line if len(line) <= LOGGED_MAX else f"{line[:LOGGED_MAX]}… ({len(line)} characters)"


def _peers_send(reactor: Any) -> bool:
    poll = select.poll()
    for peer in reactor._peers.values():
        if (file := peer.socket()) != NO_SOCKET:
            poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


def _carry_out(reactor: Any, service: str, line: str) -> list[str]:
    """Carry out a command, and return the neighbors that it is for."""
    chosen, text = extract_neighbors(line)
    command = grammar.parse(text)
    peers = match_neighbors(reactor.peers(service), chosen)
    neighbors = reactor.configuration.neighbors
    names = [name for name in neighbors if name in peers]
    if not names:
        raise UsageError("no neighbor matches")
    without = [name for name in names if EVPN not in _families(neighbors[name])]
    if without:
        raise UsageError(f"no family l2vpn evpn: {', '.join(without)}")
    changes = _changes(command)
    first, *others = names
    for change in changes:
        for name in others:
            _advertise(neighbors[name].rib.outgoing, change)
        _put(neighbors[first].rib.outgoing, change)
    whom = For(service, tuple(map(tuple, chosen)))
    for change in changes:
        _announced.note(whom, change.nlri.key, None if isinstance(_like(command), Withdrawal) else change)
    return names


def _advertise(outgoing: Any, like: Any) -> None:
    """Put a copy into the outgoing routes of another neighbor, because ExaBGP 4.2 changes the action of what it keeps."""
    action = WITHDRAW if like.attributes.content is None else ANNOUNCE
    _put(outgoing, RouteChange(Route(like.nlri.CODE, like.nlri._packed, action, like.nlri.nexthop), like.attributes))


def _put(outgoing: Any, change: Any) -> None:
    _take_back(outgoing, change)
    outgoing.add_to_rib(change)


def _families(neighbor: Any) -> list[tuple[int, int]]:
    return [tuple(family) for family in neighbor.families()]


_LIKE: Final = GenericEVPN(2, b"")
_FAMILY: Final = _LIKE.family()


class Route(GenericEVPN):  # type: ignore[misc]
    """A route that ExaBGP carries as octets, and identifies by the key of RFC 7432.

    ExaBGP's own index is the whole NLRI: another label would make another route beside the first, and a withdraw with label 0
    would not find it.
    """

    __slots__ = ("CODE", "_packed", "action", "nexthop")
    afi, safi = _LIKE.afi, _LIKE.safi
    addpath = None

    def __init__(self, code: int, packed: bytes, action: int, nexthop: Any) -> None:
        self.CODE = code
        self._packed = packed
        self.action = action
        self.nexthop = nexthop

    def family(self) -> Any:
        return _FAMILY

    @property
    def key(self) -> bytes:
        return key_of(self.CODE, self._packed)

    def index(self) -> bytes:
        return self.key

    def __lt__(self, other: Any) -> bool:
        """Order by octets: ExaBGP sorts what it sends in one UPDATE."""
        return bool(self._packed < other._packed)


class RouteChange(Change):  # type: ignore[misc]
    """What ExaBGP keeps of a route, without a dictionary of its own in 5.0."""

    __slots__ = ("_Change__index", "attributes", "nlri")


class CommandAttributes(Attributes):  # type: ignore[misc]
    """The attributes of one command, for all of its routes. No two have the same index.

    ExaBGP sends what waits in the order in which it first saw each index, so an announcement with an old index could overtake a
    withdraw. It also takes a route for one that was sent already if the index of its attributes has not changed, whatever its
    label.
    """

    _numbers = count()

    def __init__(self, command: Command) -> None:
        Attributes.__init__(self)
        self._number = f"vtep {next(self._numbers)}"
        self.content: object = None
        """Equal where the attributes are; none of a withdrawal."""
        if isinstance(command, Withdrawal):
            return
        self.content = (command.communities, command.pmsi if isinstance(command, Multicast) else None)
        if command.communities:
            communities = ExtendedCommunities()
            for community in command.communities:
                communities.add(ExtendedCommunity.unpack(bytes(community)))
            self.add(communities)
        if isinstance(command, Multicast):
            flags = Attribute.Flag.OPTIONAL | Attribute.Flag.TRANSITIVE
            self.add(GenericAttribute(Attribute.CODE.PMSI_TUNNEL, flags, command.pmsi.octets))

    def index(self) -> str:
        return self._number


def _like(command: Command | MacGroup) -> Command:
    return command.like if isinstance(command, MacGroup) else command


def _changes(command: Command | MacGroup) -> list[Any]:
    """Return what ExaBGP is to keep of each route of a command."""
    like = _like(command)
    nlris = command.nlris if isinstance(command, MacGroup) else (command.nlri,)
    attributes = CommandAttributes(like)
    action = WITHDRAW if isinstance(like, Withdrawal) else ANNOUNCE
    nexthop = IP.create("0.0.0.0" if isinstance(like, Withdrawal) else str(like.next_hop))
    return [RouteChange(Route(nlri[0], nlri[2:], action, nexthop), attributes) for nlri in nlris]


def _join(outgoing_class: Any) -> None:
    """Have UPDATEs of routes that follow one another with equal attributes made into one."""
    updates = outgoing_class.updates

    def joined(outgoing: Any, grouped: bool) -> Iterator[Any]:
        run = _Run()
        for update in updates(outgoing, grouped):
            if run.take(update):
                continue
            yield from run.updates()
            run = _Run()
            if not run.take(update):
                yield update
        yield from run.updates()

    outgoing_class.updates = joined


class _Run:
    """Routes that go into one UPDATE."""

    def __init__(self) -> None:
        self._nlris: list[Any] = []
        self._keys: set[bytes] = set()
        self._octets = 0
        self._like: object = None
        self._attributes: Any = None

    def take(self, update: Any) -> bool:
        """Take the route of an UPDATE; return whether that is possible."""
        nlris, attributes = getattr(update, "nlris", None), getattr(update, "attributes", None)
        if not isinstance(nlris, list) or len(nlris) != 1 or not isinstance(attributes, CommandAttributes):
            return False
        (nlri,) = nlris
        like = nlri.action, nlri.nexthop, attributes.content
        key = nlri.key
        if self._nlris and (like != self._like or key in self._keys or self._octets + len(nlri) > UPDATE_OCTETS):
            return False
        self._nlris.append(nlri)
        self._keys.add(key)
        self._octets += len(nlri)
        self._like, self._attributes = like, attributes
        return True

    def updates(self) -> Iterator[Any]:
        if self._nlris:
            yield Update(self._nlris, self._attributes)


def _take_back(outgoing: Any, change: Any) -> None:
    """Remove what waits to be sent about the same route, because the newest command counts.

    ExaBGP would send both. While a session comes up, it would drop the withdraw and send the announcement alone.
    """
    waiting = outgoing._new_nlri.pop(change.index(), None)
    if waiting is not None:
        for changes in outgoing._new_attr_af_nlri[waiting.attributes.index()].values():
            changes.pop(change.index(), None)
