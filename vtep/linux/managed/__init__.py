"""Devices that vtep makes and keeps: bridges, VXLAN devices and what they need, where the configuration says `manage = true`.

    wish.py       the configuration, and the MTU of the underlay, into the rows that are wanted. Pure
    kinds.py      kinds of rows for the engine: devices, settings, VLANs, VNIs, addresses. Pure
    target.py     where these rows can be written now: on devices that bear our mark, and on those that are not there
    kernel.py     messages to the kernel: each device is read first, and only what differs is set
    plan.py       what a pass would do, as lines with commands

`vtep/linux/settings.py` says how each setting is read and set. A second instance of the engine (`vtep.reconcile`) uses these kinds, with a file of claims of its own. So devices have the same
promises as rows: a claim is written before a device is made, a change by another program is repaired, and what is not ours is not
touched. The mark is the alias of the device (docs/decisions/0027): it shows in `ip link`, and it goes with the device.
"""
