"""Whose request is served here and now."""

import asyncio
import threading

from roles.security_context.claims import Actor
from roles.security_context.context import RequestContext, current_context, on_behalf_of, serving


def make(sub: str = "u-1", act: Actor | None = None) -> RequestContext:
    """A context."""
    return RequestContext(
        tenant_id="acme", sub=sub, idp="dev", roles=("Cashier",), trace_id="0" * 31 + "1", decision_id="d",
        policy_version="v", act=act, token="secret",
    )  # fmt: skip


async def test_each_task_and_thread_serves_its_own() -> None:
    """What one says of itself the others do not hear."""

    async def serve(sub: str) -> str:
        serving(make(sub))
        await asyncio.sleep(0)
        found = current_context()
        return found.sub if found else ""

    assert await asyncio.gather(*(serve(str(number)) for number in range(5))) == list("01234")
    assert current_context() is None
    heard: list[object] = []
    with on_behalf_of(make()):
        thread = threading.Thread(target=lambda: heard.append(current_context()))
        thread.start()
        thread.join()
        assert current_context() == make()
    assert (heard, current_context()) == ([None], None)


def test_a_context_is_shown_without_its_token() -> None:
    """A repr ends up in logs; who passed it on is told by name."""
    assert "secret" not in repr(make())
    assert make().on_behalf_by is None
    assert make(act=Actor("integration")).on_behalf_by == "integration"
