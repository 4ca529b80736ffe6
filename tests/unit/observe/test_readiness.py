"""What makes a leaf not ready, and what is a problem beside it: the kernel's refusal of a row is only a problem."""

import errno
import os

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.linux.target import KernelTarget
from vtep.linux.wire.batch import singly
from vtep.linux.wire.neighbor import Refusal, Verb

A, ONE, TWO = "10.0.0.1", "02:00:00:00:00:01", "02:00:00:00:00:02"


class Refusing(KernelTarget):
    """A target that refuses to create the rows of one MAC."""

    code = 0

    def send(self, messages):
        alone = list(singly(messages))
        concerned = [self.code and message.verb is Verb.CREATE and str(message.mac) == TWO for message in alone]
        super().send([message for message, refused in zip(alone, concerned, strict=True) if not refused])
        return [Refusal(index, self.code, os.strerror(self.code)) for index, refused in enumerate(concerned) if refused]


@pytest.fixture
def rig():
    with MemoryLeaf(target=Refusing) as rig:
        rig.step()
        rig.come_up(A)
        yield rig


def announce(rig, *macs):
    rig.receive(rig.lines.announce(A, *(Instance(A).mac(mac) for mac in macs)))


@pytest.mark.parametrize(
    ("code", "state"),
    [(errno.EBUSY, "failed"), (errno.ENOSPC, "failed"), (errno.EINVAL, "suppressed"), (errno.EEXIST, "contested")],
)
def test_a_row_that_the_kernel_refuses_is_a_problem_of_a_leaf_that_is_ready(rig, code, state):
    rig.target.code = code
    announce(rig, ONE, TWO)

    status = rig.observer.status()

    assert (status.ready, status.problems) == (True, (f"1 row is {state}",))
    assert not status.dataplane.converged or state == "contested"


def test_a_leaf_whose_vni_has_rows_and_no_fit_device_is_not_ready(rig):
    announce(rig, ONE)
    rig.kernel.set_up("vxlan100", False)
    rig.survey()

    assert not rig.observer.status().ready


def test_a_leaf_that_may_not_write_is_not_ready(rig):
    rig.observer.may_write = False
    rig.target.code = errno.EPERM
    announce(rig, TWO)

    assert not rig.observer.status().ready


def test_a_leaf_that_has_made_no_pass_yet_is_not_ready():
    with MemoryLeaf() as rig:
        rig.leaf.receive(rig.reader.read([rig.lines.opened(A), rig.lines.up(A), rig.lines.end_of_rib(A)]), rig.now)
        rig.judge()

        assert (rig.observer.status().complete, rig.observer.status().ready) == (True, False)
