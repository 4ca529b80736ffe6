"""A deployed topology: its machines by name, who deployed it, and how it is taken down."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.clab.machine import Machine


@dataclass(frozen=True, slots=True)
class ClabLab:
    backend: str
    machines: dict[str, Machine]
    destroy: Callable[[], None]

    def close(self) -> None:
        for machine in self.machines.values():
            machine.close()
        self.destroy()
