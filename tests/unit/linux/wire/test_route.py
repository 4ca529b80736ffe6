"""Messages about routes as octets: many in one datagram."""

from vtep.addr import Prefix
from vtep.linux.wire.neighbor import Verb
from vtep.linux.wire.route import RouteMessage, encode, encode_all

NETS = [Prefix.parse(text) for text in ("10.0.0.0/8", "192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/0")]


def test_many_messages_in_one_datagram_are_what_they_are_one_by_one():
    """Verb, table, nexthop, metric and family change in between, so runs begin and end there."""
    rows = [
        RouteMessage(verb, table, prefix, 0 if verb is Verb.DELETE else nexthop, metric)
        for verb in (Verb.CREATE, Verb.REPLACE, Verb.DELETE)
        for table in (1, 70_000)
        for nexthop, metric in ((7, 0), (9, 0), (9, 300))
        for prefix in NETS
    ]
    for first in range(len(rows)):
        for end in range(first + 1, len(rows) + 1):
            some = rows[first:end]
            alone = (encode(row, 500 + place, acknowledged=place == len(some) - 1) for place, row in enumerate(some))
            assert encode_all(some, 500) == b"".join(alone)
