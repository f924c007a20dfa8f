"""A SLURM cluster of one node on this machine, in a folder of its own: munged, slurmctld and slurmd on loopback.

    with Cluster(folder) as cluster:
        subprocess.run(["srun", "hostname"], env=cluster.environment)

Debian's `slurm-wlm` and `munge` are all it needs. Nothing is written outside the folder, no other daemon is touched,
and what was started is ended, whatever happens. There is no accounting and no control groups: memory is counted when
jobs are placed, and not enforced while they run.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
NODE = "alone"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
CPUS, MEMORY = 2, 16_000  # what the node says that it has, however small the machine: jobs here are tiny
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2,requeue_delay=1
SchedulerTimeSlice=5
ReturnToService=0
SlurmdParameters=config_overrides
SlurmctldTimeout=10
SlurmdTimeout=60
MinJobAge=300
KillWait=5
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Return the programs that a cluster needs and that aren't here."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


class Cluster:
    """The daemons of a cluster, from ``__enter__`` to ``__exit__``; ``environment`` leads SLURM's commands to it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        path = os.pathsep.join([str(folder / "bin"), PATH])
        self.environment = {**own, "PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> Cluster:
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munged wants folders that nobody else can write to
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        ports = free_ports(2)
        values = {"folder": self.folder, "node": NODE, "cpus": CPUS, "memory": MEMORY, "host": socket.gethostname()}
        values |= {"user": pwd.getpwuid(os.geteuid()).pw_name, "ctld_port": ports[0], "slurmd_port": ports[1]}
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        step = self.folder / "bin" / "srun"  # Snakemake's plugin takes SLURM_CONF away from a job's steps
        step.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
        step.chmod(0o755)
        try:
            self.start_munged()
            self.start_controller()
            self.start("slurmd", "-D", "-N", NODE)
            self.wait(lambda: self.node_state() == "IDLE", "the node isn't idle")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start_munged(self) -> None:
        """Start what signs messages, with a key and a socket of its own."""
        key, sock = self.folder / "munge.key", self.folder / "munge.sock"
        files = {"key-file": key, "socket": sock}
        files |= {f"{what}-file": self.folder / f"munge.{what}" for what in ("seed", "pid", "log")}
        options = [f"--{name}={file}" for name, file in files.items()]
        self.start("munged", "--foreground", "--force", "--num-threads=2", *options)
        self.wait(sock.exists, "munged has no socket")

    def start_controller(self) -> None:
        """Start the controller; after an earlier one, with its jobs."""
        self.start("slurmctld", "-D")
        self.wait(lambda: self.run("scontrol", "ping").stdout.count("UP") > 0, "the controller doesn't answer")

    def start(self, name: str, *options: str) -> None:
        """Start a daemon in the foreground of a session of its own."""
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                [shutil.which(name, path=PATH) or name, *options],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a daemon at once, as a crash does."""
        self.daemons[name].kill()
        self.daemons.pop(name).wait()

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Run one of SLURM's commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)

    def node_state(self) -> str:
        """Return the node's state in capitals."""
        return self.run("sinfo", "--noheader", "--Format=StateLong").stdout.strip().upper()

    def set_node(self, state: str) -> None:
        """Drain the node, take it down, or bring it back ("resume"), which it may be already."""
        if state == "resume" and not self.node_state().startswith(("DRAIN", "DOWN")):
            return
        done = self.run("scontrol", "update", f"nodename={NODE}", f"state={state}", "reason=test")
        assert done.returncode == 0, done.stderr

    def jobs(self) -> dict[str, str]:
        """Return the states of all jobs that are remembered, by their numbers."""
        listed = self.run("squeue", "--noheader", "--states=all", "--format=%i %T").stdout
        return dict(line.split() for line in listed.splitlines())

    def save(self) -> None:
        """Wait until the controller has written down what it knows: a crash loses what is newer than some seconds."""
        state, mark = self.folder / "state" / "job_state", secrets.token_hex(8)
        for job, is_in in self.jobs().items():
            if is_in in ("PENDING", "RUNNING"):
                self.run("scontrol", "update", f"jobid={job}", f"admincomment={mark}")

        def written() -> bool:
            with suppress(FileNotFoundError):  # it is replaced by a new file, and for a moment there is none
                return mark.encode() in state.read_bytes()
            return False

        self.wait(written, "the controller doesn't write its state")

    def wait(self, condition, problem: str, seconds: float = 120) -> None:
        """Wait until something is so; fail with what the daemons wrote."""
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{problem}; ended: {ended}\n{self.logs()}")
            time.sleep(0.2)

    def logs(self) -> str:
        """Return the end of each daemon's log."""
        files = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-2000:]}" for file in files)

    def cancel(self) -> None:
        """End all jobs."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        self.run("scancel", "--full", "--signal=KILL", "--user", user)
        self.run("scancel", "--user", user)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.run("squeue", "--noheader").stdout.strip():
            time.sleep(0.5)

    def end(self) -> None:
        """End jobs, then daemons; those that don't end are killed."""
        if "slurmctld" in self.daemons and "slurmd" in self.daemons:
            self.cancel()
        for name in ("slurmd", "slurmctld", "munged"):
            daemon = self.daemons.pop(name, None)
            if daemon is None:
                continue
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(daemon.pid, signal.SIGKILL)
                daemon.wait()
        for process in self.processes():  # of jobs whose controller could not end them
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def processes(self, *words: str) -> list[int]:
        """Return the processes of this cluster's jobs, and what submitted them, with all of these words in a row."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                variables = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_text(errors="replace").split("\0")
                rows = [tuple(command[i : i + len(words)]) for i in range(len(command))]
                if f"SLURM_CONF={self.folder / 'slurm.conf'}".encode() in variables and (not words or words in rows):
                    found.append(int(folder.name))
        return found


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
