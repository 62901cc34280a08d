"""A web application as people run one: six daemons of one file, edited and applied again and again.

redis-server and nginx are those of Debian's packages; the application and its worker are programs of a few lines that
really use them. What an edit does not concern must not be touched: its pid stays as it is.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from keeping import free_port
from kept import Kept, nothing_left
from processes import wait_for

DEADLINE = 60.0

pytestmark = [pytest.mark.needs_package("redis-server"), pytest.mark.needs_package("nginx-light", command="nginx")]

REDIS = """
import socket

def ask(*words):
    with socket.create_connection(("127.0.0.1", {redis})) as one:
        parts = [f"${{len(word.encode())}}\\r\\n{{word}}\\r\\n" for word in words]
        one.sendall(f"*{{len(words)}}\\r\\n{{''.join(parts)}}".encode())
        file = one.makefile("rb")
        head = file.readline().decode().strip()
        return file.readline().decode().strip() if head.startswith("$") and head != "$-1" else head.lstrip(":")
"""

MIGRATE = """
from store import ask
assert ask("SET", "schema", "7") == "+OK"
"""

WEB = """
import os
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from store import ask

assert ask("GET", "schema") == "7", "started before the migration was done"

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        text = "fine" if self.path == "/health" else f"{{os.environ['GREETING']}} {{ask('INCR', 'visits')}}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

signal.signal(signal.SIGUSR1, lambda *_: os._exit(7))
ThreadingHTTPServer(("127.0.0.1", {web}), Handler).serve_forever()
"""

WORKER = """
import select
import sys
from store import ask

while True:
    ask("INCR", f"work-{{sys.argv[1]}}")
    select.select([], [], [], 0.1)
"""

SWEEP = """
from store import ask
print("sweep", ask("INCR", "sweeps"), flush=True)
"""

NGINX = """
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{front};
        location / {{ proxy_pass http://127.0.0.1:{web}; }}
    }}
}}
"""

SET = """\
# The shop.
[defaults]
directory = "{place}"
environment = {{ PATH = "/usr/local/bin:/usr/bin:/bin", PYTHONPATH = "{place}" }}
stop = ["TERM", "10s"]

[daemon.front]
command = ["/usr/sbin/nginx", "-e", "stderr", "-c", "{place}/nginx.conf"]
after = ["web"]
ready = "tcp://127.0.0.1:{front}"
stop = ["QUIT", "10s"]

[daemon.web]  # what it is all about
command = ["{python}", "web.py"]
requires = ["redis", {{ name = "migrate", condition = "completed" }}]
ready = "http://127.0.0.1:{web}/health"
restart = "never"
vital = true
environment = {{ GREETING = "hello" }}

[daemon.migrate]
command = ["{python}", "migrate.py"]
requires = ["redis"]
restart = "never"

[daemon.redis]
command = ["/usr/bin/redis-server", "--port", "{redis}", "--bind", "127.0.0.1", "--save", ""]
ready = "exec:/usr/bin/redis-cli -p {redis} ping"

[daemon.worker]
command = ["{python}", "worker.py", "%i"]
instances = 2
requires = ["redis"]

