"""What becomes of a claim while it is made, confirmed, made again and released."""

from vtep.reconcile.ownership import Claim, Claims, Moment

FIRST, LATER = Moment(1, 10.0), Moment(2, 20.0)


def claims(*steps) -> Claim | None:
    ledger = Claims()
    for verb, *arguments in steps:
        if verb == "claim":
            ledger.claim("fdb", {"key": tuple(arguments)})
        elif verb == "confirm":
            ledger.confirm("fdb", ["key"], *arguments)
        else:
            ledger.release("fdb", ["key"])
    return ledger.claims("fdb").get("key")


def test_a_claim_is_unsure_until_it_is_confirmed() -> None:
    assert claims(("claim", "A", 1)) == Claim("A", 1)
    assert claims(("claim", "A", 1), ("confirm", FIRST)) == Claim("A", 1, confirmed=True, since=FIRST)


def test_a_claim_of_another_value_remembers_the_one_before_until_it_is_confirmed() -> None:
    assert claims(("claim", "A", 1), ("confirm", FIRST), ("claim", "B", 2)) == Claim("B", 2, "A")
    assert claims(("claim", "A", 1), ("claim", "B", 2), ("confirm", FIRST)) == Claim(
        "B", 2, None, confirmed=True, since=FIRST
    )


def test_a_claim_of_the_same_value_keeps_the_one_before() -> None:
    assert claims(("claim", "A", 1), ("claim", "B", 2), ("claim", "B", 3)) == Claim("B", 3, "A")


def test_a_row_is_there_since_its_value_was_first_confirmed() -> None:
    steps = ("claim", "A", 1), ("confirm", FIRST), ("claim", "A", 2), ("confirm", LATER)

    assert claims(*steps) == Claim("A", 2, confirmed=True, since=FIRST)
    assert claims(*steps, ("claim", "B", 3), ("confirm", LATER)) == Claim("B", 3, confirmed=True, since=LATER)


def test_confirmed_claims_are_counted_by_place() -> None:
    ledger = Claims()
    ledger.claim("fdb", {(1, "x"): ("A", 0), (1, "y"): ("A", 0), (2, "x"): ("A", 0)})
    ledger.confirm("fdb", [(1, "x"), (1, "y"), (2, "x"), (2, "x")], FIRST)
    assert dict(ledger.confirmed("fdb")) == {1: 2, 2: 1}

    ledger.claim("fdb", {(1, "x"): ("B", 0)})
    ledger.release("fdb", [(2, "x"), (2, "z")])

    assert dict(ledger.confirmed("fdb")) == {1: 1, 2: 0}


def test_a_released_claim_is_gone_and_may_be_released_again() -> None:
    assert claims(("claim", "A", 1), ("release",), ("release",)) is None


def test_kinds_have_claims_of_their_own() -> None:
    ledger = Claims()
    ledger.claim("fdb", {"key": ("A", 1)})

    ledger.release("flood", ["key"])

    assert (ledger.claims("fdb"), ledger.claims("flood")) == ({"key": Claim("A", 1)}, {})
