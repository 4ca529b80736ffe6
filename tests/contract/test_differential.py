"""Any history of messages, frames and device changes leaves the same rows, answers and hints in memory and in Linux."""

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.contract.worlds import (
    MACS,
    World,
    memory_world,
    namespace_world,
    render,
    render_refusals,
    why_no_namespace,
)
from tests.lab.examples import examples
from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.linux.wire.neighbor import Half, Lookup, Neighbor, Verb

STATIONS = {"a": Mac.parse("02:00:00:00:00:0a"), "b": Mac.parse("02:00:00:00:00:0b")}
ODD = {"zero": ZERO_MAC, "multicast": Mac.parse("01:00:5e:00:00:05")} | MACS
NAMES = {mac: name for name, mac in (STATIONS | ODD).items()}
VTEPS = (Ip.parse("10.0.0.2"), Ip.parse("10.0.0.3"))

often_a_station = st.sampled_from([*STATIONS.values()] * 4 + [*ODD.values()])
tunnel_messages = st.builds(
    dict,
    port=st.just("vx0"),
    verb=st.sampled_from(Verb),
    mac=often_a_station,
    flags=st.sampled_from([0x16] * 6 + [0x06, 0x12, 0x14, 0x02, 0x04, 0x10, 0x00, 0x46]),
    state=st.sampled_from([0xC0] * 6 + [0x80, 0x02, 0x42, 0x40, 0x00]),
    dst=st.sampled_from([None, *VTEPS * 3, Ip.parse("fd00::2")]),
    vni=st.sampled_from([None, None, 100, 200]),
    also=st.just(()) | st.lists(often_a_station, max_size=3).map(tuple),
)
access_messages = st.builds(
    dict,
    port=st.sampled_from(["h0", "h1"]),
    verb=st.sampled_from(Verb),
    mac=often_a_station,
    flags=st.sampled_from([0x04, 0x44, 0x14, 0x00, 0x10]),
    state=st.sampled_from([0x80, 0x40, 0x02, 0xC0, 0x00]),
)
sends = st.tuples(
    st.just("send"), st.lists(tunnel_messages | tunnel_messages | access_messages, min_size=1, max_size=4)
)
frames = st.tuples(st.just("station_sends"), st.sampled_from([*STATIONS.values()]), st.sampled_from(["h0", "h1"]))
downs = st.tuples(st.just("bounce"), st.sampled_from(["vx0", "h0", "br0"]))
leaves = st.tuples(st.just("rejoin"), st.sampled_from(["vx0", "h0"]))
histories = st.lists(sends | sends | frames | frames | downs | leaves, min_size=1, max_size=8)


@pytest.mark.root_netns
@given(history=histories)
@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_history_ends_alike_in_memory_and_in_linux(history: list[tuple]) -> None:
    if reason := why_no_namespace():
        pytest.skip(reason)

    with memory_world() as memory, namespace_world() as linux:
        memory.kernel.drain()
        for step in history:
            note(f"{step}")

            seen, expected = play(linux, step), play(memory, step)
            if linux.copies_rows:
                # The copy of a row stays where it is when the MAC roams, so it can also go later, with an event of its own.
                assert seen["hints"] >= expected["hints"]
                seen["hints"] = expected["hints"]
            assert seen == expected


def play(world: World, step: tuple) -> dict:
    """Carry one step out and say everything that can be seen of it."""
    what, *arguments = step
    refusals = []
    if what == "send":
        refusals = world.kernel.send([message(world, fields) for fields in arguments[0]])
    elif what == "station_sends":
        world.station_sends(*arguments)
    elif what == "bounce":
        world.set_up(arguments[0], False)
        world.set_up(arguments[0], True)
    else:
        world.set_master(arguments[0], None)
        world.set_master(arguments[0], "br0")
    vxlan = world.index("vx0")
    links = {link.index: link.name for link in world.kernel.links()}
    hints = world.kernel.drain()
    keys = [Lookup(vxlan, mac, half) for mac in STATIONS.values() for half in Half]
    return {
        "refusals": render_refusals(refusals),
        "rows": render(world.rows(), world, NAMES),
        "hints": {(links[key.port], NAMES[key.mac]) for key in hints.keys if key.mac in STATIONS.values()},
        "get": [row and render([row], world, NAMES) for row in world.kernel.get_many(keys)],
    }


def message(world: World, fields: dict) -> Neighbor:
    return Neighbor(**fields | {"port": world.index(fields["port"])})
