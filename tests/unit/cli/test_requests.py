"""An order never goes to another daemon than the one that was named."""

import pytest

from vtep.cli import requests
from vtep.cli.connection import Address
from vtep.errors import UnreachableError
from vtep.v1 import vtep_pb2 as pb


class Told:
    """A daemon at an address that says where its admin service is."""

    def __init__(self, address, *admin):
        self.address = Address.parse(address)
        self._admin = admin

    def ask(self, _request, _answer):
        return pb.GetStatusResponse(admin_addresses=self._admin)


@pytest.mark.parametrize(
    ("address", "admin"),
    [
        ("/run/vtep/vtep.sock", "unix:/run/vtep/admin.sock"),
        ("127.0.0.1:9478", "unix:/run/vtep/admin.sock"),
        ("leaf7:9478", "192.0.2.7:9480"),
    ],
)
def test_the_admin_service_is_where_the_daemon_says(address, admin):
    assert requests._admin_address(Told(address, admin, "unix:/other")).target == admin


@pytest.mark.parametrize("admin", ["unix:/run/vtep/admin.sock", "127.0.0.1:9480", "[::1]:9480"])
def test_a_socket_of_another_host_is_not_taken_for_one_of_this_host(admin):
    with pytest.raises(UnreachableError, match="run this command there"):
        requests._admin_address(Told("leaf7:9478", admin))
