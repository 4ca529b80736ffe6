"""Where a daemon is, and what is said when it does not answer there."""

import argparse
import socket

import pytest

from vtep.cli import connection
from vtep.cli.connection import Address, Client, Tls
from vtep.errors import UnreachableError, UsageError
from vtep.v1 import vtep_pb2 as pb


@pytest.mark.parametrize(
    ("text", "target", "is_local"),
    [
        ("unix:/run/vtep/vtep.sock", "unix:/run/vtep/vtep.sock", True),
        ("unix:///run/vtep/vtep.sock", "unix:/run/vtep/vtep.sock", True),
        ("/run/vtep/vtep.sock", "unix:/run/vtep/vtep.sock", True),
        ("./vtep.sock", "unix:./vtep.sock", True),
        ("127.0.0.1:9478", "127.0.0.1:9478", True),
        ("localhost:9478", "localhost:9478", True),
        ("[::1]:9478", "[::1]:9478", True),
        ("leaf7.example.net:9478", "leaf7.example.net:9478", False),
        ("[2001:db8::7]:9478", "[2001:db8::7]:9478", False),
    ],
)
def test_an_address_is_a_path_or_a_host_with_a_port(text, target, is_local):
    address = Address.parse(text)

    assert (address.target, address.is_local) == (target, is_local)


@pytest.mark.parametrize(
    "text",
    ["", "vtep.sock", "leaf7", "leaf7:", ":9478", "leaf7:0", "leaf7:65536", "leaf7:http", "2001:db8::7", "unix:"],
)
def test_a_text_that_is_not_an_address_is_a_usage_error(text):
    with pytest.raises(UsageError):
        Address.parse(text)


def test_a_socket_that_is_not_there_asks_whether_the_daemon_runs(tmp_path):
    said = refused(f"{tmp_path}/no.sock")

    assert said.startswith(f"unix:{tmp_path}/no.sock: no such socket")
    assert "Is `vtep run` running" in said


def test_a_socket_without_a_daemon_has_a_message_of_its_own(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/old.sock")

    assert "no daemon listens on it" in refused(f"{tmp_path}/old.sock")


def test_a_socket_that_may_not_be_opened_says_whose_it_is(tmp_path, monkeypatch):
    """Root may open everything, so the kernel's answer is put there by hand."""

    class Forbidden(socket.socket):
        def connect(self, _):
            raise PermissionError

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/vtep.sock")
        monkeypatch.setattr(connection.socket, "socket", Forbidden)

        said = refused(f"{tmp_path}/vtep.sock")

    assert "permission denied (the socket is " in said
    assert "mode 0" in said
    assert "member of that group" in said


def test_a_port_without_a_daemon_is_reported_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: no other program can be there
        said = refused(f"127.0.0.1:{taken.getsockname()[1]}")

    assert "cannot be reached" in said
    assert "api.listen" in said
    assert "\n" not in said


def refused(address):
    with Client(Address.parse(address), Tls(), 5.0) as daemon, pytest.raises(UnreachableError) as told:
        daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)
    return str(told.value)


def test_tls_files_come_from_options_before_the_environment(monkeypatch):
    monkeypatch.setenv("VTEP_TLS_CA", "/env/ca.pem")
    monkeypatch.setenv("VTEP_TLS_CERT", "/env/cert.pem")

    tls = Tls.of(argparse.Namespace(tls_ca="/ca.pem", tls_cert=None, tls_key=None))

    assert tls == Tls("/ca.pem", "/env/cert.pem", "")


def test_a_certificate_without_its_key_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="go together"):
        Tls(cert=f"{tmp_path}/cert.pem").credentials()


def test_a_tls_file_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"/no/ca\.pem: No such file"):
        Tls(ca="/no/ca.pem").credentials()
