"""Reading what was spelled gives what was meant, for every command there can be."""

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network
from string import printable

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.examples import examples
from vtep.addr import MAX_ESI, NO_SEGMENT, VNI_MAX, Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.errors import UsageError
from vtep.evpn.advertise import (
    SEQ_MAX,
    TAG_MAX,
    Community,
    EadAdvertisement,
    EadRoute,
    MacAdvertisement,
    MacGroup,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    PrefixAdvertisement,
    PrefixRoute,
    SegmentAdvertisement,
    SegmentRoute,
    Withdrawal,
    group_of,
    grouped,
    mobility,
)
from vtep.evpn.keys import key_of
from vtep.feed.exabgp.grammar import parse, spell, spell_group


def octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


kinds = st.sampled_from([b"\0\0", b"\0\1", b"\0\2", b"\0\7"])
rds = st.builds(lambda kind, rest: RouteDistinguisher(kind + rest), kinds, octets(6))
ips = st.one_of(octets(4), octets(16)).map(Ip.unpack)
next_hops = ips.filter(lambda ip: ip.is_unicast)
macs = octets(6).map(Mac).filter(lambda mac: mac.is_usable)
tags = st.integers(0, TAG_MAX)
vnis = st.integers(0, VNI_MAX).map(Vni)
named = st.sampled_from([b"\0\2", b"\1\2", b"\2\2", b"\6\0", b"\3\x0c", b"\3\x0d"])
communities = st.one_of(
    octets(8).map(Community),
    st.builds(lambda kind, rest: Community(kind + rest), named, octets(6)),
    st.builds(lambda seq, sticky: mobility(seq, sticky=sticky), st.integers(0, SEQ_MAX), st.booleans()),
)
lists = st.lists(communities, max_size=4).map(tuple)
mac_routes = st.builds(MacRoute, rds, macs, st.none() | ips, tags)
multicast_routes = st.builds(MulticastRoute, rds, ips, tags)
prefixes = ips.flatmap(
    lambda ip: st.integers(0, 8 * len(ip)).map(
        lambda length: Prefix.parse(str(ip_network((bytes(ip), length), strict=False)))
    )
)
prefix_routes = st.builds(PrefixRoute, rds, prefixes, tags)
mac_advertisements = st.builds(
    MacAdvertisement,
    mac_routes,
    next_hops,
    vnis,
    st.none() | vnis,
    st.just(NO_SEGMENT) | octets(10).map(Esi),
    lists,
)
segments = octets(10).map(Esi).filter(lambda esi: esi not in (NO_SEGMENT, MAX_ESI))
ead_routes = st.builds(EadRoute, rds, segments, tags)
segment_routes = st.builds(SegmentRoute, rds, segments, ips)
commands = st.one_of(
    st.builds(EadAdvertisement, ead_routes, next_hops, st.none() | vnis, lists),
    st.builds(SegmentAdvertisement, segment_routes, next_hops, lists),
    mac_advertisements,
    st.builds(Multicast, multicast_routes, next_hops, st.builds(Pmsi, vnis, ips), lists),
    st.builds(PrefixAdvertisement, prefix_routes, next_hops, vnis, lists),
    st.builds(Withdrawal, mac_routes | multicast_routes | prefix_routes | ead_routes | segment_routes),
)


@given(commands)
def test_the_key_of_an_announced_and_of_a_withdrawn_route_is_in_its_octets(command):
    for nlri in (command.nlri, Withdrawal(command.route).nlri):
        assert key_of(nlri[0], nlri[2:]) == command.route.key


hosts = st.lists(st.tuples(macs, st.none() | ips), min_size=1, max_size=6, unique=True).map(tuple)


def made_group(command, hosts):
    """Return the group of these hosts that a command for one MAC stands for."""
    (mac, ip) = hosts[0]
    route = MacRoute(command.route.rd, mac, ip, command.route.tag)
    return MacGroup(Withdrawal(route) if isinstance(command, Withdrawal) else replace(command, route=route), hosts)


groups = st.builds(made_group, mac_advertisements | st.builds(Withdrawal, mac_routes), hosts)


@settings(deadline=None, max_examples=examples(40))
@given(groups)
def test_a_written_command_for_many_macs_is_read_as_the_same(group):
    line = spell_group(group)

    assert parse(line) == group
    assert line.isascii()
    assert "\n" not in line


@settings(deadline=None, max_examples=examples(40))
@given(groups)
def test_a_command_for_many_macs_is_what_the_commands_for_each_are(group):
    alone = list(group.commands)

    assert [command.route for command in alone] == [
        MacRoute(group.like.route.rd, *host, group.like.route.tag) for host in group.hosts
    ]
    assert list(group.nlris) == [command.nlri for command in alone]
    assert [*grouped(alone, len(alone))] == [tuple(alone)]
    assert group_of(alone) == group


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(commands | groups, max_size=8), st.integers(1, 5))
def test_grouping_loses_nothing_and_keeps_unlike_apart(some, most):
    alone = {}
    for one in some:
        alone |= {command.route: command for command in (one.commands if isinstance(one, MacGroup) else [one])}

    found = list(grouped(alone.values(), most))

    assert {command.route: command for group in found for command in group} == alone
    assert sum(map(len, found)) == len(alone)
    for group in found:
        assert len(group) <= most
        if len(group) > 1:
            assert list(group_of(group).commands) == list(group)


@given(commands)
def test_a_written_command_is_read_as_the_same(command):
    line = spell(command)

    assert parse(line) == command
    assert line.isascii()
    assert "\n" not in line


@given(commands, st.data())
def test_a_damaged_line_is_read_or_refused(command, data):
    words = spell(command).split()
    at = data.draw(st.integers(0, len(words) - 1))
    words[at] = data.draw(st.text(printable, max_size=8))

    with suppress(UsageError):
        parse(" ".join(words))
