"""FRR and vtep on one leaf, where vtep only looks, on whatever deploys interop/containerlab/observe-frr.clab.yml."""

import pytest

from tests.interop.scene import VTEP_PID
from tests.lab.wait import wait_until

LAB = "observe-frr"

FRR, NOBODY = "10.0.0.1", "10.0.0.77"
MAC, OTHER = "02:00:00:00:01:01", "02:00:00:00:01:02"
NET_ADMIN = 12

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario


def in_sync(scene):
    status = scene.vtep("status")
    return status["ready"] and scene.differences() == {}


def explained(scene, mac):
    return " ".join(scene.leaf.run("vtep", "explain", mac).split())


@pytest.fixture
def learned(scene):
    """Two MACs behind the other FRR, whose rows our leaf's zebra has written."""
    scene.learn("frr1", MAC, OTHER)
    for mac in (MAC, OTHER):
        wait_until(lambda mac=mac: scene.halves(mac) == (True, True), 20, f"zebra's row of {mac}")
    wait_until(lambda: in_sync(scene), 20, "in sync")
    yield
    scene.forget("frr1", MAC, OTHER)
    wait_until(lambda: in_sync(scene) and scene.macs().keys().isdisjoint((MAC, OTHER)), 20, "in sync without them")


@scenario("S17")
def test_rows_of_zebra_are_in_sync_without_the_right_to_write(scene, learned):
    rights = scene.leaf.shell(f"cat /proc/$(cat {VTEP_PID})/status").split("CapEff:")[1].split()[0]

    assert int(rights, 16) >> NET_ADMIN & 1 == 0
    assert "in sync: zebra has it on vxlan100" in explained(scene, MAC)
    assert "observing" in scene.leaf.run("vtep", "status")


@scenario("S17")
def test_what_another_program_breaks_is_named_and_mended_by_the_command_of_explain(scene, learned):
    scene.leaf.run("bridge", "fdb", "del", MAC, "dev", "vxlan100", "self")
    scene.leaf.run("bridge", "fdb", "replace", OTHER, "dev", "vxlan100", "dst", NOBODY, "self", "extern_learn")
    found: dict[str, str] = {}

    def are_named() -> bool:
        found.clear()
        found.update(scene.differences())
        # On 6.12, FRR 8.4 writes the half of the VXLAN device again by itself, before anybody can look; on 6.18 it does not.
        half = {} if scene.halves(MAC) == (True, True) else {MAC: "observed-half"}
        assert found == {OTHER: "observed-different"} | half, found
        return True

    wait_until(are_named, 10, "what is broken")

    for mac in found:
        scene.leaf.shell(explained(scene, mac).split("run `")[1].split("`")[0])
    wait_until(lambda: scene.differences() == {}, 10, "what was mended")

    assert scene.is_at(MAC, FRR)
    assert scene.is_at(OTHER, FRR)
