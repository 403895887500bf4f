"""Cuts, losses, delays between the nodes of a cluster, and relays that know Kafka's frames."""

import json
import os
import subprocess
import sys
import time

import shell
from shell import run
from systems import CLIENT_PORT, PEER_PORT

HOST = "10.240.0.254"
QUEUE = 7
RELAY_PORTS = {CLIENT_PORT: 24192, PEER_PORT: 24193}


class Network:
    """What `cluster.Cluster` does to its network; needs its `nodes`, `native` and `helpers`."""

    def rule(self, node, *words):
        run("ip", "netns", "exec", node.namespace, "iptables", "-w", "-A", *words)

    def cut(self, node, other, into=True, out=True):
        """Cuts the way to `other`; None is where the clients are."""
        address = HOST if other is None else other.ip
        if into:
            self.rule(node, "INPUT", "-s", address, "-j", "DROP")
        if out:
            self.rule(node, "OUTPUT", "-d", address, "-j", "DROP")

    def isolate(self, node, clients=True, into=True, out=True):
        for other in self.nodes:
            if other is not node:
                self.cut(node, other, into, out)
        if clients:
            self.cut(node, None, into, out)

    def starve_followers(self, leader):
        """Followers cannot fetch from this node; all else between the nodes goes on."""
        # A relay's redirection comes before this rule sees the packet.
        for port in (CLIENT_PORT, RELAY_PORTS[CLIENT_PORT]):
            for other in self.nodes:
                if other is not leader:
                    fetches = ("-p", "tcp", "-s", other.ip, "--dport", port)
                    self.rule(leader, "INPUT", *fetches, "-j", "DROP")

    def lose_packets(self, node, share):
        statistic = ("-m", "statistic", "--mode", "random", "--probability", share)
        self.rule(node, "INPUT", *statistic, "-j", "DROP")

    def delay_packets(self, node, milliseconds, jitter):
        """Through a queue to user space: not every kernel has netem."""
        words = [self.native["netdelay"], str(milliseconds), str(jitter)]
        self.helpers.append(subprocess.Popen(node.inside(*words), preexec_fn=shell.end_with_us))
        time.sleep(0.3)
        self.rule(node, "OUTPUT", "-o", "eth0", "-j", "NFQUEUE", "--queue-num", QUEUE)

    def heal(self):
        for node in self.nodes:
            run("ip", "netns", "exec", node.namespace, "iptables", "-w", "-F", check=False)
        self.stop_helpers()

    def stop_helpers(self):
        for helper in self.helpers:
            helper.kill()
            helper.wait()
        self.helpers = []

    # Relays: every connection from outside to a node of this plan goes through one

    def start_relay(self, node):
        node.rule_file = os.path.join(node.folder, "relay-rule")
        node.relay_log = os.path.join(node.folder, "relay-log")
        relay = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay.py")
        ports = [f"{outside}:{inside}" for inside, outside in RELAY_PORTS.items()]
        words = [sys.executable, "-B", relay, node.ip, node.rule_file, node.relay_log, *ports]
        # Not among the helpers: it lives as long as the namespace.
        node.relay = subprocess.Popen(node.inside(*words), preexec_fn=shell.end_with_us)
        for inside, outside in RELAY_PORTS.items():
            redirect = ("-p", "tcp", "--dport", inside, "-j", "REDIRECT", "--to-port", outside)
            run(
                *("ip", "netns", "exec", node.namespace, "iptables", "-w", "-t", "nat"),
                *("-A", "PREROUTING", *redirect),
            )

    def relay_rule(self, node, **rule):
        """`key`, `action` (delay or repeat), `after_ms`, `count`."""
        partial = node.rule_file + ".partial"
        with open(partial, "w") as file:
            json.dump(rule, file)
        os.rename(partial, node.rule_file)

    def relayed(self, node):
        """What the relay did by its rules so far, one line each."""
        if not os.path.exists(node.relay_log):
            return []
        with open(node.relay_log) as file:
            return file.read().splitlines()
