"""Anycast services: a prefix is advertised only while its device is up and its command succeeds."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.routed import CONFIG
from tests.contract.worlds import wait_until
from vtep.addr import Prefix, Vni
from vtep.app.anycast import AnycastTask, is_ready
from vtep.config.file import parse
from vtep.config.model import AnycastConfig, Config
from vtep.errors import ConfigError
from vtep.local.exports import Exports

PREFIX = Prefix.parse("192.0.2.53/32")
VNI = Vni(4001)


def config(*services: str) -> Config:
    return parse(CONFIG + "".join(f"[[vrf.anycast]]\n{service}\n" for service in services))


def service(path: Path) -> str:
    return f'prefix = "{PREFIX}"\ncheck = ["/usr/bin/test", "-e", "{path}"]\ninterval_s = 0.1'


def test_a_service_comes_and_goes_with_its_command_and_with_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "ready"

    async def run() -> None:
        news = asyncio.Event()

        async def until(true: Callable[[], bool]) -> None:
            async with asyncio.timeout(20):
                while not true():
                    news.clear()
                    await news.wait()

        task = AnycastTask(config(service(file)), news.set)
        running = asyncio.create_task(task.run())
        await news.wait()  # it was looked at
        assert task.ready == {}
        file.touch()
        await until(lambda: task.ready == {VNI: {PREFIX}})
        file.unlink()
        await until(lambda: task.ready == {})
        file.touch()
        await until(lambda: bool(task.ready))
        task.reconfigure(config())
        await until(lambda: task.ready == {})
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("wanted", "ready"),
    [
        (AnycastConfig(PREFIX, "lo", ("/bin/true",)), True),
        (AnycastConfig(PREFIX, "lo"), True),
        (AnycastConfig(PREFIX, "no-such-device"), False),
        (AnycastConfig(PREFIX, "no-such-device", ("/bin/true",)), False),
        (AnycastConfig(PREFIX, "", ("/bin/false",)), False),
        (AnycastConfig(PREFIX, "", ("/no/such/program",)), False),
        (AnycastConfig(PREFIX, "", ("/bin/sleep", "60"), 0.1), False),
    ],
)
def test_a_service_is_ready_while_its_device_is_up_and_its_command_succeeds_in_time(wanted, ready) -> None:
    if wanted.interface == "lo" and not Path("/sys/class/net/lo/carrier").exists():
        pytest.skip("the loopback device is down")
    assert asyncio.run(is_ready(wanted)) is ready


def test_a_command_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 60 & echo $! > {child}.new; mv {child}.new {child}; wait"

    for most_s in (0.3, 2.0, 15.0):  # a busy machine may end the script before it has a child
        assert asyncio.run(is_ready(AnycastConfig(PREFIX, "", ("/bin/sh", "-c", script), most_s))) is False
        if child.exists():
            break

    number = child.read_text(encoding="ascii").strip()
    # Killed is not gone at once: a busy machine needs time to end it.
    wait_until(lambda: is_gone(number), "the child ended", deadline_s=30)


def is_gone(process: str) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in ("Z", "X")


def test_a_vrf_with_a_service_alone_says_what_it_lacks_to_advertise() -> None:
    left_out = Exports(config(f'prefix = "{PREFIX}"\ninterface = "lo"')).left_out
    assert "vrf[0].rd" in [problem.path for problem in left_out]


@pytest.mark.parametrize(
    ("services", "what"),
    [
        (('prefix = "192.0.2.53/32"',), "nothing says when it is ready"),
        (('prefix = "192.0.2.53/32"\ncheck = ["true"]',), "is not a whole path"),
        (('prefix = "192.0.2.53/32"\ncheck = ["/bin/true", "\\u0000"]',), "a word has a NUL octet"),
        (('prefix = "x"\ninterface = "lo"',), "'x' is not a valid prefix"),
        (('interface = "lo"',), "missing"),
        (('prefix = "192.0.2.53/32"\ninterface = "lo"',) * 2, "is already used by vrf[0].anycast[0]"),
    ],
)
def test_a_service_that_makes_no_sense_is_refused(services, what) -> None:
    with pytest.raises(ConfigError) as refused:
        config(*services)
    assert any(what in problem.what for problem in refused.value.problems)
