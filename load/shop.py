"""`make load`: shop traffic on a stack of its own, and whether every answer was the right one.

    make load                       a minute
    make load ARGS="--seconds 600"

Starts `lychgate up` on free ports in a folder that is gone afterwards, makes tokens with its development issuer's key
for those who work in the sample shops and for those who do not, and runs `load/locustfile.py` in locust's own
environment. Exit code 0 when every answer was what it had to be, 1 when one was not or something did not start.
"""

import argparse
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from joserfc import jwt
from joserfc.jwk import ECKey

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lychgate.clock import utc_now  # noqa: E402  # the path comes first
from lychgate.tether import tethered  # noqa: E402
from lychgate.tokens import ALGORITHM, AUDIENCE, DevelopmentIssuer  # noqa: E402

LOCUST = ROOT / ".venv-load" / "bin" / "locust"
WORK = {"till": "POS_OPERATOR", "help_desk": "helpdesk.agent", "office": "store_manager", "audit": "compliance_reader"}
"""What people do to what their own system calls it; the catalogue maps these names."""
TENANTS = ("acme", "globex")
PEOPLE = 20
"""With each kind of work, in each shop."""
STOPS_WITHIN_S = 60.0


@contextmanager
def stack(home: Path) -> Iterator[dict[str, Any]]:
    """`lychgate up`, ready; gives what it says about itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LYCHGATE_")}
    environment |= {"LYCHGATE_UP__STATE_FOLDER": str(home / "state")}
    command = [sys.executable, "-P", "-m", "lychgate", "up", "--json", "--free-ports"]
    process = subprocess.Popen(
        tethered(command, on_parent_death=signal.SIGTERM),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C is for us
    )
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            sys.exit("lychgate up did not start; see above")
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tokens(home: Path, one_of_its: str) -> dict[str, Any]:
    """Good tokens by kind of work and tenant, and bad ones by what is wrong with them."""
    iss = json.loads(_decoded(one_of_its.split(".")[1]))["iss"]
    issuer = DevelopmentIssuer.open(home / "state" / "issuer", utc_now, iss=iss)
    good = {
        work: {
            tenant: [issuer.mint(roles=[role], tenant=tenant, user=f"{work}-{n}") for n in range(PEOPLE)]
            for tenant in TENANTS
        }
        for work, role in WORK.items()
    }
    return {**good, "bad": _bad(issuer)}


def _bad(issuer: DevelopmentIssuer) -> dict[str, str]:
    now = int(time.time())
    claims = {
        "iss": issuer.iss,
        "aud": AUDIENCE,
        "sub": "stranger",
        "tenant_id": TENANTS[0],
        "roles": [WORK["office"]],
        "iat": now - 7200,
        "exp": now + 7200,
    }
    header = {"alg": ALGORITHM, "typ": "JWT", "kid": issuer.key.kid}

    def signed(key: ECKey, **changes: object) -> str:
        return jwt.encode(header, {**claims, **changes}, key, [ALGORITHM])

    valid = signed(issuer.key)
    head, payload, signature = valid.split(".")
    unsigned = _encoded(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    raised = _encoded(_decoded(payload).replace(TENANTS[0].encode(), TENANTS[1].encode()))
    return {
        "expired": signed(issuer.key, exp=now - 3600),
        "foreign": signed(issuer.key, iss="https://elsewhere.example"),
        "misaddressed": signed(issuer.key, aud="another-gateway"),
        "forged": signed(ECKey.generate_key("P-256")),
        "altered": f"{head}.{raised}.{signature}",
        "unsigned": f"{unsigned}.{payload}.",
        "nonsense": "letmein",
    }


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode("ascii")


def locust(home: Path, facts: dict[str, Any], seconds: float) -> int:
    """Run it; returns its exit code, 1 when an answer was not the right one."""
    file = home / "tokens.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(tokens(home, next(iter(facts["tokens"].values())))), encoding="ascii")
    command = [
        str(LOCUST),
        "--headless",
        "--only-summary",
        "--loglevel",
        "WARNING",
        "-f",
        str(ROOT / "load" / "locustfile.py"),
    ]
    command += ["--host", facts["urls"]["gateway"]]
    environment = {**os.environ, "SHOP_TOKENS": str(file), "SHOP_SECONDS": str(seconds)}
    return subprocess.run(command, env=environment, cwd=home, check=False).returncode


def main() -> int:
    """Read the arguments, start, run, stop."""
    parser = argparse.ArgumentParser(
        prog="make load", description="Shop traffic on `lychgate up`, every answer checked."
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _told)
    if not LOCUST.exists():
        sys.exit(f"there is no locust in {LOCUST.parent}; run `load/setup`")
    home = Path(tempfile.mkdtemp(prefix="lychgate-shop-"))
    home.chmod(0o711)  # PostgreSQL's system user passes through, and lists nothing
    try:
        with stack(home) as facts:
            code = locust(home, facts, max(5.0, given.seconds))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print("every answer was the right one" if code == 0 else f"FAILED: locust ended with {code}; its report says why")
    return min(code, 1)


def _told(number: int, _frame: object) -> NoReturn:
    """End as Ctrl-C does: everything that was started is stopped."""
    sys.exit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
