"""Words what an observer sees of one MAC: the stages that it went through in the router and the daemon that writes its row.

    received by bgpd ─> wins ─> devices fit ─> written by zebra ─> still there and the same

Each sentence names the stage at which it stopped and the command that helps, for what FRR is known to do: it writes a row once,
hears of no refusal, tries nothing again, and may leave a row behind. `sentences` words everything else. Decides nothing.
"""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vtep.config.model import VniConfig
from vtep.observe.model import Explanation, KernelRow
from vtep.observe.received import PolicyEffect

if TYPE_CHECKING:
    from vtep.observe.sentences import ExplainContext

_KNOWN: Final = "FRR does not try again by itself"


def difference(explanation: Explanation, context: "ExplainContext") -> tuple[str, str] | None:
    """Return what differs for a MAC, and what helps; None if the difference is not one of an observer."""
    reason, kernel, vni = context.trouble, explanation.kernel, context.vni
    if vni is None or not reason.startswith("observed-"):
        return None
    mac = str(explanation.mac)
    row = explanation.desired
    if row is None:
        if kernel.state == "absent":
            return None
        what = (
            f"Stale: no route wants it any more, and the kernel still has it{context.lasting},{_where(kernel)}. "
            "FRR leaves such rows when a machine moves or a withdrawal meets a row that it did not write (FRR #21473)."
        )
        # bgpd 8.4 reports a route as withdrawn while its next hop is not resolved, and never corrects that.
        check = "If `vtysh -c 'show bgp l2vpn evpn route type macip'` does not have it either and it stays"
        return what, f"{check}, run `{_removal(mac, vni, kernel)}`."
    by = f"peer {row.peer} advertises it ({_table(context)}) behind {row.vtep}, which wins ({row.reason})"
    cure = f"run `{_repair(mac, str(row.vtep), vni)}`; {_KNOWN}"
    ask = f"`vtysh -c 'show evpn mac vni {vni.vni} mac {mac}'` says what zebra knows"
    match reason:
        case "observed-missing":
            text = f"Received, and not in the kernel{context.lasting}: {by}, and no program has written its row"
            return f"{text}.", f"{ask}. If zebra has it, its write was lost or refused: {cure}."
        case "observed-half":
            half = "the VXLAN device" if kernel.vtep is None else "the bridge"
            text = f"Half a row{context.lasting}: {by}, and {half} lacks its part, so frames are flooded or dropped"
            return f"{text}.", f"A program removed it: {cure}."
        case _ if context.port and context.port != vni.vxlan:
            text = f"Elsewhere in the kernel{context.lasting}: {by}, and the bridge has it at {context.port}"
            away = f"run `bridge fdb del {mac} dev {shlex.quote(context.port)} master`"
            late = "If it is, wait for its route to end: FRR removes a static entry when the route moves once more (FRR #21472)"
            there = f"If the station is not there, {away}, and then `{_repair(mac, str(row.vtep), vni)}`"
            return f"{text}.", f"{there}. {late}; then write it again."
        case _:
            text = f"Elsewhere in the kernel{context.lasting}: {by}, and the row leads{_where(kernel)}"
            why = "FRR also keeps a row when the sequence number of its MAC falls (FRR #10468)"
            return f"{text}.", f"{ask}. {why}. If nothing is under way: {cure}."


