"""What each message does to the rows: one line a case, the same answer in memory and from Linux."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.contract.worlds import LOCAL6, MACS, World, render, render_refusals
from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.linux.wire.neighbor import Half, Lookup, Neighbor, Verb
from vtep.linux.wire.tlv import AF_INET, AF_INET6

EVERY_WAY = True

CREATE, REPLACE, APPEND, DELETE = Verb.CREATE, Verb.REPLACE, Verb.APPEND, Verb.DELETE
USE_NOTHING, SELF, MASTER, BOTH, EXT, STICKY = 0, 0x02, 0x04, 0x06, 0x10, 0x40
REACHABLE, STALE, NOARP, PERMANENT, OURS = 0x02, 0x04, 0x40, 0x80, 0xC0
VTEP_A, VTEP_B, VTEP_6 = (Ip.parse(text) for text in ("10.0.0.2", "10.0.0.3", "fd00::2"))
M, N = Mac.parse("02:00:00:00:00:0a"), Mac.parse("02:00:00:00:00:0b")
GROUP = Mac.parse("01:00:5e:00:00:05")
NAMES = {M: "m", N: "n", ZERO_MAC: "zero", GROUP: "group"} | {mac: name for name, mac in MACS.items()}

Step = Callable[[World], list]


def add(
    mac: Mac = M, dst: Ip | None = VTEP_A, verb: Verb = REPLACE, flags: int = BOTH | EXT, state: int = OURS, **more
):
    port = more.pop("port", "vx0")
    return lambda world: world.kernel.send([Neighbor(verb, world.index(port), mac, flags, state, dst, **more)])


def delete(mac: Mac = M, flags: int = BOTH, dst: Ip | None = None, **more) -> Step:
    return add(mac, dst, DELETE, flags, 0, **more)


def operator(mac: Mac = M, port: str = "h0", state: int = NOARP, flags: int = MASTER) -> Step:
    """`bridge fdb add` without extern_learn."""
    return add(mac, None, CREATE, flags, state, port=port)


def pin(mac: Mac = M, port: str = "h0") -> Step:
    """`bridge fdb replace MAC dev PORT master static`."""
    return add(mac, None, REPLACE, MASTER, NOARP, port=port)


def operator_tunnel(mac: Mac = M, dst: Ip = VTEP_B, verb: Verb = CREATE, state: int = NOARP | REACHABLE) -> Step:
    return add(mac, dst, verb, SELF, state)


def frame(port: str, mac: Mac = M) -> Step:
    return lambda world: world.station_sends(mac, port) or []


def down(name: str) -> Step:
    return lambda world: world.set_up(name, False) or []


def up(name: str) -> Step:
    return lambda world: world.set_up(name, True) or []


def master(name: str, bridge: str | None) -> Step:
    return lambda world: world.set_master(name, bridge) or []


def gone(name: str) -> Step:
    return lambda world: world.delete_link(name) or []


def flood(dst: Ip, verb: Verb = APPEND, **more) -> Step:
    return add(ZERO_MAC, dst, verb, SELF | EXT, **more)


@dataclass(frozen=True)
class Case:
    """`rows` are those that the steps brought, and with a minus those that they took away."""

    name: str
    steps: list[Step]
    rows: list[str]
    refusals: list[str] = field(default_factory=list)
    world: dict = field(default_factory=dict)
    on_shared: list[str] | None = None
    """Rows where the VXLAN device is for many VNIs, if they differ there."""
    with_copies: tuple[list[str], list[str]] | None = None
    """Rows and refusals where the kernel keeps copies of bridge rows for a default VLAN, if they differ there."""


BRIDGE, TUNNEL = "m bridge vx0 reachable ext", "m vxlan vx0 noarp permanent ext 10.0.0.2"
TUNNEL_B = "m vxlan vx0 noarp permanent ext 10.0.0.3"
FLOOD_A, FLOOD_B = "zero vxlan vx0 noarp permanent ext 10.0.0.2", "zero vxlan vx0 noarp permanent ext 10.0.0.3"
HAND = "m vxlan vx0 reachable noarp 10.0.0.3"

# fmt: off
CASES = (
    # The combined add
    Case("a new MAC is one row in the bridge and one in VXLAN", [add(verb=CREATE)], [BRIDGE, TUNNEL]),
    Case("the bridge row's state is always reachable", [add(state=PERMANENT)], [BRIDGE, "m vxlan vx0 permanent ext 10.0.0.2"]),
    Case("REACHABLE stays so in VXLAN", [add(state=REACHABLE)], [BRIDGE, "m vxlan vx0 reachable ext 10.0.0.2"]),
    Case("NOARP alone leaves the bridge half behind", [add(state=NOARP)], [BRIDGE], ["EINVAL bridge done"]),
    Case("no state writes nothing", [add(state=0)], [], ["EINVAL"]),
    Case("STALE writes nothing", [add(state=STALE)], [], ["EINVAL"]),
    Case("CREATE of an existing row says EEXIST", [add(), add(verb=CREATE)], [BRIDGE, TUNNEL], ["EEXIST bridge done"]),
    Case("CREATE finds a tunnel without its bridge row", [add(flags=SELF | EXT), add(verb=CREATE, dst=VTEP_B)], [BRIDGE, TUNNEL], ["EEXIST bridge done"]),
    Case("MASTER alone writes the bridge row", [add(flags=MASTER | EXT, dst=None)], [BRIDGE]),
    Case("no flags write the bridge row too", [add(flags=USE_NOTHING, state=NOARP)], ["m bridge vx0 noarp"]),
    Case("EXT_LEARNED without a half is refused", [add(flags=EXT)], [], ["EOPNOTSUPP"]),
    Case("without EXT_LEARNED a PERMANENT row is the host's own", [add(flags=BOTH, state=PERMANENT)], ["m bridge vx0 permanent", "m vxlan vx0 permanent 10.0.0.2"]),
    Case("without a VTEP the bridge half stays", [add(dst=None)], [BRIDGE], ["EINVAL bridge done"]),
    Case("an IPv6 VTEP on an IPv4 device leaves the bridge half", [add(dst=VTEP_6)], [BRIDGE], ["EAFNOSUPPORT bridge done"]),
    Case("an IPv4 VTEP on an IPv6 device leaves the bridge half", [add()], [BRIDGE], ["EAFNOSUPPORT bridge done"], {"local": LOCAL6}),
    Case("an IPv6 VTEP on an IPv6 device", [add(dst=VTEP_6)], [BRIDGE, "m vxlan vx0 noarp permanent ext fd00::2"], [], {"local": LOCAL6}),
    Case("REPLACE of a multicast MAC leaves the bridge half", [add(GROUP)], ["group bridge vx0 reachable ext"], ["EOPNOTSUPP bridge done"]),
    Case("the zero MAC has no bridge half", [add(ZERO_MAC, verb=APPEND)], [], ["EINVAL"]),
    Case("a unicast MAC has one VTEP, APPEND changes nothing", [add(), add(verb=APPEND, dst=VTEP_B)], [BRIDGE, TUNNEL]),
    Case("sticky is ignored with EXT_LEARNED", [add(flags=MASTER | EXT | STICKY, dst=None)], [BRIDGE]),
    Case("an unknown device", [lambda world: world.kernel.send([Neighbor(CREATE, 999, M, BOTH | EXT, OURS, VTEP_A)])], [], ["ENODEV"]),
    Case("the protocol tag is dropped", [add(protocol=229)], [BRIDGE, TUNNEL]),
    # Moves
    Case("another VTEP replaces in place", [add(), add(dst=VTEP_B)], [BRIDGE, TUNNEL_B]),
    Case("another VNI shows", [add(vni=200)], [BRIDGE, TUNNEL + " vni 200"]),
    Case("the device's own VNI does not show", [add(vni=100)], [BRIDGE, TUNNEL]),
    Case("VTEP and VNI are replaced together", [add(vni=200), add(dst=VTEP_B)], [BRIDGE, TUNNEL_B]),
    Case("the same again", [add(), add()], [BRIDGE, TUNNEL]),
    # An external add always wins on the bridge
    Case("it takes a learned MAC", [frame("h0"), add()], [BRIDGE, TUNNEL]),
    Case("it takes an operator's static MAC, which stays static", [operator(), add()], ["m bridge vx0 noarp ext", TUNNEL]),
    Case("it takes a sticky MAC, which stays sticky", [operator(flags=MASTER | STICKY), add()], ["m bridge vx0 noarp ext sticky", TUNNEL]),
    Case("it takes a permanent MAC, which stays permanent", [operator(state=PERMANENT), add()], ["m bridge vx0 permanent ext", TUNNEL]),
    Case("it takes the bridge's own MAC", [add(MACS["br0"])], ["-br0 bridge br0 permanent", "br0 bridge vx0 permanent ext", "br0 vxlan vx0 noarp permanent ext 10.0.0.2"]),
    Case("it takes a port's MAC", [add(MACS["h0"], flags=MASTER | EXT)], ["-h0 bridge h0 permanent", "h0 bridge vx0 permanent ext"]),
    Case("and our delete then loses the bridge its own MAC", [add(MACS["br0"]), delete(MACS["br0"])], ["-br0 bridge br0 permanent"]),
    Case("an operator pins a remote MAC at a port, and the row keeps our mark", [add(), pin()], ["m bridge h0 noarp ext", TUNNEL]),
    # An operator's VXLAN row
    Case("REPLACE of an operator's tunnel keeps his state and flags", [operator_tunnel(), add()], [BRIDGE, "m vxlan vx0 reachable noarp 10.0.0.2"]),
    Case("CREATE leaves an operator's tunnel alone", [operator_tunnel(), add(verb=CREATE)], [BRIDGE, HAND], ["EEXIST bridge done"]),
    Case("an operator's replace takes the mark off our tunnel", [add(), operator_tunnel(verb=REPLACE)], [BRIDGE, HAND]),
    Case("an operator's replace leaves the mark on our bridge row", [add(), add(flags=MASTER, state=NOARP)], ["m bridge vx0 noarp ext", TUNNEL]),
    Case("his unchanging append takes the mark too", [add(), operator_tunnel(verb=APPEND)], [BRIDGE, "m vxlan vx0 reachable noarp 10.0.0.2"]),
    # Stations
    Case("a frame moves our bridge row and leaves the tunnel", [add(), frame("h0")], ["m bridge h0 reachable", TUNNEL]),
    Case("a frame moves a static row, which stays static", [operator(), frame("h1")], ["m bridge h1 noarp"]),
    Case("a frame moves no sticky row", [operator(flags=MASTER | STICKY), frame("h1")], ["m bridge h0 noarp sticky"]),
    Case("a frame moves no permanent row", [operator(state=PERMANENT), frame("h1")], ["m bridge h0 permanent"]),
    Case("a frame moves no permanent row of ours", [operator(state=PERMANENT), add(), frame("h1")], ["m bridge vx0 permanent ext", TUNNEL]),
    Case("a roamed MAC is not deleted by the combined form", [add(), frame("h0"), delete()], ["m bridge h0 reachable", TUNNEL], ["ENOENT"],
        # The copy did not roam, so there is a bridge row of this port to delete, and the tunnel goes with it.
        with_copies=(["m bridge h0 reachable"], [])),
    Case("the VXLAN half alone goes", [add(), frame("h0"), delete(flags=SELF)], ["m bridge h0 reachable"]),
    Case("nothing is learned from a port that is down", [down("h0"), frame("h0")], []),
    Case("a dynamic row on a port that is down is refused", [down("h0"), operator(state=REACHABLE)], [], ["EPERM"]),
    # Delete
    Case("both halves", [add(), delete()], []),
    Case("both halves, but only the bridge row is there", [add(flags=MASTER | EXT), delete()], [], ["ENOENT bridge done"]),
    Case("both halves, but only the tunnel is there", [add(flags=SELF | EXT), delete()], [TUNNEL], ["ENOENT"]),
    Case("one half after the other", [add(), delete(flags=MASTER), delete(flags=SELF)], []),
    Case("an absent bridge row", [delete(flags=MASTER)], [], ["ENOENT"]),
    Case("an absent tunnel", [delete(flags=SELF)], [], ["ENOENT"]),
    Case("another VTEP deletes no tunnel and says nothing", [add(), delete(dst=VTEP_B)], [TUNNEL]),
    Case("another VNI deletes no tunnel and says nothing", [add(vni=200), delete(dst=VTEP_A, flags=SELF)], [BRIDGE, TUNNEL + " vni 200"]),
    Case("the row's own VTEP", [add(), delete(dst=VTEP_A, flags=SELF)], [BRIDGE]),
    Case("an operator's tunnel is not spared", [operator_tunnel(), delete(flags=SELF)], []),
    # Flood rows
    Case("one row a VTEP", [flood(VTEP_A), flood(VTEP_B)], [FLOOD_A, FLOOD_B]),
    Case("the same VTEP twice is once", [flood(VTEP_A), flood(VTEP_A)], [FLOOD_A]),
    Case("REPLACE is refused", [flood(VTEP_A), flood(VTEP_B, REPLACE)], [FLOOD_A], ["EOPNOTSUPP"]),
    Case("REPLACE is refused on an empty list", [flood(VTEP_B, REPLACE)], [], ["EOPNOTSUPP"]),
    Case("CREATE is refused where there is one", [flood(VTEP_A), flood(VTEP_B, CREATE)], [FLOOD_A], ["EEXIST"]),
    Case("a delete with its VTEP takes one", [flood(VTEP_A), flood(VTEP_B), delete(ZERO_MAC, SELF, VTEP_A)], [FLOOD_B]),
    Case("a delete without a VTEP takes all", [flood(VTEP_A), flood(VTEP_B), delete(ZERO_MAC, SELF)], []),
    Case("a delete of an absent VTEP says nothing", [flood(VTEP_A), delete(ZERO_MAC, SELF, VTEP_B)], [FLOOD_A]),
    Case("the mark counts on the add that makes the list", [operator_tunnel(ZERO_MAC), flood(VTEP_A)], ["zero vxlan vx0 reachable noarp 10.0.0.2", "zero vxlan vx0 reachable noarp 10.0.0.3"]),
    Case("a refused replace of an operator still takes the mark", [flood(VTEP_A), add(ZERO_MAC, VTEP_B, REPLACE, SELF, REACHABLE)], ["zero vxlan vx0 reachable 10.0.0.2"], ["EOPNOTSUPP"]),
    Case("one VTEP under two VNIs is two", [flood(VTEP_A), flood(VTEP_A, vni=200)], [FLOOD_A, FLOOD_A + " vni 200"]),
    # Devices
    Case("vxlan down spares PERMANENT, NOARP and flood rows", [add(), add(N, state=REACHABLE), flood(VTEP_A, state=REACHABLE), down("vx0")], [BRIDGE, TUNNEL, "n bridge vx0 reachable ext", "zero vxlan vx0 reachable ext 10.0.0.2"], on_shared=[BRIDGE, TUNNEL, "n bridge vx0 reachable ext"]),
    Case("bridge down spares our rows and forgets learned ones", [add(), frame("h0", N), down("br0")], [BRIDGE, TUNNEL]),
    Case("port down forgets learned rows and spares static ones", [frame("h0"), operator(N), down("h0")], ["n bridge h0 noarp"]),
    Case("nomaster takes the bridge rows, static too", [add(), operator(N, "vx0"), master("vx0", None)], ["-vx0 bridge vx0 permanent", TUNNEL]),
    Case("nomaster and back brings nothing back", [add(), master("vx0", None), master("vx0", "br0")], [TUNNEL]),
    Case("nomaster gives the bridge its own MAC back", [add(MACS["br0"], flags=MASTER | EXT), master("vx0", None)], ["-br0 bridge br0 permanent", "-vx0 bridge vx0 permanent", "br0 bridge br0 permanent ext"]),
    Case("without a bridge the combined add writes the tunnel alone", [master("vx0", None), add()], ["-vx0 bridge vx0 permanent", "m vxlan vx0 noarp permanent master ext 10.0.0.2"]),
    Case("without a bridge there is no bridge half", [master("vx0", None), add(flags=MASTER | EXT)], ["-vx0 bridge vx0 permanent"], ["EOPNOTSUPP"]),
    Case("bridge deleted leaves the tunnels", [add(), gone("br0")], [*(f"-{name} bridge {name} permanent" for name in MACS), TUNNEL]),
    Case("vxlan deleted takes both", [add(), gone("vx0")], ["-vx0 bridge vx0 permanent"]),
    Case("a full VXLAN table leaves the bridge half", [add(), add(N)], [BRIDGE, TUNNEL, "n bridge vx0 reachable ext"], ["ENOSPC bridge done"], {"max_addresses": 1}),
)
# fmt: on


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_rows_and_refusals_after(case: Case, any_world) -> None:
    with any_world(**case.world) as world:
        before = {row: text for row in world.rows() for text in render([row], world, NAMES)}
        refusals = []
        for step in case.steps:
            refusals = step(world)

        after = {row: text for row in world.rows() for text in render([row], world, NAMES)}
        changed = [text for row, text in after.items() if row not in before]
        changed += [f"-{text}" for row, text in before.items() if row not in after]
        rows, expected = case.with_copies if case.with_copies and world.copies_rows else (case.rows, case.refusals)
        if case.on_shared is not None and world.way == "shared":
            rows = case.on_shared
        assert (sorted(rows), expected) == (sorted(changed), render_refusals(refusals))


def test_refusals_name_their_messages_and_the_rest_of_the_batch_goes_on(any_world) -> None:
    with any_world() as world:
        vxlan = world.index("vx0")
        macs = [Mac(b"\2\0\0\0\1" + bytes([place])) for place in range(200)]
        messages = [Neighbor(CREATE, vxlan, mac, BOTH | EXT, OURS, VTEP_A) for mac in macs]
        messages[3] = messages[2]
        messages[150] = messages[149]
        messages[199] = messages[198]

        refusals = world.kernel.send(messages)

        assert render_refusals(refusals) == [
            "#3 EEXIST bridge done",
            "#150 EEXIST bridge done",
            "#199 EEXIST bridge done",
        ]
        assert sum(row.mac.startswith(b"\2\0\0\0\1") for row in world.rows()) == 2 * 197


def test_of_many_alike_in_one_message_each_is_refused_by_its_own_index(any_world) -> None:
    with any_world() as world:
        vxlan = world.index("vx0")
        first, *rest = macs = [Mac(b"\2\0\0\0\1" + bytes([place])) for place in range(200)]
        world.kernel.send([Neighbor(CREATE, vxlan, macs[place], BOTH | EXT, OURS, VTEP_A) for place in (3, 150)])
        many = Neighbor(CREATE, vxlan, first, BOTH | EXT, OURS, VTEP_A, also=tuple(rest))
        gone = Neighbor(DELETE, vxlan, macs[199], SELF, 0, also=(M,))

        refusals = world.kernel.send([many, gone])

        assert render_refusals(refusals) == ["#3 EEXIST bridge done", "#150 EEXIST bridge done", "#201 ENOENT"]
        assert sum(row.mac.startswith(b"\2\0\0\0\1") for row in world.rows()) == 2 * 200 - 1


def test_a_bridge_row_is_read_back_wherever_it_is(any_world) -> None:
    with any_world() as world:
        add()(world)
        world.station_sends(M, "h0")

        found = world.kernel.get(world.index("vx0"), M, Half.BRIDGE)

        assert render([found], world, NAMES) == ["m bridge h0 reachable"]


def test_reading_back_answers_in_the_order_asked_with_gaps(any_world) -> None:
    with any_world() as world:
        vxlan = world.index("vx0")
        macs = [Mac(b"\2\0\0\0\1" + bytes([place])) for place in range(150)]
        world.kernel.send([Neighbor(CREATE, vxlan, mac, BOTH | EXT, OURS, VTEP_A) for mac in macs[::2]])

        found = world.kernel.get_many([Lookup(vxlan, mac, half) for mac in macs for half in Half])

        assert [(mac, mac) if place % 2 == 0 else (None, None) for place, mac in enumerate(macs)] == [
            (tunnel and tunnel.mac, bridge and bridge.mac)
            for tunnel, bridge in zip(found[::2], found[1::2], strict=True)
        ]


def test_a_row_of_a_device_that_is_gone_is_absent(any_world) -> None:
    with any_world() as world:
        assert world.kernel.get(999, M, Half.BRIDGE) is None
        assert world.kernel.get(999, M, Half.VXLAN) is None


def test_of_a_flood_list_one_row_is_read_back(any_world) -> None:
    with any_world() as world:
        flood(VTEP_A)(world)
        flood(VTEP_B)(world)

        found = world.kernel.get(world.index("vx0"), ZERO_MAC, Half.VXLAN)

        assert render([found], world, NAMES) == [FLOOD_A]


def test_rows_of_one_port_are_its_own(any_world) -> None:
    with any_world() as world:
        add()(world)
        operator(N)(world)

        found = [row for row in world.kernel.rows([], [world.index("vx0")]) if not row.vlan]

        assert render(found, world, NAMES) == [BRIDGE, TUNNEL, "vx0 bridge vx0 permanent"]


HOST4, HOST6 = Ip.parse("172.16.0.1"), Ip.parse("fd01::1")


def host(ip: Ip = HOST4, mac: Mac = M, verb: Verb = REPLACE, protocol: int | None = 229) -> Step:
    family = AF_INET6 if ip.is_v6 else AF_INET
    return add(mac, None, verb, EXT, NOARP, port="br0", family=family, ip=ip, protocol=protocol)


LINE4 = "m host 172.16.0.1 br0 noarp ext proto 229"

# fmt: off
HOST_CASES = (
    Case("a host address keeps who wrote it", [host()], [LINE4]),
    Case("an IPv6 host address", [host(HOST6)], ["m host fd01::1 br0 noarp ext proto 229"]),
    Case("CREATE of an existing one is refused", [host(), host(verb=CREATE, mac=N)], [LINE4], ["EEXIST"]),
    Case("REPLACE changes the MAC", [host(), host(mac=N)], ["n" + LINE4[1:]]),
    Case("a replace without the tag keeps it", [host(), host(mac=N, protocol=None)], ["n" + LINE4[1:]]),
    Case("a delete", [host(), host(verb=DELETE)], []),
    Case("a delete of an absent one", [host(verb=DELETE)], [], ["ENOENT"]),
    Case("bridge down takes them all", [host(), down("br0")], []),
)
# fmt: on


@pytest.mark.parametrize("case", HOST_CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_host_rows_after(case: Case, any_world) -> None:
    with any_world() as world:
        bridge = world.index("br0")
        refusals = []
        for step in case.steps:
            refusals = step(world)

        found = [row for row in world.kernel.neighbors([bridge]) if row.ip in (HOST4, HOST6)]
        assert (case.rows, case.refusals) == (render(found, world, NAMES), render_refusals(refusals))
