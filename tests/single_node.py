"""A SLURM of one node on this machine, for as long as a test wants it.

Everything lies in one folder: configuration, key, state, spool, logs, and the commands ``sbatch``,
``srun`` and so on, which say where the configuration is (Snakemake clears ``SLURM_CONF`` from
the environment). Nothing of a SLURM that the machine may have is read or touched.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "setpriv")
COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol", "sacct", "sacctmgr")

CONFIGURATION = """
ClusterName=companion
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=5,sched_interval=5
MinJobAge=3600
GresTypes=gpu
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs of SLURM and munge that are not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in NEEDED if not shutil.which(name, path=path)]


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on."""
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def memory() -> int:
    """Memory of this machine in MB, a little less than there is."""
    line = Path("/proc/meminfo").read_text(encoding="utf-8").split("\n", 1)[0]
    return int(line.split()[1]) // 1024 * 95 // 100


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start a SLURM in the empty `folder`, and give the environment in which it is reached."""
    host = socket.gethostname().split(".")[0]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for name in ("spool", "state", "bin"):
        (folder / name).mkdir()
    controller_port, node_port = free_ports()
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder, host=host, cpus=os.cpu_count(), memory=memory(),
            controller_port=controller_port, node_port=node_port,
        )
    , encoding="utf-8")  # fmt: skip
    gpu = f"NodeName={host} Name=gpu File=/dev/zero\n"  # SLURM counts it; it is none
    (folder / "gres.conf").write_text(gpu, encoding="utf-8")
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    for name in COMMANDS:
        if real := shutil.which(name, path=path):
            command = folder / "bin" / name
            conf = shlex.quote(str(configuration))
            command.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {real} "$@"\n', encoding="utf-8")
            command.chmod(0o755)
    inside = os.environ | {"PATH": f"{folder / 'bin'}:{path}", "SLURM_CONF": str(configuration)}
    processes: list[subprocess.Popen] = []

    def start(*command: str) -> None:  # each ends with the tests, however those end
        with (folder / f"{command[0]}.out").open("w", encoding="utf-8") as output:
            processes.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", *command],
                    env=inside, cwd=folder, stdout=output, stderr=output, start_new_session=True,
                )
            )  # fmt: skip

    def wait(what: str, *command: str, for_: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(command, env=inside, capture_output=True, encoding="utf-8")
            if done.returncode == 0 and for_ in done.stdout:
                return
            if time.monotonic() > deadline or any(p.poll() is not None for p in processes):
                logs = "".join(
                    f"--- {log.name}\n{log.read_text(encoding='utf-8')[-2000:]}"
                    for log in sorted([*folder.glob("*.log"), *folder.glob("*.out")])
                )
                raise RuntimeError(f"{what}: {done.stdout}{done.stderr}\n{logs}")
            time.sleep(0.2)

    try:
        start(
            "munged", "--foreground", "--force", f"--key-file={key}",
            f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
        )  # fmt: skip
        wait("munged", "munge", "-n", f"--socket={folder}/munge.socket", for_="MUNGE")
        start("slurmctld", "-D", "-f", str(configuration))
        start("slurmd", "-D", "-f", str(configuration))
        wait("the node", "sinfo", "--noheader", "--format=%T", for_="idle")
        outside = {name: value for name, value in inside.items() if name != "SLURM_CONF"}
        yield outside
    finally:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", "--user=root"], env=inside, timeout=20, capture_output=True)
            deadline = time.monotonic() + 30
            while (
                time.monotonic() < deadline
                and subprocess.run(
                    ["squeue", "--noheader"], env=inside, capture_output=True, encoding="utf-8"
                ).stdout.strip()
            ):
                time.sleep(0.2)
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
