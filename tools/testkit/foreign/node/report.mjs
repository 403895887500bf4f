// Cases and their verdicts, in the lines that the test command reads.
import fs from "fs";

const cases = [];

export class Skip extends Error {}

export function feature(name, body) {
  cases.push([name, body]);
}

export function eq(got, want, what = "") {
  const [a, b] = [JSON.stringify(got), JSON.stringify(want)];
  if (a !== b) throw new Error(`${what} got ${String(a).slice(0, 300)} want ${b}`);
}

export function ok(fact, what = "not so") {
  if (!fact) throw new Error(what);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, fact, ms = 30000) {
  const end = Date.now() + ms;
  while (Date.now() < end) {
    const value = await fact();
    if (value) return value;
    await sleep(50);
  }
  throw new Error(`${what}: not within ${ms} ms`);
}

function later() {
  if (!process.env.NARU_LATER) return [];
  const lines = fs.readFileSync(process.env.NARU_LATER, "utf8").split("\n").filter(Boolean);
  return lines.map((line) => line.split("\t")).map(([p, why]) => [new RegExp(p), why]);
}

export async function run() {
  let [passed, failed, skipped] = [0, 0, 0];
  const waiting = later();
  for (const [name, body] of cases) {
    if (process.env.ONLY && !name.includes(process.env.ONLY)) continue;
    const limit = sleep(90000).then(() => {
      throw new Error("hangs");
    });
    limit.catch(() => {});
    try {
      const found = waiting.find(([pattern]) => pattern.test(name));
      if (found) throw new Skip(found[1]);
      await Promise.race([body(), limit]);
      passed++;
      console.log(`PASS ${name}`);
    } catch (error) {
      if (error instanceof Skip) {
        skipped++;
        console.log(`SKIP ${name} -- ${error.message}`);
      } else {
        failed++;
        const text = `${error.name}: ${error.message}`.replace(/\s+/g, " ").slice(0, 500);
        console.log(`FAIL ${name} -- ${text}`);
      }
    }
  }
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exit(failed ? 1 : 0);
}
