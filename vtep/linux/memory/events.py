"""What happens in the tables of the kernel in memory: counted for tests and replays, and announced as the kernel does."""

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.linux.events import Hints
from vtep.linux.wire.neighbor import FdbEvent


class Counts(Struct):
    """Rows that messages created, changed in place, and removed. A MAC has two entries and counts as one row: the VXLAN one."""

    writes: int = 0
    replaces: int = 0
    deletes: int = 0


class Announcements:
    """What was announced and not drained yet."""

    def __init__(self) -> None:
        self.lost = False
        """While true, what changes is not announced."""
        self.overrun = False
        self.links_changed = False
        self.addresses_changed = False
        self._changed: set[FdbEvent] = set()
        self._gone: set[FdbEvent] = set()
        self._hosts: set[tuple[int, Ip]] = set()
        self._bounced: set[int] = set()

    def changed(self, port: int, mac: Mac, vlan: int | None = None, src_vni: int | None = None) -> None:
        """Announce RTM_NEWNEIGH of AF_BRIDGE."""
        if not self.lost:
            self._changed.add(FdbEvent(port, mac, vlan, src_vni))

    def gone(self, port: int, mac: Mac, vlan: int | None = None, src_vni: int | None = None) -> None:
        """Announce RTM_DELNEIGH of AF_BRIDGE."""
        if not self.lost:
            self._gone.add(FdbEvent(port, mac, vlan, src_vni))

    def host(self, device: int, ip: Ip) -> None:
        """Announce that a neighbor row changed or went."""
        if not self.lost:
            self._hosts.add((device, ip))

    def bounced(self, device: int) -> None:
        """Announce that a device came or went, went up or down, or left its bridge."""
        self._bounced.add(device)
        self.links_changed = True

    def address_gone(self, device: int) -> None:
        """Announce that a device lost an address, and perhaps its neighbor rows with it."""
        self._bounced.add(device)
        self.addresses_changed = True

    def overflow(self) -> None:
        """Lose what is announced so far, and say so."""
        self._changed, self._gone, self._hosts = set(), set(), set()
        self.overrun = True

    def take(self) -> Hints:
        """Return what was announced, and forget it."""
        hints = Hints(
            frozenset(self._changed),
            frozenset(self._gone - self._changed),
            frozenset(self._hosts),
            links_changed=self.links_changed,
            bounced=frozenset(self._bounced),
            addresses_changed=self.addresses_changed,
            overrun=self.overrun,
        )
        self._changed, self._gone, self._hosts, self._bounced = set(), set(), set(), set()
        self.overrun = self.links_changed = self.addresses_changed = False
        return hints


class Refused(Exception):  # noqa: N818 - an outcome, not an error of ours
    """The kernel refuses a message, after some of its halves may have been carried out."""

    def __init__(self, code: int) -> None:
        self.errno = code
        self.done = 0
        super().__init__(code)
