"""Whatever a router sends, it becomes items whose values are inside their types, or the connection ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.fuzz_bmp import SEEDS, receive
from tests.lab.examples import examples

FRAMES = st.sampled_from(SEEDS)


@given(st.binary(max_size=300))
@settings(max_examples=examples(200), deadline=None)
def test_arbitrary_octets(octets):
    receive(octets)


@given(
    st.lists(FRAMES, min_size=1, max_size=6), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6)
)
@settings(max_examples=examples(300), deadline=None)
def test_real_messages_with_octets_changed(frames, changes):
    octets = bytearray(b"".join(frames))
    for at, value in changes:
        octets[at % len(octets)] = value
    receive(bytes(octets))
