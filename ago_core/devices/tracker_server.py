"""TVM's own tracker on a socket that the supervisor has bound: `python -m ago_core.devices.tracker_server FD`.

TVM's command line for it takes no free port of the system's choice and runs it in two processes.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys

from tvm.rpc.tracker import TrackerServerHandler


def main(descriptor: int) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    TrackerServerHandler(socket.socket(fileno=descriptor), secrets.token_hex()).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
