"""librdkafka's admin client on a cluster whose links are all secured.

Arguments: ADDRESSES ADMIN APPLICATION, the last two files with JSON for librdkafka. The principal
`User:app` is let in to what the programs FailoverTour.java and transactions.py need.
"""

import json
import os
import sys

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok, until

ADDRESSES = sys.argv[1]
ALLOWED = {
    (ResourceType.TOPIC, "java-failover"): "CREATE DESCRIBE READ WRITE",
    (ResourceType.TOPIC, "transactions"): "CREATE DESCRIBE READ WRITE",
    (ResourceType.GROUP, "java-failover"): "READ DESCRIBE ALTER_CONFIGS",
    (ResourceType.GROUP, "transactions"): "READ DESCRIBE",
    # Of those who only read by partition.
    (ResourceType.GROUP, "none"): "READ DESCRIBE",
    (ResourceType.TRANSACTIONAL_ID, "carrier-"): "WRITE DESCRIBE",
}


def client(name):
    with open(name) as settings:
        return AdminClient({"bootstrap.servers": ADDRESSES, **json.load(settings)})


def refusal(topic):
    """The error that the application gets when it makes a topic."""
    try:
        list(application.create_topics([NewTopic(topic, 1, 3)]).values())[0].result(30)
    except KafkaException as error:
        return error.args[0].name()
    return None


admin, application = client(sys.argv[2]), client(sys.argv[3])


@feature("librdkafka: who has no ACL makes no topic")
def _():
    eq(refusal("java-failover"), "TOPIC_AUTHORIZATION_FAILED")


@feature("librdkafka: ACLs are made, and hold on every broker")
def _():
    wanted = [
        AclBinding(kind, name, ResourcePatternType.PREFIXED, "User:app", "*",
                   AclOperation[operation], AclPermissionType.ALLOW)
        for (kind, name), operations in ALLOWED.items() for operation in operations.split()
    ]
    for done in admin.create_acls(wanted).values():
        done.result(30)
    until("a topic is made", lambda: refusal("transactions-tried") is None)
    eq(refusal("another"), "TOPIC_AUTHORIZATION_FAILED")


@feature("librdkafka: who shows nothing is told nothing")
def _():
    stranger = AdminClient({"bootstrap.servers": ADDRESSES, "log_level": 0})
    try:
        ok(False, str(stranger.list_topics(timeout=3).topics))
    except KafkaException:
        pass


report.run()
