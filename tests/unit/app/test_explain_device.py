"""What `vtep explain DEVICE` says: what is wanted, what is there, whose it is, and what to do."""

import asyncio

import msgspec
import pytest

from tests.unit.app.test_devices_task import LEAF
from vtep.app.devices_task import DevicesTask
from vtep.app.explain_device import DIFFERENCES_SHOWN, DeviceFacts, explain
from vtep.config.file import parse
from vtep.errors import UsageError
from vtep.linux.ledger import LedgerFile
from vtep.linux.managed.kinds import MANAGED, Picture
from vtep.linux.memory.kernel import MemoryKernel
from vtep.reconcile.report import Trouble
from vtep.reconcile.steps import run_to_end

VXLAN = "vxlan100"


class Leaf:
    """A host whose devices vtep keeps, with a clock that a test moves."""

    def __init__(self, path):
        self.now = 10.0
        self.kernel = MemoryKernel()
        self.ledger = LedgerFile(path, MANAGED, {"boot": "this"})
        self.task = DevicesTask(self.kernel, self.ledger, parse(LEAF), lambda: self.now)

    def keep(self):
        run_to_end(self.task.actor.engine.run(self.task._wish, self.now))

    def explain(self, name=VXLAN):
        return asyncio.run(self.task.explain(name, parse(LEAF)))

    def close(self):
        self.task.close()
        self.ledger.close()


@pytest.fixture
def leaf(tmp_path):
    leaf = Leaf(tmp_path / "devices")
    yield leaf
    leaf.close()


def test_a_device_that_is_not_there_has_the_command_that_makes_it(leaf):
    told = leaf.explain()

    assert (told.owner, told.there, told.vnis) == ("absent", "", (100,))
    assert told.wanted == "vxlan id 100 dstport 4789"
    assert "is wanted, and it is not there" in told.summary
    assert told.differences[0].command.startswith("ip link add vxlan100 mtu 1450 type vxlan id 100 dstport 4789")


def test_a_device_that_vtep_made_is_as_wanted_with_its_settings_and_its_last_write(leaf):
    leaf.keep()

    told = leaf.explain()

    assert told.summary == "vxlan100 is as wanted; vtep made it"
    assert (told.owner, told.since, told.advice, told.differences) == ("made", 10.0, "", ())
    assert {"mtu 1450", "learning off", "master br100", "up on"} <= set(told.right)
    assert told.written is not None
    assert told.written.command == "ip link set dev vxlan100 up"
    assert told.refused is None


def test_a_setting_that_another_hand_changed_differs_until_vtep_sets_it_right(leaf):
    leaf.keep()
    leaf.kernel.change(VXLAN, mtu=1300)

    told = leaf.explain()
    assert told.summary == "vxlan100 is not as wanted: mtu 1300; vtep made it"
    assert [(one.what, one.command) for one in told.differences] == [
        ("mtu 1300 -> 1450", "ip link set dev vxlan100 mtu 1450")
    ]

    leaf.now = 20.0
    run_to_end(leaf.task.actor.engine.run(leaf.task._wish, leaf.now))
    told = leaf.explain()
    assert told.differences == ()
    assert (told.written.time, told.written.command) == (20.0, "ip link set dev vxlan100 mtu 1450")


def test_a_refused_setting_has_what_the_kernel_said_and_when_it_is_tried_again(leaf, monkeypatch):
    leaf.keep()
    leaf.kernel.change(VXLAN, mtu=1300)
    refuse(leaf.kernel, monkeypatch, "mtu")

    run_to_end(leaf.task.actor.engine.run(leaf.task._wish, leaf.now))
    told = leaf.explain()

    (one,) = told.differences
    assert (one.what, one.state) == ("mtu 1300 -> 1450", "failed")
    assert one.next_try > leaf.now
    assert "is failed" in told.summary
    assert (told.refused.command, told.refused.errno) == ("ip link set dev vxlan100 mtu 1450", 16)
    assert told.written.command != told.refused.command


