"""Debian packages: a tree of files that `vtep-dev package` has begun with the libraries, and what makes a .deb of it.

    .venv/bin/python -m tools.package TREE OUTPUT

The package has everything that is not in Debian 12 (grpcio, msgspec, ExaBGP and so on) in /usr/lib/vtep, where no other program
looks for it, and needs only python3 and iproute2. The libraries are compiled for one minor release of Python, which the package
depends on. Knows the layout of the package; does not know where the libraries come from.
"""

import compileall
import gzip
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.man import pages
from vtep import __version__
from vtep.app.commands import parser
from vtep.cli.completion import script

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/usr/lib/vtep")
from vtep.__main__ import main

sys.exit(main())
"""
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/vtep",
    "zsh": "usr/share/zsh/vendor-completions/_vtep",
    "fish": "usr/share/fish/vendor_completions.d/vtep.fish",
}
UNITS = {"vtep.service": "vtep.service", "exabgp.service": "vtep-exabgp.service"}
"""By their names in packaging/; a distribution's ExaBGP has a unit called exabgp.service."""

NO_CAPABILITY = """# ExaBGP opens the sessions. To listen on port 179 it would need CAP_NET_BIND_SERVICE in both.
AmbientCapabilities=
CapabilityBoundingSet=
"""
LISTENING = """# Of two leaves one listens on port 179, and `vtep init` decides which; without `listen` and `passive`, both may be empty.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
"""


def build(tree: Path, output: Path) -> Path:
    """Fill the tree and return the package that was made of it."""
    library = tree / "usr/lib/vtep"
    shutil.rmtree(library / "bin", ignore_errors=True)
    # The files are compiled here, because the units cannot write there; by hash, because dpkg changes times.
    if not compileall.compile_dir(
        library, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, stripdir=tree, workers=0
    ):
        print("package: some files of the libraries are no valid Python, and are not compiled", file=sys.stderr)
    _write(tree / "usr/bin/vtep", PROGRAM, 0o755)
    _units(tree)
    _documents(tree)
    for shell, place in COMPLETIONS.items():
        _write(tree / place, script(parser(), shell))
    for name in ("vtep.toml", "exabgp.conf"):
        text = (ROOT / "packaging/etc" / name).read_text()
        _write(tree / "etc/vtep" / f"{name}.example", text.replace("/opt/vtep/bin", "/usr/bin"))
    _control(tree)
    architecture = _architecture()
    package = output / f"vtep_{__version__}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", tree, package],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return package


def _units(tree: Path) -> None:
    for source, target in UNITS.items():
        if target == "vtep-exabgp.service" and NO_CAPABILITY not in (ROOT / "packaging/systemd" / source).read_text():
            raise SystemExit(f"packaging/systemd/{source} no longer has the lines that the package replaces")
        text = (ROOT / "packaging/systemd" / source).read_text().replace("/opt/vtep/bin", "/usr/bin")
        text = re.sub(r"\A#[^\n]*\n(?:#[^\n]*\n)*", "", text)  # where to put it, which the package has done
        text = text.replace(NO_CAPABILITY, LISTENING)
        _write(tree / "usr/lib/systemd/system" / target, text)
    _write(tree / "usr/lib/sysusers.d/vtep.conf", (ROOT / "packaging/sysusers.d/vtep.conf").read_text())


def _documents(tree: Path) -> None:
    for name, text in pages().items():
        _write_gzip(tree / "usr/share/man/man1" / f"{name}.gz", text)
    documents = tree / "usr/share/doc/vtep"
    for path in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md"):
        _write(documents / path.name, path.read_text())
    _write(documents / "copyright", (ROOT / "LICENSE").read_text())
    _write_gzip(documents / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    shutil.copytree(ROOT / "contrib", documents / "contrib", dirs_exist_ok=True)


def _control(tree: Path) -> None:
    major, minor = sys.version_info[:2]
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
    control = f"""Package: vtep
Version: {__version__}
Architecture: {_architecture()}
Maintainer: vtep maintainers <maintainers@vtep.invalid>
Installed-Size: {size}
Depends: python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1}), iproute2, passwd
Recommends: systemd
Section: net
Priority: optional
Description: EVPN VTEP dataplane that sits next to ExaBGP on a Linux leaf
 Keeps the forwarding tables of VXLAN devices equal to what EVPN says, and advertises
 the stations of this leaf. ExaBGP, which speaks BGP, is in the package.
"""
    _write(tree / "DEBIAN/control", control)
    for script_ in ("postinst", "prerm", "postrm"):
        _write(tree / "DEBIAN" / script_, (ROOT / "packaging/debian" / script_).read_text(), 0o755)
    _write(tree / "DEBIAN/conffiles", "/etc/vtep/vtep.toml.example\n/etc/vtep/exabgp.conf.example\n")


def _architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _write_gzip(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    print(build(Path(sys.argv[1]), Path(sys.argv[2])))
