"""What `testbed.forkserver.program` returns: asks for a process, passes signals on to it, and ends as it does.

It stands alone, and imports little.
"""

import json
import os
import signal
import socket
import sys

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(address: str, begin: list[str]) -> None:
    """Start Python with these arguments and this process's own, and never return."""
    request = {
        "arguments": [*begin, *sys.argv[1:]],
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109  pathlib would take longer than the rest
        "umask": os.umask(0),
    }
    text = os.memfd_create("request")
    os.write(text, json.dumps(request).encode())
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # until there is somebody to pass them on to
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(address)
        socket.send_fds(control, [b"start"], [text, theirs.fileno(), 0, 1, 2])
    theirs.close()
    process = int(ours.recv(32))
    for number in FORWARDED:
        signal.signal(number, lambda received, frame: os.kill(process, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    code = int(ours.recv(32))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
