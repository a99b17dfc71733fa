"""Children are real processes here; only the clock and the delay between restarts are ours."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from realtime.launcher.child import DESCRIPTOR, Child
from realtime.launcher.listeners import listeners
from realtime.launcher.single_instance import AlreadyRunningError, only_instance
from realtime.launcher.supervisor import ChildError, Restarts, Supervisor
from testbed.processes import PATIENCE_SECONDS, free_port

DEADLINE_SECONDS = 2 * PATIENCE_SECONDS
LONG_SECONDS = 300.0
"""Nothing here waits for so long."""
SLEEPER = "import signal; print('ready', flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
)
POLITE = """
import signal, sys
def stop(*_):
    print("stopped", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
signal.pause()
"""


def python(name: str, code: str, *arguments: str, stop_seconds: float = LONG_SECONDS) -> Child:
    return Child(name, [sys.executable, "-c", code, *arguments], stop_seconds=stop_seconds)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def open_reader(fifo: Path) -> io.FileIO:
    """Open the FIFO for reading, so that a process can open it for writing."""
    return open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)  # noqa: PTH123


async def holder_ended(reader: io.FileIO) -> None:
    """Wait until no process has the FIFO open for writing any more: the kernel's word that it has ended."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), reader
    )
    assert await stream.read() == b""
    transport.close()


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def at_once() -> float:
    """A clock by which every process ends right after its start, however slow the machine is."""
    return 0.0


class Terminal:
    """Collects lines and lets a test wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def say(self, line: str) -> None:
        self.lines.append(line)
        task = asyncio.create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        async with self._news:
            await self._news.wait_for(lambda: condition(self.lines))


@pytest.fixture
async def terminal() -> Terminal:
    return Terminal()


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    """A test that hangs fails."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        yield


async def test_supervisor_request_stop_ends_children_in_reverse_order(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say)
    children = [python(name, POLITE) for name in ("store", "prices", "server")]
    pids: list[int] = []

    async def start() -> None:
        for child in children:
            supervisor.keep(child)
        await terminal.until(lambda lines: sum("ready" in line for line in lines) == 3)
        pids.extend(child.pid for child in children if child.pid)
        supervisor.request_stop()

    await supervisor.run(start)

    stopped = [line for line in terminal.lines if "stopped" in line]
    assert stopped == ["server │ stopped", "prices │ stopped", "store │ stopped"]
    assert len(pids) == 3
    assert not any(map(exists, pids))
    assert [child.pid for child in children] == [None, None, None]


async def test_supervisor_passes_on_no_token_that_a_child_prints(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say, restarts=Restarts(max_quick_exits=1), clock=at_once)
    crash = "raise ValueError('refused: /ws?%74oken=abc.def&x=1')"

    async def start() -> None:
        supervisor.keep(python("server", crash))

    with pytest.raises(ChildError) as ended:
        await supervisor.run(start)
    assert "server │ ValueError: refused: /ws?%74oken=…&x=1" in terminal.lines
    assert "abc" not in "".join([*terminal.lines, str(ended.value)])


async def test_supervisor_child_killed_is_restarted(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say, restarts=Restarts(first_delay_seconds=0.01))
    child = python("server", SLEEPER)

    async def start() -> None:
        supervisor.keep(child)
        await terminal.until(lambda lines: "server │ ready" in lines)
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        await terminal.until(lambda lines: lines.count("server │ ready") == 2)
        supervisor.request_stop()

    await supervisor.run(start)
    assert terminal.lines == [
        "server │ ready",
        "server was killed by SIGKILL; restarting in 0.01 s.",
        "server │ ready",
    ]


async def test_supervisor_replaces_a_child_once_the_next_is_ready(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say)
    child = Child("server", [sys.executable, "-c", POLITE], ready_line="ready")
    store = python("store", SLEEPER)

    async def start() -> None:
        supervisor.keep(store)
        supervisor.keep(child)
        await child.ready.wait()
        await terminal.until(lambda lines: "store │ ready" in lines)
        supervisor.request_replacement()
        await terminal.until(lambda lines: "All server processes have been replaced." in lines)
        assert child.pid is None
        assert store.pid
        supervisor.request_stop()

    await supervisor.run(start)
    # Neither was restarted: the first as it was replaced, the next as all stopped.
    assert terminal.lines == [
        "store │ ready",
        "server │ stopped",
        "All server processes have been replaced.",
        "server │ stopped",
    ]


