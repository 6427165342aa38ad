"""Start a program that is told to stop when its parent dies, as another user if asked.

    python -I -S tether.py PARENT SIGNAL ACCOUNT PROGRAM [ARGUMENT...]

A parent that is killed with SIGKILL cannot clean up, so the kernel does it: `prctl(PR_SET_PDEATHSIG)`. This file
runs as a script of its own, on the standard library alone, because the setting must be made in the child, after any
change of user (which clears it, prctl(2)) and before `exec` (which keeps it), and because Python code between `fork`
and `exec` of a threaded process (`preexec_fn`) may deadlock.

The signal comes when the *thread* that started the child ends: start children from a thread that lives as long as the
process. Elsewhere than on Linux the tether is missing, and the next `lychgate up` finds and stops what was left.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_SAME_USER = "-"


def tethered(
    command: list[str], *, on_parent_death: signal.Signals, account: tuple[int, int] | None = None
) -> list[str]:
    """The command line that runs `command` on a tether to this process.

    Args:
        command: Program (an absolute path) and arguments.
        on_parent_death: What the kernel sends it when we die.
        account: `(uid, gid)` to run it as; None for our own. Only root may choose.
    """
    who = _SAME_USER if account is None else f"{account[0]}:{account[1]}"
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(on_parent_death)), who, *command]


def main(arguments: list[str]) -> None:
    """Become the program; returns only by raising."""
    parent, number, who, *command = arguments
    if who != _SAME_USER:
        uid, _, gid = who.partition(":")
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # A parent that died before the line above is never reported: look once.
    if os.getppid() != int(parent):
        sys.exit(0)
    # The program gets the defaults that Python changed for itself.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 -- replacing ourselves by the program is the point


if __name__ == "__main__":
    main(sys.argv[1:])
