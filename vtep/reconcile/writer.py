"""Carries out what was judged: claims first, then messages, then what became of each. Decides nothing about a row.

    rows ─> changes ─> sorted ─> batches ─> claim ─> send ─┬─> confirm or release
                                                           └─> refused: noted, tried again later, and undone where half
                                                               of it was done

`bulk` makes batches of its own, and calls `send`, `take_note` and `take_note_of_all` by itself.

**The order is the safety.** A crash may come between any two steps, and the next daemon must still know which rows are ours:

    claimed and not sent     the row is not there, or is an older one of ours: the claim has both
    sent and not confirmed   the row is there, and the claim covers it
    deleted, not released    the claim covers a row that is gone, which harms nothing

A row that cannot be claimed, because the disk is full for example, is not written. It is tried again later (`state-dir`).

**What a refusal means** is decided by its errno and the verb (`retry.classify`). A row that another program holds is left to it
(`foreign`). A row whose device may have changed is tried again after the devices were looked up. When a domain is full, its
other new rows of this pass are refused with the same reason and not sent. A deletion of a row that is gone is a success.

**Half a row.** One row may be two messages (the bridge's entry and the VXLAN device's). If a creation is refused, what it may
have left is looked up and removed, unless it was there before. A deletion of which half failed is remembered as `half_gone`.

**Devices.** The kernel takes a message for whatever device has the index by now. So before each batch, if devices changed, the
domains whose device is no longer the same are left out of the rest of the pass, and a survey finds them again.
"""

import errno
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from vtep.reconcile.claims import RowGroup, Unclaimed, grouped, is_ours
from vtep.reconcile.contract import Attachments, Change, Key, Kind, Message, Seen, Target, as_part, readable
from vtep.reconcile.judged import Judged, Pass, change_of, is_unwanted, operation
from vtep.reconcile.knowledge import Knowledge
from vtep.reconcile.report import News, Trouble
from vtep.reconcile.retry import Class, Refused, classify, explain
from vtep.reconcile.steps import Steps, parts
from vtep.reconcile.verdict import Verdict

MESSAGES_MAX: Final = 128
"""Messages in one send. It takes about a millisecond, whether a row is one message or two."""
_CLAIMED: Final = ("create", "replace", "convert")
"""What is claimed before it is written."""
SORTED_MAX: Final = 4096
"""Changes that are sorted between two yields."""


