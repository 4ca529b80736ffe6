"""vtep makes a Linux leaf's forwarding table equal to what EVPN says, with ExaBGP as its BGP speaker.

ExaBGP speaks BGP; `vtep relay` carries its lines to `vtep run`; the daemon keeps every peer's routes, decides behind
which remote VTEP each MAC is, and makes the kernel equal to that decision. docs/ARCHITECTURE.md has the drawings.
"""


def __getattr__(name: str) -> str:
    """Look the version up only for who asks: the relay, which ExaBGP waits for, would pay 30 ms for it."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vtep")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0+checkout"
