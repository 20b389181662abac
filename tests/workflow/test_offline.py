"""After set-up nothing needs a network: only loopback is there, and runs and checks go on."""

import subprocess
import sys

import pytest

BROUGHT_UP = """
import fcntl, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    request = struct.pack("16sh14x", b"lo", 1 | 64)  # up and running
    fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS
import os
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def offline(namespaces):
    """Run Python with arguments in a network of its own, with loopback and nothing else."""

    def run(root, *arguments):
        done = subprocess.run(
            ["unshare", "-n", sys.executable, "-c", BROUGHT_UP, *arguments],
            cwd=root, capture_output=True, encoding="utf-8", timeout=300,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def test_there_is_no_network_in_here(offline, tmp_path):
    look = "import socket; print(socket.if_nameindex()); "
    code, text = offline(tmp_path, "-c", look + "socket.create_connection(('192.0.2.1', 80), 5)")
    assert code == 1
    assert "[(1, 'lo')]" in text
    assert "Network is unreachable" in text


def test_runs_train_and_are_checked_without_a_network(offline, clone):
    code, text = offline(clone.root, "-m", "workflow", "run", "--preset", "smoke", "--cores", "2")
    assert code == 0, text
    assert " fresh" in clone.status()["tiny"]
    code, text = offline(clone.root, "-m", "workflow", "bundle", "--preset", "smoke")
    assert code == 0, text
