// kafkajs with all codecs, and what its cases share. NODE_MODULES is the folder of the packages.
import { createRequire } from "module";
import { eq, sleep, until } from "./report.mjs";

const require = createRequire((process.env.NODE_MODULES || process.cwd()) + "/x.js");
export const kafkajs = require("kafkajs");
const { CompressionCodecs, CompressionTypes } = kafkajs;
const run = Math.random().toString(36).slice(2, 8);
export const name = (text) => `nt-${run}-${text}`;

CompressionCodecs[CompressionTypes.Snappy] = require("kafkajs-snappy");
const lz4 = require("lz4js");
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => {
    const frame = Buffer.from(lz4.compress(encoder.buffer));
    // lz4js marks its blocks as depending on each other, which brokers refuse; with one block it
    // makes no difference: say independent blocks, with the header checksum that goes with it.
    frame.set([0x60, 0x70, 0x73], 4);
    return frame;
  },
  decompress: async (bytes) => Buffer.from(lz4.decompress(bytes)),
});
const zstd = await new Promise((resolve) =>
  require("zstd-codec").ZstdCodec.run((codec) => resolve(new codec.Streaming())),
);
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (bytes) => Buffer.from(zstd.decompress(bytes)),
});

export const kafka = new kafkajs.Kafka({
  clientId: "nt",
  brokers: (process.env.BOOTSTRAP || "127.0.0.1:9092").split(","),
  logLevel: kafkajs.logLevel.NOTHING,
  retry: { retries: 5, initialRetryTime: 100 },
});
export const admin = kafka.admin();
await admin.connect();

export async function topic(text, numPartitions = 1, configs = {}) {
  const configEntries = Object.entries(configs).map(([key, value]) => ({ name: key, value }));
  const wanted = { topic: name(text), numPartitions, replicationFactor: 1, configEntries };
  await admin.createTopics({ topics: [wanted], waitForLeaders: true });
  return name(text);
}

export async function send(where, messages, { compression, acks, ...options } = {}) {
  const producer = kafka.producer(options);
  await producer.connect();
  try {
    return await producer.send({ topic: where, messages, compression, acks });
  } finally {
    await producer.disconnect();
  }
}

// A running member of a group; what it reads arrives in `records`.
export async function member(topics, groupId, options = {}, running = {}) {
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10000,
    heartbeatInterval: 500,
    maxWaitTimeInMs: 200,
    ...options,
  });
  const records = [];
  let assigned = [];
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assigned = Object.values(payload.memberAssignment).flat();
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [].concat(topics), fromBeginning: true });
  await consumer.run({
    ...running,
    eachMessage: async ({ partition, message }) => {
      records.push({ partition, ...message });
    },
  });
  return { consumer, records, assigned: () => assigned, leave: () => consumer.disconnect() };
}

// Reads `count` records with a group of its own, or with the group given.
export async function read(topics, count, groupId = name("g" + Math.random())) {
  const reader = await member(topics, groupId);
  try {
    await until(`${count} records`, () => reader.records.length >= count);
    // One more look, so that a record too many is seen.
    await sleep(100);
    eq(reader.records.length, count, "records");
    return reader.records;
  } finally {
    await reader.leave();
  }
}

export const text = (message) => (message.value === null ? null : message.value.toString());

export const numbers = (count) =>
  Array.from({ length: count }, (_, i) => ({ key: "k" + i, value: "" + i, partition: 0 }));
