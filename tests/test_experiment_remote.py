"""Several machines by SSH, for real: hosts in network namespaces, sshd, key login. Elsewhere: what needs no root.

manager's namespace ── bridge ──┬── host 1: shares the run folder
10.77.0.1                       └── host 2: has a copy of its own at the same path ("sent once")
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import nni_node
import psutil
import pytest
import yaml

from nasrec_nni.cli import main

BIN = Path(sys.executable).parent
NODE = Path(nni_node.__path__[0])
ADDRESS = "10.77.0.{}"
PORT = 8099  # in a namespace of its own every port is free
WAIT = 240.0  # seconds, for a loaded machine
CONFIG: dict[str, Any] = {
    "seed": 3,
    "threads": 1,
    "device": "cpu",
    "data": {"source": "synthetic", "options": {"rows": 2000}},
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 128, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 24, "in_flight": 8, "options": {"population": 8, "sample": 4}, "head_rows": 512},
    "workers": {"batch": 4},
}
SSHD = """\
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
SetEnv HOME={home} OMP_NUM_THREADS=1
"""


def call(*words: object, **more: Any) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
    return done.stdout


def until(what: Callable[[], Any], told: str, seconds: float = WAIT) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"waited in vain for {told}"
        time.sleep(0.2)
    return found


class Lab:
    """A manager's machine and two hosts, none of which has another network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager, *self.hosts = (f"nasrec{os.getpid()}{name}" for name in ("m", "a", "b"))
        self.key = folder / "key"

    def make(self, run: Path, copy: Path) -> None:
        """Namespaces, wires, servers; the second host sees `copy` where the others see `run`."""
        for key in (self.key, self.folder / "host_key"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        for name in (self.manager, *self.hosts):
            call("ip", "netns", "add", name)
            call("ip", "-n", name, "link", "set", "lo", "up")
        inside = ("ip", "-n", self.manager)
        call(*inside, "link", "add", "name", "wires", "type", "bridge")
        call(*inside, "addr", "add", ADDRESS.format(1) + "/24", "dev", "wires")
        call(*inside, "link", "set", "wires", "up")
        Path("/run/sshd").mkdir(exist_ok=True)
        self.serve(1, self.manager)
        for number, name in enumerate(self.hosts, 2):
            call(*inside, "link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            call(*inside, "link", "set", f"to{number}", "master", "wires", "up")
            call("ip", "-n", name, "addr", "add", ADDRESS.format(number) + "/24", "dev", "eth0")
            call("ip", "-n", name, "link", "set", "eth0", "up")
            self.serve(number, name, f"mount --bind {copy} {run}" if number == 3 else "true")
        for number in (1, 2, 3):
            until(lambda number=number: "Server listening" in self.log(number), f"sshd {number}", 30)

    def serve(self, number: int, name: str, before: str = "true") -> None:
        """Start an ssh server; `before` happens in its own view of the file system."""
        self.home(number).mkdir()
        settings = self.folder / f"sshd{number}"
        settings.write_text(SSHD.format(folder=self.folder, home=self.home(number)))
        server = f"mount --make-rprivate / && {before} && exec {shutil.which('sshd')} -D -e -f {settings}"
        with (self.folder / f"sshd{number}.log").open("w") as log:
            words = ["ip", "netns", "exec", name, "unshare", "--mount", "sh", "-c", server]
            subprocess.Popen(words, stdout=log, stderr=log)

    def log(self, number: int) -> str:
        return (self.folder / f"sshd{number}.log").read_text()

    def home(self, number: int) -> Path:
        return self.folder / f"home{number}"

    def processes(self, name: str) -> list[psutil.Process]:
        """All in a namespace but the ssh server."""
        numbers = call("ip", "netns", "pids", name).split()
        found = []
        for number in numbers:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(int(number))
                if process.name() != "sshd":
                    found.append(process)
        return found

    def inside(self, *words: object) -> str:
        """A command on the manager's machine."""
        environment = {**os.environ, "HOME": str(self.folder), "PATH": f"{BIN}:{os.environ['PATH']}"}
        return call("ip", "netns", "exec", self.manager, *words, env=environment)

    def end(self) -> None:
        for name in (self.manager, *self.hosts):
            done = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
            for number in done.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def why_not() -> str | None:
    """Why network namespaces cannot be had here."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "network namespaces need root on Linux"
    if absent := [
        name for name in ("ip", "sshd", "ssh", "ssh-keygen", "unshare", "mount") if shutil.which(name) is None
    ]:
        return f"not installed: {', '.join(absent)}"
    name = f"nasrec{os.getpid()}try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"`ip netns add` fails here: {tried.stderr.strip()}"


WHY_NOT = why_not()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    try:
        yield lab
    finally:
        lab.end()


def rows(run: Path) -> list[tuple[Any, ...]]:
    path = run / "search" / "candidates.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    return sorted((one["number"], one["id"], one["value"], one["failure"]) for one in found)


@pytest.mark.long
@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_two_hosts_make_the_same_search(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.folder)
    run, copy = Path("run").resolve(), Path("copy").resolve()
    Path("c.yaml").write_text(yaml.safe_dump(CONFIG))
    assert main(["supernet", "c.yaml", "--out", "run"]) == 0
    shutil.copytree(run, "door1")
    assert main(["search", "c.yaml", "--out", "door1"]) == 0
    copy.mkdir()
    lab.make(run, copy)
    example = yaml.safe_load((Path(__file__).parents[1] / "examples" / "nni" / "remote.yml").read_text())
    example["nniManagerIp"] = ADDRESS.format(1)
    for number, machine in enumerate(example["trainingService"]["machineList"], 2):
        machine |= {"host": ADDRESS.format(number), "user": "root", "sshKeyFile": str(lab.key), "pythonPath": str(BIN)}
    Path("machines.yml").write_text(yaml.safe_dump(example))
    words = ["nni-config", "c.yaml", "--run", "run", "--out", "nni", "--workers", "2", "--machines", "machines.yml"]
    assert main(words) == 0
    start = next(line for line in Path("nni/experiment.yml").read_text().splitlines() if "NODE_OPTIONS" in line)
    start = f"{start.lstrip('# ')} --port {PORT}"
    shutil.copytree(run, copy, dirs_exist_ok=True)  # sent once; what the copy's host scores comes back as NNI's results

    lab.inside("bash", "-c", start)
    until(lambda: len(rows(run)) >= 4, "the first batch")
    only_the_hosts_channel_is_open(lab)
    looked_at_through_ssh(lab)
    (manager,) = (process for process in lab.processes(lab.manager) if process.name() == "node")
    manager.kill()
    for name in (lab.manager, *lab.hosts):
        until(lambda name=name: not lab.processes(name), f"the end of every process in {name}", 90)
    killed_at = len(rows(run))
    assert killed_at < CONFIG["search"]["candidates"]

    identity = re.search(r"nnictl stop (\w+)", lab.inside("bash", "-c", start))
    assert identity is not None
    until(lambda: len(rows(run)) > killed_at, "a batch after the kill")
    lab.inside("nnictl", "stop", identity[1])
    for name in (lab.manager, *lab.hosts):
        until(lambda name=name: not lab.processes(name), f"the end of every process in {name}", 90)
    assert killed_at < len(rows(run)) < CONFIG["search"]["candidates"]

    prefix = start.split(" nnictl ")[0]
    lab.inside("bash", "-c", f"{prefix} nnictl resume {identity[1]} --port {PORT}")
    until(lambda: len(rows(run)) == CONFIG["search"]["candidates"], "the search")
    assert rows(run) == rows(Path("door1"))
    for number in (2, 3):
        assert list(lab.home(number).glob("nni-experiments/*/environments/*/trials/*")), f"no trial on host {number}"
    lab.inside("nnictl", "stop", "--all")
    for name in (lab.manager, *lab.hosts):
        until(lambda name=name: not lab.processes(name), f"the end of every process in {name}", 60)


def only_the_hosts_channel_is_open(lab: Lab) -> None:
    ask = ["ip", "netns", "exec", lab.hosts[0], sys.executable, "-c", ASK, ADDRESS.format(1), str(PORT)]
    assert call(*ask, "/api/v1/nni/check-status").strip() == "nothing"
    listening = call("ip", "netns", "exec", lab.hosts[0], sys.executable, "-c", LISTENING).split()
    assert set(listening) - {"0.0.0.0:22", ":::22"}  # the trial keeper's
    assert all(one.startswith("127.0.0.1:") for one in set(listening) - {"0.0.0.0:22", ":::22"})


def looked_at_through_ssh(lab: Lab) -> None:
    """As docs/watching.md says: `ssh -L`."""
    tunnel = ["ssh", "-N", "-L", f"8080:127.0.0.1:{PORT}", f"root@{ADDRESS.format(1)}", "-i", str(lab.key)]
    tunnel += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes"]
    inside = ["ip", "netns", "exec", lab.hosts[0]]
    ask = [*inside, sys.executable, "-c", ASK, "127.0.0.1", "8080", "/api/v1/nni/check-status"]
    with subprocess.Popen([*inside, *tunnel], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: "200" in subprocess.run(ask, capture_output=True, text=True, check=False).stdout, "200", 60)
        finally:
            process.kill()


ASK = """
import http.client, sys
try:
    one = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=30)
    one.request("GET", sys.argv[3])
    print(one.getresponse().status)
except http.client.RemoteDisconnected:
    print("nothing")
"""
LISTENING = """
import psutil
for one in psutil.net_connections("tcp"):
    if one.status == psutil.CONN_LISTEN:
        print(f"{one.laddr.ip}:{one.laddr.port}")
"""
SERVER = """
const server = require('http').createServer((_, answer) => answer.end('all of it'));
server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n'));
server.listen(Number(process.argv[process.argv.indexOf('--port') + 1]), () => console.log('ready'));
"""


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of this machine on Linux only")
def test_hosts_get_their_channel_only(tmp_path: Path) -> None:
    """Without NNI: a server like its own."""
    from nasrec_nni.experiment.launch import _free_port

    (tmp_path / "server.js").write_text(SERVER)
    port = _free_port()
    options = " ".join(f'--require "{files("nasrec_nni.experiment") / name}"' for name in ("manager.js", "remote.js"))
    environment = {**os.environ, "NODE_OPTIONS": options, "NASREC_LISTEN": "127.0.0.1", "NASREC_HOSTS": "127.0.0.2"}
    words = [str(NODE / "node"), str(tmp_path / "server.js"), "--port", str(port)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            assert asked("127.0.0.1", port, "/anything") == 200
            assert asked("127.0.0.2", port, "/anything") is None
            assert asked("127.0.0.2", port, "/platform/remote/1") is None
            assert asked("127.0.0.2", port, "/tuner", upgrade=True) is None
            assert asked("127.0.0.2", port, "/platform/remote/1", upgrade=True) == 101
            with pytest.raises(ConnectionRefusedError):
                asked("127.0.0.3", port, "/anything")
        finally:
            server.kill()


def asked(host: str, port: int, path: str, upgrade: bool = False) -> int | None:
    """Status of an answer; None if the connection is closed without one."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", path, headers={"Connection": "Upgrade", "Upgrade": "websocket"} if upgrade else {})
        return connection.getresponse().status
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return None
    finally:
        connection.close()


