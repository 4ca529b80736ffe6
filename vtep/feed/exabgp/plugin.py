"""Inside ExaBGP's process: registers the EVPN commands there, and does what they say with ExaBGP's own means.

Knows the insides of ExaBGP 4.2 and 5.0, as little of them as will do; docs/decisions/0010-exabgp-grammar.md lists what
is touched and why. Does not know who sends the commands. A command either takes effect for all the neighbors that it
names, or for none.
"""

import json
import select
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any, Final

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
from vtep.feed.exabgp import damping, grammar, tap
from vtep.feed.exabgp.advertise import Command, Multicast, Withdrawal
from vtep.feed.exabgp.guard import guard
from vtep.feed.exabgp.new_neighbors import Announced, For, Means, follow_reloads

EVPN: Final = (AFI.l2vpn, SAFI.evpn)
ANNOUNCE: Final = 1
WITHDRAW: Final = 2
"""What 4.2 has as OUT and 5.0 as Action."""
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
    follow_reloads(Reactor, "load", _announced, Means(_advertise, match_neighbors, _peers_speak))


def register_5_0() -> None:
    """Register with a release of 5.0. It looks for the JSON form of any line with the word json, even in a bad one."""
    _register(partial(Commands.register, json_support=True))
    log = import_module("exabgp.logger").log
    guard(lambda text: log.warning(lambda: text, "reactor"))
    follow_reloads(Reactor, "reload", _announced, Means(_advertise, match_neighbors, _peers_speak))


def _register(register: Callable[[str], Callable[[Handler], Any]]) -> None:
    register(grammar.ANNOUNCE)(_inject)
    register(grammar.WITHDRAW)(_inject)
    register(grammar.QUESTION)(_inject)
    register(grammar.OCTETS)(_inject)
    damping.register()
    tap.register()


def _inject(api: Any, reactor: Any, service: str, line: str, _use_json: bool = False) -> bool:
    """Put a command behind all that wait; in ExaBGP's queue those of one process are one entry until another comes."""
    queue = reactor.asynchronous._async
    last = queue[-1][1] if queue else None
    if not isinstance(last, Waiting) or last.service != service:
        last = Waiting(api, reactor, service)
        reactor.asynchronous.schedule(service, line, last)
    last.lines.append(line)
    return True


class Waiting:
    """Commands that wait for their turn, as what ExaBGP iterates over: each step does one, or rests.

    A turn of ExaBGP's loop is one message from each peer and LIMIT steps. While a peer speaks, a turn is for one command:
    else a peer's routes, one an UPDATE, would be read at a fraction of their pace. And 5.0 looks at each entry of its queue
    in each turn, which is why there is one for all of them.
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
            if _peers_speak(self._reactor):
                self._rests = self._reactor.asynchronous.LIMIT
        else:
            raise StopIteration
        return True

    def _do(self, line: str) -> None:
        processes = self._reactor.processes
        try:
            if line == grammar.QUESTION:
                self._say(f"evpn commands {grammar.VERSION}", f"vtep {__version__}, ExaBGP {release}")
            elif line == grammar.OCTETS:
                tap.ask(self.service)
                self._say(grammar.OCTETS_ANSWER, f"vtep {__version__}, ExaBGP {release}")
            else:
                told = _tell_neighbors(self._reactor, self.service, line)
                self._api.log_message(f"{line} for {', '.join(told)}")
        except Exception as error:  # noqa: BLE001 - this is ExaBGP's loop, which would drop all that wait
            why = str(error) if isinstance(error, UsageError) else repr(error)
            self._api.log_message(f"command refused: {why}: {line}", "WARNING")  # a level that both lines know
            self._say("refused", why)
            processes.answer_error(self.service)
        else:
            processes.answer_done(self.service)

    def _say(self, answer: str, message: str) -> None:
        """Say more, in the form of 5.0's own JSON answers, unless the process asked for no answers."""
        self._reactor.processes._answer(self.service, json.dumps({"answer": answer, "message": message}))


def _peers_speak(reactor: Any) -> bool:
    poll = select.poll()
    for peer in reactor._peers.values():
        if (file := peer.socket()) != NO_SOCKET:
            poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


def _tell_neighbors(reactor: Any, service: str, line: str) -> list[str]:
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
    for name in names:
        _advertise(neighbors[name].rib.outgoing, command)
    _announced.note(For(service, tuple(map(tuple, chosen))), command)
    return names


def _advertise(outgoing: Any, command: Command) -> None:
    change = _change(command)
    _take_back(outgoing, change)
    outgoing.add_to_rib(change)


def _families(neighbor: Any) -> list[tuple[int, int]]:
    return [tuple(family) for family in neighbor.families()]


class Route(GenericEVPN):  # type: ignore[misc]
    """A route that ExaBGP carries as octets, and knows by what RFC 7432 calls its key.

    ExaBGP's own index is the whole NLRI: another label would be another route beside the first, and a withdraw with
    label 0 would find none.
    """

    def __init__(self, command: Command) -> None:
        nlri = command.nlri
        GenericEVPN.__init__(self, nlri[0], nlri[2:])
        self.key = command.route.key
        self.action = WITHDRAW if isinstance(command, Withdrawal) else ANNOUNCE
        self.nexthop = IP.create("0.0.0.0" if isinstance(command, Withdrawal) else str(command.next_hop))

    def index(self) -> bytes:
        return self.key


class Told(Attributes):  # type: ignore[misc]
    """The attributes of one command. No two have the same index.

    ExaBGP sends what waits in the order in which it first saw each index, so that equal ones could pass a withdraw by;
    and it takes a route whose attributes have the index of the last ones for one that was sent, whatever its label.
    """

    _numbers = count()

    def __init__(self, command: Command) -> None:
        Attributes.__init__(self)
        self._number = f"vtep {next(self._numbers)}"
        if isinstance(command, Withdrawal):
            return
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


def _change(command: Command) -> Any:
    return Change(Route(command), Told(command))


def _take_back(outgoing: Any, change: Any) -> None:
    """Forget what waits to be sent about the same route: the newest command is what counts.

    ExaBGP would send both, and while a session comes up drop the withdraw and send the announcement alone.
    """
    waiting = outgoing._new_nlri.pop(change.index(), None)
    if waiting is not None:
        for changes in outgoing._new_attr_af_nlri[waiting.attributes.index()].values():
            changes.pop(change.index(), None)
