"""Programs that end when whoever started them does, however that came about.

The parent holds the writing end of the child's standard input. When the parent lets go of it, is killed or
crashes, the system closes it, and the child ends as by SIGTERM: a training saves first.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LEASH = "--leash"
"""Tells a program that its standard input is such a pipe."""

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 120.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_leashed(
    module: str,
    arguments: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    on_poll: Callable[[], None] = lambda: None,
) -> int:
    """Run a module of ours as a program; return its exit status.

    The program holds a lock on its log as long as it lives: one that is still putting its files away after its
    parent was killed is waited for.

    Args:
        module: It calls `wear_leash` when it is given `--leash`.
        arguments: Of its command line.
        log: Where its output is appended.
        environment: Of the program; None: this process's.
        on_poll: Called twice a second; when it raises, the program is told to end, and waited for.
    """
    with log.open("ab") as out:
        while not _locked(out.fileno()):
            on_poll()
            time.sleep(_POLL_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, LEASH],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # a Ctrl-C is this process's business
        )
    try:
        while True:
            try:
                return process.wait(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                on_poll()
    finally:
        _let_go(process)


def wear_leash() -> None:
    """End this process as by SIGTERM when its standard input is closed.

    SIGINT and SIGTERM act as they usually do, whatever the parent left of them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Close the leash and wait until the program has ended; end it when that takes too long."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=_GRACE_SECONDS)
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
