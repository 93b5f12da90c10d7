"""A real RabbitMQ, which a test may kill and start again on the same port."""

import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.conftest import free_port
from tests.waiting import eventually

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one on the PATH wants a user of its own
HELLO = b"AMQP\x00\x00\x09\x01"


class RabbitProcess:
    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        (directory / "plugins").write_text("[].")
        self.port = free_port()
        self._directory = directory
        self._environ = os.environ | {
            "HOME": str(directory),  # Erlang's cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self.start()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        with (self._directory / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [SERVER], env=self._environ, stdout=out, stderr=out, start_new_session=True
            )
        eventually(self._greets, timeout_s=120, every_s=0.2)

    def kill(self) -> None:
        """The shell that started it, and Erlang's machine."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def pause(self) -> None:
        """It answers nothing any more, and its connections stay."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Erlang's port mapper, too, which outlives it, and ends when it has seen it go."""
        self.kill()
        eventually(lambda: self._epmd("-kill") == 0)

    def _epmd(self, command: str) -> int:
        return subprocess.run(
            ["epmd", command], env=self._environ, check=False, stdout=subprocess.DEVNULL
        ).returncode

    def _greets(self) -> bool:
        assert self._process.poll() is None, (self._directory / "out").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(HELLO)
                client.settimeout(5)
                return bool(client.recv(8))
        except OSError:
            return False
