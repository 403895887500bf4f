// Committed offsets over a broker's restart: `before` commits, `after` goes on from there.
import { admin, member, numbers, send, text } from "./client.mjs";
import { eq, feature, run, sleep, until } from "./report.mjs";

const phase = process.argv[2];
const [topic, groupId] = ["restart-kafkajs", "restart-kafkajs"];

feature(`kafkajs, ${phase} the restart`, async () => {
  if (phase === "before") {
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
    await send(topic, numbers(10));
  }
  const reader = await member(topic, groupId, {}, { autoCommit: false });
  const count = phase === "before" ? 10 : 4;
  await until(`${count} records`, () => reader.records.length >= count, 40000);
  await sleep(200);
  if (phase === "before") {
    await reader.consumer.commitOffsets([{ topic, partition: 0, offset: "6" }]);
  } else {
    eq(reader.records.map(text), ["6", "7", "8", "9"]);
  }
  await reader.leave();
});

await run();
