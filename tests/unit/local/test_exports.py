"""What stations of ours are announced as, by what the configuration says of their VNI."""

import pytest
from msgspec import structs

from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.app.commands import main
from vtep.config.file import parse
from vtep.evpn.advertise import (
    DEFAULT_GATEWAY,
    VXLAN,
    Community,
    EadAdvertisement,
    EadRoute,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    SegmentAdvertisement,
    SegmentRoute,
    election,
    es_import,
    esi_label,
    mobility,
    target,
)
from vtep.intent import NOTHING, Intent, OwnMac, OwnSegment
from vtep.local.exports import Exports
from vtep.store.table import Table

VNI = Vni(100)
VTEP = Ip.parse("10.0.0.99")
RD = RouteDistinguisher.parse("10.0.0.99:100")
MAC = Mac.parse("02:00:00:00:00:01")
HOST = Ip.parse("2001:db8::1")
COMMON = (target("65000:100"), VXLAN)
BGP = '[bgp]\nasn = 65000\nrouter_id = "10.0.0.99"\n'
BOUND = 'bridge = "br100"\nvxlan = "vxlan100"\n'


def config(vni=f"vni = 100\n{BOUND}", *, bgp=BGP):
    return parse(f'[node]\nvtep = "10.0.0.99"\n{bgp}[[vni]]\n{vni}')


def intent(*owns, announcing=(VNI,), touched=()):
    return Intent(
        own=Table((own.key, own) for own in owns), announcing=frozenset(announcing), own_touched=tuple(touched)
    )


def announced(own, **options):
    """Return the one MAC that is announced."""
    [made] = Exports(config(**options)).everything(intent(own, announcing=())).values()
    return made


@pytest.mark.parametrize(
    ("own", "more"),
    [
        (OwnMac(VNI, MAC), ()),
        (OwnMac(VNI, MAC, seq=3), (mobility(3),)),
        (OwnMac(VNI, MAC, sticky=True), (mobility(0, sticky=True),)),
        (OwnMac(VNI, MAC, gateway=True), (DEFAULT_GATEWAY,)),
    ],
    ids=["a first sequence has no community", "a move", "sticky", "a gateway has no sequence"],
)
def test_a_mac_is_announced_with_what_is_known_of_it(own, more):
    assert announced(own) == MacAdvertisement(MacRoute(RD, MAC), VTEP, VNI, communities=COMMON + more)


def test_a_host_address_is_a_route_of_its_own():
    own = OwnMac(VNI, MAC, HOST, seq=2)

    assert announced(own).route == MacRoute(RD, MAC, HOST)


def test_the_settings_of_a_vni_decide_how_it_is_advertised():
    vni = (
        f'vni = 70000\n{BOUND}rd = "65000:7"\nimport_rt = ["65000:1", "*:2"]\nexport_rt = ["65000:8", "65000:9"]\n'
        'soo = "65000:5"\ntag = 6\nvtep = "fd00::99"\n'
    )
    floods, mac = Exports(config(vni)).everything(intent(OwnMac(Vni(70000), MAC), announcing=[Vni(70000)])).values()

    rd, vtep = RouteDistinguisher.parse("65000:7"), Ip.parse("fd00::99")
    site = Community(bytes.fromhex("0003fde800000005"))
    communities = (target("65000:8"), target("65000:9"), VXLAN, site)
    assert floods == Multicast(MulticastRoute(rd, vtep, 6), vtep, Pmsi(Vni(70000), vtep), communities)
    assert mac == MacAdvertisement(MacRoute(rd, MAC, tag=6), vtep, Vni(70000), communities=communities)


def test_what_is_exported_is_what_is_imported_without_wildcards():
    [made] = Exports(config(f'vni = 100\n{BOUND}import_rt = ["65000:3", "*:2"]\n')).everything(intent()).values()

    assert made.communities == (Community(RouteTarget.parse("65000:3")), VXLAN)


