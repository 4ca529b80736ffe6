"""A recording as text."""

from tests.lab import wire
from tests.lab.lines import Lines
from vtep.app.decode import decoded

PEER = "10.0.0.1"
INSTANCE = wire.Instance(PEER)


def test_each_route_is_a_line_with_what_is_not_the_default():
    lines = Lines()
    stream = [
        lines.up(PEER),
        lines.announce(PEER, INSTANCE.mac("02:00:00:00:00:01", "192.0.2.1", seq=3, sticky=True)),
        lines.announce(PEER, INSTANCE.flood()),
        lines.withdraw(PEER, INSTANCE.mac("02:00:00:00:00:01").nlri),
        lines.end_of_rib(PEER),
        b"no line of ExaBGP",
        b"done",
    ]

    assert [text.partition(" ")[2] for text in decoded(stream)] == [
        "10.0.0.1 SessionOpened",
        (
            "10.0.0.1 announced MacIp rd=10.0.0.1:100 tag=0 mac=02:00:00:00:00:01 label=100 ip=192.0.2.1 "
            "next_hop=10.0.0.1 targets=65000:100 encapsulations=8 seq=3 sticky=True mobility_count=1"
        ),
        (
            "10.0.0.1 announced Imet rd=10.0.0.1:100 tag=0 originator=10.0.0.1 next_hop=10.0.0.1 targets=65000:100 "
            "encapsulations=8 pmsi=(tunnel_type=6 flags=0 label=100 endpoint=10.0.0.1)"
        ),
        "10.0.0.1 withdrawn type 2 0x" + wire.key_of(INSTANCE.mac("02:00:00:00:00:01").nlri).hex()[2:],
        "10.0.0.1 EndOfRib",
        "6: neither a JSON object nor an answer that ExaBGP gives",
        "- answer done",
    ]