async def test_supervisor_child_whose_successor_cannot_run_goes_on(
    terminal: Terminal, tmp_path: Path
) -> None:
    supervisor = Supervisor(terminal.say)
    release = tmp_path / "release.py"
    release.write_text(SLEEPER)
    children = [Child(name, [sys.executable, str(release)], ready_line="ready") for name in ("one", "two")]

    async def start() -> None:
        for child in children:
            supervisor.keep(child)
            await child.ready.wait()
        pids = [child.pid for child in children]
        release.write_text("raise SystemExit('a release that is broken')")
        supervisor.request_replacement()
        await terminal.until(lambda lines: len(lines) == 3)
        assert [child.pid for child in children] == pids
        assert all(pids)
        supervisor.request_stop()

    await supervisor.run(start)
    assert terminal.lines == [
        "one │ a release that is broken",
        "one exited with code 1.",
        "one could not be replaced; the old processes keep running.",
    ]


async def test_supervisor_stop_while_a_child_is_replaced_ends_both(
    terminal: Terminal, tmp_path: Path
) -> None:
    supervisor = Supervisor(terminal.say)
    release = tmp_path / "release.py"
    release.write_text(SLEEPER)
    child = Child("server", [sys.executable, str(release)], ready_line="ready")
    pids: list[int] = []

    async def start() -> None:
        supervisor.keep(child)
        await child.ready.wait()
        release.write_text(
            "import os; print(os.getpid(), flush=True)\n" + SLEEPER.replace("ready", "not yet")
        )
        supervisor.request_replacement()
        await terminal.until(lambda lines: lines[-1:] == ["server │ not yet"])
        assert child.pid
        pids.extend([child.pid, int(terminal.lines[0].split()[-1])])
        supervisor.request_stop()

    await supervisor.run(start)
    assert len(pids) == 2
    assert not any(map(exists, pids))


async def test_supervisor_connections_are_the_others_while_a_process_waits_for_its_restart(
    terminal: Terminal,
) -> None:
    """The one that dies has a listener of its own, on a port that both have in common."""
    port = free_port()
    supervisor = Supervisor(
        terminal.say,
        restarts=Restarts(first_delay_seconds=LONG_SECONDS, longest_delay_seconds=LONG_SECONDS),
    )
    serve = (
        "import socket, sys; listener = socket.socket(fileno=int(sys.argv[1])); listener.setblocking(True)\n"
        "print('ready', flush=True)\nwhile True: listener.accept()[0].sendall(b'here')"
    )
    children = [
        Child(name, [sys.executable, "-c", serve, DESCRIPTOR], ready_line="ready", listener=listener)
        for name, listener in zip(("one", "two"), listeners("127.0.0.1", port, 2), strict=True)
    ]

    async def start() -> None:
        for child in children:
            supervisor.keep(child)
            await child.ready.wait()
        assert children[0].pid
        os.kill(children[0].pid, signal.SIGKILL)
        await terminal.until(lambda lines: "one was killed by SIGKILL; restarting in 300 s." in lines)
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.readexactly(4) == b"here"
            writer.close()
        supervisor.request_stop()

    await supervisor.run(start)


def test_terminal_that_is_closed_is_gone_when_sighup_arrives() -> None:
    main, terminal = pty.openpty()
    code = (
        "import fcntl, os, signal, sys, termios; from realtime.launcher.terminal import has_terminal\n"
        "def hang_up(*_):\n    print(has_terminal(), flush=True); os._exit(0)\n"
        "signal.signal(signal.SIGHUP, hang_up)\n"
        "print(has_terminal(), flush=True)\n"
        "fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); print(has_terminal(), flush=True)\n"
        "while True: signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(terminal)],
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[terminal],
        start_new_session=True,
    )
    try:
        os.close(terminal)
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == ["False\n", "True\n"]
        os.close(main)
        assert process.communicate(timeout=DEADLINE_SECONDS)[0] == "False\n"
    finally:
        process.kill()
        process.wait()


