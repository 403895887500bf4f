// kafkajs against the broker at $BOOTSTRAP.
import { admin, kafka, kafkajs, member, name, numbers, read, send, text, topic } from "./client.mjs";
import { eq, feature, ok, run, sleep, until } from "./report.mjs";

const { CompressionTypes, ConfigResourceTypes } = kafkajs;

async function failure(action) {
  try {
    await action();
  } catch (error) {
    return error.type || error.errors?.[0]?.type || error.name;
  }
  throw new Error("it worked");
}

feature("admin: create, list, delete topics", async () => {
  const t = await topic("a", 2);
  ok((await admin.listTopics()).includes(t));
  await admin.deleteTopics({ topics: [t] });
  await until("deleted", async () => !(await admin.listTopics()).includes(t));
});

feature("admin: a topic that exists is not created again", async () => {
  const t = await topic("twice");
  eq(await admin.createTopics({ topics: [{ topic: t, numPartitions: 1 }] }), false);
});

feature("admin: bad name, bad replication factor", async () => {
  const make = (wanted) => failure(() => admin.createTopics({ topics: [wanted] }));
  eq(await make({ topic: "bad name", numPartitions: 1 }), "INVALID_TOPIC_EXCEPTION");
  eq(await make({ topic: name("rf"), replicationFactor: 99 }), "INVALID_REPLICATION_FACTOR");
});

feature("admin: topic metadata, more partitions", async () => {
  const t = await topic("partitions", 3);
  const count = async () =>
    (await admin.fetchTopicMetadata({ topics: [t] })).topics[0].partitions.length;
  eq(await count(), 3);
  await admin.createPartitions({ topicPartitions: [{ topic: t, count: 5 }] });
  await until("five partitions", async () => (await count()) === 5);
});

feature("admin: describe cluster", async () => {
  const cluster = await admin.describeCluster();
  ok(cluster.clusterId && cluster.brokers.length === 1 && cluster.controller !== null);
});

feature("admin: alter and describe configs", async () => {
  const t = await topic("config");
  const configEntries = [{ name: "retention.ms", value: "4242" }];
  const type = ConfigResourceTypes.TOPIC;
  await admin.alterConfigs({ validateOnly: false, resources: [{ type, name: t, configEntries }] });
  const value = async () => {
    const resources = [{ type, name: t, configNames: ["retention.ms"] }];
    const described = await admin.describeConfigs({ includeSynonyms: false, resources });
    return described.resources[0].configEntries[0].configValue;
  };
  await until("the new value", async () => (await value()) === "4242");
});

feature("admin: topic offsets, offsets by time, delete records", async () => {
  const t = await topic("offsets");
  const stamped = [1700000000000, 1700000005000, 1700000009000];
  await send(t, stamped.map((stamp) => ({ value: "x", timestamp: "" + stamp, partition: 0 })));
  const ends = async () => (await admin.fetchTopicOffsets(t)).map(({ low, high }) => [low, high]);
  eq(await ends(), [["0", "3"]]);
  eq((await admin.fetchTopicOffsetsByTimestamp(t, 1700000001000))[0].offset, "1");
  await admin.deleteTopicRecords({ topic: t, partitions: [{ partition: 0, offset: "2" }] });
  eq(await ends(), [["2", "3"]]);
});

feature("admin: list, describe, delete groups", async () => {
  const t = await topic("groups");
  const g = name("groups");
  const reader = await member(t, g);
  await until("assigned", () => reader.assigned().length === 1);
  const listed = async () => (await admin.listGroups()).groups.some((x) => x.groupId === g);
  ok(await listed());
  const described = (await admin.describeGroups([g])).groups[0];
  eq([described.state, described.members.length], ["Stable", 1]);
  await reader.leave();
  await admin.deleteGroups([g]);
  ok(!(await listed()));
});

feature("admin: fetch, set and reset a group's offsets", async () => {
  const t = await topic("goffsets");
  const g = name("goffsets");
  await send(t, numbers(5));
  await read(t, 5, g);
  const committed = async () =>
    (await admin.fetchOffsets({ groupId: g, topics: [t] }))[0].partitions[0].offset;
  eq(await committed(), "5");
  await admin.setOffsets({ groupId: g, topic: t, partitions: [{ partition: 0, offset: "2" }] });
  eq(await committed(), "2");
  await admin.resetOffsets({ groupId: g, topic: t, earliest: true });
  ok(["0", "-2"].includes(await committed()));
});

