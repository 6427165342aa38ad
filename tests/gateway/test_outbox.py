"""What is sent at the end of a turn."""

import asyncio

from gateway.outbox import Outbox


async def test_what_a_turn_has_to_send_goes_in_order_at_its_end() -> None:
    """Not before; then all of it, and what comes meanwhile in the next."""
    outbox, sent = Outbox(asyncio.get_running_loop()), list[str]()

    def first() -> None:
        sent.append("first")
        outbox.add(lambda: sent.append("third"))

    outbox.add(first)
    outbox.add(lambda: sent.append("second"))
    assert sent == []
    await asyncio.sleep(0)
    assert sent == ["first", "second"]
    await asyncio.sleep(0)
    assert sent == ["first", "second", "third"]
    await asyncio.sleep(0)
    assert len(sent) == 3
