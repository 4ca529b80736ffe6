"""What the log says of a pass."""

import logging

import pytest

from vtep.addr import Vni
from vtep.app import pass_log
from vtep.linux.attachment import Fault
from vtep.reconcile.actor import Outcome
from vtep.reconcile.report import Report


def test_a_vni_that_is_not_ready_is_logged_with_what_is_there_and_with_the_command(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "vtep")
    faults = {
        Vni(100): (
            Fault("device-down", "vxlan100 is down, and must be up", "ip link set dev vxlan100 up"),
            Fault("bridge-down", "br100 is down, and must be up", "ip link set dev br100 up"),
        )
    }
    outcome = Outcome(Report(1, 1, not_ready={Vni(100): ("device-down", "bridge-down")}))

    pass_log.log_outcome(Outcome(), outcome, faults)

    (record,) = caplog.records
    assert record.message == "vni not ready"
    assert record.fields["why"] == "vxlan100 is down, and must be up; br100 is down, and must be up"
    assert record.fields["hint"] == "ip link set dev vxlan100 up; ip link set dev br100 up"