def test_what_remote_js_mends_is_still_there() -> None:
    """Facts of NNI 3.0; the day one changes, look at remote.js again."""
    worker = (NODE / "training_service" / "remote_v3" / "worker.js").read_text()
    assert "ssh.run(`${this.python} -m pip install nni --upgrade`)" in worker
    assert 'require("./ssh")' in worker
    assert "-m nni.tools.nni_manager_scripts.launch_trial_keeper" in worker
    assert "`/platform/${this.id}`" in (NODE / "training_service" / "remote_v3" / "remote.js").read_text()
    core = (NODE / "rest_server" / "core.js").read_text()
    assert "app.listen(this.port)" in core  # all interfaces, for the manager and for trial keepers
    assert "'localhost'" in (NODE / "common" / "command_channel" / "http.js").read_text()


def test_nni_cannot_send_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    code = "const [, at, file] = process.argv; require('tar').create({cwd: at, file}, require('fs').readdirSync(at))"
    words = [str(NODE / "node"), "-e", code, str(tmp_path / "code"), str(tmp_path / "t.tgz")]
    done = subprocess.run(words, cwd=NODE, capture_output=True, text=True, check=False)
    assert "no files or directories specified" in done.stderr
    (tmp_path / "code" / "README.txt").write_text("x")
    assert subprocess.run(words, cwd=NODE, capture_output=True, check=False).returncode == 0
