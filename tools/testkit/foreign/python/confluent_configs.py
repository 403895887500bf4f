"""Configurations of topics and brokers."""

from confluent import *


def dcfg(rt, name):
    return one(adm.describe_configs([ConfigResource(rt, name)]))


@feature("describe_configs topic: defaults, sources, synonyms, types")
def _():
    t = mk(T("dc"), 1, **{"retention.ms": "12345"})
    d = dcfg(ResourceType.TOPIC, t)
    eq(d["retention.ms"].value, "12345")
    eq(d["retention.ms"].source, ConfigSource.DYNAMIC_TOPIC_CONFIG.value)
    ok(not d["retention.ms"].is_default)
    ok(d["cleanup.policy"].is_default)
    eq(d["cleanup.policy"].value, "delete")
    ok(len(d) >= 25, f"{len(d)} configs")
    ok(len(d["retention.ms"].synonyms) >= 1)
    ok("segment.bytes" in d and "min.insync.replicas" in d and "message.timestamp.type" in d)


@feature("describe_configs broker: read-only, sensitive")
def _():
    b = sorted(adm.list_topics(timeout=10).brokers)[0]
    d = dcfg(ResourceType.BROKER, str(b))
    ok("log.retention.hours" in d or "log.retention.ms" in d)
    ok(any(x.is_read_only for x in d.values()))
    eq(d["num.partitions"].is_sensitive, False)


@feature("describe_configs: unknown topic error")
def _():
    eq(code(lambda: dcfg(ResourceType.TOPIC, T("nodc"))), "UNKNOWN_TOPIC_OR_PART")


def inc(rt, name, *e):
    return one(
        adm.incremental_alter_configs([ConfigResource(rt, name, incremental_configs=list(e))])
    )


CE = lambda k, v, op: ConfigEntry(k, v, incremental_operation=op)


@feature("incremental_alter_configs topic: SET, DELETE")
def _():
    t = mk(T("ia"))
    inc(ResourceType.TOPIC, t, CE("retention.ms", "777", AlterConfigOpType.SET))
    time.sleep(0.3)
    eq(dcfg(ResourceType.TOPIC, t)["retention.ms"].value, "777")
    inc(ResourceType.TOPIC, t, CE("retention.ms", None, AlterConfigOpType.DELETE))
    time.sleep(0.3)
    ok(dcfg(ResourceType.TOPIC, t)["retention.ms"].is_default)


@feature("incremental_alter_configs topic: APPEND, SUBTRACT")
def _():
    t = mk(T("ia2"))
    inc(ResourceType.TOPIC, t, CE("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    time.sleep(0.3)
    eq(
        sorted(dcfg(ResourceType.TOPIC, t)["cleanup.policy"].value.split(",")),
        ["compact", "delete"],
    )
    inc(ResourceType.TOPIC, t, CE("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT))
    time.sleep(0.3)
    eq(dcfg(ResourceType.TOPIC, t)["cleanup.policy"].value, "compact")


@feature("incremental_alter_configs: INVALID_CONFIG / validate_only")
def _():
    t = mk(T("ia3"))
    eq(
        code(lambda: inc(ResourceType.TOPIC, t, CE("retention.ms", "zz", AlterConfigOpType.SET))),
        "INVALID_CONFIG",
    )
    eq(
        code(lambda: inc(ResourceType.TOPIC, t, CE("nope.nope", "1", AlterConfigOpType.SET))),
        "INVALID_CONFIG",
    )
    one(
        adm.incremental_alter_configs(
            [
                ConfigResource(
                    ResourceType.TOPIC,
                    t,
                    incremental_configs=[CE("retention.ms", "5", AlterConfigOpType.SET)],
                )
            ],
            validate_only=True,
        )
    )
    time.sleep(0.3)
    ok(dcfg(ResourceType.TOPIC, t)["retention.ms"].is_default)


@feature("incremental_alter_configs broker dynamic")
def _():
    b = str(sorted(adm.list_topics(timeout=10).brokers)[0])
    inc(ResourceType.BROKER, b, CE("log.cleaner.threads", "2", AlterConfigOpType.SET))
    time.sleep(0.5)
    d = dcfg(ResourceType.BROKER, b)
    eq(d["log.cleaner.threads"].value, "2")
    eq(d["log.cleaner.threads"].source, ConfigSource.DYNAMIC_BROKER_CONFIG.value)
    inc(ResourceType.BROKER, b, CE("log.cleaner.threads", None, AlterConfigOpType.DELETE))


@feature("incremental_alter_configs broker: read-only rejected")
def _():
    b = str(sorted(adm.list_topics(timeout=10).brokers)[0])
    ok(
        code(lambda: inc(ResourceType.BROKER, b, CE("node.id", "7", AlterConfigOpType.SET)))
        in ("INVALID_REQUEST", "INVALID_CONFIG")
    )


@feature("alter_configs (legacy, replaces whole set)")
def _():
    t = mk(T("al"), 1, **{"retention.ms": "1000"})
    one(
        adm.alter_configs(
            [ConfigResource(ResourceType.TOPIC, t, set_config={"segment.bytes": "1048576"})]
        )
    )
    time.sleep(0.3)
    d = dcfg(ResourceType.TOPIC, t)
    eq(d["segment.bytes"].value, "1048576")
    ok(d["retention.ms"].is_default)
