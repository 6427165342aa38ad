"""Summing up what py-spy saw."""

from load.bench.profile import shares, table

RUN = "run (/usr/lib/python3.11/asyncio/runners.py:118)"
RAW = [
    f"{RUN};judge (/x/gateway/pipeline.py:40);key (/x/policies/memo.py:7) 30",
    f"{RUN};judge (/x/gateway/pipeline.py:52) 10",
    f"{RUN};judge (/x/gateway/pipeline.py:60);judge (/x/gateway/pipeline.py:61) 10",
    "_bootstrap (/usr/lib/python3.11/threading.py:1002);_worker (/usr/lib/concurrent/futures/thread.py:81) 500",
]


def test_lines_of_a_function_are_one_and_waiting_is_not_work() -> None:
    """Own and whole shares by function, without threads that wait; a function that calls itself counts once."""
    found = {frame: (own, whole) for frame, own, whole in shares(RAW)}
    assert found["key (policies/memo.py)"] == (0.6, 0.6)
    assert found["judge (gateway/pipeline.py)"] == (0.4, 1.0)
    assert "_worker (futures/thread.py)" not in found
    assert shares(RAW)[0][0] == "key (policies/memo.py)"


def test_nothing_seen_is_an_empty_table() -> None:
    """Only the head is left."""
    assert table(shares([])).count("\n") == 0
