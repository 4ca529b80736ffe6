"""The small HTTP server, over real sockets on loopback."""

import asyncio
import contextlib
import socket

import pytest

from vtep.api.http import server as http
from vtep.api.http.server import Request, Response, Server, own_names


async def echo(request: Request) -> Response:
    if request.path == "/broken":
        raise RuntimeError("broken")
    return Response(f"{request.path} {dict(request.query)}")


@contextlib.asynccontextmanager
async def serving(answer=echo, host="127.0.0.1"):
    server = Server(answer, {"localhost", "leaf1"}, ("/livez",))
    await server.start(host, 0)
    try:
        yield server.ports[0]
    finally:
        await server.stop()


async def tell(port, octets, host="127.0.0.1", *, eof=False):
    """Send octets and return all that comes back, as text."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(octets)
        if eof:
            writer.write_eof()
        return (await asyncio.wait_for(reader.read(), 10)).decode("latin-1")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def said(octets, **options):
    """Serve, send these octets, and return what came back."""

    async def run():
        async with serving() as port:
            return await tell(port, octets, **options)

    return asyncio.run(run())


def get(target="/", host="localhost", method="GET", more=b""):
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode() + more + b"\r\n"


def status(answer):
    return int(answer.split()[1]) if answer else None


def body(answer):
    return answer.partition("\r\n\r\n")[2]


def test_a_path_and_its_parameters_are_answered():
    answer = said(get("/a?x=1&y=%20z"))

    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert body(answer) == "/a {'x': '1', 'y': ' z'}"


def test_head_has_the_length_and_no_body():
    answer = said(get("/a", method="HEAD"))

    assert f"Content-Length: {len('/a {}')}" in answer
    assert body(answer) == ""


@pytest.mark.parametrize(
    ("octets", "expect"),
    [
        pytest.param(b"\r\n\r\n", 400, id="nothing at all"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, id="TLS"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400, id="another version"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="a control character"),
        pytest.param(b"GET a HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="no absolute path"),
        pytest.param(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="a broken URL"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: leaf1\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400, id="a folded field"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", 400, id="no field"),
        pytest.param(get(host="a b"), 400, id="a host with a space"),
        pytest.param(get("/?" + "&".join("abcdefghijklmnopq")), 400, id="too many parameters"),
        pytest.param(get(method="POST", more=b"Content-Length: 2\r\n"), 405, id="POST"),
        pytest.param(get(method="BREW"), 405, id="an unknown method"),
        pytest.param(get(host="evil.example"), 421, id="a name that is not ours"),
        pytest.param(get(host="localhost.evil.example"), 421, id="a name that begins like ours"),
        pytest.param(get("http://evil.example/"), 421, id="a foreign name in the target"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", 200, id="HTTP/1.0 without a host"),
        pytest.param(get("http://leaf1/"), 200, id="our name in the target"),
        pytest.param(get(host="LEAF1.:9479"), 200, id="our name, a port"),
        pytest.param(get(host="192.0.2.1:9479"), 200, id="an IPv4 address"),
        pytest.param(get(host="[2001:db8::1]:9479"), 200, id="an IPv6 address"),
    ],
)
def test_each_request_gets_the_status_that_it_deserves(octets, expect):
    assert status(said(octets)) == expect


def test_a_request_that_ends_early_gets_400_and_one_that_never_began_gets_nothing():
    assert status(said(b"GET / HT", eof=True)) == 400
    assert said(b"", eof=True) == ""


def test_of_pipelined_requests_the_first_is_answered_and_the_connection_ends():
    answer = said(get("/a") + get("/b"))

    assert answer.count("HTTP/1.1 ") == 1
    assert body(answer) == "/a {}"


def test_a_client_that_closed_its_half_gets_its_answer():
    assert body(said(get("/a"), eof=True)) == "/a {}"


def test_a_parameter_as_long_as_a_head_may_be_is_answered():
    assert status(said(get("/a?mac=" + "0" * (http.HEAD_OCTETS_MAX - 100)))) == 200


def test_a_head_that_is_too_long_is_refused_though_it_is_not_over():
    assert status(said(b"GET / HTTP/1.1\r\nX: " + b"x" * http.HEAD_OCTETS_MAX)) == 431


def test_a_refused_method_says_which_there_are():
    assert "\r\nAllow: GET, HEAD\r\n" in said(get(method="DELETE"))


def test_a_header_that_does_not_come_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(http, "DEADLINE_S", 0.05)

    assert status(said(b"GET / HTTP/1.1\r\nHost: loc")) == 408


LONG = b"x" * 30_000_000


async def long_but_for_probes(request: Request) -> Response:
    return Response("ok" if request.path == "/livez" else LONG)


async def connected(port, octets=b""):
    """Open a connection and send something on it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    await writer.drain()
    return reader, writer


async def until(condition, deadline_s=10):
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0)


