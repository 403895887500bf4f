"""Commands of the system, and the kernel's counterpart of pulling a disk's cable."""

import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time

FS_IOC_SHUTDOWN, WITHOUT_FLUSHING = 0x8004587D, 2
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

# Program and the Debian package that brings it.
NEEDED = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "iptables": "iptables",
}


def run(*words, check=True):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def end_with_us():
    """In a child: killed when its parent is gone, so that nothing outlives a killed harness."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def shut_down_file_system(folder):
    """What was not synced, and what the kernel has not written back yet, is gone."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING))
    finally:
        os.close(handle)


def unmount(folder, patience=5):
    end = time.time() + patience
    while subprocess.run(["umount", folder], capture_output=True).returncode != 0:
        if time.time() > end:
            raise RuntimeError(f"{folder} stays mounted")
        time.sleep(0.1)


def why_not():
    """Why this machine cannot run the harness, or None."""
    if os.geteuid() != 0:
        return "needs root for namespaces and mounts"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        packages = " ".join(sorted({NEEDED[name] for name in missing}))
        return f"{', '.join(missing)} not installed (packages {packages})"
    probe = f"fprobe{os.getpid()}"
    try:
        run("ip", "netns", "add", probe)
    except RuntimeError as error:
        return f"no network namespaces: {error}"
    try:
        run("ip", "netns", "exec", probe, "iptables", "-w", "-A", "INPUT", "-j", "DROP")
        run("losetup", "-f")
    except RuntimeError as error:
        return str(error)
    finally:
        run("ip", "netns", "del", probe, check=False)
    return None
