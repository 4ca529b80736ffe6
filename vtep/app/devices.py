"""`vtep devices plan` and `vtep devices adopt`: what would be done to the devices of this host, and what is handed over to vtep.

Reads the configuration and this host, and needs no daemon. A daemon that runs sees the mark that `adopt` puts on a device, as it
sees every event of a device, and keeps the device from then on.
"""

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from vtep.config import file as config
from vtep.errors import KernelError, UsageError
from vtep.linux.managed.kernel import DeviceKernel
from vtep.linux.managed.kinds import Picture
from vtep.linux.managed.plan import Step
from vtep.linux.managed.plan import plan as planned
from vtep.linux.managed.target import DeviceTarget
from vtep.linux.managed.underlay import questions, underlay_mtu
from vtep.linux.managed.wish import is_managed, tunnel_addresses, wish
from vtep.linux.paths import Paths
from vtep.logs import escaped

REPLACED = "removed; its traffic stops until the daemon has made it again"


def plan(path: Path, *, as_json: bool = False) -> int:
    """Print what differs, and return 1 if anything does."""
    steps = _steps(path)
    if as_json:
        print(json.dumps({"steps": [msgspec.to_builtins(step) for step in steps]}))
        return int(bool(steps))
    for step in steps:
        print(escaped(f"{step.device:15} {step.act:8} {step.text}"))
        print(escaped(f"{'':24} {step.command}"))
    print(f"vtep: {_count(steps)}", file=sys.stderr)
    return int(bool(steps))


def adopt(path: Path, names: Sequence[str], *, replace: bool = False, dry_run: bool = False) -> int:
    """Hand devices over; a device that is named and not among those that can be is a usage error."""
    steps = [step for step in _steps(path) if step.act in ("adopt", "replace")]
    unknown = sorted(set(names) - {step.device for step in steps})
    if unknown:
        raise UsageError(f"{unknown[0]}: it is not managed, or it is ours already; see: vtep devices plan")
    left = 0
    with _opened() as kernel:
        for step in steps:
            if names and step.device not in names:
                continue
            if step.act == "replace" and not replace:
                print(escaped(f"{step.device}: left, because {step.text}; --replace does it"), file=sys.stderr)
                left += 1
                continue
            print(escaped(f"{step.device} {REPLACED if step.act == 'replace' else 'adopted'}"))
            if dry_run:
                continue
            try:
                if step.act == "replace":
                    kernel.remove(step.device)
                else:
                    kernel.adopt(step.device)
            except KernelError as error:
                raise UsageError(f"{step.device}: {error.message or error}") from None
    return int(bool(left))


def _steps(path: Path) -> list[Step]:
    found = config.read(path)
    if not is_managed(found):
        raise UsageError(f"{path}: no device is managed; set `manage = true` in [node] or in a [[vni]]")
    with _opened() as kernel:
        picture = Picture(*kernel.pictured())
        with contextlib.closing(Paths()) as paths:
            answers = paths.ask(questions(found)).values()
        wanted = wish(found, underlay_mtu(picture.links, picture.addresses, tunnel_addresses(found), answers))
        attachments = DeviceTarget(kernel, wanted, {}).attachments()
        return list(planned(wanted, attachments, picture))


def _opened() -> DeviceKernel:
    try:
        return DeviceKernel()
    except KernelError as error:
        raise UsageError(f"the devices of this host cannot be read: {error}") from None


def _count(steps: Sequence[Step]) -> str:
    if not steps:
        return "all devices are as the configuration wants them"
    devices = len({step.device for step in steps})
    return f"{len(steps)} changes of {devices} devices; the daemon makes those that are not `adopt` or `replace`"
