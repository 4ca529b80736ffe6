"""CPU of an observer at rest: `./vtep-dev shell`-like namespaces, rows that another program wrote, a router that reports by BMP.

    python -m bench.observe [ROWS] [SECONDS]        as root

Prints the share of a core that the daemon takes once all rows are in sync, and its memory.
"""

import os
import socket
import sys
import time

from bench.bmp import PEER
from tests.lab import bmp, overlay
from tests.lab.namespaces import Lab
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, address, join, switch
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance, end_of_rib, updates


def macs(count: int) -> list[str]:
    return [f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}" for n in range(count)]


def used(pid: int) -> tuple[float, int]:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf(
        "SC_PAGE_SIZE"
    ) >> 20


def main() -> None:
    count, rest_s = (
        (int(sys.argv[1]) if len(sys.argv) > 1 else 100_000),
        (int(sys.argv[2]) if len(sys.argv) > 2 else 60),
    )
    there = Instance(PEER)
    with Lab() as lab:
        leaf = join(lab, switch(lab), "leaf", LEAF)
        overlay.bridge_vxlan(leaf, VNI, BRIDGE, VXLAN, address(LEAF))
        rows = "\n".join(f"fdb add {mac} dev {VXLAN} dst {PEER} self master extern_learn" for mac in macs(count))
        leaf.write("/run/rows", rows + "\n")
        leaf.run("bridge", "-batch", "/run/rows")
        vtep = Vtep(leaf, leaf_config(peers=[PEER], node='mode = "observe"', more='bmp = "127.0.0.1:11019"'))
        process = vtep.start()
        wait_until(lambda: vtep.ask("status").stdout, 20, "the daemon")
        with leaf.socket(socket.AF_INET, socket.SOCK_STREAM) as router:
            router.connect(("127.0.0.1", 11019))
            router.sendall(bmp.initiation() + bmp.peer_up(PEER))
            for one in updates(map(there.mac, macs(count))):
                router.sendall(bmp.monitoring(PEER, one))
            router.sendall(bmp.monitoring(PEER, end_of_rib()))
            began = time.monotonic()

            def is_in_sync() -> bool:
                found = {kind["kind"]: kind for kind in vtep.told("status")["kinds"]}
                return bool(found["mac"]["installed"] == count)

            wait_until(is_in_sync, 300, "all rows in sync")
            took_s, (after, _) = time.monotonic() - began, used(process.pid)
            print(f"{count} rows in sync {took_s:.1f} s after the last route, {after:.1f} s of CPU since the start")
            time.sleep(10)
            before, _ = used(process.pid)
            time.sleep(rest_s)
            after, memory = used(process.pid)
            print(f"at rest for {rest_s} s: {(after - before) / rest_s:.2%} of a core, {memory} MiB")


if __name__ == "__main__":
    main()
