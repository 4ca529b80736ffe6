"""Taking a changed configuration while the daemon runs.

A file with a problem changes nothing: the old configuration stays in force, and the log and the status say so. What can
only change at a start is logged as such. Knows which settings those are, and nothing about how the parts apply the
others.
"""

import logging
from pathlib import Path

from vtep import logs
from vtep.config import file
from vtep.config.model import Config, FeedConfig
from vtep.errors import ConfigError
from vtep.linux.managed.wish import is_managed
from vtep.observe.history import HistoryEntry
from vtep.observe.observer import Observer

log = logging.getLogger("vtep")


def read(path: Path, current: Config, observer: Observer) -> Config | None:
    """Return the configuration of the file as it is now; None if it is refused."""
    try:
        config = file.read(path)
    except ConfigError as error:
        for text in error.texts:
            logs.event(log, logging.ERROR, "reload refused", problem=text)
        observer.reload_error = error.texts[0] if error.texts else str(error)
        observer.record(HistoryEntry("reload", reason="refused", text=str(error)))
        return None
    for key in needs_restart(current, config):
        logs.event(log, logging.WARNING, "reload needs a restart", key=key, hint="restart to change it")
    return config


def _beside(feed: FeedConfig) -> tuple[Path, bool]:
    """Return what the key `socket` says: where ExaBGP attaches, and whether it does so beside routers."""
    return feed.socket, feed.exabgp and bool(feed.bmp)


def needs_restart(old: Config, new: Config) -> list[str]:
    """Return the keys that changed and take effect only at a start."""
    fixed = (
        ("feed.socket", _beside(old.feed), _beside(new.feed)),
        ("feed.socket_mode", old.feed.socket_mode, new.feed.socket_mode),
        ("feed.socket_group", old.feed.socket_group, new.feed.socket_group),
        ("feed.octets", old.feed.octets, new.feed.octets),
        ("feed.bmp", old.feed.bmp, new.feed.bmp),
        ("feed.bmp_peers", old.feed.bmp_peers, new.feed.bmp_peers),
        ("feed.bmp_table", old.feed.bmp_table, new.feed.bmp_table),
        ("node.mode", old.node.mode, new.node.mode),
        ("node.state_dir", old.node.state_dir, new.node.state_dir),
        ("api", old.api, new.api),
    )
    changed = [name for name, before, after in fixed if before != after]
    if any(vni.is_bound for vni in new.vnis) and not any(vni.is_bound for vni in old.vnis):
        changed.append("vni (the first one with a bridge)")
    elif new.vrfs and not old.vrfs and not any(vni.is_bound for vni in old.vnis):
        changed.append("vrf (the first one, where no VNI has a bridge)")
    if is_managed(new) and not is_managed(old):
        changed.append("manage (the first device)")
    return changed