[daemon.sweep]
command = ["{python}", "sweep.py"]
requires = ["redis"]
schedule = {{ every = "500ms" }}
"""


class Shop:
    """The application, its file, and who keeps it."""

    def __init__(self, kept: Kept, place: Path) -> None:
        place.mkdir(mode=0o755)
        self.kept, self.file = kept, place / "numen.toml"
        self.ports = {"front": free_port(), "web": free_port(), "redis": free_port()}
        texts = {"nginx.conf": NGINX, "web.py": WEB, "migrate.py": MIGRATE, "worker.py": WORKER, "sweep.py": SWEEP}
        texts |= {"store.py": REDIS, "numen.toml": SET}
        for name, text in texts.items():
            (place / name).write_text(text.format(place=place, python=sys.executable, **self.ports))
            (place / name).chmod(0o644)

    def edit(self, pattern: str, replacement: str) -> None:
        """Change the file where the pattern stands in it."""
        text, count = re.subn(pattern, replacement, self.file.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1
        self.file.write_text(text)

    def apply(self, status: int = 0) -> str:
        """Apply the file; what is said."""
        return self.kept.numen("apply", self.file, status=status)

    def pids(self) -> dict[str, int]:
        """The pids of all that runs on, the task apart."""
        statuses = self.kept.statuses()
        return {name: one["pid"] for name, one in statuses.items() if one.get("pid") and name != "sweep"}

    def page(self) -> str:
        """What a visitor sees."""
        with urlopen(f"http://127.0.0.1:{self.ports['front']}/", timeout=DEADLINE) as answer:
            return str(answer.read().decode())


@pytest.fixture
def shop(numen_home: Path, public_path: Path) -> Iterator[Shop]:
    with nothing_left():
        kept = Kept(numen_home)
        yield Shop(kept, public_path / "shop")


def test_an_application_is_edited_and_applied_and_what_is_not_concerned_is_not_touched(shop: Shop) -> None:
    shop.apply()
    first = shop.pids()
    assert set(first) == {"front", "web", "redis", "worker@1", "worker@2"}
    assert shop.page() == "hello 1"
    states = {name: one["state"] for name, one in shop.kept.statuses().items()}
    assert (states["migrate"], states["web"]) == ("exited", "running")
    wait_for(lambda: "sweep 2" in shop.kept.log("sweep"), DEADLINE, "the second run of the task")

    # Nothing at all, and what only people see.
    assert "unchanged" in shop.apply()
    shop.edit("^# The shop", "# The shop, as it was")
    shop.apply()
    assert shop.pids() == first

    # What takes hold without a restart.
    shop.edit(r"^\[daemon.front\]$", '[daemon.front]\nlog = { size = "1MB", keep = 2 }')
    shop.edit("^instances = 2$", 'instances = 2\nbackoff = { first = "200ms" }')
    shop.edit('every = "500ms"', 'every = "1h"')
    shop.apply()
    assert shop.pids() == first

    # What needs a restart, of that one alone.
    shop.edit('GREETING = "hello"', 'GREETING = "good day"')
    assert "web" in shop.kept.numen("apply", "--dry-run", shop.file)
    assert shop.pids() == first
    shop.apply()
    second = shop.pids()
    assert {name for name in first if second[name] != first[name]} == {"web"}
    assert shop.page() == "good day 2"

    # One more, one less.
    shop.edit(
        r"^\[daemon.redis\]", f'[daemon.extra]\ncommand = ["{sys.executable}", "worker.py", "extra"]\n\n[daemon.redis]'
    )
    shop.apply()
    assert set(shop.pids()) == {*second, "extra"}
    shop.kept.numen("scale", "worker=3")
    assert set(shop.pids()) == {*second, "extra", "worker@3"}
    assert "instances = 3" in shop.file.read_text()
    assert "# what it is all about" in shop.file.read_text()
    shop.edit(r"^\[daemon.extra\]\n.*\n", "")
    shop.edit("^instances = 3$", "instances = 2")
    shop.apply()
    assert shop.pids() == second

    # A key that is gone, and a file with mistakes.
    shop.edit(r"^log = .*\n", "")
    shop.apply()
    assert json.loads(shop.kept.numen("describe", "front", "--json"))["definition"].get("log") is None
    good = shop.file.read_text()
    shop.edit('^stop = ."QUIT", "10s".$', 'stop = ["QUIET"]')
    assert f"{shop.file}:" in shop.apply(status=2)
    shop.file.write_text(good)
    assert shop.pids() == second


def test_the_end_of_the_vital_one_is_the_end_of_all_in_order(shop: Shop) -> None:
    shop.apply()
    others = shop.kept.define("other", "sleep", "1000")

    shop.kept.numen("signal", "USR1", "web")

    for name in shop.pids():
        if name != "other":
            shop.kept.wait_until(name, lambda found: not found.get("pid"), "ends with the vital one")
    assert shop.kept.status("web")["ending_status"] == 7
    assert shop.kept.status("other")["pid"] == others
    shop.kept.numen("down", shop.file)
    assert set(shop.kept.statuses()) == {"other"}
