"""What becomes of a claim while it is made, confirmed, made again and released."""

from vtep.reconcile.claims import Claim, Claims, Moment, RowGroup, grouped

FIRST, LATER = Moment(1, 10.0), Moment(2, 20.0)


def claims(*steps) -> Claim | None:
    ledger = Claims()
    for verb, *arguments in steps:
        if verb == "claim":
            ledger.claim("fdb", [RowGroup(["key"], *arguments)])
        elif verb == "confirm":
            ledger.confirm("fdb", ["key"], *arguments)
        else:
            ledger.release("fdb", ["key"])
    return ledger.claims("fdb").get("key")


def test_a_claim_is_unconfirmed_until_its_row_was_written() -> None:
    assert claims(("claim", "A", 1)) == Claim("A", 1)
    assert claims(("claim", "A", 1), ("confirm", FIRST)) == Claim("A", 1, confirmed=True, since=FIRST)


def test_a_claim_of_another_value_remembers_the_one_before_until_it_is_confirmed() -> None:
    assert claims(("claim", "A", 1), ("confirm", FIRST), ("claim", "B", 2)) == Claim("B", 2, ("A",))
    assert claims(("claim", "A", 1), ("claim", "B", 2), ("confirm", FIRST)) == Claim(
        "B", 2, confirmed=True, since=FIRST
    )


def test_a_claim_of_the_same_value_keeps_the_one_before() -> None:
    assert claims(("claim", "A", 1), ("claim", "B", 2), ("claim", "B", 3)) == Claim("B", 3, ("A",))


def test_a_claim_whose_writes_were_refused_covers_each_value_that_may_be_there() -> None:
    tried = [("claim", name, 1) for name in "ABCDEFG"]

    assert claims(*tried[:3], tried[1]) == Claim("B", 1, ("A", "C"))
    assert claims(*tried) == Claim("G", 1, ("A", "D", "E", "F"))
    assert claims(*tried, ("confirm", FIRST)) == Claim("G", 1, confirmed=True, since=FIRST)


def test_a_row_is_there_since_its_value_was_first_confirmed() -> None:
    steps = ("claim", "A", 1), ("confirm", FIRST), ("claim", "A", 2), ("confirm", LATER)

    assert claims(*steps) == Claim("A", 2, confirmed=True, since=FIRST)
    assert claims(*steps, ("claim", "B", 3), ("confirm", LATER)) == Claim("B", 3, confirmed=True, since=LATER)


def test_confirmed_claims_are_counted_by_vni() -> None:
    ledger = Claims()
    ledger.claim("fdb", [RowGroup([(1, "x"), (1, "y")], "A"), RowGroup([(2, "x")], "A")])
    ledger.confirm("fdb", [(1, "x"), (1, "y"), (2, "x"), (2, "x")], FIRST)
    assert dict(ledger.confirmed("fdb")) == {1: 2, 2: 1}

    ledger.claim("fdb", [RowGroup([(1, "x")], "B")])
    ledger.release("fdb", [(2, "x"), (2, "z")])

    assert dict(ledger.confirmed("fdb")) == {1: 1, 2: 0}


def test_claims_of_one_group_share_one_value_while_they_are_made_confirmed_and_changed() -> None:
    ledger, keys = Claims(), [(1, name) for name in "wxyz"]

    def values() -> set[int]:
        return {id(claim) for claim in ledger.claims("fdb").values()}

    ledger.claim("fdb", [RowGroup(keys, "A")])
    assert len(values()) == 1
    ledger.confirm("fdb", keys, FIRST)
    assert len(values()) == 1
    ledger.claim("fdb", [RowGroup(keys, "B")])
    assert len(values()) == 1


def test_of_rows_claimed_together_each_remembers_what_was_before_it() -> None:
    ledger, keys = Claims(), [(1, name) for name in "wxyz"]
    ledger.claim("fdb", [RowGroup(keys[:2], "A"), RowGroup(keys[2:3], "B", 1)])

    ledger.claim("fdb", [RowGroup(keys, "C")])

    before = [ledger.claims("fdb")[key].before for key in keys]
    assert before == [("A",), ("A",), ("B",), ()]


def test_rows_are_grouped_by_vni_value_and_rank() -> None:
    rows = [((1, "w"), "A", 0), ((2, "w"), "A", 0), ((1, "x"), "B", 0), ((1, "y"), "A", 1), ((1, "z"), "A", 0)]

    assert grouped(rows) == [
        RowGroup([(1, "w"), (1, "z")], "A"),
        RowGroup([(2, "w")], "A"),
        RowGroup([(1, "x")], "B"),
        RowGroup([(1, "y")], "A", 1),
    ]


def test_a_released_claim_is_gone_and_may_be_released_again() -> None:
    assert claims(("claim", "A", 1), ("release",), ("release",)) is None


def test_kinds_have_claims_of_their_own() -> None:
    ledger = Claims()
    ledger.claim("fdb", [RowGroup(["key"], "A", 1)])

    ledger.release("flood", ["key"])

    assert (ledger.claims("fdb"), ledger.claims("flood")) == ({"key": Claim("A", 1)}, {})


def test_a_change_of_claims_is_noted_once_for_the_keys_that_had_one_claim_and_have_one() -> None:
    ledger, noted = Claims(), []
    keys = [(1, name) for name in "wxyz"]
    ledger.follow("fdb", lambda key, before, now, count: noted.append((key[0], _row(before), _row(now), count)))

    ledger.claim("fdb", [RowGroup(keys, "A"), RowGroup([(2, "w")], "A")])
    ledger.confirm("fdb", [*keys, (2, "w")], FIRST)
    ledger.claim("fdb", [RowGroup(keys[:1], "B")])
    ledger.release("fdb", [*keys, (3, "w")])

    made = [(1, None, "A", 4), (2, None, "A", 1)]
    confirmed = [(1, "A", "A", 4), (2, "A", "A", 1)]
    released = [(1, "B", None, 1), (1, "A", None, 3), (3, None, None, 1)]
    assert noted == [*made, *confirmed, (1, "A", "B", 1), *released]


def test_rows_written_in_another_order_share_one_claim_again() -> None:
    ledger, keys = Claims(), [(1, number) for number in range(60)]
    for row, step in (("A", 7), ("B", 11), ("C", 13)):
        mixed = [keys[number * step % 60] for number in range(60)]
        for batch in (mixed[:30], mixed[30:]):
            ledger.claim("fdb", [RowGroup(batch, row)])
            ledger.confirm("fdb", batch, FIRST)

    assert len({id(claim) for claim in ledger.claims("fdb").values()}) == 1


def _row(claim: Claim | None) -> str | None:
    return None if claim is None else claim.row