async def test_supervisor_child_that_keeps_exiting_waits_longer_and_longer_then_fails(
    terminal: Terminal,
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    supervisor = Supervisor(terminal.say, sleep=sleep, clock=at_once)

    async def start() -> None:
        supervisor.keep(python("prices", "import sys; print('no such file'); sys.exit('giving up')"))

    with pytest.raises(ChildError) as failure:
        await supervisor.run(start)
    assert waited == [0.5, 1.0, 2.0, 4.0]
    message, *last_lines = str(failure.value).splitlines()
    assert message == "prices exited with code 1 right after its start, 5 times in a row."
    assert sorted(last_lines) == ["  giving up", "  no such file"]


async def test_supervisor_failure_ends_the_other_children(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say, restarts=Restarts(max_quick_exits=1), clock=at_once)
    store = python("store", SLEEPER)
    pids: list[int] = []

    async def start() -> None:
        supervisor.keep(store)
        await terminal.until(lambda lines: "store │ ready" in lines)
        assert store.pid
        pids.append(store.pid)
        supervisor.keep(python("server", "import sys; sys.exit(3)"))

    with pytest.raises(
        ChildError, match=r"^server exited with code 3 .* 1 times in a row\. It printed nothing\.$"
    ):
        await supervisor.run(start)
    assert not exists(pids[0])


async def test_supervisor_gives_up_a_child_that_exits_while_others_wait_for_it(terminal: Terminal) -> None:
    """However long each of its starts takes: on a slow machine, more than what counts as soon."""
    hours = itertools.count()

    async def no_delay(seconds: float) -> None:
        pass

    async def start() -> None:
        supervisor.keep(python("valkey", "import sys; sys.exit('no folder')"))
        await asyncio.Event().wait()  # for what it would serve

    supervisor = Supervisor(terminal.say, clock=lambda: 3600.0 * next(hours), sleep=no_delay)
    with pytest.raises(ChildError, match=r"^valkey exited with code 1 .* 5 times in a row"):
        await asyncio.wait_for(supervisor.run(start), DEADLINE_SECONDS)


async def test_supervisor_delay_is_bounded_and_resets_after_a_stable_run(terminal: Terminal) -> None:
    runs = iter([20, 20, 20, 20, 59.9, 60, 20])  # seconds; none of them quick
    now = 0.0
    readings = 0
    waited: list[float] = []

    def clock() -> float:
        nonlocal now, readings
        readings += 1
        if readings % 2 == 0:  # read at the start and at the end of each run
            now += next(runs)
        return now

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 7:
            supervisor.request_stop()
            await asyncio.Event().wait()

    supervisor = Supervisor(
        terminal.say, restarts=Restarts(longest_delay_seconds=5), clock=clock, sleep=sleep
    )

    async def start() -> None:
        supervisor.keep(python("server", ""))

    await supervisor.run(start)
    assert waited == [0.5, 1.0, 2.0, 4.0, 5.0, 0.5, 1.0]


async def test_supervisor_command_that_is_missing_fails_with_its_name(
    terminal: Terminal, tmp_path: Path
) -> None:
    supervisor = Supervisor(terminal.say, restarts=Restarts(max_quick_exits=1), clock=at_once)

    async def start() -> None:
        supervisor.keep(Child("server", [str(tmp_path / "nothing-here")]))

    with pytest.raises(ChildError, match=r"^server could not be started \(.*nothing-here.*\) .* 1 times"):
        await supervisor.run(start)


async def test_supervisor_child_that_ignores_sigterm_is_killed_with_its_children(
    terminal: Terminal, fifo: Path
) -> None:
    reader = open_reader(fifo)
    supervisor = Supervisor(terminal.say)
    code = f"held = open({str(fifo)!r}, 'w'); {STUBBORN}"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}]); {STUBBORN}"
    child = python("server", code, stop_seconds=0.2)

    async def start() -> None:
        supervisor.keep(child)
        await terminal.until(lambda lines: lines.count("server │ ready") == 2)
        supervisor.request_stop()

    await supervisor.run(start)
    assert terminal.lines[-1] == "server: killed, it did not stop within 0.2 s."
    await holder_ended(reader)


