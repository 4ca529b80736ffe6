"""When time alone changes what is remembered of a MAC's moves: the MACs by that time, so that a judgement looks at those that are due.

    time     MACs, in parts of at most `PART`
    190.0    (((100, m1), (100, m2)),)
    190.5    (((100, m7),),)

A record that is due at another time than before comes to that time; where it was it stays, and is passed over there. The times are
those of `mobility.due`, so they hold for one rule of duplicate detection: with another one, all are worked out again.

While a thousand MACs move each second, hundreds of thousands are remembered. To look through all of them at each judgement would be
most of its work. Knows no route and no row.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from vtep.config.model import DuplicateConfig
from vtep.intent import Intent, Moves, RowKey
from vtep.projection import mobility
from vtep.store.table import Table

MovesChange: TypeAlias = tuple[Sequence[RowKey], Moves | None, Moves | None]
"""MACs that had the same record before and have the same one now; None stands for no record."""

PART: Final = 256
"""MACs that are due at one time and are taken together."""


class Schedule:
    """The times of an intent, while the next one is worked out."""

    def __init__(self, previous: Intent, rule: DuplicateConfig) -> None:
        self.rule = (rule.moves, rule.window_s, rule.recover_s, rule.action)
        self.times = previous.moves_due
        self._previous = previous
        self._rule = rule
        self._dues: dict[int, float | None] = {}
        """By the identity of a record: many MACs share one, and the intents keep them meanwhile."""
        self._taken: list[RowKey] = []
        self._is_new = previous.moves_rule != self.rule
        if self._is_new:
            self.times = Table(self._parted(([key], record) for key, record in previous.moves.unordered()))

    def take(self, now: float, most: int) -> list[RowKey]:
        """Return the MACs that are due; of very many about as many as are asked for, and the rest stays due."""
        if self._previous.due is None or now < self._previous.due:
            return []
        left: dict[float, tuple[tuple[RowKey, ...], ...] | None] = {}
        for time in sorted(time for time, _ in self.times.unordered() if time <= now):
            parts, taken = self.times[time], 0
            while taken < len(parts) and len(self._taken) < most:
                self._taken += self._due_of(parts[taken], now)
                taken += 1
            left[time] = parts[taken:] or None
            if taken < len(parts):
                break
        self.times = self.times.changed(left)
        return self._taken

    def note(self, changes: Sequence[MovesChange], changed: Container[RowKey], now: float) -> float | None:
        """Take the records that changed, and of which MACs; return when a MAC is due next."""
        moves, again = self._previous.moves, set(self._taken)
        new: list[tuple[Sequence[RowKey], Moves]] = []
        for keys, before, record in changes:
            if record is None:
                continue
            if before is None or self._due(record) != self._due(before):
                new.append((keys, record))
            elif again:
                new.append(([key for key in keys if key in again], record))
        unchanged = (key for key in again if key not in changed)
        new += (([key], record) for key in unchanged if (record := moves.get(key)) is not None)
        added = {time: (*self.times.get(time, ()), *parts) for time, parts in self._parted(new)}
        if added:
            self.times = self.times.changed(added)
        known = self._previous.due
        if known is not None and now < known and not self._is_new:
            return min((known, *added))
        return min((time for time, _ in self.times.unordered()), default=None)

    def _due_of(self, part: Iterable[RowKey], now: float) -> Iterator[RowKey]:
        for key in part:
            record = self._previous.moves.get(key)
            if record is not None and (time := self._due(record)) is not None and time <= now:
                yield key

    def _parted(
        self, records: Iterable[tuple[Sequence[RowKey], Moves]]
    ) -> Iterator[tuple[float, tuple[tuple[RowKey, ...], ...]]]:
        """Yield the MACs that are due at each time, in parts."""
        found: defaultdict[float, list[RowKey]] = defaultdict(list)
        for keys, record in records:
            if keys and (time := self._due(record)) is not None:
                found[time] += keys
        for time, keys in found.items():
            yield time, tuple(tuple(keys[at : at + PART]) for at in range(0, len(keys), PART))

    def _due(self, record: Moves) -> float | None:
        if id(record) not in self._dues:
            self._dues[id(record)] = mobility.due(record, self._rule)
        return self._dues[id(record)]
