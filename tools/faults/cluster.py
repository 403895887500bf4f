"""Nodes in network namespaces, each with a file system of its own: all that a fault acts on.

Node i has the address 10.240.0.i in the namespace `fault{i}`, a veth to one bridge, and an ext4 (or
xfs) image mounted as its data directory. Clients run outside and reach the nodes over the bridge.
"""

import base64
import dataclasses
import os
import shutil
import signal
import struct
import subprocess
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import shell
import wire
from network import Network
from shell import run
from systems import CLIENT_PORT, FORMAT_PATIENCE, PEER_PORT, server_properties

BRIDGE, SUBNET = "faultbr0", "10.240.0."
HOST = SUBNET + "254"
READY_PATIENCE, STOP_PATIENCE = 120, 60


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a scenario needs of its cluster; scenarios with equal plans share one."""

    settings: tuple = ()
    nodes: int = 3
    dynamic: bool = False
    clock: bool = False
    failing_syncs: bool = False
    relay: bool = False
    slow: bool = False

    @property
    def properties(self):
        return dict(self.settings)


class Node:
    def __init__(self, number, system, root):
        self.id, self.system, self.ip = number, system, f"{SUBNET}{number}"
        self.namespace, self.link = f"fault{number}", f"faultv{number}"
        self.folder = os.path.join(root, f"node{number}")
        self.data = os.path.join(self.folder, "data")
        self.logs = os.path.join(self.data, "logs")
        self.image = os.path.join(self.folder, "disk.img")
        self.properties_file = os.path.join(self.folder, "server.properties")
        self.output = os.path.join(self.folder, "output.log")
        self.clock_file = os.path.join(self.folder, "clock")
        self.sync_file = os.path.join(self.folder, "sync-fails")
        self.address = f"{self.ip}:{CLIENT_PORT}"
        self.process, self.votes = None, True

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.is_running():
            self.process.send_signal(number)

    def inside(self, *words):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *words]


class Cluster(Network):
    def __init__(self, systems, root, plan, native, disk_mib=3000, file_system="ext4"):
        self.root, self.plan, self.native = root, plan, native
        self.disk_mib, self.file_system = disk_mib, file_system
        count = plan.nodes
        chosen = [systems[i % len(systems)] for i in range(count)]
        self.nodes = [Node(i + 1, chosen[i], root) for i in range(count)]
        self.bootstrap = ",".join(node.address for node in self.nodes)
        self.helpers = []

    # Life of the whole

    def up(self):
        self.down()
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.root)
        # Shared, so that unmounting a disk reaches the copies in other mount namespaces too.
        run("mount", "--bind", self.root, self.root)
        run("mount", "--make-private", self.root)
        run("mount", "--make-shared", self.root)
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{HOST}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        for node in self.nodes:
            self.plug_in(node)
            self.new_disk(node)
            self.configure(node)
        self.format_all()
        for node in self.nodes:
            if self.plan.relay:
                self.start_relay(node)
            self.start(node)
        for node in self.nodes:
            self.wait_ready(node)

    def plug_in(self, node):
        os.makedirs(node.data)
        inside = ("ip", "-n", node.namespace)
        run("ip", "netns", "add", node.namespace)
        run(*f"ip link add {node.link} type veth peer name eth0 netns {node.namespace}".split())
        run("ip", "link", "set", node.link, "master", BRIDGE, "up")
        run(*inside, "addr", "add", f"{node.ip}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")

    def down(self):
        self.stop_helpers()
        for node in self.nodes:
            self.kill(node)
            run("umount", "-l", node.data, check=False)
            run("ip", "link", "del", node.link, check=False)
            run("ip", "netns", "del", node.namespace, check=False)
        run("ip", "link", "del", BRIDGE, check=False)
        run("umount", "-l", self.root, check=False)

    # Disks

    def new_disk(self, node):
        """An empty file system, as after the loss of the old disk."""
        if os.path.exists(node.image):
            os.remove(node.image)
        with open(node.image, "wb") as image:
            image.truncate(self.disk_mib << 20)
        reserve = ["-m", "0"] if self.file_system == "ext4" else []
        run(f"mkfs.{self.file_system}", "-q", *reserve, node.image)
        self.mount(node)

    def mount(self, node):
        run("mount", "-o", "loop", node.image, node.data)

    def power_cut(self, nodes):
        """Kills the nodes and takes from their disks what was not synced."""
        for node in nodes:
            node.signal(signal.SIGKILL)
        for node in nodes:
            shell.shut_down_file_system(node.data)
        for node in nodes:
            self.kill(node)
            shell.unmount(node.data)
            self.mount(node)
            # Fails if the old mount is still held somewhere.
            open(os.path.join(node.data, ".probe"), "w").close()

    def lose_disk(self, node):
        self.kill(node)
        shell.unmount(node.data)
        self.new_disk(node)

    def fill_disk(self, node, leave_kib=64):
        state = os.statvfs(node.data)
        room = state.f_bavail * state.f_frsize - leave_kib * 1024
        if room > 0:
            path = os.path.join(node.data, f"filler-{time.time_ns()}")
            run("fallocate", "-l", room, path, check=False)

    def empty_disk(self, node):
        for name in os.listdir(node.data):
            if name.startswith("filler-"):
                os.remove(os.path.join(node.data, name))

    # Processes

    def configure(self, node):
        properties = server_properties(node, self.nodes, self.plan)
        with open(node.properties_file, "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in properties.items())
        with open(node.clock_file, "wb") as file:
            file.write(bytes(8))

    def format_all(self):
        how = []
        if self.plan.dynamic:
            voters = [f"{n.id}@{n.ip}:{PEER_PORT}:{directory_id(n)}" for n in self.nodes if n.votes]
            how = ["--initial-controllers", ",".join(voters)]
        formats = [(node, self.format(node, how)) for node in self.nodes]
        for node, formatting in formats:
            self.finish_format(node, formatting)

    def format(self, node, how):
        return subprocess.Popen(
            node.system.format(node, how), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    @staticmethod
    def finish_format(node, formatting):
        said, _ = formatting.communicate(timeout=FORMAT_PATIENCE)
        if formatting.returncode != 0:
            raise RuntimeError(f"format: {said.decode(errors='replace').strip()[-300:]}")
        # Whoever formats a disk does so long before its power fails. (Apache Kafka's tool does not
        # sync what it writes: its node does not start after a power cut within seconds.)
        run("sync", "-f", node.data)

    def start(self, node):
        environment, preload = dict(os.environ), []
        if self.plan.clock:
            preload.append(self.native["clockshift"])
            environment["CLOCKSHIFT"] = node.clock_file
        if self.plan.failing_syncs:
            preload.append(self.native["syncfail"])
            environment["SYNCFAIL_CONTROL"] = node.sync_file
        if preload:
            environment["LD_PRELOAD"] = ":".join(preload)
        with open(node.output, "a") as output:
            node.process = subprocess.Popen(
                node.inside(*node.system.command(node)),
                env=environment,
                cwd=node.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=shell.end_with_us,
            )

    def kill(self, node):
        if node.process is not None:
            node.signal(signal.SIGKILL)
            node.process.wait()
            node.process = None

    def stop(self, node):
        """SIGTERM; returns the seconds it took."""
        began = time.time()
        node.signal(signal.SIGTERM)
        try:
            node.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired as error:
            self.kill(node)
            raise RuntimeError(f"node {node.id}: SIGTERM ignored") from error
        node.process = None
        return time.time() - began

    def clock(self, node, seconds):
        """Sets the node's wall clock that far from the true time."""
        with open(node.clock_file, "r+b") as file:
            file.write(struct.pack("q", seconds))

    def fail_syncs(self, node, failing):
        """While failing, the first sync of each file gives EIO, and its later ones lie."""
        if failing:
            with open(node.sync_file, "w") as file:
                file.write(node.data)
        elif os.path.exists(node.sync_file):
            os.remove(node.sync_file)

    def wait_ready(self, node, patience=READY_PATIENCE):
        """Ready: this node answers, and lists every node that runs."""
        began = time.time()
        admin = AdminClient({"bootstrap.servers": node.address, "log_level": 0})
        while time.time() - began < patience:
            if not node.is_running():
                raise RuntimeError(f"node {node.id} ended: {self.last_words(node)}")
            running = {n.id for n in self.nodes if n.is_running()}
            try:
                if running <= set(admin.list_topics(timeout=2).brokers):
                    return time.time() - began
            except KafkaException:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"node {node.id} not ready in {patience} s: {self.last_words(node)}")

    @staticmethod
    def last_words(node):
        with open(node.output, errors="replace") as file:
            return " / ".join(file.read().splitlines()[-3:])[-300:]

    # Who is who

    def node(self, number):
        return self.nodes[number - 1]

    def metadata(self, topic, patience=15):
        running = ",".join(node.address for node in self.nodes if node.is_running())
        admin = AdminClient({"bootstrap.servers": running, "log_level": 0})
        return admin.list_topics(topic, timeout=patience).topics[topic].partitions

    def leader(self, topic, partition=0):
        leader = self.metadata(topic)[partition].leader
        if leader < 1:
            raise RuntimeError(f"{topic}-{partition} has no leader")
        return self.node(leader)

    def controller(self, patience=15):
        end = time.time() + patience
        while time.time() < end:
            for node in self.nodes:
                if node.is_running():
                    try:
                        found = wire.quorum_leader(node.address)
                    except (OSError, EOFError):
                        continue
                    if found:
                        return self.node(found[0])
            time.sleep(0.2)
        raise RuntimeError("nobody knows a controller")


def directory_id(node):
    """A directory id of 16 bytes as Kafka writes it, different for each node."""
    return base64.urlsafe_b64encode(b"fault-directory" + bytes([node.id])).decode().rstrip("=")
