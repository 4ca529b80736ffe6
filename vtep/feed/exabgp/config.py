"""Writes the ExaBGP configuration of this leaf, for `vtep exabgp-config`, with what each option is needed for.

Text in, text out, but for the files of passwords."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vtep.addr import Ip
from vtep.config.bgp import BgpConfig, BgpNeighbor
from vtep.config.model import Config
from vtep.errors import ConfigError, Problem


def render(config: Config) -> str:
    """Return a configuration for ExaBGP 4.2 or 5.0, or say what is missing for one."""
    bgp = config.bgp
    if bgp is None or not bgp.neighbors:
        missing = Problem("bgp", "no [bgp] with a [[bgp.neighbor]]", "ExaBGP needs to know its peers")
        raise ConfigError("exabgp-config", (missing,))
    if not _PLAIN.fullmatch(str(config.feed.socket)):
        cannot = f"ExaBGP's configuration cannot have it: {config.feed.socket}"
        raise ConfigError("exabgp-config", (Problem("feed.socket", cannot, "use letters, digits and ./_:@+,=~-"),))
    relay = shutil.which("vtep") or f"{sys.executable} -m vtep"
    parts = [
        _HEAD,
        f"process vtep {{\n    run {relay} relay --socket {config.feed.socket};\n    encoder json;\n}}\n",
        *(_neighbor(config, bgp, number, neighbor) for number, neighbor in enumerate(bgp.neighbors)),
    ]
    return "\n".join(parts)


_PLAIN: Final = re.compile(r"[\w./:@+,=~-]+", re.ASCII)
"""A blank, a semicolon or a brace would end the word, and what follows would be read as statements."""

_HEAD = """# ExaBGP for vtep. Start it with
#     exabgp_api_terminate=true vtep exabgp server FILE      (4.2: vtep exabgp FILE)
# so that a supervisor can start it again if the relay is lost in mid-line. Plain `exabgp` receives only.
"""


def _neighbor(config: Config, bgp: BgpConfig, number: int, neighbor: BgpNeighbor) -> str:
    local = neighbor.source or _local_address(config, bgp, neighbor.address)
    more = "".join(f"    {line}\n" for line in _more(number, neighbor))
    return f"""neighbor {neighbor.address} {{
    router-id {bgp.router_id};
    local-address {local};
    local-as {bgp.asn};
    peer-as {neighbor.asn};
    hold-time {neighbor.hold_time};
{more}    adj-rib-in false;              # ExaBGP's own copy never forgets an EVPN withdraw
    capability {{
        graceful-restart 120;      # without it a peer sends no End-of-RIB
        route-refresh;             # how a lost line is made good
    }}
    family {{ l2vpn evpn; }}
    api vtep{number} {{
        processes [ vtep ];
        neighbor-changes;
        receive {{ parsed; open; update; notification; refresh; }}
    }}
}}
"""


def _more(number: int, neighbor: BgpNeighbor) -> Iterator[str]:
    """Yield the statements that only some sessions need."""
    if neighbor.description:
        yield f'description "{neighbor.description}";'
    if neighbor.listen:
        yield f"listen {neighbor.listen};                    # below 1024 ExaBGP needs CAP_NET_BIND_SERVICE"
    if neighbor.passive:
        yield "passive true;                  # the peer connects"
    if neighbor.ttl:
        yield f"outgoing-ttl {neighbor.ttl};"
    if neighbor.password_file:
        yield f'md5-password "{_password(number, neighbor.password_file)}";'
        yield "md5-base64 false;              # the password as it is, also if it looks like a number"
    if neighbor.route_reflector:
        yield "# The peer is a route reflector: it must have this leaf as a client (FRR: route-reflector-client)."


def _password(number: int, path: str) -> str:
    """Return the first line of the file, if ExaBGP's configuration can have it between quotes."""
    where = f"bgp.neighbor[{number}].password_file"
    try:
        text = Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise ConfigError("exabgp-config", (Problem(where, f"{path}: {error.strerror}"),)) from None
    except UnicodeDecodeError:
        raise ConfigError("exabgp-config", (Problem(where, f"{path}: its first line is not text"),)) from None
    if not _PASSWORD.fullmatch(text):
        what = f"the first line of {path} is not a password of 1 to 80 visible characters without quote and backslash"
        raise ConfigError("exabgp-config", (Problem(where, what),))
    return text


_PASSWORD: Final = re.compile(r"[!#-\[\]-~]{1,80}")
"""TCP_MD5SIG_MAXKEYLEN octets at most; a quote or backslash would end what ExaBGP reads, or change it."""


def _local_address(config: Config, bgp: BgpConfig, peer: Ip) -> Ip:
    """Return the tunnel address of the peer's family, or the router id if there is none."""
    return next((vtep for vtep in config.node.vteps if vtep.is_v6 == peer.is_v6), bgp.router_id)
