"""What is kept of a lab in which something went wrong: one folder, one file for each thing that was asked. Judges nothing."""

from pathlib import Path
from typing import Final

from tests.lab.clab.machine import Machine
from tests.lab.namespaces import CommandFailed

QUESTIONS: Final = {
    "fdb.json": "bridge -d -s -j fdb show",
    "links.json": "ip -j -d link show",
    "addresses.txt": "ip addr show",
    "routes.txt": "ip route show",
    "neighbors.json": "ip -j neigh show",
    "frr-evpn.json": "vtysh -c 'show bgp l2vpn evpn json'",
    "frr-neighbors.json": "vtysh -c 'show bgp neighbors json'",
    "frr-macs.json": "vtysh -c 'show evpn mac vni all json'",
    "gobgp-rib.json": "gobgp -j global rib -a evpn",
    "vtep-status.json": "vtep status -o json",
    "logs.txt": "tail -n 2000 /run/lab/*.log",
}


def keep(machines: dict[str, Machine], folder: Path) -> None:
    """Ask every node everything; a node that cannot answer a question gets no file for it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, machine in machines.items():
        for file, question in QUESTIONS.items():
            try:
                answer = machine.run("sh", "-c", question, deadline_s=10)
            except CommandFailed:
                continue
            except Exception as error:  # what happened to the node may be the very thing to find out
                answer = str(error)
            if answer:
                (folder / f"{name}.{file}").write_text(answer)
