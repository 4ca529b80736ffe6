"""Every package that a working copy or the image installs is named with its version and its hashes, and nothing else is."""

import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"[a-z0-9][a-z0-9.-]*==\S+( --hash=sha256:[0-9a-f]{64})+")


def requirements(file: Path) -> list[str]:
    """Return the requirements of a file, each on one line."""
    text = re.sub(r"\s*\\\n\s*", " ", file.read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(*files: Path) -> dict[str, str]:
    return dict(line.split(" ")[0].split("==") for file in files for line in requirements(file))


def name(text: str) -> str:
    return re.match(r"[\w.-]+", text)[0].lower().replace("_", "-")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_requirement_has_one_version_and_its_hashes(file):
    found = requirements(file)

    assert found
    assert [line for line in found if not PINNED.fullmatch(line)] == []


def test_the_files_are_those_that_are_known_and_exabgp_4_2_is_among_them():
    assert {file.stem for file in FILES} == {"build", "check", "exabgp-4.2", "exabgp-4.2-build", "proto", "run", "test"}
    assert pins(ROOT / "requirements/exabgp-4.2.txt")["exabgp"].startswith("4.2.")


def test_what_the_product_asks_for_is_pinned():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

    assert {name(requirement) for requirement in asked} <= pins(ROOT / "requirements/run.txt").keys()


def test_what_is_installed_is_what_is_pinned():
    known = pins(*(file for file in FILES if file.stem in ("run", "build", "test", "check")))

    installed = {name(found.metadata["Name"]): found.version for found in distributions(path=[str(_packages())])}
    unknown = {name_: version for name_, version in installed.items() if known.get(name_) != version}

    assert unknown.keys() <= {"vtep"}


def _packages() -> Path:
    return Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def test_nothing_is_fetched_without_its_hash():
    """What names no index fetches nothing; a resolution that is only tried installs nothing."""
    launcher, recipe = (ROOT / "vtep-dev").read_text(), (ROOT / "Dockerfile").read_text()
    [options] = re.findall(r'options="(.*?)"', recipe)
    commands = re.findall(r"pip install (.*)", recipe.replace("$options", options))
    commands += re.findall(r'pip\(\s*"install",((?:\s*[^,()]+,)+)', launcher)

    assert len(commands) == 7
    assert [said for said in commands if not re.search("--(require-hashes|no-index|dry-run)", said)] == []
