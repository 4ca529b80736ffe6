"""The few commands that make the daemon do something, and how they find its admin service.

Knows the admin messages. A request never goes to another daemon than the one that was named.
"""

import argparse
import os
import sys
from contextlib import suppress
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from vtep.cli import grid, values
from vtep.cli.connection import Address, Client, Tls, client, refusal, said
from vtep.cli.grid import Column
from vtep.cli.output import is_document, known_vni, print_value
from vtep.cli.text import amount, plain, say, table_width
from vtep.errors import UnreachableError
from vtep.v1 import admin_pb2, vtep_pb2

Answer = TypeVar("Answer", bound=Message)


def adopt(options: argparse.Namespace) -> int:
    _check_vni(options)
    answer = _request(
        options,
        admin_pb2.AdoptRequest(
            vni=options.vni,
            dry_run=options.dry_run,
            foreign=options.foreign or options.remove_unwanted,
            remove_unwanted=options.remove_unwanted,
        ),
        admin_pb2.AdoptResponse,
    )
    if not is_document(options):
        rows = [[*row.split(), "", "", ""][:3] for row in answer.rows]
        if rows:
            columns = (Column("VNI", right=True), Column("MAC"), Column("VTEP"))
            print("\n".join(grid.render(columns, rows, table_width(sys.stdout))))
        say(f"{'would claim' if options.dry_run else 'claimed'} {amount(len(rows))} row{'' if len(rows) == 1 else 's'}")
    return _done(options, answer)


def resync(options: argparse.Namespace) -> int:
    answer = _request(options, admin_pb2.ResyncRequest(peers=options.peers), admin_pb2.ResyncResponse)
    return _done(
        options,
        answer,
        "requested: the kernel is read again" + (", and the peers send their routes again" * options.peers),
    )


def clear_duplicate(options: argparse.Namespace) -> int:
    _check_vni(options)
    request = admin_pb2.ClearDuplicateRequest(mac=str(options.mac), vni=options.vni)
    answer = _request(options, request, admin_pb2.ClearDuplicateResponse)
    where = f"in {amount(answer.cleared)} VNI{'' if answer.cleared == 1 else 's'}"
    return _done(
        options, answer, f"cleared {where}" if answer.cleared else f"{options.mac} is not a duplicate in any VNI"
    )


def log_level(options: argparse.Namespace) -> int:
    answer = _request(options, admin_pb2.SetLogLevelRequest(level=options.level), admin_pb2.SetLogLevelResponse)
    return _done(options, answer, f"the log's level is {options.level}, and was {plain(answer.previous)}")


def _done(options: argparse.Namespace, answer: Message, text: str = "") -> int:
    if is_document(options):
        print_value(options, values.value(answer))
    elif text:
        say(text)
    return 0


def _check_vni(options: argparse.Namespace) -> None:
    """Refuse a VNI that is not configured, if the address that is asked knows: the admin service alone does not."""
    with suppress(UnreachableError), client(options) as daemon:
        known_vni(daemon, options.vni)


def _request(options: argparse.Namespace, request: Message, answer: type[Answer]) -> Answer:
    """Send the request to the admin service."""
    if options.address is None and (named := os.environ.get("VTEP_ADMIN_ADDRESS")):
        with Client(Address.parse(named), Tls.of(options), options.timeout) as admin:
            return admin.ask(request, answer)
    with client(options) as daemon:
        if options.address is not None:
            try:
                return daemon.ask_plainly(request, answer)
            except grpc.RpcError as error:
                if said(error)[0] is not grpc.StatusCode.UNIMPLEMENTED:
                    raise refusal(daemon.address, error) from None
        address = _admin_address(daemon)
    with Client(address, Tls.of(options), options.timeout) as admin:
        return admin.ask(request, answer)


def _admin_address(daemon: Client) -> Address:
    """Ask the daemon where its admin service is. A socket on another host cannot be reached from here."""
    told = daemon.ask(vtep_pb2.GetStatusRequest(), vtep_pb2.GetStatusResponse).admin_addresses
    if not told:
        raise UnreachableError(f"{daemon.address}: this daemon has no admin service (api.admin)")
    address = Address.parse(told[0])
    if address.is_local and not daemon.address.is_local:
        raise UnreachableError(
            f"{daemon.address}: its admin service is at {address} of its own host; run this command there"
        )
    return address
