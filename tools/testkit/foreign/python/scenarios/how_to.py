"""Runs a how-to page: its files are written, its commands run one after the other.

Arguments: PAGE NARU LIBS PORT... In an empty folder. A block of lines with four spaces before them
is a file if the line before it ends with its name, settings to look at if it is made of them, and
else commands. Ports 9093, 9094, ... of the page become PORT... Kafka's own tools run with LIBS.
"""

import os
import re
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok

PAGE, NARU, LIBS, *PORTS = sys.argv[1:]
FIRST_PORT = 9093
CLASSES = {
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-delegation-tokens.sh": "org.apache.kafka.tools.DelegationTokenCommand",
}
OWN = ["naru", "kafka-topics", "kafka-configs", "kafka-acls", "kafka-delegation-tokens",
       "kafka-console-producer", "kafka-console-consumer"]
FILE = re.compile(r"`([\w.-]+\.properties)`:$")
SETTING = re.compile(r"^[\w.-]+=")
PATIENCE_S = 90
started = []


def program(name, text):
    path = os.path.join("bin", name)
    with open(path, "w") as file:
        file.write("#!/bin/sh\n" + text + "\n")
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


def tools():
    os.mkdir("bin")
    for name in OWN:
        os.symlink(NARU, os.path.join("bin", name))
    for name, main in CLASSES.items():
        options = "-XX:TieredStopAtLevel=1 -Xmx100m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        program(name, f"exec java {options} -cp '{LIBS}/*' {main} \"$@\"")
    return {**os.environ, "PATH": os.path.abspath("bin") + os.pathsep + os.environ["PATH"]}


def blocks(text):
    """The last line before each block, and its lines."""
    before, found = "", []
    for line in text.splitlines():
        if line.startswith("    "):
            found.append(line[4:])
        elif line.strip():
            if found:
                yield before, found
            before, found = line, []
    if found:
        yield before, found


def here(text):
    """With this run's ports."""
    for index, port in enumerate(PORTS):
        text = text.replace(f":{FIRST_PORT + index}", f":{port}")
    return text


def begin(command, environment):
    """Starts a node, and waits until it serves."""
    with open("node.log", "a") as log:
        started.append(subprocess.Popen(command.split(), env=environment, stdout=log, stderr=log))
    end = time.time() + PATIENCE_S
    while time.time() < end and started[-1].poll() is None:
        try:
            socket.create_connection(("127.0.0.1", int(PORTS[1])), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(open("node.log").read()[-800:])


def run(command, environment):
    done = subprocess.run(["bash", "-c", command], env=environment, timeout=PATIENCE_S,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    # Kafka's tools may end well after they have said what went wrong.
    ok(done.returncode == 0 and "Exception" not in done.stdout, done.stdout[-800:])
    return done.stdout


def cases(environment):
    with open(PAGE) as page:
        text = page.read()
    for before, lines in blocks(text):
        name = FILE.search(before)
        if name:
            with open(name.group(1), "w") as file:
                file.write(here("\n".join(lines) + "\n"))
        elif not all(SETTING.match(line) for line in lines):
            for line in lines:
                case(line, environment)


def case(line, environment):
    @feature(f"{line.split()[0]}: {line[:60]}")
    def _():
        if line.startswith("naru start"):
            begin(line, environment)
        elif "--max-messages 1" in line:
            ok("hello" in run(here(line), environment))
        elif line.startswith("naru kafka-storage"):
            # Another node, which is not there.
            with open("server.properties") as own, open("node-1.properties", "w") as file:
                file.write(own.read().replace("log.dirs=data", "log.dirs=another"))
            run(here(line), environment)
        else:
            run(here(line), environment)


environment = tools()
cases(environment)


@feature("the node has refused none of the page's settings")
def _():
    eq([line for line in open("node.log") if "unknown" in line or "ERROR" in line], [])


@feature("the node ends when it is asked to")
def _():
    for node in started:
        node.terminate()
        eq(node.wait(30), 0)


try:
    report.run()
finally:
    for node in started:
        node.kill()
