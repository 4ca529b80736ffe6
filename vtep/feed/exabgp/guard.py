"""Inside ExaBGP's process: keeps one bad message of one peer from costing more than that message.

`guard` replaces a few functions of ExaBGP 4.2 and 5.0 before ExaBGP starts. docs/exabgp-commands.md lists them for people:

    UPDATE             malformed ones are revised as RFC 7606 says (`malformed`), instead of ending the session
    EVPN NLRI          one of irregular lengths is passed on as octets, and the daemon lists it as bad
    PMSI               an endpoint that is not IPv4 is passed on as octets, with the whole label
    header errors      the answer is a NOTIFICATION; ExaBGP itself fails with a TypeError before it sends one
    lines              what a peer chose cannot end a line early, or begin one
    relays             each is told whether it is the first one, because only the first has every line
    ADD-PATH           is not negotiated for EVPN: a path identifier would be read as the beginning of an NLRI

It knows the insides of ExaBGP, as little of them as will do, and decides nothing about routes.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from exabgp.bgp.message.direction import Direction
from exabgp.bgp.message.notification import Notify
from exabgp.bgp.message.open.capability.capabilities import Capabilities
from exabgp.bgp.message.open.capability.negotiated import RequirePath
from exabgp.bgp.message.update import Update
from exabgp.bgp.message.update.attribute import Attributes
from exabgp.bgp.message.update.attribute.attribute import TreatAsWithdraw
from exabgp.bgp.message.update.attribute.pmsi import PMSI, PMSIIngressReplication
from exabgp.bgp.message.update.nlri.evpn.nlri import EVPN, GenericEVPN
from exabgp.protocol.family import AFI, SAFI, Family
from exabgp.protocol.ip import NoNextHop
from exabgp.reactor.api.processes import Processes

from vtep.feed.exabgp import malformed

FAMILY: Final = (AFI.l2vpn, SAFI.evpn)
IPV4_OCTETS: Final = 4
NLRI_HEAD: Final = 2  # type and length (RFC 7432 7)
SHOWN_OCTETS: Final = 512
LOG_EVERY_S: Final = 1.0
"""A peer that sends bad messages all the time must not fill the log."""

Say = Callable[[str], None]
"""Writes a line to ExaBGP's log."""


def guard(say: Say) -> None:
    """Make this process robust; `say` is how this release of ExaBGP logs a warning."""
    # Both lines of releases expect 4 octets only, and end a session whose peer has an IPv6 next hop (RFC 8365 5.1.2).
    Family.size[FAMILY] = (malformed.NEXT_HOP_LENGTHS, Family.size[FAMILY][1])
    _revise_updates(say)
    _keep_irregular_nlris()
    _keep_any_endpoint()
    _notify_of_header_errors()
    _keep_lines_whole()
    _count_starts()
    _refuse_add_path()


