"""Short turns on the loop."""

import asyncio
import time

from gateway.ops.authzen.turns import Turns


async def test_long_work_lets_others_run() -> None:
    """Whoever waits for the loop gets it between two pieces of work."""
    ran: list[int] = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    turns = Turns()
    await turns.pause()
    assert ran == [], "not before it is time to"
    deadline = time.perf_counter() + 5
    while not ran and time.perf_counter() < deadline:
        await turns.pause()
    assert ran == [1]


def test_the_whole_has_a_time() -> None:
    """Over when it is past, and never without one."""
    assert Turns(0.0).over
    assert not Turns().over
