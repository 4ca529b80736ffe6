"""The gRPC API as its clients meet it: sockets and certificates, every call, tools of others, load and bad manners."""

import asyncio
import contextlib
import logging
import os
import re
import shlex
import socket
import stat
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from msgspec.structs import replace

from tests.lab import http2
from tests.lab.api import ClosedError, serve
from tests.lab.certificates import Authority
from tests.lab.figures import Figures, figures, row
from tests.lab.watch_readers import LAST
from vtep.addr import Mac, Vni
from vtep.api.grpc.server import CONNECTIONS_MAX, OPTIONS
from vtep.api.grpc.services import READY_EVERY_S
from vtep.config.model import ApiConfig, TlsConfig
from vtep.v1 import admin_pb2, admin_pb2_grpc, vtep_pb2_grpc
from vtep.v1 import vtep_pb2 as pb

ROOT = Path(__file__).parents[2]
VENV_BIN = Path(sys.executable).parent
GRPCURL = VENV_BIN.parent / "proto" / "bin" / "grpcurl"
BUF = VENV_BIN / "buf"


@pytest.fixture
def sockets(tmp_path):
    return Sockets(tmp_path)


class Sockets:
    """Where the API of a test listens."""

    def __init__(self, directory: Path) -> None:
        self.read, self.write = directory / "vtep.sock", directory / "admin.sock"

    def api(self, **fields) -> ApiConfig:
        return ApiConfig(**{"listen": (f"unix:{self.read}",), "admin": (f"unix:{self.write}",), "metrics": ""} | fields)


def play(api: ApiConfig, story, source: Figures | None = None) -> None:
    """Run a story while the API is served."""

    async def tell() -> None:
        told = source or figures()
        async with serve(api, told, told):
            await story(told)

    asyncio.run(tell())


@contextlib.asynccontextmanager
async def called(address: str | Path, credentials: grpc.ChannelCredentials | None = None):
    """Open a channel and yield the stubs: reading, writing, health."""
    target = f"unix:{address}" if isinstance(address, Path) else address
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = (
        grpc.aio.secure_channel(target, credentials, options)
        if credentials
        else grpc.aio.insecure_channel(target, options)
    )
    async with channel:
        yield (
            vtep_pb2_grpc.VtepServiceStub(channel),
            admin_pb2_grpc.AdminServiceStub(channel),
            health_pb2_grpc.HealthStub(channel),
        )


async def refused(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value.code(), refusal.value.details()


def refusal(api: ApiConfig) -> str:
    async def unreached(_) -> None:
        pytest.fail("it was served")

    with pytest.raises(ClosedError) as error:
        play(api, unreached)
    return str(error.value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Sockets


def test_sockets_are_for_owner_and_group_and_are_gone_afterwards(sockets):
    async def story(_) -> None:
        for path in (sockets.read, sockets.write):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660

    before = os.umask(0)
    try:
        play(sockets.api(), story)
    finally:
        assert os.umask(before) == 0

    assert not sockets.read.exists()
    assert not sockets.write.exists()


def test_a_socket_that_a_dead_daemon_left_is_replaced(sockets):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sockets.read))

    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

    play(sockets.api(), story)


def test_a_living_daemon_keeps_its_socket(sockets):
    async def story(_) -> None:
        other = figures()
        with pytest.raises(ClosedError, match=r"vtep.sock: another daemon listens there \(hint: stop it"):
            async with serve(sockets.api(admin=()), other, other):
                pytest.fail("it was served")
        async with called(sockets.read) as (reading, _, _):
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

    play(sockets.api(), story)


def test_a_file_that_is_not_a_socket_is_not_removed(sockets):
    sockets.read.write_text("precious")

    said = refusal(sockets.api(admin=(f"unix:{sockets.write}", f"unix:{sockets.read}"), listen=()))

    assert "there is a file that is not a socket" in said
    assert sockets.read.read_text() == "precious"
    assert not sockets.write.exists()


def test_a_port_in_use_is_a_refusal_that_says_where_and_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        said = refusal(ApiConfig(listen=(address,), admin=()))

    assert f"api.listen: {address}: cannot listen there" in said
    assert "ss -ltnp" in said


