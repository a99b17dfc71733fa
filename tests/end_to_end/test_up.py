"""`manage.py up` as a user runs it: a process, with the embedded servers and its own data folder."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from positions.conf import embedded_valkey_socket
from testbed import forkserver
from testbed.processes import PATIENCE_SECONDS, free_port
from testbed.templates import Templates
from tests.waiting import until

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 3 * PATIENCE_SECONDS
"""For anything that this machine does; nothing here depends on how much less it takes."""
FAST = ["--source", "simulated", "--interval", "0.5"]

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks processes up in /proc")


def environment(data_dir: Path) -> dict[str, str]:
    """A new user's: nothing is configured."""
    foreign = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in foreign} | {
        "NEXGENT_DATA_DIR": str(data_dir)
    }


def manage(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a second terminal."""
    return forkserver.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(data_dir),
        timeout=DEADLINE_SECONDS,
    )


def processes_of(data_dir: Path) -> dict[int, str]:
    """Return the command lines of all living processes that work on this data folder, by pid."""
    variable = f"NEXGENT_DATA_DIR={data_dir}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            # Valkey overwrites its environment with its title, but it works in the folder.
            if variable in variables or (process / "cwd").readlink() == data_dir:
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # ended meanwhile, or someone else's
    return found


def process_of(data_dir: Path, command: str) -> int:
    return next(pid for pid, line in processes_of(data_dir).items() if command in line)


class Up:
    """A running `manage.py up`, and what it writes."""

    def __init__(self, data_dir: Path, *options: str, port: int | None = None) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.lines: list[str] = []
        self._token = ""
        read_end, write_end = os.pipe()
        self._output = os.fdopen(read_end)
        with os.fdopen(write_end, "w") as output:
            self.process = forkserver.start(
                [sys.executable, "manage.py", "up", "--port", str(self.port), *FAST, *options],
                cwd=ROOT,
                env=environment(data_dir),
                stdout=output,
                stderr=output,
            )
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._output as output:
            for line in output:
                self._unread.put(line.rstrip())
        self._unread.put(None)

    def wait_for(self, pattern: str) -> None:
        """Wait for the next line that matches."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                line = self._unread.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                pytest.fail(f"{pattern!r} was never written:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if re.search(pattern, line):
                return

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)

    def token(self) -> str:
        """Log in, once: to hash a password takes a third of a second."""
        if not self._token:
            answer = httpx.post(
                f"{self.url}api/token/", json={"username": "demo", "password": "demo"}, timeout=30
            )
            assert answer.status_code == 200, answer.text
            self._token = str(answer.json()["access"])
        return self._token

    def connect(self, agent_name: str) -> ClientConnection:
        token = self.token()
        answer = httpx.get(f"{self.url}api/agents/", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        agent_id = next(agent["id"] for agent in answer.json()["results"] if agent["name"] == agent_name)
        return connect(
            f"ws://127.0.0.1:{self.port}/ws?token={token}&agentId={agent_id}", open_timeout=DEADLINE_SECONDS
        )


def receive(client: ClientConnection, kind: str) -> Any:
    """Return the data of the next message of this type."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        message = json.loads(client.recv(timeout=max(0.0, deadline - time.monotonic())))
        if message["type"] == kind:
            return message["data"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the tests that leave it running. Its folder has a space in its name, as some users' have."""
    running = Up(tmp_path_factory.mktemp("up") / "my data")
    try:
        running.wait_for(r"^  Stop ")
        yield running
        assert running.end(signal.SIGINT) == 0
        assert processes_of(running.data_dir) == {}
    finally:
        running.kill()


def test_up_start_says_what_a_new_user_needs(up: Up) -> None:
    text = "\n".join(up.lines)
    assert f"  Page     {up.url}\n" in text
    assert f"  Admin    {up.url}admin/\n           log in as admin, password " in text
    assert "  Login    demo, password demo\n" in text
    assert "  Prices   simulated (made up): as requested.\n" in text
    assert f"  Data     {up.data_dir}\n  Database SQLite\n  Server   daphne, 1 process\n" in text
    assert httpx.get(f"{up.url}health", timeout=30).json()["status"] == "healthy"


def test_up_makes_a_login_to_the_admin_whose_password_its_owner_can_read(up: Up) -> None:
    file = up.data_dir / "admin-password"
    assert file.stat().st_mode & 0o777 == 0o600
    password = file.read_text().strip()
    assert f"log in as admin, password {password} (also in {file})" in "\n".join(up.lines)
    with httpx.Client(base_url=up.url, timeout=30) as client:
        client.get("admin/login/")
        form = {
            "username": "admin",
            "password": password,
            "next": "/admin/",
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        }
        assert client.post("admin/login/", data=form, headers={"Referer": up.url}).status_code == 302
        agents = client.get("admin/positions/agent/")
        assert "Momentum" in agents.text
        # Whose pages lead to those of the dashboard.
        page = re.search(r"/admin/positions/agent/([0-9a-f-]{36})/change/", agents.text)
        assert page is not None
        assert f'href="/agents/{page[1]}"' in client.get(page[0]).text


def test_up_data_folder_is_closed_to_others(up: Up) -> None:
    assert up.data_dir.stat().st_mode & 0o777 == 0o700
    assert embedded_valkey_socket(up.data_dir).parent.stat().st_mode & 0o777 == 0o700


def test_up_write_in_a_second_terminal_reaches_an_open_socket(up: Up) -> None:
    with up.connect("Momentum") as client:
        snapshot = receive(client, "initial_data")
        position = snapshot["positions"][0]
        assert manage(
            up.data_dir,
            "shell",
            "-c",
            "from decimal import Decimal; from positions.services import buy_more;"
            f"buy_more(position_id='{position['id']}', tokens=Decimal(1), spent_sol=Decimal('0.5'))",
        ).returncode == 0  # fmt: skip
        update = receive(client, "position_update")
    assert update["eventType"] == "position_updated"
    assert update["seq"] == snapshot["seq"] + 1
    assert update["position"]["id"] == position["id"]
    assert update["position"]["dcaCount"] == position["dcaCount"] + 1


def test_up_prices_reach_an_open_socket(up: Up) -> None:
    with up.connect("Momentum") as client:
        held = {position["tokenAddress"] for position in receive(client, "initial_data")["positions"]}
        updates = receive(client, "price_update_batch")["updates"]
    assert {update["tokenAddress"] for update in updates} <= held


def test_up_second_one_on_the_same_folder_is_refused(up: Up) -> None:
    second = manage(up.data_dir, "up", "--port", str(free_port()), "--source", "simulated")
    assert second.returncode == 1
    assert second.stderr == (
        f"CommandError: `up` is already running (pid {up.process.pid}, {up.url}) on {up.data_dir}.\n"
    )


def test_up_port_taken_is_refused_before_anything_starts(up: Up, tmp_path: Path) -> None:
    refused = manage(tmp_path, "up", "--port", str(up.port), "--source", "simulated")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        f"CommandError: 127.0.0.1:{up.port} is in use by another program: stop it, or choose another --port.\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"secret_key", "up.lock"}


def test_up_server_killed_is_restarted_and_serves_again(up: Up) -> None:
    os.kill(process_of(up.data_dir, "realtime.launcher.watchdog daphne"), signal.SIGKILL)
    up.wait_for(r"^server was killed by SIGKILL; restarting in [0-9.]+ s\.$")
    assert until_served(up)["positions"]


def until_served(up: Up) -> Any:
    """Return the snapshot that the server gives once it is there; it may say first that a client is to come later."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            with up.connect("Momentum") as client:
                return receive(client, "initial_data")
        except (httpx.TransportError, ConnectionClosed, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize(
    "killed", ["valkey-server", "realtime.launcher.watchdog realtime.launcher.embedded_valkey"]
)
def test_up_valkey_killed_is_restarted_and_prices_go_on(up: Up, killed: str) -> None:
    with up.connect("Momentum") as client:
        receive(client, "initial_data")
        os.kill(process_of(up.data_dir, killed), signal.SIGKILL)
        up.wait_for(r"^valkey .*; restarting in [0-9.]+ s\.$")
        answers(redis.Redis(unix_socket_path=str(embedded_valkey_socket(up.data_dir))))
        restarted = datetime.now(UTC)
        while datetime.fromisoformat(receive(client, "price_update_batch")["timestamp"]) < restarted:
            pass  # sent before it died, and still on the way


def answers(client: redis.Redis) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            assert client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    client.close()


def test_up_killed_leaves_nothing_that_keeps_the_next_from_working(
    tmp_path: Path, templates: Templates
) -> None:
    """The first under daphne, the next under uvicorn, on the same folder and port."""
    shutil.copy(templates.file(), tmp_path / "nexgent.sqlite3")  # else most of this would be its migrations
    first = Up(tmp_path)
    second = None
    try:
        first.wait_for(r"^  Stop ")
        # Server, prices, Valkey and its parent.
        until(lambda: len(processes_of(tmp_path).keys() - {first.process.pid}) == 4, "all of them run")
        left = processes_of(tmp_path).keys() - {first.process.pid}
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
        second = Up(tmp_path, "--server", "uvicorn", port=first.port)
        second.wait_for(r"^  Stop ")
        assert process_of(tmp_path, "realtime.launcher.watchdog uvicorn")
        with second.connect("Momentum") as client:
            receive(client, "initial_data")
            assert second.end(signal.SIGTERM) == 0
            assert receive(client, "closing")["reason"] == "Server shutdown"
        assert processes_of(tmp_path).keys() <= left  # it leaves none; the first one's end by themselves
        until(lambda: processes_of(tmp_path) == {}, "those of the first one have ended")
    finally:
        for process in filter(None, (first, second)):
            process.kill()


def test_up_replay_holds_the_files_tokens_and_an_open_address_is_warned_of(
    tmp_path: Path, templates: Templates
) -> None:
    """One start for both: each takes seconds."""
    (tmp_path / "data").mkdir()
    shutil.copy(templates.file(), tmp_path / "data" / "nexgent.sqlite3")
    replay = tmp_path / "prices.csv"
    replay.write_text(
        "time,token,price\n2018-01-10T04:55:00Z,ADA,0.0000529\n2018-01-10T04:55:00Z,DASH,0.07553338\n"
        "2018-01-10T05:00:00Z,ADA,0.00005319\n2018-01-10T05:00:00Z,DASH,0.0758\n"
    )
    up = Up(tmp_path / "data", "--source", "replay", "--replay", str(replay), "--host", "0.0.0.0")  # noqa: S104
    try:
        up.wait_for(r"^  Warning: other machines can reach 0\.0\.0\.0, .* a password that everyone knows\.$")
        assert "  Prices   replay: as requested." in up.lines
        with up.connect("Replay") as client:
            positions = receive(client, "initial_data")["positions"]
        bought = {position["tokenSymbol"]: position["purchasePrice"] for position in positions}
        assert bought == {"ADA": 0.0000529, "DASH": 0.07553338}
        assert up.end(signal.SIGTERM) == 0
    finally:
        up.kill()


def test_up_child_that_cannot_run_ends_it_with_the_reason(tmp_path: Path) -> None:
    """A folder where Valkey's log should be: its parent exits at once, each time."""
    (tmp_path / "valkey.log").mkdir()
    failed = manage(tmp_path, "up", "--port", str(free_port()), *FAST)
    assert failed.returncode == 1
    first, *_, last = failed.stderr.splitlines()
    assert first == "CommandError: valkey exited with code 1 right after its start, 5 times in a row."
    assert last == f"  IsADirectoryError: [Errno 21] Is a directory: '{tmp_path}/valkey.log'"
    assert processes_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "0"], "--port must be between 1 and 65535; it is 0."),
        (["--processes", "0"], "--processes must be between 1 and 64; it is 0."),
        (["--processes", "65"], "--processes must be between 1 and 64; it is 65."),
        (["--interval", "-1"], "--interval must be a number of seconds above 0; it is -1."),
        (["--interval", "nan"], "--interval must be a number of seconds above 0; it is nan."),
        (["--source", "replay"], "--source replay and --replay FILE belong together."),
        (["--replay", "prices.csv"], "--source replay and --replay FILE belong together."),
        (
            ["--source", "replay", "--replay", "no-such-file.csv"],
            "no-such-file.csv: No such file or directory.",
        ),
        (["--host", "203.0.113.1"], "Cannot listen on 203.0.113.1:{port}: Cannot assign requested address."),
    ],
)
def test_up_impossible_option_is_named(tmp_path: Path, options: list[str], message: str) -> None:
    port = free_port()
    refused = manage(tmp_path, "up", "--port", str(port), *options)
    assert (refused.returncode, refused.stderr) == (1, f"CommandError: {message.format(port=port)}\n")