def not_received(explanation: Explanation, context: "ExplainContext") -> tuple[str, str] | None:
    """Say why a MAC is not among what routers report by BMP; None if something else than BMP is the reason."""
    status = context.status
    if status.feed.is_router_away:
        what = f"Not received: no router reports by BMP at {status.feed.bmp}."
        return what, "Run `vtysh -c 'show bmp'`: bgpd needs `-M bmp`, and `bmp connect` with this address."
    if not status.complete or any(not peer.up or peer.limited for peer in status.feed.peers):
        return None
    mac, table = explanation.mac, status.feed.table
    if dropped := [one for one in context.policy if one.after is None]:
        return _dropped(str(mac), dropped)
    if table == "post-policy" and context.unaccepted and not context.knows_before:
        by = ", ".join(map(str, context.unaccepted))
        what = f"Received by the router from {by}, and not accepted: its table after policy withdraws a route of {mac} that it never had."
        ask = f"`vtysh -c 'show bgp l2vpn evpn route type macip'` shows {mac} without `*` if its next hop is not reachable"
        other = "not at all if a policy (`route-map ... in`) took it out, it leads to this leaf, or the far end no longer advertises it"
        late = "with `*` if the next hop came later, which bgpd 8.4 does not report: restart vtep"
        return what, f"{ask} (`vtysh -c 'show ip nht'` says why), {other}, and {late}."
    if status.feed.exabgp:
        return None  # some peers are ExaBGP's
    if context.knows_before and table == "post-policy":
        what = "Not sent: no peer's table before policy has it, nor the one after, as the router reports them."
        return what, "No policy of this router took it out. Check that the far end has learned it and advertises it."
    what = f"Not received: no peer's {table} table has it, as the router reports it."
    if table != "post-policy":
        return what, "Check that the far end has learned it and advertises it."
    ask = f"`vtysh -c 'show bgp l2vpn evpn route type macip'` shows whether bgpd has {mac}"
    return (
        what,
        f"{ask}; if it has not, a policy (`route-map ... in`) took it out, or the far end does not advertise it.",
    )


def _dropped(mac: str, dropped: Sequence[PolicyEffect]) -> tuple[str, str]:
    """Say what peers sent that their router did not take."""
    first = dropped[0]
    by = ", ".join(dict.fromkeys(str(one.peer) for one in dropped))
    targets = ", ".join(map(str, first.sent.targets)) or "none"
    what = (
        f"Sent by {by}, and dropped by the router: its table before policy has a route of {mac} (next hop {first.sent.next_hop}, "
        f"Route Targets {targets}), and the one after has not."
    )
    ask = f"`vtysh -c 'show bgp l2vpn evpn route type macip'` shows {mac} without `*` if its next hop is not reachable"
    policy = f"see `neighbor {first.peer} route-map ... in` in `vtysh -c 'show running-config bgpd'`"
    late = "With `*`, the next hop came later, which bgpd 8.4 does not report: restart vtep"
    return what, (
        f"{ask} (`vtysh -c 'show ip nht'` says why). If it is not there, a policy took it out ({policy}), or it leads to this leaf. {late}."
    )


def changed_by_policy(effects: Sequence[PolicyEffect]) -> str:
    """Say what a router's policy made of what a peer sent; nothing if it changed nothing that counts here."""
    for one in effects:
        if one.after is not None:
            parts = [
                f"{name} {_shown(old)} became {_shown(new)}"
                for name, old, new in (
                    ("next hop", one.sent.next_hop, one.after.next_hop),
                    ("Route Targets", one.sent.targets, one.after.targets),
                    ("sequence number", one.sent.seq, one.after.seq),
                    ("sticky", one.sent.sticky, one.after.sticky),
                    ("local preference", one.sent.local_pref, one.after.local_pref),
                )
                if old != new
            ]
            return f"The router's policy changed what peer {one.peer} sent: {', '.join(parts)}."
    return ""


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _table(context: "ExplainContext") -> str:
    """Name the table in which the route was seen, and what the policy did to it if the other table is known as well."""
    table = context.status.feed.table
    if not context.knows_before:
        return table
    return f"{table}, {'changed by policy' if changed_by_policy(context.policy) else 'as the peer sent it'}"


def _where(kernel: KernelRow) -> str:
    to = "" if kernel.vtep is None else f" to {kernel.vtep}"
    return f"{to}, in a row as {kernel.holder} writes it" if kernel.holder else to


def _repair(mac: str, vtep: str, vni: VniConfig) -> str:
    return f"bridge fdb replace {mac} dev {shlex.quote(vni.vxlan)} dst {vtep}{_extra(vni)} self master extern_learn"


def _removal(mac: str, vni: VniConfig, kernel: KernelRow) -> str:
    to = "" if kernel.vtep is None else f" dst {kernel.vtep}"
    return f"bridge fdb del {mac} dev {shlex.quote(vni.vxlan)}{to}{_extra(vni)} self master"


def _extra(vni: VniConfig) -> str:
    vlan = "" if vni.vlan is None else f" vlan {vni.vlan}"
    return f"{vlan} src_vni {vni.vni}" if vni.shares_vxlan else vlan
