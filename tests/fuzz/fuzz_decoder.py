"""Feed the decoder with hostile lines for as long as you like; not part of any suite.

    pip install atheris
    python -m tests.fuzz.fuzz_decoder -max_total_time=600 [CORPUS...]

Run it from the root of the project. Without a corpus it starts from the recorded lines of `tests/captures`. A finding
leaves its input in a `crash-*` file.
"""

import sys
import tempfile
from pathlib import Path

from tests.fuzz.invariants import assert_inside_types
from vtep.errors import StreamError
from vtep.feed.exabgp.json import decode

CAPTURES = Path(__file__).parents[1] / "captures"


def receive(line: bytes) -> None:
    """Either the line means something that its types can hold, or it is refused; anything else is a finding."""
    try:
        heard = decode(line)
    except StreamError:
        return
    assert_inside_types(heard)


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed; `pip install atheris` into a virtual environment of its own")
    atheris.instrument_all()
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    corpora = [word for word in sys.argv[1:] if not word.startswith("-")]
    with tempfile.TemporaryDirectory() as seeds:
        if not corpora:
            save_seeds(Path(seeds))
        atheris.Setup([sys.argv[0], *options, *(corpora or [seeds])], receive)
        atheris.Fuzz()


def save_seeds(folder: Path) -> None:
    lines = {line for path in CAPTURES.glob("*/*.jsonl") for line in path.read_bytes().splitlines()}
    for number, line in enumerate(sorted(lines)):
        (folder / f"{number:05}").write_bytes(line)


if __name__ == "__main__":
    main()
