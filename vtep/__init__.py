"""vtep makes the forwarding tables of a Linux leaf equal to what EVPN says, with ExaBGP as its BGP speaker.

ExaBGP speaks BGP and prints each update as a line of JSON. `vtep relay`, a child of ExaBGP, carries the lines to `vtep run`.
The daemon keeps every peer's routes, decides behind which remote VTEP each MAC is, and makes the kernel equal to that decision.

The walk of a withdrawn MAC, from ExaBGP to the kernel. The name of what is passed changes only at a queue or a boundary:

    line      feed.exabgp.relay, feed.exabgp.socket    a line waits in a bounded queue
    Event     feed.exabgp.lines, feed.exabgp.json      `Withdrawn`, with the keys of the routes, if nothing was lost before it
              evpn.rib, evpn.index                     the route goes, and its MAC is marked
    Changed   projection.leaf, projection.project      the MAC is judged again: no route is left
    Intent    reconcile.actor                          the latest intent, without the row, wakes the actor
    Work      reconcile.waiting, reconcile.engine      the key waits for a pass, which judges it
              reconcile.bulk, linux.tables.fdb         DELETE, spelled as two entries
    Message   linux.wire.neighbor, linux.kernel        two RTM_DELNEIGH, and the kernel's answers
              linux.ledger, reconcile.report           the claim is released, and the pass reports

docs/ARCHITECTURE.md has the drawings, the glossary, and a table of where each behavior is handled.
"""


def __getattr__(name: str) -> str:
    """Look the version up only on demand: it takes 30 ms, and ExaBGP waits for the relay to start."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vtep")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0+checkout"
