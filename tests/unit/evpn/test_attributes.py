"""Extended communities by their numbers, LLGR_STALE, and ExaBGP's text of the PMSI attribute."""

import pytest

from vtep.addr import Ip, Mac, RouteTarget
from vtep.evpn.attributes import PMSI_INGRESS_REPLICATION, Attributes, Election, Pmsi, decode, parse_pmsi, unpack

NEXT_HOP = Ip.parse("10.9.0.1")


def read(*communities):
    return decode(NEXT_HOP, tuple(int(community.replace(" ", ""), 16) for community in communities), None, False)


@pytest.mark.parametrize(
    ("communities", "expect"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param(["0002 fde8 00000064"], {"targets": (RouteTarget.parse("65000:100"),)}, id="target-2-octet-as"),
        pytest.param(["0102 0a000001 0009"], {"targets": (RouteTarget.parse("10.0.0.1:9"),)}, id="target-ipv4"),
        pytest.param(["0202 fa56ea01 0007"], {"targets": (RouteTarget.parse("4200000001:7"),)}, id="target-4-octet-as"),
        pytest.param(
            ["0002 fde8 00000064"] * 2, {"targets": (RouteTarget.parse("65000:100"),)}, id="target-counts-once"
        ),
        pytest.param(["4002 fde8 00000064"], {}, id="non-transitive-target-is-none"),
        pytest.param(["0302 fde8 00000064"], {}, id="target-of-another-type-is-none"),
        pytest.param(["0003 fde8 00000064"], {"sites": (bytes.fromhex("0003fde800000064"),)}, id="site-of-origin"),
        pytest.param(["030c 00000000 0008"], {"encapsulations": (8,)}, id="encapsulation-vxlan"),
        pytest.param(
            ["030c 00000000 000a", "030c 00000000 0008"], {"encapsulations": (10, 8)}, id="encapsulations-in-order"
        ),
        pytest.param(["030d 000000000000"], {"gateway": True}, id="default-gateway"),
        pytest.param(["0600 00 00 00000003"], {"seq": 3, "mobility_count": 1}, id="mobility"),
        pytest.param(["0600 00 00 ffffffff"], {"seq": 4294967295, "mobility_count": 1}, id="mobility-highest"),
        pytest.param(["0600 01 00 00000003"], {"seq": 3, "sticky": True, "mobility_count": 1}, id="sticky"),
        pytest.param(["0600 fe 00 00000001"], {"seq": 1, "mobility_count": 1}, id="reserved-mobility-bits-are-ignored"),
        pytest.param(
            ["0600 00 00 00000003", "0600 00 00 00000007"],
            {"seq": 3, "mobility_count": 2},
            id="first-mobility-counts",
        ),
        pytest.param(["0600 00 00 00000003"] * 2, {"seq": 3, "mobility_count": 2}, id="same-mobility-twice"),
        pytest.param(["0601 01 0000 000010"], {"esi_label": 16, "single_active": True}, id="esi-label-single-active"),
        pytest.param(["0601 fe 0000 000010"], {"esi_label": 16}, id="other-bits-of-the-esi-label-flags-are-ignored"),
        pytest.param(["0601 00 0000 ffffff"], {"esi_label": 0xFFFFFF}, id="esi-label-all-active"),
        pytest.param(["0601 00 0000 000000"], {"esi_label": 0}, id="esi-label-zero-is-there"),
        pytest.param(["0602 aabbccddeeff"], {"es_import": Mac.parse("aabb.ccdd.eeff")}, id="es-import"),
        pytest.param(["0603 aabbcc000001"], {"router_mac": Mac.parse("aabb.cc00.0001")}, id="router-mac"),
        pytest.param(["0608 03 0000000000"], {"host_flags": 3}, id="arp-nd"),
        pytest.param(["0606 02 0000 00 0064"], {"election": Election(2, 0, 100)}, id="election-by-preference"),
        pytest.param(["0606 e3 c000 ff ffff"], {"election": Election(3, 0xC000, 65535)}, id="election-reserved-bits"),
        pytest.param(["0606 00 0000 00 0000"], {"election": Election()}, id="election-default-is-there"),
        pytest.param(["0606 02 0000 00 0064", "0606 02 0000 00 0065"], {}, id="two-elections-are-none"),
        pytest.param(["0606 02 0000 00 0064"] * 2, {}, id="same-election-twice-is-none"),
        pytest.param(["0605 000000000001", "ffff 000000000001", "8017 112222333344"], {}, id="others-mean-nothing"),
    ],
)
def test_a_community_means(communities, expect):
    assert read(*communities) == Attributes(NEXT_HOP, **expect)


def test_equal_attributes_are_the_same_object():
    one = decode(Ip(bytes(NEXT_HOP)), (842122827661412,), "pmsi:ingressreplication:0:6(100):10.9.0.2", False)
    other = decode(Ip(bytes(NEXT_HOP)), (842122827661412,), "pmsi:ingressreplication:0:6(100):10.9.0.2", False)

    assert one is other


def test_a_great_many_communities_are_read_but_not_kept():
    many = tuple(0x0002_FDE8_0000_0000 + number for number in range(1000))

    one, other = decode(NEXT_HOP, many, None, False), decode(NEXT_HOP, many, None, False)

    assert len(one.targets) == 1000
    assert one == other
    assert one is not other


