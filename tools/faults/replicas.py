"""The log files of every replica, compared batch by batch.

Reads Kafka's own layout (record batch version 2), with nothing of any broker's code.
"""

import glob
import os
import struct

import crc32c

HEADER = struct.Struct(">qiibIhi")


def segments(logs, topic, partition):
    """The segment files of one replica, oldest first."""
    return sorted(glob.glob(os.path.join(logs, f"{topic}-{partition}", "*.log")))


def batches(data):
    """([(base offset, last offset, leader epoch, CRC)], damaged batches, stray bytes behind)."""
    found, damaged, at = [], 0, 0
    while at + 61 <= len(data):
        base, length, epoch, _magic, crc, _attributes, last = HEADER.unpack_from(data, at)
        end = at + 12 + length
        if length < 49 or end > len(data):
            break
        if crc32c.crc32c(data[at + 21 : end]) != crc:
            damaged += 1
            crc = -1
        found.append((base, base + last, epoch, crc))
        at = end
    rest = data[at:]
    return found, damaged, len(rest) if any(rest) else 0


def replica(logs, topic, partition):
    """One replica whole, like `batches`."""
    found, damaged, stray = [], 0, 0
    for path in segments(logs, topic, partition):
        with open(path, "rb") as file:
            more = batches(file.read())
        found += more[0]
        damaged += more[1]
        stray += more[2]
    return found, damaged, stray


def compare(log_folders, topics, partitions):
    """Figures over all partitions; `log_folders` is {broker: folder with the partitions' folders}.

    Replicas may begin at different offsets (retention), so what all of them can have is compared.
    """
    figures = {"replicas_differ": 0, "damaged_batches": 0, "stray_bytes": 0, "replicas": 0}
    for topic in topics:
        for partition in range(partitions):
            logs = {}
            for broker, folder in log_folders.items():
                if not os.path.isdir(os.path.join(folder, f"{topic}-{partition}")):
                    continue
                logs[broker], damaged, stray = replica(folder, topic, partition)
                figures["damaged_batches"] += damaged
                figures["stray_bytes"] += stray
                figures["replicas"] += 1
            starts = [log[0][0] for log in logs.values() if log]
            begin = max(starts, default=0)
            kept = {b: [x for x in log if x[1] >= begin] for b, log in logs.items()}
            if len({tuple(log) for log in kept.values()}) > 1:
                figures["replicas_differ"] += 1
                figures.setdefault("first_difference", difference(topic, partition, kept))
    return figures


def difference(topic, partition, logs):
    """Where two replicas part, in words."""
    brokers = list(logs)
    shortest = min(len(log) for log in logs.values())
    for at in range(shortest):
        if len({logs[broker][at] for broker in brokers}) > 1:
            rows = {broker: logs[broker][at] for broker in brokers}
            return f"{topic}-{partition}, batch {at}: {rows}"
    ends = {broker: log[-1][1] if log else -1 for broker, log in logs.items()}
    return f"{topic}-{partition}, last offsets: {ends}"
