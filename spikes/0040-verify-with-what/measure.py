"""How long one token takes: joserfc's whole deserialization against `cryptography` with a prepared key, and the stage.

Run from the repository's root: `.venv/bin/python spikes/0040-verify-with-what/measure.py`
"""

import gc
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from joserfc import jwk, jws

from gateway.identify.bearer import identify
from gateway.identify.jws import read
from gateway.identify.memo import TokenMemo
from tests.builders.tokens import ALGORITHMS, NOW, bearer, catalogue, keyring, mint, signing_key

_ROUNDS, _CALLS = 60, 30


def best_us(calls: Sequence[Callable[[], object]]) -> list[float]:
    """The best round of each, the rounds interleaved: the machine is shared, and noise only ever adds."""
    best = [float("inf")] * len(calls)
    for _ in range(_ROUNDS):
        for index, call in enumerate(calls):
            started = time.perf_counter()
            for _ in range(_CALLS):
                call()
            best[index] = min(best[index], (time.perf_counter() - started) / _CALLS)
    return [seconds * 1e6 for seconds in best]


def main() -> None:
    """Print one row an algorithm, in microseconds."""
    warnings.simplefilter("ignore")
    gc.disable()
    print(f"{'alg':6} {'joserfc':>8} {'crypto':>8} {'identify':>9} {'memo hit':>9}")
    for alg in ALGORITHMS:
        key = signing_key(alg)
        token, ring = mint(key), keyring([key])
        field, memo = bearer(token), TokenMemo()
        memo.put(field, identify(field, ring, catalogue(), NOW))
        parts = read(token)
        verify = ring.issuer_of({"iss": "https://id.example"}).check_for(parts).verify
        published, text = jwk.KeySet.import_key_set({"keys": [key.public()]}), token.decode()
        figures = best_us(
            [
                partial(jws.deserialize_compact, text, published, algorithms=[alg]),
                partial(verify, parts.signature, parts.signed),
                partial(identify, field, ring, catalogue(), NOW),
                partial(memo.get, field, NOW),
            ]
        )
        print(f"{alg:6} {figures[0]:8.1f} {figures[1]:8.1f} {figures[2]:9.1f} {figures[3]:9.2f}")


main()