def test_another_next_hop_is_another_object():
    assert decode(Ip.parse("10.9.0.2"), (), None, False) != decode(NEXT_HOP, (), None, False)


def test_llgr_stale_is_kept():
    assert decode(NEXT_HOP, (), None, True).llgr_stale


A = Ip.parse("10.9.0.2")
V6 = Ip.parse("fd00:9::c9")


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("pmsi:ingressreplication:0:6(100):10.9.0.2", Pmsi(PMSI_INGRESS_REPLICATION, 0, 100, A)),
        ("pmsi:ingressreplication:1:1048575(16777215):10.9.0.2", Pmsi(PMSI_INGRESS_REPLICATION, 1, 16777215, A)),
        ("pmsi:ingressreplication:0:0(1):10.9.0.2", Pmsi(PMSI_INGRESS_REPLICATION, 0, 1, A)),
        ("pmsi:ingressreplication:0:0:10.9.0.2", Pmsi(PMSI_INGRESS_REPLICATION, 0, 0, A)),
        (
            "pmsi:ingressreplication:0:6:0xFD0000090000000000000000000000C9",
            Pmsi(PMSI_INGRESS_REPLICATION, 0, 96, V6, exact=False),
        ),
        (
            "pmsi:ingressreplication:0:0:0xFD0000090000000000000000000000C9",
            Pmsi(PMSI_INGRESS_REPLICATION, 0, 0, V6, exact=False),
        ),
        ("pmsi:pim-smtree:0:6:0x0A090002E0000001", Pmsi(4, 0, 96, None, exact=False)),
        ("pmsi:mldpp2mplsp:0:0:0x0A09", Pmsi(2, 0, 0, None, exact=False)),
        ("pmsi:notunnel:0:0:", Pmsi(0, 0, 0, None, exact=False)),
    ],
)
def test_a_tunnel_is_read(text, expect):
    assert parse_pmsi(text) == expect


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pmsi",
        "pmsi:unknown:0:6:0x00",
        "pmsi:ingressreplication:0:6(100):",
        "pmsi:ingressreplication:0:6(100):0x0A09",
        "pmsi:ingressreplication:0:6(100):somewhere",
        "pmsi:ingressreplication:256:6(100):10.9.0.2",
        "pmsi:ingressreplication:0:1048576(16777216):10.9.0.2",
        "pmsi:ingressreplication:0:1048576:10.9.0.2",
        "pmsi:ingressreplication:0:-6:10.9.0.2",
    ],
)
def test_an_unreadable_tunnel_is_none(text):
    assert parse_pmsi(text) is None


def test_a_whole_label_is_compared_whole():
    pmsi = parse_pmsi("pmsi:ingressreplication:0:6(100):10.9.0.2")

    assert pmsi.is_labelled(100)
    assert not pmsi.is_labelled(101)


@pytest.mark.parametrize(
    ("octets", "origin", "med", "neighbor_as"),
    [
        ("", 0, 0, 0),
        ("40 01 01 02 80 04 04 00000064", 2, 100, 0),
        ("40 01 02 0200 80 04 02 0064", 0, 0, 0),
        ("40 01 01 01 40 02 0a 02 02 0000fde9 0000fdea", 1, 0, 65001),
        ("40 02 06 02 02 fde9 fdea", 0, 0, 65001),
        ("40 02 06 01 01 0000fde9", 0, 0, 0),
        ("40 02 0c 03 01 0000fde9 02 01 0000fdea", 0, 0, 65002),
        ("40 02 02 02 00 80 04 04 ffffffff", 0, 4294967295, 0),
    ],
)
def test_origin_med_and_the_neighboring_as_are_read(octets, origin, med, neighbor_as):
    """A set at the beginning names no AS of its own, and a sequence of a confederation does not count (RFC 5065 5.3)."""
    found = unpack(NEXT_HOP, bytes.fromhex(octets.replace(" ", "")))
    assert (found.origin, found.med, found.neighbor_as) == (origin, med, neighbor_as)


@pytest.mark.parametrize(
    ("octets", "local_pref", "length"),
    [
        ("", 100, 0),
        ("40 05 04 000000c8", 200, 0),
        ("40 05 02 00c8", 100, 0),
        ("40 02 00", 100, 0),
        ("40 02 0a 02 02 0000fde9 0000fdea", 100, 2),
        ("40 02 06 02 02 fde9 fdea", 100, 2),
        ("40 02 10 02 01 0000fde9 01 02 0000fdea 0000fdeb", 100, 2),
        ("40 02 0c 03 01 0000fde9 02 01 0000fdea", 100, 1),
        ("40 02 05 02 09 000000", 100, 0),
        ("50 02 0006 02 01 0000fde9 40 05 04 ffffffff", 4294967295, 1),
    ],
)
def test_local_preference_and_the_length_of_the_as_path_are_read(octets, local_pref, length):
    """A set counts as one and a confederation as none (RFC 4271 9.1.2.2, RFC 5065 5.3); AS numbers have two or four octets."""
    found = unpack(NEXT_HOP, bytes.fromhex(octets.replace(" ", "")))
    assert (found.local_pref, found.as_path_length) == (local_pref, length)
