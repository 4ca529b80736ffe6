"""A daemon's API without a daemon: gRPC on a socket, where every method answers what a test put there.

Knows the two services' methods and nothing of what is in an answer, so that it can say what no real daemon would say. A
method without an answer is unimplemented.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from vtep.v1 import admin_pb2, vtep_pb2

Answer = Callable[[Any, grpc.ServicerContext], Any]


class ScriptedApi:
    """One API at an address; `asked` has every request in order."""

    def __init__(
        self, address: str, credentials: grpc.ServerCredentials | None = None, **answers: Message | Answer
    ) -> None:
        self.address = address
        self.answers: dict[str, Message | Answer] = dict(answers)
        self.asked: list[Message] = []
        self._credentials = credentials
        self._server: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((_Methods(self),))
        if self._credentials:
            port = self._server.add_secure_port(self.address, self._credentials)
        else:
            port = self._server.add_insecure_port(self.address)
        if port > 1:
            self.address = f"{self.address.rpartition(':')[0]}:{port}"
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(None).wait(5)
            self._server = None

    def answer(self, name: str, request: Message, context: grpc.ServicerContext) -> Any:
        self.asked.append(request)
        answer = self.answers[name]
        return answer if isinstance(answer, Message) else answer(request, context)


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, api: ScriptedApi) -> None:
        self._api = api

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        name = details.method.rpartition("/")[2]
        if name not in self._api.answers:
            return None
        module = admin_pb2 if "AdminService" in details.method else vtep_pb2
        request = getattr(module, f"{name}Request")

        def unary(message: Message, context: grpc.ServicerContext) -> Any:
            return self._api.answer(name, message, context)

        def stream(message: Message, context: grpc.ServicerContext) -> Iterator[Any]:
            yield from self._api.answer(name, message, context)

        if name == "Watch":
            return grpc.unary_stream_rpc_method_handler(stream, request.FromString, _serialized)
        return grpc.unary_unary_rpc_method_handler(unary, request.FromString, _serialized)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