for (const [codec, compression] of Object.entries(CompressionTypes))
  feature(`produce and consume with ${codec}: keys, values, offsets`, async () => {
    const t = await topic("codec-" + codec);
    const sent = numbers(300).map((m) => ({ ...m, value: "v".repeat(100) + m.value }));
    await send(t, sent, { compression });
    const got = await read(t, 300);
    eq(got.map((m) => [m.key.toString(), text(m)]), sent.map((m) => [m.key, m.value]));
    eq(got.map((m) => +m.offset), sent.map((_, i) => i));
  });

for (const acks of [0, 1, -1])
  feature(`produce with acks=${acks}`, async () => {
    const t = await topic("acks" + acks);
    await send(t, numbers(1), { acks });
    eq((await read(t, 1)).map(text), ["0"]);
  });

feature("headers, tombstone, empty value, timestamp", async () => {
  const t = await topic("headers");
  const headers = { a: "b", bytes: Buffer.from([1, 2]) };
  const timestamp = "1700000000123";
  await send(t, [
    { key: "k", value: null, headers, timestamp, partition: 0 },
    { value: "", partition: 0 },
  ]);
  const [first, second] = await read(t, 2);
  eq([first.key.toString(), first.value, first.timestamp], ["k", null, timestamp]);
  eq([first.headers.a.toString(), [...first.headers.bytes]], ["b", [1, 2]]);
  eq([second.key, text(second)], [null, ""]);
});

feature("a record over max.message.bytes is refused", async () => {
  const t = await topic("large", 1, { "max.message.bytes": "2000" });
  await send(t, [{ value: "v".repeat(1500), partition: 0 }]);
  const large = [{ value: "v".repeat(2500), partition: 0 }];
  eq(await failure(() => send(t, large)), "MESSAGE_TOO_LARGE");
  await read(t, 1);
});

feature("one request to several topics", async () => {
  const [a, b] = [await topic("batch1"), await topic("batch2")];
  const producer = kafka.producer();
  await producer.connect();
  const topicMessages = [a, b].map((t) => ({ topic: t, messages: [{ value: t }] }));
  await producer.sendBatch({ topicMessages });
  await producer.disconnect();
  eq((await read([a, b], 2)).map(text).sort(), [a, b].sort());
});

feature("idempotent producer keeps order", async () => {
  const t = await topic("idempotent");
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (const message of numbers(50)) await producer.send({ topic: t, messages: [message] });
  await producer.disconnect();
  eq((await read(t, 50)).map(text), numbers(50).map((m) => m.value));
});

feature("records with one key stay on one partition, keys spread", async () => {
  const t = await topic("keys", 6);
  await send(t, Array.from({ length: 300 }, (_, i) => ({ key: "k" + (i % 30), value: "" + i })));
  const places = new Map();
  for (const m of await read(t, 300)) {
    const key = m.key.toString();
    if (!places.has(key)) places.set(key, m.partition);
    eq(m.partition, places.get(key));
  }
  ok(new Set(places.values()).size > 1);
});

feature("group: N partitions, N+1 members; the idle one takes over from one that leaves", async () => {
  const t = await topic("idle", 2);
  const members = [];
  for (let i = 0; i < 3; i++) members.push(await member(t, name("idle")));
  const shares = (list) => list.map((m) => m.assigned().length).sort().join();
  await until("shares 0,1,1", () => shares(members) === "0,1,1", 40000);
  const leaving = members.find((m) => m.assigned().length > 0);
  await leaving.leave();
  const rest = members.filter((m) => m !== leaving);
  await until("shares 1,1", () => shares(rest) === "1,1", 40000);
  await send(t, [0, 1].map((partition) => ({ value: "" + partition, partition })));
  const read = () => rest.flatMap((m) => m.records.map(text)).sort().join();
  await until("both partitions read", () => read() === "0,1");
  for (const m of rest) await m.leave();
});

feature("group: resumes where it committed", async () => {
  const t = await topic("resume");
  const g = name("resume");
  await send(t, numbers(2));
  await read(t, 2, g);
  await send(t, [{ value: "new", partition: 0 }]);
  eq((await read(t, 1, g)).map(text), ["new"]);
});

feature("subscription by a pattern", async () => {
  const t = await topic("pattern-1");
  await send(t, [{ value: "r" }]);
  await read(new RegExp(`^${name("pattern")}-.*`), 1);
});

feature("seek while reading", async () => {
  const t = await topic("seek");
  await send(t, numbers(10));
  const reader = await member(t, name("seek"));
  await until("ten records", () => reader.records.length === 10);
  reader.consumer.seek({ topic: t, partition: 0, offset: "7" });
  await until("three more", () => reader.records.length === 13);
  await sleep(300);
  eq(reader.records.slice(10).map(text), ["7", "8", "9"]);
  await reader.leave();
});

await run();
