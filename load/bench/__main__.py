"""`make bench`: the arguments."""

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
import shutil

from load.bench import rounds
from load.bench.lychgate import Gateways, open_store
from load.bench.machine import BenchError, Processes
from load.bench.peers import Neighbours
from load.bench.work import prepare
from lychgate.postgres import PostgresServer

def main() -> int:
    def say(text): print(text, file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="lychgate-bench-"))
        home.chmod(0o711)
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        (home/"logs").mkdir(); (home/"files").mkdir()
        processes = Processes(stack, home/"logs")
        work = prepare(home)
        nb = Neighbours(processes, home)
        up = nb.upstream(home/"files")
        server = stack.enter_context(PostgresServer(home/"postgres", elsewhere=home/"elsewhere"))
        store = open_store(server)
        gws = Gateways(processes, home, work.jwks, store, server)
        peers = [nb.nginx_plain(up), nb.envoy_plain(up), gws.start("lychgate", {"order": up})]
        n, s = int(sys.argv[1]), float(sys.argv[2])
        m = rounds.measure(peers, work.reads, connections=64, rounds=n, seconds=s, say=say)
        for k, v in m.items():
            print(k, round(v.rate), v.front_us, v.whole_us, v.store_us, [b>>20 for b in v.peak_bytes])
        print("ratio", rounds.ratio(m["lychgate"], m["envoy"]))
    return 0
if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as e:
        print(e, file=sys.stderr); sys.exit(1)