def test_only_changed_routes_are_returned_and_multicast_routes_first():
    exports = Exports(config())
    gone, stays, came = (OwnMac(VNI, Mac(bytes((2, 0, 0, 0, 0, last)))) for last in range(3))
    before = intent(gone, stays, announcing=())
    after = intent(stays, came, touched=[gone.key, came.key])

    changes = exports.changes(before, after)

    floods = MulticastRoute(RD, VTEP)
    assert list(changes) == [floods, MacRoute(RD, gone.mac), MacRoute(RD, came.mac)]
    assert [made is None for made in changes.values()] == [False, True, False]
    assert exports.changes(after, intent(stays, came, announcing=())) == {floods: None}


@pytest.mark.parametrize(
    "vni",
    ["vni = 100\n", f"vni = 100\n{BOUND}announce = false\n"],
    ids=["without a bridge", "that is not to announce"],
)
def test_a_vni_announces_nothing_and_lacks_nothing(vni):
    exports = Exports(config(vni))

    assert (exports.vnis, exports.left_out) == (frozenset(), ())
    assert exports.everything(intent(OwnMac(VNI, MAC))) == {}
    assert exports.changes(NOTHING, intent(OwnMac(VNI, MAC), touched=[(VNI, MAC, None)])) == {}


@pytest.mark.parametrize(
    ("options", "key", "hint"),
    [
        (
            {"vni": f'vni = 100\n{BOUND}import_rt = ["65000:100"]\n', "bgp": ""},
            "rd",
            'set rd = "ADDRESS:100", or bgp.router_id to derive it',
        ),
        (
            {"vni": f"vni = 70000\n{BOUND}"},
            "rd",
            'set rd = "ASN:70000" (a VNI above 65535 does not fit behind a router id)',
        ),
        (
            {"vni": f'vni = 100\n{BOUND}import_rt = ["*:100"]\n'},
            "export_rt",
            'set export_rt = ["ASN:100"]',
        ),
    ],
    ids=["no RD", "no RD that fits", "no Route Target"],
)
def test_a_configuration_that_receives_only_still_works_and_says_what_is_missing(options, key, hint, tmp_path, capsys):
    vni = config(**options).vnis[0].vni
    said = f"vni[0].{key}: VNI {vni} announces nothing without one (hint: {hint}, or set announce = false)"
    assert [str(problem) for problem in Exports(config(**options)).left_out] == [said]

    file = tmp_path / "vtep.toml"
    file.write_text(f'[node]\nvtep = "10.0.0.99"\n{options.get("bgp", BGP)}[[vni]]\n{options["vni"]}')
    status = main(["check", str(file)])

    assert status == 0
    assert f": note: {said}\n" in capsys.readouterr().err


VRF = '[[vrf]]\nname = "blue"\nvni = 70000\nvxlan = "vx1"\nsvi = "br1"\n'


@pytest.mark.parametrize(
    "vni",
    [f"vni = 100\n{BOUND}vrf = 'blue'\n{VRF}", f"vni = 100\n{BOUND}{VRF}redistribute = ['connected']\n"],
    ids=["for the hosts of a VNI", "for its prefixes"],
)
def test_a_vrf_that_should_advertise_says_what_is_missing(vni):
    [problem] = Exports(config(vni)).left_out
    assert str(problem).startswith("vrf[0].rd: VRF blue advertises nothing without one (hint: set rd = ")


def test_a_vrf_that_only_receives_lacks_nothing():
    assert Exports(config(f"vni = 100\n{BOUND}{VRF}")).left_out == ()


BUNDLE = """vni = 100
bridge = "br0"
vxlan = "vxlan0"
vlan = 10
tag = 10
rd = "10.0.0.99:1"
import_rt = ["65000:1"]
[[vni]]
vni = 200
bridge = "br0"
vxlan = "vxlan0"
vlan = 20
tag = {tag}
rd = "10.0.0.99:1"
import_rt = ["65000:1"]
"""


