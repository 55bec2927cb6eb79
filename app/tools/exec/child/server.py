"""The process that starts commands: `python -S -E -s -m app.tools.exec.child.server CONTROL_FD`.

The worker sends it one socket for each command; it forks a keeper (`keeper.py`), which talks with the worker
over that socket. So the worker, whose memory may be large, is never forked, and its event loop never reads
from a command. Ends when the worker closes the control socket or dies, as soon as all keepers have ended.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress

from app.tools.exec.child.control_groups import remove_stale
from app.tools.exec.child.keeper import keep
from app.tools.exec.child.processes import kill_marked
from app.tools.exec.child.protocol import read_line


def main(control_fd: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # may be sent to all; the worker decides when commands end
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
    os.chdir("/")
    os.umask(0o022)
    remove_stale()
    os.set_inheritable(control_fd, False)
    os.set_blocking(control_fd, True)  # gevent's sockets do not block
    with socket.socket(fileno=control_fd) as control:
        serve(control)
    with suppress(ChildProcessError):
        os.wait()  # returns when the last keeper has ended


def serve(control: socket.socket) -> None:
    """Start a keeper for each socket that arrives."""
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        for fd in fds:
            os.set_inheritable(fd, False)  # what arrives this way is inherited by default
            with suppress(OSError):  # no room for a process: the worker sees that nobody is there
                if os.fork() == 0:
                    control.close()
                    _work(fd)
            os.close(fd)


def _work(fd: int) -> None:
    """The keeper's whole life; does not return."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.set_blocking(fd, True)
        with socket.socket(fileno=fd) as link:
            request, rest = read_line(link)
            if marks := request.get("marks"):
                link.sendall(b'{"killed": %d}\n' % kill_marked(marks))
            else:
                keep(request, link, rest)
        code = 0
    except (ConnectionError, EOFError):
        code = 0  # the worker has gone
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
