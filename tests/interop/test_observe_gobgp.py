"""A leaf whose GoBGP reports by BMP and whose rows an orchestrator writes: interop/containerlab/observe-gobgp.clab.yml."""

import pytest

from tests.lab.wait import wait_until

LAB = "observe-gobgp"

ONE, NOBODY = "10.0.0.1", "10.0.0.77"
MAC = "02:00:00:00:01:01"

pytestmark = pytest.mark.root_netns
scenario = pytest.mark.scenario


@scenario("S17", "V19")
def test_rows_that_an_orchestrator_writes_are_compared_with_what_gobgp_reports(scene):
    def write(verb, vtep=ONE, *how):
        scene.leaf.run("bridge", "fdb", verb, MAC, "dev", "vxlan100", "dst", vtep, "self", "master", *how)

    scene.announce("gobgp1", MAC)
    wait_until(lambda: scene.differences() == {MAC: "observed-missing"}, 20, "the row is missing")
    write("add", ONE, "static")
    wait_until(lambda: scene.differences() == {}, 10, "a static row is as good as another")
    told = " ".join(scene.leaf.run("vtep", "explain", MAC).split())
    write("replace", NOBODY, "static")
    wait_until(lambda: scene.differences() == {MAC: "observed-different"}, 10, "it leads elsewhere")
    write("replace", ONE, "static")
    wait_until(lambda: scene.differences() == {}, 10, "it is right again")
    scene.withdraw("gobgp1", MAC)
    wait_until(lambda: not scene.vtep("macs")["macs"], 10, "no route wants it")
    wait_until(lambda: scene.differences() == {MAC: "observed-unwanted"}, 10, "the row stayed after its withdrawal")
    write("del")
    wait_until(lambda: scene.differences() == {}, 10, "it is gone")

    assert "in sync: a row of another program to 10.0.0.1 has it on vxlan100" in told
