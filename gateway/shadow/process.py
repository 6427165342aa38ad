"""The shadow's process: `python -m gateway.shadow.process FD`.

Started by `gateway.shadow.keeper`, it ends with its channel. It gives way to everybody else on the
machine, and its memory has a bound.
"""

import asyncio
import os
import resource
import signal
import socket
import sys
from typing import Final

from gateway.control import Channel
from gateway.shadow.judge import ShadowJudge
from gateway.shadow.messages import FromShadow, Judge, Load, ToShadow

_NICE: Final = 10
MEMORY_BYTES: Final = 2 << 30
"""Of address space: a candidate of 2,000 policies and a full memo take a tenth of it."""


async def run(fd: int) -> int:
    """Answer until the supervisor is gone."""
    channel: Channel[FromShadow, ToShadow] = await Channel.over(socket.socket(fileno=fd), ToShadow)
    judge = ShadowJudge()
    async for message in channel:
        match message:
            case Load():
                channel.send(judge.load(message))
            case Judge(records):
                channel.send(judge.judge(records))
    await channel.close()
    return 0


def main() -> int:
    """Entry point."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's to handle
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold what was recorded
    return asyncio.run(run(int(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