def test_two_daemons_do_not_share_a_port():
    api = ApiConfig(listen=(f"127.0.0.1:{free_port()}",), admin=())

    async def story(_) -> None:
        other = figures()
        with pytest.raises(ClosedError, match="cannot listen there"):
            async with serve(api, other, other):
                pytest.fail("it was served")

    play(api, story)


def test_nothing_but_the_log_is_on_stderr_even_where_grpc_has_something_to_say():
    program = """
import asyncio, logging, sys
from vtep.config.model import ApiConfig
from tests.lab import http2
from tests.lab.api import ClosedError, serve
from tests.lab.figures import figures

async def main():
    async with serve(ApiConfig(listen=(sys.argv[1],), admin=()), figures(), figures()):
        pass

logging.basicConfig(stream=sys.stdout)
try:
    asyncio.run(main())
except ClosedError:
    sys.exit(9)
"""
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = [sys.executable, "-c", program, f"127.0.0.1:{other.getsockname()[1]}"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (9, "")


def test_admin_is_served_where_it_is_configured_and_nowhere_else(sockets):
    async def story(source) -> None:
        async with called(sockets.read) as (_, writing, _), called(sockets.write) as (reading, admin, _):
            code, _ = await refused(writing.Resync(admin_pb2.ResyncRequest()))
            assert code is grpc.StatusCode.UNIMPLEMENTED
            await admin.Resync(admin_pb2.ResyncRequest())
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"
        assert source.asked == [("resync", False)]

    play(sockets.api(), story)


def test_an_address_in_both_lists_has_both(sockets):
    async def story(source) -> None:
        async with called(sockets.read) as (reading, admin, _):
            await admin.Resync(admin_pb2.ResyncRequest(peers=True))
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"
        assert source.asked == [("resync", True)]

    play(sockets.api(admin=(f"unix:{sockets.read}",)), story)


# Certificates


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def test_from_elsewhere_it_takes_a_certificate_of_the_client_authority(authority, tmp_path):
    cert, key = authority.issue("server")
    mine = authority.issue("client")
    strange = Authority(tmp_path, "stranger").issue("imposter")
    port = free_port()
    root = Path(authority.path).read_bytes()
    pairs = [(tuple(Path(path).read_bytes() for path in pair), pair is mine) for pair in (mine, strange)]

    async def story(_) -> None:
        for (chain, private), is_let_in in [*pairs, ((None, None), False)]:
            credentials = grpc.ssl_channel_credentials(root, private, chain)
            async with called(f"127.0.0.1:{port}", credentials) as (reading, _, _):
                call = reading.GetStatus(pb.GetStatusRequest(), timeout=10)
                if is_let_in:
                    assert (await call).version == "0.1.0"
                else:
                    assert (await refused(call))[0] is grpc.StatusCode.UNAVAILABLE
        async with called(f"127.0.0.1:{port}") as (reading, _, _):
            assert (await refused(reading.GetStatus(pb.GetStatusRequest(), timeout=10)))[
                0
            ] is grpc.StatusCode.UNAVAILABLE

    play(ApiConfig(listen=(f"0.0.0.0:{port}",), admin=(), tls=TlsConfig(cert, key, authority.path)), story)


def test_an_address_beyond_loopback_is_refused_without_certificates():
    assert "can be reached from outside" in refusal(ApiConfig(listen=("0.0.0.0:1",), admin=()))


def test_certificate_files_that_are_not_there_are_all_named(tmp_path):
    tls = TlsConfig(*(str(tmp_path / name) for name in ("cert", "key", "ca")))

    said = refusal(ApiConfig(listen=(f"0.0.0.0:{free_port()}",), admin=(), tls=tls))

    for name in ("cert", "key", "ca"):
        assert f"{tmp_path}/{name}: No such file or directory" in said


def test_a_key_of_another_certificate_is_refused_by_name(authority):
    cert, _ = authority.issue("server")
    _, key = authority.issue("other")

    said = refusal(ApiConfig(listen=("0.0.0.0:1",), admin=(), tls=TlsConfig(cert, key, authority.path)))

    assert f"{cert} and {key} do not go together: key values mismatch" in said


def test_a_ca_file_without_a_certificate_is_refused_by_name(authority, tmp_path):
    cert, key = authority.issue("server")
    (tmp_path / "empty").write_text("nothing")

    said = refusal(ApiConfig(listen=("0.0.0.0:1",), admin=(), tls=TlsConfig(cert, key, str(tmp_path / "empty"))))

    assert f"{tmp_path}/empty is not a CA file" in said


# Calls


def test_every_list_is_answered(sockets):
    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            assert [vni.state for vni in (await reading.ListVnis(pb.ListVnisRequest())).vnis] == [
                "ready",
                "not-ready",
                "unbound",
            ]
            assert {vtep.vni for vtep in (await reading.ListVteps(pb.ListVtepsRequest(vni=200))).vteps} == {200}
            assert [peer.up for peer in (await reading.ListPeers(pb.ListPeersRequest())).peers] == [True, False]
            assert len((await reading.ListEvents(pb.ListEventsRequest(after=1))).events) == 2
            assert [found.difference for found in (await reading.Diff(pb.DiffRequest())).differences] == [
                "missing",
                "contested",
            ]

    play(sockets.api(), story)


@pytest.mark.parametrize("size", [1, 4, 5000], ids=str)
def test_pages_of_neighbors_are_the_whole_table_once(sockets, size):
    async def story(_) -> None:
        found, token = [], ""
        async with called(sockets.read) as (reading, _, _):
            while token or not found:
                page = await reading.ListNeighbors(pb.ListNeighborsRequest(page_size=size, page_token=token))
                found += [neighbor.ip for neighbor in page.neighbors]
                token = page.next_page_token
        assert len(found) == len(set(found)) == 9

    play(sockets.api(), story)


def test_a_hundred_thousand_rows_come_in_pages_that_any_client_takes(sockets):
    async def story(_) -> None:
        found, sizes, token = set(), [], ""
        start = time.monotonic()
        async with called(sockets.read) as (reading, _, _):
            while token or not sizes:
                page = await reading.ListMacs(pb.ListMacsRequest(page_size=4_000_000, page_token=token))
                found |= {mac.mac for mac in page.macs}
                sizes.append((len(page.macs), page.ByteSize()))
                token = page.next_page_token
        print(f"100,009 rows in {len(sizes)} pages: {time.monotonic() - start:.2f} s, {max(sizes)[1]} octets at most")
        assert len(found) == page.total == 100_009
        assert max(rows for rows, _ in sizes) == 5000
        assert max(octets for _, octets in sizes) < 4 << 20

    play(sockets.api(), story, figures(100_000))


def test_filters_choose_rows_even_where_pages_come_out_empty(sockets):
    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            states, token, pages = [pb.SYNC_STATE_FAILED], "", []
            while token or not pages:
                request = pb.ListMacsRequest(page_size=2, page_token=token, vni=100, states=states)
                page = await reading.ListMacs(request)
                pages.append([mac.mac for mac in page.macs])
                token = page.next_page_token
        assert [mac for page in pages for mac in page] == ["02:00:00:00:00:03"]
        assert [] in pages

    play(sockets.api(), story)


@pytest.mark.parametrize("spelling", ["02:00:00:00:00:04", "0200.0000.0004", "02-00-00-00-00-04", "020000000004"])
def test_a_mac_is_explained_in_any_usual_notation(sockets, spelling):
    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            (told,) = (await reading.ExplainMac(pb.ExplainMacRequest(mac=spelling))).explanations
        assert told.kernel.holder == "local-static"
        assert [event.kind for event in told.events] == ["contested"]

    play(sockets.api(), story)


def test_what_an_operator_asks_is_done_and_logged(sockets, caplog):
    async def story(source) -> None:
        async with called(sockets.write) as (_, admin, _):
            adopted = await admin.Adopt(admin_pb2.AdoptRequest(vni=100, dry_run=True))
            await admin.Adopt(admin_pb2.AdoptRequest(foreign=True))
            cleared = await admin.ClearDuplicate(admin_pb2.ClearDuplicateRequest(mac="02:00:00:00:00:02"))
            level = await admin.SetLogLevel(admin_pb2.SetLogLevelRequest(level="debug"))
            code, said = await refused(admin.SetLogLevel(admin_pb2.SetLogLevelRequest(level="loud")))
        assert list(adopted.rows) == ["100 02:00:00:00:00:aa 10.0.0.2"]
        assert cleared.cleared == 1
        assert level.previous == "info"
        assert (code, said.partition(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, "level")
        assert source.asked == [
            ("adopt", Vni(100), True, False, False),
            ("adopt", None, False, True, False),
            ("clear_duplicate", Mac.parse("02:00:00:00:00:02"), None),
            ("set_log_level", "debug"),
        ]

    with caplog.at_level(logging.INFO):
        play(sockets.api(), story)

    audit = [record.fields for record in caplog.records if record.getMessage() == "operator asked"]
    assert [fields["command"] for fields in audit] == ["adopt", "adopt", "clear-duplicate", "set-log-level"]
    assert all(fields["peer"].startswith("unix:") for fields in audit)


def test_a_request_that_cannot_be_read_is_refused_and_not_worth_a_line_in_the_log(sockets, caplog):
    async def story(_) -> None:
        async with grpc.aio.insecure_channel(f"unix:{sockets.read}") as channel:
            for call in (channel.unary_unary, channel.unary_stream):
                name = "ExplainMac" if call == channel.unary_unary else "Watch"
                answer = call(f"/vtep.v1.VtepService/{name}")(b"\x0a\x04\xff\x1b[2")
                code, said = await refused(answer if name == "ExplainMac" else answer.read())
                assert (code, said) == (grpc.StatusCode.INVALID_ARGUMENT, f"request: no {name}Request")

    play(sockets.api(), story)

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


BAD = {
    "page_token": ("ListMacs", pb.ListMacsRequest(page_token="xx")),
    "vni": ("ListMacs", pb.ListMacsRequest(vni=1 << 24)),
    "vtep": ("ListMacs", pb.ListMacsRequest(vtep="nowhere")),
    "peer": ("ListMacs", pb.ListMacsRequest(peer="nobody")),
    "mac_prefix": ("ListNeighbors", pb.ListNeighborsRequest(mac_prefix="02:xx")),
    "states": ("ListMacs", pb.ListMacsRequest(states=[77])),
    "mac": ("ExplainMac", pb.ExplainMacRequest(mac="x" * 50_000)),
    "since": ("ListEvents", pb.ListEventsRequest(since={"seconds": 1 << 62})),
}


@pytest.mark.parametrize(("field", "call"), BAD.items(), ids=BAD.keys())
def test_a_bad_request_names_the_field_and_says_what_to_give(sockets, field, call):
    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            code, said = await refused(getattr(reading, call[0])(call[1]))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert said.startswith(f"{field}: ")
        assert re.search("give|leave it empty", said)
        assert len(said) < 300

    play(sockets.api(), story)


def test_a_stream_with_bad_words_is_refused_as_well(sockets):
    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            code, said = await refused(reading.Watch(pb.WatchRequest(resume_token="xx")).read())
        assert (code, said.partition(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, "resume_token")

    play(sockets.api(), story)


def test_a_request_of_a_megabyte_is_not_read(sockets):
    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            code, _ = await refused(reading.ExplainMac(pb.ExplainMacRequest(mac="0" * (1 << 20))))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

    play(sockets.api(), story)


def test_octets_that_are_no_http_do_no_harm(sockets):
    async def story(_) -> None:
        reader, writer = await asyncio.open_unix_connection(sockets.read)
        writer.write(os.urandom(100_000))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()
        async with called(sockets.read) as (reading, _, _):
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

    play(sockets.api(), story)


def test_more_streams_than_are_allowed_are_refused_and_calls_are_not(sockets, monkeypatch):
    monkeypatch.setattr("vtep.api.grpc.services.WATCHERS_MAX", 3)

    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            streams = [reading.Watch(pb.WatchRequest()) for _ in range(3)]
            for stream in streams:
                await stream.read()
            code, _ = await refused(reading.Watch(pb.WatchRequest()).read())
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

    play(sockets.api(), story)


async def until(condition, deadline_s=20):
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - gRPC has no event to wait for
            await asyncio.sleep(0.01)


def test_connections_that_say_nothing_are_few_and_end(sockets, monkeypatch):
    shorter = tuple((name, 500 if name == "grpc.server_handshake_timeout_ms" else value) for name, value in OPTIONS)
    assert shorter != OPTIONS
    monkeypatch.setattr("vtep.api.grpc.server.OPTIONS", shorter)

    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            await reading.GetStatus(pb.GetStatusRequest())
            before = _descriptors()
            silent = []
            for _ in range(5):
                silent += [_connected(sockets.read) for _ in range(CONNECTIONS_MAX // 2)]
                await asyncio.sleep(0)
                assert _descriptors() - before - len(silent) <= CONNECTIONS_MAX
            await until(lambda: _descriptors() - before - len(silent) <= 0)
            for connection in silent:
                connection.close()
        async with called(sockets.read) as (reading, _, _):
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

    play(sockets.api(), story)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _connected(path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        connection.connect(str(path))
    return connection


def test_long_answers_that_no_client_takes_are_bounded_and_other_calls_are_answered(sockets, monkeypatch):
    """The client sends a window of 0 octets (RFC 9113 6.9.2), so gRPC keeps each answer as long as the connection is there."""
    monkeypatch.setattr("vtep.api.grpc.services.UNTAKEN_OCTETS_MAX", 1_000_000)

    async def story(_) -> None:
        async with called(sockets.read) as (reading, _, _):
            first = await reading.ListMacs(pb.ListMacsRequest(page_size=5000))
            _, writer = await asyncio.open_unix_connection(sockets.read)
            writer.write(http2.PREFACE + http2.settings(initial_window=0) + http2.settings_ack())
            request = pb.ListMacsRequest(page_size=5000).SerializeToString()
            for number in range(20):
                writer.write(http2.call(2 * number + 1, "/vtep.v1.VtepService/ListMacs", request))
            await writer.drain()
            async with asyncio.timeout(60):
                while (answer := await refused_or_none(reading.ListMacs(pb.ListMacsRequest(page_size=5000)))) is None:
                    pass
            assert answer[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "that do not take them" in answer[1]
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

            writer.close()
            async with asyncio.timeout(60):
                while await refused_or_none(reading.ListMacs(pb.ListMacsRequest(page_size=5000))) is not None:
                    pass
            assert len(first.macs) == 5000

    play(sockets.api(), story, figures(6000))


async def refused_or_none(call) -> tuple[grpc.StatusCode, str] | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()
    return None


# Health


def test_many_health_streams_share_each_look_at_the_daemon_and_their_number_is_bounded(sockets, monkeypatch):
    monkeypatch.setattr("vtep.api.grpc.services.WATCHERS_MAX", 30)

    async def story(source) -> None:
        looks = 0
        status = source.status

        def counted():
            nonlocal looks
            looks += 1
            return status()

        source.status = counted
        async with called(sockets.read) as (reading, _, health):
            request = health_pb2.HealthCheckRequest(service="vtep.ready")
            streams = [health.Watch(request) for _ in range(30)]
            for stream in streams:
                await stream.read()
            before, began = looks, time.monotonic()
            await until(lambda: looks >= before + 3)
            assert looks - before <= 3 + (time.monotonic() - began) / READY_EVERY_S * 2
            code, _ = await refused(health.Watch(request).read())
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await reading.GetStatus(pb.GetStatusRequest())).version == "0.1.0"

    play(sockets.api(), story)


def test_health_follows_readiness(sockets):
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

    async def story(source) -> None:
        async with called(sockets.read) as (_, _, health):
            for name, expected in (("", serving), ("vtep.v1.VtepService", serving), ("vtep.ready", not_serving)):
                assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == expected
            code, _ = await refused(health.Check(health_pb2.HealthCheckRequest(service="vtep.v2")))
            assert code is grpc.StatusCode.NOT_FOUND
            watch = health.Watch(health_pb2.HealthCheckRequest(service="vtep.ready"))
            assert (await watch.read()).status == not_serving
            source.become(dataplane=figures(troubled=False).status().dataplane)
            assert (await watch.read()).status == serving
            unknown = health.Watch(health_pb2.HealthCheckRequest(service="vtep.v2"))
            assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

    play(sockets.api(), story)


def test_the_end_of_the_daemon_ends_streams_with_unavailable_and_within_the_grace(sockets):
    async def story() -> tuple[list, float]:
        source = figures()
        async with contextlib.AsyncExitStack() as stack:
            async with serve(sockets.api(), source, source):
                reading, _, health = await stack.enter_async_context(called(sockets.read))
                streams = [reading.Watch(pb.WatchRequest()), health.Watch(health_pb2.HealthCheckRequest())]
                for stream in streams:
                    await stream.read()
                start = time.monotonic()
            took_s = time.monotonic() - start
            codes = []
            for stream in streams:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    while await stream.read() is not grpc.aio.EOF:
                        pass
                codes.append((await stream.code(), (await stream.details()).partition(";")[0]))
            return codes, took_s

    codes, took_s = asyncio.run(story())

    assert codes == [(grpc.StatusCode.UNAVAILABLE, "vtep is stopping")] * 2
    assert took_s < 5


# Load


def test_twenty_watchers_of_whom_one_never_reads_do_not_hold_up_the_source(sockets):
    """The feed is the daemon's part of the loop: 10,000 changes a second, in a hundred batches."""
    alone, watched = asyncio.run(loaded(sockets, 0)), asyncio.run(loaded(sockets, 20))

    print(f"300 batches of 100 rows: {alone} alone, {watched} beside 20 watchers")
    assert watched.took_s < 1.2 * alone.took_s
    assert watched.late_s < alone.late_s + 0.5 * PAUSE_S


PAUSE_S = 0.01
"""Between batches."""


@dataclass(frozen=True)
class Feed:
    """How it went to make batches at their times."""

    took_s: float
    late_s: float
    """The median of a batch's lateness."""

    def __str__(self) -> str:
        return f"{self.took_s:.2f} s and {1e3 * self.late_s:.1f} ms late"


async def loaded(sockets: Sockets, watchers: int) -> Feed:
    source = figures()
    async with serve(sockets.api(), source, source):
        if not watchers:
            return await feed(source)
        command = [sys.executable, "-m", "tests.lab.watch_readers", f"unix:{sockets.read}", str(watchers - 1), "1"]
        readers = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert await asyncio.wait_for(readers.stdout.readline(), 30) == b"synced\n"
        fed = await feed(source)
        said = asyncio.ensure_future(readers.stdout.readline())
        for _ in range(600):  # again for a reader that lags, and gets the first one within the table
            source.put(replace(row(1), mac=Mac.parse(LAST), seq=1))
            if (await asyncio.wait((said,), timeout=0.05))[0]:
                break
        assert said.done()
        assert said.result().split() == [b"done", b"1", str(source.status().macs).encode()]
        assert await readers.wait() == 0
        return fed


async def feed(source: Figures, batches: int = 300) -> Feed:
    loop = asyncio.get_running_loop()
    start = loop.time()
    late = []
    for number in range(batches):
        due = start + number * PAUSE_S
        await asyncio.sleep(max(0.0, due - loop.time()))
        late.append(loop.time() - due)
        source.put(*(row(0x5000 + 100 * (number % 10) + at, seq=number) for at in range(100)))
    return Feed(loop.time() - start, statistics.median(late))


# Tools of others


def examples(tool: str) -> list[str]:
    lines = (ROOT / "proto" / "README.md").read_text().splitlines()
    return [line for line in lines if line.startswith(f"{tool} ")]


async def run(line: str, program: Path, directory: Path, port: int) -> tuple[int, str]:
    words = shlex.split(line.replace("/run/vtep/", f"{directory}/").replace("leaf1:50051", f"127.0.0.1:{port}"))
    words = [str(directory / word) if word.endswith(".pem") else word for word in words]
    process = await asyncio.create_subprocess_exec(
        str(program),
        *words[1:],
        cwd=ROOT,
        env=os.environ | {"BUF_CACHE_DIR": str(directory)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return await process.wait(), output.decode()


@pytest.mark.parametrize(("tool", "program", "setup"), [("grpcurl", GRPCURL, "proto"), ("buf", BUF, "check")])
def test_every_example_of_the_document_works(sockets, authority, tmp_path, tool, program, setup):
    if not program.exists():
        pytest.skip(f"{tool} is not installed: run ./vtep-dev {setup}")
    cert, key = authority.issue("server")
    authority.issue("client")
    port = free_port()
    answers = {}

    async def story(_) -> None:
        for line in examples(tool):
            status, answers[line] = await run(line, program, tmp_path, port)
            assert status == 0, f"{line}\n{answers[line]}"

    tls = TlsConfig(cert, key, authority.path)
    play(sockets.api(listen=(f"unix:{sockets.read}", f"0.0.0.0:{port}"), tls=tls), story)

    assert len(answers) >= 2
    said = "".join(answers.values())
    assert "vtep.v1.VtepService" in said
    assert ("No buffer space available" if tool == "grpcurl" else '"vxlan100"') in said