def test_the_vlans_of_a_bundle_share_what_names_their_routes_but_the_tag():
    """The VLAN-aware bundle of RFC 7432 6.3: one Route Distinguisher and Route Target, and an Ethernet tag for each VLAN."""
    owns = [OwnMac(VNI, MAC), OwnMac(Vni(200), MAC)]
    exports = Exports(config(BUNDLE.format(tag=20)))

    rd = RouteDistinguisher.parse("10.0.0.99:1")
    made = exports.everything(intent(*owns, announcing=[VNI, Vni(200)]))

    assert exports.left_out == ()
    assert set(made) == {
        *(MulticastRoute(rd, VTEP, tag) for tag in (10, 20)),
        *(MacRoute(rd, MAC, tag=tag) for tag in (10, 20)),
    }
    assert {one.communities for one in made.values()} == {(target("65000:1"), VXLAN)}


def test_vnis_whose_routes_would_have_the_same_names_are_not_both_advertised():
    exports = Exports(config(BUNDLE.format(tag=10)))

    assert exports.vnis == {VNI}
    [problem] = exports.left_out
    assert str(problem) == (
        "vni[1].tag: VNI 200 announces nothing, because VNI 100 has the same rd and tag "
        "(hint: give each VNI of a bundle a tag of its own, such as its VLAN, or set announce = false)"
    )


# Ethernet segments

ESI = Esi.parse("03:02:00:00:00:00:42:00:00:01")
ON = OwnSegment(ESI, "es0", (VNI,))


def on_segment(more=""):
    return parse(
        f'[node]\nvtep = "10.0.0.99"\n{BGP}[[vni]]\nvni = 100\n{BOUND}[[segment]]\nesi = "{ESI}"\nport = "es0"\n{more}'
    )


def test_a_segment_is_advertised_as_a_whole_in_each_vni_and_as_a_candidate():
    made = Exports(on_segment()).segment(ON)

    rd = RouteDistinguisher.parse("10.0.0.99:1")
    assert list(made.values()) == [
        EadAdvertisement(EadRoute(rd, ESI, 0xFFFFFFFF), VTEP, None, (*COMMON, esi_label())),
        EadAdvertisement(EadRoute(RD, ESI), VTEP, VNI, COMMON),
        SegmentAdvertisement(SegmentRoute(rd, ESI, VTEP), VTEP, (es_import(ESI),)),  # the default has no community
    ]


def test_another_election_is_asked_for():
    made = Exports(on_segment('algorithm = "highest-preference"\npreference = 7\ndont_preempt = true')).segment(ON)

    assert [*made.values()][-1].communities == (es_import(ESI), election(2, 0x8000, 7))


def test_ac_df_is_requested_in_the_election():
    made = Exports(on_segment("ac_df = true")).segment(ON)

    assert [*made.values()][-1].communities == (es_import(ESI), election(0, 0x4000, 0))


def test_a_lost_segment_is_withdrawn_before_its_macs():
    """The first withdrawal alone takes this leaf out of the way to all MACs of the segment (RFC 7432 8.2)."""
    exports, own = Exports(on_segment()), OwnMac(VNI, MAC, segment=ESI)
    before = structs.replace(intent(own), own_segments=Table([(ESI, ON)]))
    after = structs.replace(intent(touched=(own.key,)), touched_segments=(ESI,))

    changes = exports.changes(before, after)

    assert set(changes.values()) == {None}
    assert [type(route) for route in changes] == [EadRoute, EadRoute, SegmentRoute, MacRoute]
    assert next(iter(changes)).tag == 0xFFFFFFFF


def test_a_mac_on_a_segment_names_it():
    [made] = Exports(on_segment()).everything(intent(OwnMac(VNI, MAC, segment=ESI), announcing=())).values()

    assert made.esi == ESI


def test_very_many_route_targets_are_in_several_routes_with_rds_of_their_own():
    targets = ", ".join(f'"65000:{number}"' for number in range(130))
    text = f'[node]\nvtep = "10.0.0.99"\n{BGP}[[vni]]\nvni = 100\nexport_rt = [{targets}]\n{BOUND}'
    made = Exports(parse(f'{text}[[segment]]\nesi = "{ESI}"\nport = "es0"\n')).segment(ON)

    wholes = [route for route in made if isinstance(route, EadRoute) and route.tag == 0xFFFFFFFF]
    assert [str(route.rd) for route in wholes] == ["10.0.0.99:1", "10.0.0.99:2"]
