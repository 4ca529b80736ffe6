"""The kernel's edge: what a row is in Linux, and how it gets there.

    tables/        the kinds of rows: what is wanted, how an entry is recognized, how a change is spelled
    attachment.py  which devices a VNI has, to which VNI an entry belongs, whether a VNI is ready
    conditions.py  what must be true of the devices of a VNI, with the command that mends it
    vrf.py         the same for the devices of a VRF
    target.py      the engine's view of all that
    kernel.py      sends, dumps, reads back; over socket.py and events.py, with the octets of wire/
    memory/        the same as kernel.py, in memory
    devices.py     a picture of the devices
    ledger.py      the file of claims

Knows the kernel and the words of the intent, and does not know BGP. No module here tries anything twice or interprets an errno:
a refusal is an answer for the layer above.
"""