class Writer:
    """Makes changes on a target, and keeps count of them."""

    def __init__(self, target: Target, known: Knowledge, chance: Callable[[], float]) -> None:
        self.changes: Counter[tuple[str, str]] = Counter()
        """How many changes were sent so far, by verb and result: ok, or the name of the errno."""
        self.written = 0
        """How many changes were made so far."""
        self.repairs: Counter[str] = Counter()
        """How many rows were repaired so far, by kind."""
        self.attachments_suspect = True
        """Devices changed, or a refusal looks as if they had: the next pass looks up the attachments."""
        self.devices_changed = False
        """A device changed since the attachments were looked up."""
        self._target = target
        self._known = known
        self._chance = chance

    def look(self, kind: Kind, keys: Sequence[Key], attachments: Attachments) -> Mapping[Key, Seen]:
        """Read rows back; nothing is seen of a kind whose rows cannot be looked up."""
        if (one_by_one := readable(kind)) is None:
            return {}
        there = [key for key in keys if kind.domain(key) in attachments.ready]
        lookups = [lookup for key in there for lookup in one_by_one.lookups(key, attachments)]
        return kind.recognise((entry for entry in self._target.look(lookups) if entry is not None), attachments)

    def carry_out(self, kind: Kind, rows: list[Judged], this: Pass) -> Steps[None]:
        changes = [(change_of(kind, row), row) for row in rows]
        for part in parts(changes, SORTED_MAX):
            part.sort(key=lambda pair: kind.order(pair[0]))
            for batch in parts(part, MESSAGES_MAX // 2):
                self.check_devices(this)
                self.write(kind, self._writable(kind, batch, this), this)
                yield None

    def check_devices(self, this: Pass) -> None:
        """If devices changed since the last batch, leave the domains whose device is not what it was.

        The kernel knows a device by its index, and would take the rest of the pass for one that has the index by now.
        """
        if not self.devices_changed:
            return
        self.devices_changed = False
        now, before = self._target.attachments().ready, this.attachments.ready
        this.left |= {domain for domain, device in before.items() if now.get(domain) != device}

    def write(self, kind: Kind, batch: list[tuple[Change, Judged]], this: Pass) -> None:
        """Claim, send, and note the outcome of each change."""
        unclaimed = self._claim(kind, [row for change, row in batch if change.verb in _CLAIMED])
        if unclaimed is not None:
            batch = self._put_off(kind, batch, unclaimed, this)
        answers = self.send(kind, [change for change, _ in batch], this)
        self._read_back(kind, batch, answers, this)
        self.take_note(kind, batch, answers, this)

    def send(self, kind: Kind, changes: Sequence[Change], this: Pass) -> dict[int, tuple[int, str]]:
        """Return errno and text for each row that the target refused to change."""
        messages, owner = spelled_in_turns(kind, changes, this.attachments)
        if readable(kind) is None and any(change.verb == "convert" for change in changes):
            return self._send_in_steps(changes, messages, owner)
        return self._sent(messages, owner)

    def _sent(self, messages: Sequence[Message], owner: Sequence[int]) -> dict[int, tuple[int, str]]:
        refused: dict[int, tuple[int, str]] = {}
        for refusal in self._target.send(messages) if messages else ():
            index = owner[refusal.index]
            # That one half is not there says nothing about the other half.
            if index not in refused or refused[index][0] in (errno.ENOENT, errno.ESRCH):
                refused[index] = (refusal.errno, refusal.text)
        return refused

    def _send_in_steps(
        self, changes: Sequence[Change], messages: Sequence[Message], owner: Sequence[int]
    ) -> dict[int, tuple[int, str]]:
        """Send first what makes rows, and what removes a converted one only where that was not refused.

        Where another program has the place of the new row, the one before goes all the same.
        """
        begun: set[int] = set()
        first, later = list[tuple[Message, int]](), list[tuple[Message, int]]()
        for message, index in zip(messages, owner, strict=True):
            (later if index in begun and changes[index].verb == "convert" else first).append((message, index))
            begun.add(index)
        refused = self._sent([message for message, _ in first], [index for _, index in first])
        later = [(message, index) for message, index in later if refused.get(index, (errno.EEXIST,))[0] == errno.EEXIST]
        return self._sent([message for message, _ in later], [index for _, index in later]) | refused

    def _read_back(
        self, kind: Kind, batch: list[tuple[Change, Judged]], answers: dict[int, tuple[int, str]], this: Pass
    ) -> None:
        """Add a refusal for each converted row that is not there, because the target may answer that it did what it did not.

        Of a kind whose rows cannot be looked up the answers are believed.
        """
        converted = {index: change for index, (change, _) in enumerate(batch) if change.verb == "convert"}
        if not converted:
            return
        if not readable(kind):
            for index in converted:
                if answers.get(index, (0, ""))[0] == errno.ESRCH:
                    del answers[index]  # the row that was to go was gone
            return
        seen = self.look(kind, [change.keys[0] for change in converted.values()], this.attachments)
        for index, change in converted.items():
            there = as_part(kind, change.row, seen.get(change.keys[0]))
            if there is not None and there.row == change.row and there.whole and not there.holder:
                answers.pop(index, None)
            else:
                answers.setdefault(index, (errno.EAGAIN, "the kernel acknowledged the change, and the row is not so"))

    def take_note(
        self, kind: Kind, batch: list[tuple[Change, Judged]], answers: dict[int, tuple[int, str]], this: Pass
    ) -> None:
        """Note what became of each change."""
        known = self._known
        refused = {
            index: answer
            for index, answer in answers.items()
            if classify(answer[0], batch[index][0].verb) is not Class.GONE
        }
        confirmed, released = [], []
        was_trouble = bool(len(known.troubles) or len(known.backlog) or known.yielded or known.half_gone)
        for index, (change, row) in enumerate(batch):
            if index in refused:
                continue
            self.written += 1
            self.changes[change.verb, "ok"] += 1
            this.count(change.verb, 1)
            if change.verb != "shed" and this.is_repair(row):  # what another holder left us to remove is not restored
                self.repairs[kind.name] += 1
                known.troubles.news.append(News((kind.name, row.key), "repaired"))
            if change.verb in ("delete", "shed"):
                released.append(row.key)
            else:
                confirmed.append(row.key)
            if change.verb == "shed":
                known.half_gone.discard((kind.name, row.key))
                known.backlog.settle((kind.name, row.key))
            elif was_trouble:
                known.clear((kind.name, row.key))
        known.confirm(kind, confirmed, this.moment)
        known.release(kind, released)
        known.mark_changed(kind, confirmed + released)
        for index, (code, text) in refused.items():
            change, row = batch[index]
            if self._refuse(kind, change, row, code, text, this) is Class.FULL:
                this.full[kind.name, kind.domain(row.key)] = (code, text)
        self._undo(kind, [batch[index][0] for index in refused if _may_undo(*batch[index])], this)

    def take_note_of_repairs(self, kind: Kind, rows: int, this: Pass) -> None:
        """Note that so many rows, which the target had removed by itself, are written again."""
        self.repairs[kind.name] += rows
        this.repaired += rows

    def take_note_of_all(self, kind: Kind, verb: str, keys: Sequence[Key], this: Pass) -> None:
        """Note that one change was made at each of these keys, which had no trouble before."""
        self.written += len(keys)
        self.changes[verb, "ok"] += len(keys)
        this.count(verb, len(keys))
        if verb == "delete":
            self._known.release(kind, keys)
        else:
            self._known.confirm(kind, keys, this.moment)
        self._known.mark_changed(kind, keys)

    def _writable(self, kind: Kind, batch: list[tuple[Change, Judged]], this: Pass) -> list[tuple[Change, Judged]]:
        """Leave out rows of domains that were left, refuse new rows of domains that are full, and return the rest."""
        if not (this.full or this.left):
            return batch
        writable = []
        for change, row in batch:
            domain = kind.domain(row.key)
            if domain in this.left:
                self._known.surveyed = False  # only a survey knows which rows were left out
            elif change.verb == "create" and (refusal := this.full.get((kind.name, domain))):
                self._refuse(kind, change, row, *refusal, this)
            else:
                writable.append((change, row))
        return writable

    def _put_off(
        self, kind: Kind, batch: list[tuple[Change, Judged]], unclaimed: Unclaimed, this: Pass
    ) -> list[tuple[Change, Judged]]:
        """Try the rows that could not be claimed again later, without asking the kernel, and return the others."""
        others = []
        for change, row in batch:
            if row.key not in unclaimed.keys:
                others.append((change, row))
                continue
            ref, code, text = (kind.name, row.key), unclaimed.errno, unclaimed.text
            refused = self._known.backlog.refuse(
                ref, operation(row), code, text, Class.UNCLAIMED, this.now, self._chance()
            )
            self._known.troubles.note(ref, trouble_of(refused, unwanted=False))
        return others

    def _claim(self, kind: Kind, rows: Sequence[Judged]) -> Unclaimed | None:
        """Claim what is about to be written, over what is there.

        A claim covers its row and the one before. If what is there is neither, it is claimed first: the outcome of a write was
        unknown, or another program changed our row.
        """
        there = (
            (row.key, row.seen.row, row.claim.rank)
            for row in rows
            if row.seen is not None
            and row.claim is not None
            and row.seen.row not in (None, row.claim.row)
            and is_ours(row.claim, row.seen)
        )
        wanted = ((row.key, row.wanted, row.rank) for row in rows if row.verdict is not Verdict.CREATE)
        created = ((row.key, row.wanted, row.rank) for row in rows if row.verdict is Verdict.CREATE)
        # In this order, so that a claim of what is wanted remembers what is there.
        vni_of = kind.descriptor.vni_of
        afresh = [RowGroup(group.keys, group.row, group.rank, afresh=True) for group in grouped(created, vni_of)]
        return self._known.claim(kind, grouped(there, vni_of) + grouped(wanted, vni_of) + afresh)

    def _refuse(self, kind: Kind, change: Change, row: Judged, code: int, text: str, this: Pass) -> Class:
        """Note what a refusal means for the row, and return its class.

        A contested row loses its claim at once: another program has the key, and a look comes before any further
        write. After a refused removal, half of the row may be gone, so nothing is presumed of it.
        """
        known, ref = self._known, (kind.name, row.key)
        found = classify(code, change.verb)
        if found is Class.PERMANENT and code == errno.EINVAL and known.dependencies.needs_any(kind, row):
            found = Class.TRANSIENT  # another program may have removed what the row needs, which is soon made again
        self.changes[change.verb, errno.errorcode.get(code, str(code))] += 1
        refused = known.backlog.refuse(ref, operation(row), code, text, found, this.now, self._chance())
        if found is Class.CONTESTED:
            known.release(kind, [row.key])
            known.foreign[kind.name][row.key] = Seen(None, marked=False, holder="foreign")
        elif found is Class.TRANSIENT:
            self.attachments_suspect = True
        if change.verb in ("delete", "shed"):
            known.half_gone.add(ref)
        known.troubles.note(ref, trouble_of(refused, unwanted=is_unwanted(row)))
        return found

    def _undo(self, kind: Kind, changes: list[Change], this: Pass) -> None:
        """Remove the half of a row that a refused creation may have left."""
        if not changes:
            return
        keys = [key for change in changes for key in change.keys]
        seen = self.look(kind, keys, this.attachments)
        left = [Change("undo", (key,), None) for key in keys if key in seen and seen[key].residue]
        self.send(kind, left, this)


def spelled_in_turns(
    kind: Kind, changes: Sequence[Change], attachments: Attachments
) -> tuple[list[Message], Sequence[int]]:
    """Return the first message of every change, then the second ones, and for each the number of its row.

    The messages of one row keep their order, and a run of alike messages costs the target less.
    """
    spelled = [kind.spell(change, attachments) for change in changes]
    messages: list[Message] = []
    if all(
        len(turns) == 1 and len(turns[0]) == len(change.keys) for change, turns in zip(changes, spelled, strict=True)
    ):
        for turns in spelled:
            messages += turns[0]
        return messages, range(len(messages))
    owner: list[int] = []
    for turn in range(max(map(len, spelled), default=0)):
        first = 0
        for change, turns in zip(changes, spelled, strict=True):
            end = first + len(change.keys)
            if turn < len(turns):
                messages += turns[turn]
                each = len(turns[turn]) if change.verb == "convert" else 1  # of one row
                owner += (row for row in range(first, end) for _ in range(each))
            first = end
    return messages, owner


def trouble_of(refused: Refused, *, unwanted: bool) -> Trouble:
    """Return the trouble that a refusal is."""
    code, text, due = refused.errno, refused.text, refused.due
    if refused.kind is Class.PERMANENT:
        said = ": ".join(filter(None, (text, explain(code))))
        return Trouble("suppressed", "permanent-error", said, code, unwanted=unwanted)
    if refused.kind is Class.UNCLAIMED:
        return Trouble("failed", "state-dir", text, code, due)
    if refused.kind is Class.CONTESTED:
        return Trouble("contested", "foreign", text, code, due)
    return Trouble("failed", "retrying", text, code, due, unwanted)


def _may_undo(change: Change, row: Judged) -> bool:
    """Tell whether a residue is what our refused creation left: it was not there before the claim."""
    was_there = row.claim is None and row.seen is not None and row.seen.residue
    return change.verb == "create" and not was_there
