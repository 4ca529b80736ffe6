"""What becomes of a claim while it is made, confirmed, made again and released."""

from vtep.reconcile.ownership import Claim, Claims


def claims(*steps) -> Claim | None:
    ledger = Claims()
    for verb, *arguments in steps:
        if verb == "claim":
            ledger.claim("fdb", {"key": tuple(arguments)})
        else:
            getattr(ledger, verb)("fdb", ["key"])
    return ledger.claims("fdb").get("key")


def test_a_claim_is_unsure_until_it_is_confirmed() -> None:
    assert claims(("claim", "A", 1)) == Claim("A", 1)
    assert claims(("claim", "A", 1), ("confirm",)) == Claim("A", 1, confirmed=True)


def test_a_claim_of_another_value_remembers_the_one_before_until_it_is_confirmed() -> None:
    assert claims(("claim", "A", 1), ("confirm",), ("claim", "B", 2)) == Claim("B", 2, "A")
    assert claims(("claim", "A", 1), ("claim", "B", 2), ("confirm",)) == Claim("B", 2, confirmed=True)


def test_a_claim_of_the_same_value_keeps_the_one_before() -> None:
    assert claims(("claim", "A", 1), ("claim", "B", 2), ("claim", "B", 3)) == Claim("B", 3, "A")


def test_a_released_claim_is_gone_and_may_be_released_again() -> None:
    assert claims(("claim", "A", 1), ("release",), ("release",)) is None


def test_kinds_have_claims_of_their_own() -> None:
    ledger = Claims()
    ledger.claim("fdb", {"key": ("A", 1)})

    ledger.release("flood", ["key"])

    assert (ledger.claims("fdb"), ledger.claims("flood")) == ({"key": Claim("A", 1)}, {})
