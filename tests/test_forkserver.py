"""Processes that the tests start by forking (testbed/forkserver.py) are as those of an interpreter of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import forkserver
from testbed.processes import PATIENCE_SECONDS, ROOT
from tests.waiting import until

SHOW = """
import json, os, signal, sys
print(json.dumps({
    "arguments": sys.argv, "name": __name__, "folder": os.getcwd(), "environment": dict(os.environ),
    "path": sys.path[:2], "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "child": str(signal.getsignal(signal.SIGCHLD)), "files": sorted(os.listdir("/proc/self/fd")),
    "input": sys.stdin.read(), "umask": os.umask(0),
    "ours": [name for name in sys.modules if name.split(".")[0] in ("nexgent", "positions", "realtime", "testbed")],
}))
print("to standard error", file=sys.stderr)
sys.exit(7)
"""
SHARES = """
import subprocess, sys
from pathlib import Path
from testbed import forkserver
forkserver.share(Path(sys.argv[1]))
for _ in range(2):
    subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], check=True)
"""
USES = """
import os, sys
from pathlib import Path
from testbed import forkserver
forkserver.use(Path(sys.argv[1]))
command = [sys.executable, "-c", "import os; print(os.getppid())"]
print(forkserver.run(command, env=os.environ, cwd=".", timeout=60).stdout, end="")
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at /proc")
@pytest.mark.parametrize("kind", ["code", "module", "file"])
def test_process_sees_what_one_of_its_own_interpreter_sees(kind, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "shown.py").write_text(SHOW)
    arguments = {
        "code": ["-c", SHOW],
        "module": ["-m", "shown"],
        "file": [str(tmp_path / "library" / "shown.py")],
    }[kind]
    command = [sys.executable, *arguments, "ä", ""]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "library"), "NEXGENT_OF_THIS_TEST": "ö"}
    ordinary = subprocess.run(
        command,
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        umask=0o137,
    )
    forked = forkserver.run(command, env=environment, cwd=tmp_path, timeout=PATIENCE_SECONDS, umask=0o137)
    assert ordinary.stdout
    assert (forked.returncode, forked.stdout, forked.stderr) == (7, ordinary.stdout, "to standard error\n")


def test_process_ends_as_one_of_its_own_interpreter_does(tmp_path):
    """What it has loaded is taken apart: files are closed, destructors called, after what was to be done at exit."""
    code = "import atexit, loaded\nkept = open('written', 'w')\nkept.write('all of it')\natexit.register(print, 'exit')"
    (tmp_path / "loaded.py").write_text(
        "import logging\nclass End:\n    def __del__(self): print('end', logging)\nend = End()\n"
    )
    command = [sys.executable, "-c", code]
    ordinary, forked = tmp_path / "ordinary", tmp_path / "forked"
    for folder in (ordinary, forked):
        folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    expected = subprocess.run(command, env=environment, cwd=ordinary, capture_output=True, text=True)
    done = forkserver.run(command, env=environment, cwd=forked, timeout=PATIENCE_SECONDS)
    assert expected.stdout.startswith("exit\nend ")
    assert (done.returncode, done.stdout, done.stderr) == (0, expected.stdout, expected.stderr)
    assert [(folder / "written").read_text() for folder in (ordinary, forked)] == ["all of it"] * 2


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Python, as somebody else would run it."""
    path = tmp_path / "python"
    path.write_text(forkserver.program())
    path.chmod(0o755)
    return path


def test_program_has_the_input_output_folder_and_exit_code_of_who_runs_it(program, tmp_path):
    code = (
        "import os, sys; print(sys.stdin.read(), os.getcwd(), os.environ['MINE'], oct(os.umask(0)), sys.argv[1]);"
        "print('to standard error', file=sys.stderr); sys.exit(7)"
    )
    environment = {**os.environ, "MINE": "ä"}
    ran = [
        subprocess.run(
            [python, "-c", code, "x"],
            env=environment,
            cwd=tmp_path,
            input="given",
            capture_output=True,
            text=True,
            umask=0o137,
        )
        for python in (sys.executable, program)
    ]
    ordinary, forked = ((done.returncode, done.stdout, done.stderr) for done in ran)
    assert ordinary == (7, f"given {tmp_path} ä 0o137 x\n", "to standard error\n")
    assert forked == ordinary


def test_program_passes_a_signal_on_and_ends_by_it(program):
    code = "import time; print('up', flush=True); time.sleep(600)"
    with subprocess.Popen([program, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "up\n"
        running.terminate()
        assert running.stdout.read() == ""  # nobody has it any more
        assert running.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_process_ends_by_the_signal_that_it_gets_and_several_may_wait_for_it(tmp_path):
    log = tmp_path / "log"
    code = "import time; print('up', flush=True); time.sleep(600)"
    with log.open("wb") as file:
        process = forkserver.start(
            [sys.executable, "-c", code], env=os.environ, cwd=ROOT, stdout=file, stderr=file
        )
    until(lambda: log.read_text() == "up\n", "it runs")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGTERM)
    assert (process.wait(PATIENCE_SECONDS), process.wait(), process.poll()) == (-signal.SIGTERM,) * 3
    process.kill()  # nothing is left that it could hit


def test_fork_server_is_shared_by_other_processes_and_ends_with_the_one_that_made_it(tmp_path):
    address = tmp_path / "forks"
    done = subprocess.run(
        [sys.executable, "-c", SHARES, str(address), USES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    first, second = map(int, done.stdout.split())
    assert first == second
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
def test_project_is_read_once_and_a_copy_of_it_for_itself(tmp_path):
    """Each process executes what it imports, as it stands in its own folder."""
    code = "import nexgent.start as it; print(type(it.__loader__).__name__, it.__file__, hasattr(it, 'HERE'))"
    (tmp_path / "nexgent").mkdir()
    (tmp_path / "nexgent" / "__init__.py").touch()
    (tmp_path / "nexgent" / "start.py").write_text("HERE = True\n")
    ours, copy = (
        forkserver.run([sys.executable, "-c", code], env=os.environ, cwd=folder, timeout=PATIENCE_SECONDS)
        for folder in (ROOT, tmp_path)
    )
    assert ours.stdout.split() == ["_Compiled", str(ROOT / "nexgent/start.py"), "False"]
    assert copy.stdout.split() == ["SourceFileLoader", str(tmp_path / "nexgent/start.py"), "True"]


def test_other_options_of_the_interpreter_are_heeded():
    code = "import sys; print(sys.flags.utf8_mode, sys.flags.dont_write_bytecode)"
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = forkserver.run([sys.executable, "-c", code], env=environment, cwd=ROOT, timeout=PATIENCE_SECONDS)
    assert done.stdout == "1 1\n"
