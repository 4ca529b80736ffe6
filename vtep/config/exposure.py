"""Says which settings let more people reach the daemon than is usually wanted: what they can do, and what to set
instead.

Such a setting is not wrong, and nothing is refused for it. The daemon repeats these sentences in its log at the start
and in its status, and `vtep check` prints them, so that no door is opened by accident.
"""

from collections.abc import Iterator

from vtep.config.model import ApiConfig, Config, FeedConfig
from vtep.config.values import host_of, is_loopback, numbered

_CHANGES = "can run resync, adopt, clear-duplicate and log-level; use a unix socket"


def exposures(config: Config) -> tuple[str, ...]:
    """Return a sentence for each setting, in the order of the file."""
    return (*_feed(config.feed), *_api(config.api))


def _feed(feed: FeedConfig) -> Iterator[str]:
    if feed.socket_mode & 0o002:
        yield (
            f"feed.socket_mode: {feed.socket_mode:04o}: every user of this host can send routes, and so decide where "
            'frames go; use "0660", with ExaBGP\'s group in socket_group'
        )


def _api(api: ApiConfig) -> Iterator[str]:
    for key, address in numbered("api.admin", list(api.admin)):
        if address.startswith("unix:"):
            continue
        if is_loopback(host_of(address)):
            yield f"{key}: {address}: every user of this host {_CHANGES}"
        else:
            yield f"{key}: {address}: every holder of a certificate of api.tls.client_ca, on any host, {_CHANGES}"
    if api.metrics and not is_loopback(host_of(api.metrics)):
        yield (
            f"api.metrics: {api.metrics}: every host that reaches it can read MACs, peers and explanations, "
            "without TLS; use a loopback address, or a proxy with TLS in front of one"
        )
