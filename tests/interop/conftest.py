"""The interop suite as pytest sees it: which backend deploys a module's topology, and what is done when a test fails.

A test file names its topology as LAB and takes the fixture `scene`. One deployed lab serves all tests of a file: each
leaves it as it found it, which is checked, and a lab in which a test failed is not used again.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import matrix
from tests.interop.scene import Scene
from tests.lab.clab import bundle
from tests.lab.clab.backends import backend
from tests.lab.clab.file import read
from tests.lab.fixtures import skipped_if_missing

LABS = Path(__file__).parents[2] / "interop" / "containerlab"

_SCENE = pytest.StashKey[Scene]()
_RECORD = pytest.StashKey[matrix.Record]()


class Stage:
    """The one lab that is deployed at a time."""

    def __init__(self, config: pytest.Config, scratch: Path) -> None:
        self._config = config
        self._scratch = scratch
        self.scene: Scene | None = None
        self._name = ""

    def show(self, name: str) -> Scene:
        if self.scene is None or not self.scene.usable or self._name != name:
            self.strike()
            deploy = backend(self._config.getoption("lab"))
            frr = self._config.getoption("frr_rootfs")
            self.scene = Scene(
                deploy(
                    read(LABS / f"{name}.clab.yml"),
                    self._scratch,
                    dict.fromkeys(("vtep-frr", "vtep-observe"), frr) if frr else {},
                )
            )
            self._name = name
        return self.scene

    def strike(self) -> None:
        scene, self.scene = self.scene, None
        if scene is not None:
            scene.close()


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(request.config, tmp_path_factory.mktemp("labs"))
    yield stage
    stage.strike()


@pytest.fixture
def scene(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Scene]:
    with skipped_if_missing():
        scene = stage.show(request.module.LAB)
    request.node.stash[_SCENE] = scene
    scene.begin()
    yield scene
    if scene.usable:
        scene.wait_as_found()


@pytest.fixture(scope="session")
def vlan_filtering() -> None:
    """Skip where the kernel of this machine cannot have a VLAN-aware bridge."""
    trial = ["unshare", "--net", "ip", "link", "add", "name", "br0", "type", "bridge", "vlan_filtering", "1"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no VLAN filtering")


@pytest.fixture
def vlans(request: pytest.FixtureRequest, stage: Stage, vlan_filtering: None) -> Scene:
    """Return a lab with VLANs. Its hosts stay learned from test to test, so it is not compared with what it was."""
    with skipped_if_missing():
        scene = stage.show(request.module.LAB)
    request.node.stash[_SCENE] = scene
    return scene


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    scene = item.stash.get(_SCENE, None)
    if scene is None:
        return report
    if report.failed and scene.usable:
        scene.usable = False
        folder = Path(item.config.cache.mkdir("bundles")) / item.name
        try:
            bundle.keep(scene.machines, folder)
        except (Exception, pytest.fail.Exception) as error:  # the test's time may be over by now; the other tests go on
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "incomplete").write_text(f"{error}\n")
        report.sections.append(("what is kept of the lab", str(folder)))
    item.config.stash.setdefault(_RECORD, matrix.Record()).add(item, report, scene)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path, record = session.config.getoption("matrix"), session.config.stash.get(_RECORD, None)
    if path is not None and record is not None:
        record.enter(path)
