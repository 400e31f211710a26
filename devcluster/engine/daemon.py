"""Debian's dockerd as our own process, if no service manager runs it; and settings of a running dockerd."""

import json
import os
import signal
from pathlib import Path

from devcluster.errors import RequirementMissing
from devcluster.host import paths, system
from devcluster.host.process import Runner, end, last_lines, owned_by, stop_all

OWNER = "engine"
_PID_FILE = Path("/var/run/docker.pid")
_CONTAINERD_PID_FILE = Path("/var/run/docker/containerd/containerd.pid")
_SYSTEM_CONFIGURATION = Path("/etc/docker/daemon.json")


def log() -> Path:
    return paths.logs() / "dockerd.log"


def is_ours() -> bool:
    return any(process.program == "dockerd" for process in owned_by(OWNER))


def start(runtimes: dict[str, Path]) -> None:
    """Start it with its usual socket and data, and record the firewall policy that `stop` restores."""
    configuration = _directory() / "daemon.json"
    configuration.write_text(json.dumps(with_runtimes({}, runtimes)))
    if not is_ours():
        _before().write_text(_iptables("-S", "FORWARD").splitlines()[0])
    for file, program in ((_PID_FILE, "dockerd"), (_CONTAINERD_PID_FILE, "containerd")):
        remove_stale(file, program)
    program = system.find("dockerd") or "dockerd"
    Runner(OWNER).start([program, f"--config-file={configuration}", f"--pidfile={_PID_FILE}"], log())


def remove_stale(pid_file: Path, program: str) -> None:
    """Remove a pid file whose pid now belongs to another program: dockerd would refuse to start."""
    if not pid_file.exists():
        return
    try:
        running = Path(f"/proc/{pid_file.read_text().strip()}/comm").read_text().strip()
    except OSError:
        running = ""
    if running != program:
        pid_file.unlink(missing_ok=True)


def check_alive() -> None:
    names = {process.program for process in owned_by(OWNER)}
    if not names & {"dockerd", "setsid"}:
        last = last_lines(log().read_text(errors="replace"), 5)
        raise RequirementMissing(f"The docker daemon exited unexpectedly. Last lines of {log()}:\n{last}")


def stop() -> bool:
    """End our daemon and remove its bridge and its firewall rules."""
    if not owned_by(OWNER):
        return False
    for process in owned_by(OWNER):
        if process.program == "dockerd":  # it ends its own children in the right order
            end(process, OWNER, signal.SIGTERM, wait=30)
    stop_all(OWNER)
    _PID_FILE.unlink(missing_ok=True)
    _remove_network()
    return True


def add_runtime(name: str, program: Path) -> None:
    """Add a runtime to a running daemon, which rereads its configuration on SIGHUP."""
    system.require_root("Adding a runtime to the running docker daemon")
    configuration = _directory() / "daemon.json" if is_ours() else _SYSTEM_CONFIGURATION
    present = json.loads(configuration.read_text()) if configuration.exists() else {}
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(json.dumps(with_runtimes(present, {name: program}), indent=2))
    if not _PID_FILE.exists():
        raise RequirementMissing(
            f"The docker daemon must reload {configuration}, but its pid file {_PID_FILE} does not exist."
            f" Restart the daemon yourself."
        )
    os.kill(int(_PID_FILE.read_text()), signal.SIGHUP)


def with_runtimes(configuration: dict[str, object], runtimes: dict[str, Path]) -> dict[str, object]:
    known = configuration.get("runtimes")
    ours = {name: {"path": str(program)} for name, program in runtimes.items()}
    return {**configuration, "runtimes": {**(known if isinstance(known, dict) else {}), **ours}}


def _remove_network() -> None:
    kept = [line for line in _iptables_save().splitlines() if "DOCKER" not in line and "docker0" not in line]
    policy = _before().read_text().split()[-1] if _before().exists() else "ACCEPT"
    kept = [f":FORWARD {policy} [0:0]" if line.startswith(":FORWARD") else line for line in kept]
    Runner(OWNER).run([system.find("iptables-restore") or "iptables-restore"], stdin="\n".join(kept) + "\n")
    Runner(OWNER).succeeds([system.find("ip") or "ip", "link", "delete", "docker0"])
    _before().unlink(missing_ok=True)


def _iptables(*arguments: str) -> str:
    return Runner(OWNER).run([system.find("iptables") or "iptables", "-w", *arguments])


def _iptables_save() -> str:
    return Runner(OWNER).run([system.find("iptables-save") or "iptables-save"])


def _before() -> Path:
    return _directory() / "forward-policy"


def _directory() -> Path:
    directory = paths.cache() / "engine"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
