"""How long ExaBGP pauses before the next session with a peer whose message it could not read."""

from vtep.feed.exabgp.damping import FORGOTTEN_S, Pause


def test_each_pause_is_twice_as_long_as_the_one_before_up_to_a_minute() -> None:
    pause, now, pauses = Pause(), 1000.0, []
    for _ in range(6):
        until = pause.lengthen(now)
        pauses.append(until - now)
        now = until + 1

    assert pauses == [5, 10, 20, 40, 60, 60]


def test_a_peer_that_behaved_for_ten_minutes_begins_again() -> None:
    pause = Pause()
    for now in (1000.0, 1010.0):
        pause.lengthen(now)

    later = pause.until + FORGOTTEN_S

    assert pause.lengthen(later) == later + 5