async def test_supervisor_second_request_kills_at_once(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say)
    child = python("server", STUBBORN)

    async def start() -> None:
        supervisor.keep(child)
        await terminal.until(lambda lines: "server │ ready" in lines)
        supervisor.request_stop()
        supervisor.request_stop()

    await supervisor.run(start)
    assert terminal.lines == ["server │ ready", "server: killed, on request."]


async def test_supervisor_start_that_raises_ends_children_and_raises(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say)
    child = python("server", SLEEPER)
    pids: list[int] = []

    async def start() -> None:
        supervisor.keep(child)
        await terminal.until(lambda lines: "server │ ready" in lines)
        assert child.pid
        pids.append(child.pid)
        raise LookupError("not found")

    with pytest.raises(LookupError, match=r"^not found$"):
        await supervisor.run(start)
    assert not exists(pids[0])


async def test_supervisor_stop_while_a_child_waits_for_its_restart_returns(terminal: Terminal) -> None:
    supervisor = Supervisor(
        terminal.say,
        restarts=Restarts(first_delay_seconds=LONG_SECONDS, longest_delay_seconds=LONG_SECONDS),
    )

    async def start() -> None:
        supervisor.keep(python("server", ""))
        await terminal.until(lambda lines: any("restarting" in line for line in lines))
        supervisor.request_stop()

    await supervisor.run(start)
    assert terminal.lines == ["server exited with code 0; restarting in 300 s."]


async def test_child_line_too_long_is_left_out_and_the_next_one_shown(terminal: Terminal) -> None:
    supervisor = Supervisor(terminal.say)

    async def start() -> None:
        supervisor.keep(python("server", f"print('x' * 2**20, flush=True); {SLEEPER}"))
        await terminal.until(lambda lines: bool(lines) and lines[-1].endswith("ready"))
        supervisor.request_stop()

    await supervisor.run(start)
    assert "server │ (a line too long to show)" in terminal.lines
    assert max(map(len, terminal.lines)) < 2**17


async def test_watchdog_stops_the_child_of_a_killed_parent(tmp_path: Path, fifo: Path) -> None:
    reader = open_reader(fifo)
    farewell = tmp_path / "farewell"
    (tmp_path / "polite.py").write_text(
        f"""
import signal, sys
def stop(*_):
    open({str(farewell)!r}, "w").close()  # the parent, who shows our output, is dead
    sys.exit()
signal.signal(signal.SIGTERM, stop)
held = open({str(fifo)!r}, "w")
print("ready", flush=True)
signal.pause()
"""
    )
    parent_code = """
import asyncio, sys
from realtime.launcher.child import Child
from realtime.launcher.supervisor import Supervisor
supervisor = Supervisor(lambda line: print(line, flush=True))
async def start():
    supervisor.keep(Child("child", [sys.executable, "-m", "realtime.launcher.watchdog", "polite"]))
asyncio.run(supervisor.run(start))
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        parent_code,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(tmp_path)])},
    )
    assert parent.stdout
    assert await parent.stdout.readline() == "child │ ready\n".encode()
    parent.kill()
    await parent.wait()
    await holder_ended(reader)
    assert farewell.exists()


def test_only_instance_second_holder_is_refused_with_the_note_of_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "up.lock"
    with only_instance(lock, note="pid 1, http://127.0.0.1:4000/") as was_killed:
        assert not was_killed
        with (
            pytest.raises(AlreadyRunningError, match=r"^pid 1, http://127\.0\.0\.1:4000/$"),
            only_instance(lock, note=""),
        ):
            pass
    with only_instance(lock, note="") as was_killed:
        assert not was_killed


def test_only_instance_after_a_killed_holder_says_so(tmp_path: Path) -> None:
    lock = tmp_path / "up.lock"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from realtime.launcher.single_instance import only_instance\n"
        "with only_instance(Path(sys.argv[1]), note='pid 2'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(lock)], timeout=DEADLINE_SECONDS)
    assert ended.returncode == -signal.SIGKILL
    with only_instance(lock, note="") as was_killed:
        assert was_killed
