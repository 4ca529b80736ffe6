"""How a listener ends without losing a connection that it accepted at its very end."""

import asyncio


async def stop_accepting(server: asyncio.Server) -> None:
    """Accept nothing more, let each connection that was accepted get its transport, and then close the listening sockets.

    asyncio forgets the socket of a connection if its server is closed between the two (Python 3.11): no one ends it then.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening)
    for _ in range(2):  # a task makes the transport, and one turn later the protocol has it
        await asyncio.sleep(0)
    server.close()