class Revised(TreatAsWithdraw):  # type: ignore[misc]
    """The mark of an UPDATE that became a withdraw, with the reason; ExaBGP prints it as the attribute `error`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        TreatAsWithdraw.__init__(self)
        self._problems = problems

    def __str__(self) -> str:
        return f"treat-as-withdraw: {'; '.join(self._problems)}"


def _revise_updates(say: Say) -> None:
    """Have ExaBGP read each received UPDATE as RFC 7606 says, so that a malformed one does not end the session."""
    unpack = Update.unpack_message
    last = -LOG_EVERY_S
    unsaid = 0

    def unpack_message(data: bytes, direction: Any, negotiated: Any) -> Any:
        nonlocal last, unsaid
        if direction != Direction.IN:
            return unpack(data, direction, negotiated)
        internal = negotiated.local_as == negotiated.peer_as
        revised = malformed.revise(bytes(data), internal=internal, four_octet_as=bool(negotiated.asn4))
        try:
            update = unpack(revised.body, direction, negotiated)
        except Exception:
            # The session ends now. Who looks for the router that originates the message needs the message.
            say(f"unreadable UPDATE from {_address(negotiated.neighbor)}, the session ends: {_shown(bytes(data))}")
            raise
        if revised.problems:
            if revised.withdraws and isinstance(update, Update):
                update.attributes = Attributes()
                update.attributes.add(Revised(revised.problems))
            if (now := time.monotonic()) - last < LOG_EVERY_S:
                unsaid += 1
            else:
                say(_complaint(negotiated.neighbor, revised, unsaid))
                last, unsaid = now, 0
        return update

    Update.unpack_message = staticmethod(unpack_message)


def _shown(body: bytes) -> str:
    """Return the octets behind the header, at most so many that a line of a log can hold them."""
    more = len(body) - SHOWN_OCTETS
    return f"0x{body[:SHOWN_OCTETS].hex()}" + (f" and {more} more octets" if more > 0 else "")


def _complaint(neighbor: Any, revised: malformed.Revised, unsaid: int) -> str:
    done = "its routes count as withdrawn" if revised.withdraws else "what is malformed is left out"
    more = f" ({unsaid} more since the last such line)" if unsaid else ""
    return f"malformed UPDATE from {_address(neighbor)}: {'; '.join(revised.problems)}; {done} (RFC 7606){more}"


def setting(neighbor: Any, name: str) -> Any:
    """Read a setting of a neighbor: an item in 5.0, an attribute in 4.2."""
    try:
        return neighbor[name]
    except TypeError:
        return getattr(neighbor, name.replace("-", "_"))


def _address(neighbor: Any) -> str:
    return str(setting(neighbor, "peer-address"))


def _keep_irregular_nlris() -> None:
    """Read an NLRI by the class of its type only if its lengths are that type's; 4.2 fails on what it has no class for."""
    unpack = EVPN.unpack_nlri

    def unpack_nlri(afi: Any, safi: Any, data: bytes, action: Any, addpath: Any) -> Any:
        if len(data) < NLRI_HEAD or len(data) < (end := NLRI_HEAD + data[1]):
            raise Notify(3, 10, "an EVPN NLRI is longer than its field")
        code, value = data[0], data[NLRI_HEAD:end]
        if code in EVPN.registered_evpn and malformed.is_regular(code, value):
            return unpack(afi, safi, data, action, addpath)
        nlri = GenericEVPN(code, value)
        nlri.action, nlri.addpath, nlri.nexthop = action, addpath, NoNextHop
        return nlri, data[end:]

    EVPN.unpack_nlri = staticmethod(unpack_nlri)


def _keep_any_endpoint() -> None:
    """ExaBGP up to 5.0.12 reads every endpoint as IPv4, and ends the session if it is not; later ones forget the label."""
    read_ipv4 = PMSIIngressReplication.unpack

    def any_tunnel(subtype: int, tunnel: bytes, label: int, flags: int, raw_label: int) -> Any:
        pmsi = PMSI(tunnel, label, flags, raw_label)
        pmsi.TUNNEL_TYPE = subtype
        return pmsi

    def unpack(tunnel: bytes, label: int, flags: int, raw_label: int) -> Any:
        if len(tunnel) == IPV4_OCTETS:
            return read_ipv4(tunnel, label, flags, raw_label)
        return any_tunnel(malformed.INGRESS_REPLICATION, tunnel, label, flags, raw_label)

    PMSI.pmsi_unknown = staticmethod(any_tunnel)
    PMSIIngressReplication.unpack = staticmethod(unpack)


def _notify_of_header_errors() -> None:
    """ExaBGP calls this with one argument more than it takes. The line with the reason comes from the end of the session."""
    Processes.notification = lambda *_: None


def _keep_lines_whole() -> None:
    """4.2 prints the data of a NOTIFICATION as it came: a newline in it would begin a line of the peer's own."""
    write = Processes.write

    def write_whole(processes: Any, process: str, string: str | None, neighbor: Any = None) -> Any:
        if string is not None and neighbor is not None:
            string = string.translate(_NO_CONTROLS).encode("ascii", "replace").decode()
        return write(processes, process, string, neighbor)

    Processes.write = write_whole


def _count_starts() -> None:
    """Tell each process how often it was started, which no relay can know of itself."""
    start = Processes._start
    starts: Counter[str] = Counter()

    def start_and_count(processes: Any, process: str) -> Any:
        before = process in processes._process
        starts[process] += not before
        os.environ[RELAY_START] = str(starts[process])
        return start(processes, process)

    Processes._start = start_and_count


RELAY_START: Final = "VTEP_RELAY_START"
"""As in `relay`, which must be importable without ExaBGP."""

_NO_CONTROLS: Final = dict.fromkeys(range(32), " ") | {127: " "}


def _refuse_add_path() -> None:
    """Never offer ADD-PATH for EVPN: ExaBGP would read a path identifier as the beginning of an NLRI."""
    Capabilities._ADD_PATH = [family for family in Capabilities._ADD_PATH if tuple(family) != FAMILY]
    setup = RequirePath.setup

    def set_up_without_evpn(paths: Any, received_open: Any, sent_open: Any) -> None:
        setup(paths, received_open, sent_open)
        paths._send[FAMILY] = paths._receive[FAMILY] = False

    RequirePath.setup = set_up_without_evpn
