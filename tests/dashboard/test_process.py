import json
import socket
import subprocess

from tests import plain_http
from tests.dashboard.served import command, dashboard, environ


def test_a_port_in_use_is_one_clear_line_and_code_1(store_url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            command(), env=environ(store_url, address), capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert address in line
    assert "MESHMETER_DASHBOARD" in line


def test_it_is_ready_while_the_store_answers(base):
    assert plain_http.get(f"{base}/healthz").status_code == 200
    assert plain_http.get(f"{base}/readyz").json() == {"status": "ready", "failing": {}}
    assert "python_info" in plain_http.get(f"{base}/metrics").text


def test_without_a_store_it_is_alive_and_not_ready(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"clickhouse://127.0.0.1:{nobody.getsockname()[1]}/meshmeter"
    with dashboard(url, tmp_path / "dashboard.log") as base:
        assert plain_http.get(f"{base}/healthz").status_code == 200
        answer = plain_http.get(f"{base}/readyz", timeout=30)
        assert answer.status_code == 503
        assert "store" in json.loads(answer.text)["failing"]


def test_pages_hold_no_address_of_another_host(base):
    page = plain_http.get(base).text
    assert "//cdn" not in page
    assert "https://" not in page