def with_troubles(leaf, *refs):
    leaf.keep()
    troubles = {(kind, (VXLAN, *rest)): Trouble("failed", f"{kind}-reason") for kind, *rest in refs}
    facts = DeviceFacts(leaf.task._wish, leaf.ledger.claims("device"), troubles)
    return explain(VXLAN, parse(LEAF), facts, Picture(*leaf.kernel.pictured()))


def test_a_vlan_and_a_vni_of_one_number_each_have_their_own_reason(leaf):
    told = with_troubles(leaf, ("vlan", 100), ("vni", 100), ("address", "10.0.0.9", 24))

    assert [(one.what, one.why) for one in told.differences] == [
        ("VLAN 100", "vlan-reason"), ("VNI 100", "vni-reason"), ("address 10.0.0.9/24", "address-reason"),
    ]  # fmt: skip


def test_a_trunk_on_which_every_vlan_is_in_trouble_has_a_bounded_answer(leaf):
    assert len(with_troubles(leaf, *(("vlan", number) for number in range(1, 4000))).differences) == DIFFERENCES_SHOWN


def refuse(kernel, monkeypatch, what):
    """Have the kernel refuse one setting as busy."""
    from vtep.linux.wire.neighbor import Refusal

    send = kernel.send_devices

    def sent(messages):
        busy = [place for place, message in enumerate(messages) if message.what == what]
        rest = [message for message in messages if message.what != what]
        assert not send(rest)
        return [Refusal(place, 16, "busy") for place in busy]

    monkeypatch.setattr(kernel, "send_devices", sent)


def test_a_device_of_another_program_says_how_to_hand_it_over(leaf):
    leaf.kernel.add_bridge("br100")
    leaf.kernel.change("br100", alias="rack 7")
    leaf.keep()

    told = leaf.explain("br100")

    assert (told.owner, told.alias) == ("foreign", "rack 7")
    assert "another program made it" in told.summary
    assert "vtep devices adopt br100" in told.advice

    leaf.kernel.adopt("br100")
    run_to_end(leaf.task.actor.engine.run(leaf.task._wish, leaf.now))
    told = leaf.explain("br100")
    assert (told.owner, told.alias) == ("adopted", "rack 7")
    assert told.summary == "br100 is as wanted; it was handed over to vtep"


def test_what_cannot_be_changed_in_place_says_how_to_replace_it_and_that_traffic_stops(leaf):
    from vtep.addr import Ip

    leaf.kernel.add_vxlan(VXLAN, 200, Ip.parse("10.0.0.1"))
    leaf.keep()

    told = leaf.explain()

    assert told.there == "vxlan id 200 dstport 4789"
    assert "traffic stops" in told.summary
    assert told.advice == "run: vtep devices adopt --replace vxlan100"


@pytest.mark.parametrize(("name", "owner"), [("br100", "unmanaged"), ("swp1", "unknown"), ("vxlan100", "absent")])
def test_where_nothing_is_managed_it_says_that_vtep_never_changes_it(name, owner):
    kernel = MemoryKernel()
    kernel.add_bridge("br100")
    kernel.add_bridge("swp1")
    config = parse(LEAF.replace("manage = true", ""))

    told = explain(name, config, DeviceFacts(), Picture(*kernel.pictured()))

    assert (told.owner, told.differences, told.right) == (owner, (), ())
    assert "vtep" in told.summary


def test_a_name_that_nothing_has_is_refused(leaf):
    with pytest.raises(UsageError, match="no device of this name is here or configured"):
        leaf.explain("vxlan7")


def test_the_last_write_of_a_setting_of_a_vxlan_device_names_its_identifier(leaf):
    leaf.keep()
    link = leaf.kernel.links().by_name[VXLAN]
    leaf.kernel.change(VXLAN, vxlan=msgspec.structs.replace(link.vxlan, learning=True))

    leaf.keep()

    assert leaf.explain().written.command == "ip link set dev vxlan100 type vxlan id 100 nolearning"