def open_at_the_server():
    """Count the connections that the server has a task for."""
    return sum("Server._serve" in repr(task.get_coro()) for task in asyncio.all_tasks())


def test_a_client_that_does_not_take_the_answer_is_left(monkeypatch):
    monkeypatch.setattr(http, "DEADLINE_S", 0.05)

    async def run():
        async with serving(long_but_for_probes) as port:
            with socket.create_connection(("127.0.0.1", port)) as silent:
                silent.sendall(get())
                await until(open_at_the_server)
                await until(lambda: not open_at_the_server())
                silent.settimeout(5)
                return await asyncio.to_thread(_all_of, silent)

    assert asyncio.run(run()) < len(LONG)


def _all_of(connection):
    octets = 0
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 20):
            octets += len(piece)
    return octets


def test_80_idle_connections_keep_no_request_from_its_answer():
    async def run():
        async with serving() as port:
            idle = [await connected(port) for _ in range(80)]
            answers = [status(await tell(port, get(path))) for path in ("/livez", "/readyz", "/a") * 25]
            for _, writer in idle:
                writer.close()
            return answers

    assert asyncio.run(run()) == [200] * 75


def test_a_new_connection_makes_room_by_ending_the_oldest_idle_one():
    async def run():
        async with serving() as port:
            idle = [await connected(port, b"GET") for _ in range(http.AWAITED_MAX)]
            await until(lambda: open_at_the_server() == http.AWAITED_MAX)
            new = await connected(port, b"GET")
            ended = await asyncio.wait_for(_end(idle[0][0]), 5)
            others = [reader.at_eof() for reader, _ in idle[1:]]
            for _, writer in (*idle, new):
                writer.close()
            return ended, any(others)

    assert asyncio.run(run()) == (b"", False)


async def _end(reader):
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_an_idle_connection_is_closed_in_bounded_time(monkeypatch):
    monkeypatch.setattr(http, "DEADLINE_S", 0.05)
    monkeypatch.setattr(http, "LINGER_S", 0.05)

    async def run():
        async with serving() as port:
            idle = [await connected(port, octets) for octets in (b"", b"G", b"GET / HTTP/1.1\r\n")]
            await until(lambda: open_at_the_server() == len(idle))
            await until(lambda: not open_at_the_server())
            for _, writer in idle:
                writer.close()

    asyncio.run(run())


def test_clients_that_never_read_keep_no_probe_from_its_answer():
    async def run():
        async with serving(long_but_for_probes) as port:
            silent = [await connected(port, get("/metrics")) for _ in range(2 * http.ANSWERED_MAX)]
            answers = [status(await tell(port, get("/livez"))) for _ in range(20)]
            most = open_at_the_server()
            for _, writer in silent:
                writer.transport.abort()
            return answers, most

    answers, most = asyncio.run(run())

    assert answers == [200] * 20
    assert most <= http.ANSWERED_MAX + http.AWAITED_MAX + http.LINGERING_MAX


def test_a_fault_of_ours_is_an_answer_and_the_next_request_is_served():
    async def run():
        async with serving() as port:
            return status(await tell(port, get("/broken"))), status(await tell(port, get()))

    assert asyncio.run(run()) == (500, 200)


def test_every_answer_forbids_what_a_hostile_page_would_do_with_it():
    answer = said(get("/nothing"))

    assert "X-Content-Type-Options: nosniff" in answer
    assert "Cross-Origin-Resource-Policy: same-origin" in answer
    assert "Content-Security-Policy: default-src 'none'" in answer
    assert "Connection: close" in answer


def test_an_ipv6_address_is_served():
    async def run():
        async with serving(host="::1") as port:
            return await tell(port, get(host=f"[::1]:{port}"), host="::1")

    assert status(asyncio.run(run())) == 200


def test_stopping_does_not_wait_for_clients_that_are_connected():
    async def run():
        server = Server(echo, ())
        await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports[0])
        writer.write(b"GET")
        await writer.drain()
        await asyncio.wait_for(server.stop(), 2)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("turns", range(6))
def test_stopping_ends_a_connection_that_came_just_before(turns):
    """However far the loop has got with it: accepted, handed on, or about to be served."""

    async def run():
        server = Server(echo, ())
        await server.start("127.0.0.1", 0)
        with socket.create_connection(("127.0.0.1", server.ports[0])) as client:
            client.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop()
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 2) == b""

    asyncio.run(run())


def test_the_names_of_this_machine_are_those_of_its_own_hosts_file(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "leaf1")
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "127.0.0.1 localhost\n127.0.1.1 leaf1.example.net leaf1 # leaf9\n10.0.0.2 leaf2.example.net leaf2\n"
    )

    assert own_names(hosts) == {"localhost", "leaf1", "leaf1.example.net"}
    assert own_names(tmp_path / "none") == {"localhost", "leaf1"}
