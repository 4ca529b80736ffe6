"""The contract of a projector: topics in, rows out.

A projector fills one table of the intent. Its topics are what can change one by one: a MAC, a host address, an endpoint, an
Ethernet segment. It is called once for each projection and does this:

1. It takes from `Inputs.changed` the topics that it must judge again.
2. For each of them it reads the routes of the RIB and the policy, and works out the rows of that topic.
3. It returns the intent with those rows in its table, with the keys that changed among the touched ones, and whether the
   meaning changed: a row came, went, or points elsewhere.

A projector is pure: the same intent and inputs give the same result, and it reads no clock, file or device. The order of
`PROJECTORS` in `project.py` counts: a projector sees the tables of those before it, and not of those after it. Two
projectors may write to one table, if they never write the same key.

To add one: write a module with a function of this shape, and add it to `PROJECTORS`.
"""

from typing import Protocol

from msgspec import Struct

from vtep.evpn.index import Changed
from vtep.evpn.rib import Rib
from vtep.intent import Intent, RowKey
from vtep.projection.policy import Policy


class Inputs(Struct, frozen=True):
    """What every projector is given besides the intent."""

    rib: Rib
    policy: Policy
    changed: Changed
    """The topics that must be judged again."""
    now: float
    """For duplicate detection, the only part that time alone can change."""
    cleared: tuple[RowKey, ...] = ()
    """Duplicate MACs whose record of moves an operator cleared."""
    groups_max: int | None = None
    """How many groups may be judged for their routes; the others wait. Without it, all are judged."""
    alike: bool = True
    """Whether MACs of which the same is said are judged together. Without it the result is the same, and takes longer."""


class Projector(Protocol):
    """Brings one table of the intent up to date."""

    def __call__(self, intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
        """Return the intent with the projector's table brought up to date, and whether its meaning changed."""
