// What the page costs: called by bench/dashboard.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { browser, open } from "./support.mjs";

const minutes = Number(process.argv[2] ?? 10);
const program = process.env.SIMULATED ?? new URL("../../target/release/examples/simulated", import.meta.url).pathname;
const server = spawn(program, ["live", "200"], { stdio: ["ignore", "pipe", "inherit"] });
const { value: url } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next();
/** Seconds of CPU that the server used: user and system time, in ticks of 10 ms. */
const cpu = () => {
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
const engine = await browser();
const { page, context } = await open(engine, url);
await page.fill("#fault-0", "30");
const cdp = await context.newCDPSession(page);
await cdp.send("Performance.enable");
await cdp.send("HeapProfiler.enable");
const metrics = async () => Object.fromEntries((await cdp.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
/** Work of the main thread between frames, in milliseconds, from now on. */
await page.evaluate(() => {
  window.work = [];
  const channel = new MessageChannel();
  let begun = 0;
  channel.port1.onmessage = () => window.work.push(performance.now() - begun);
  const frame = () => {
    begun = performance.now();
    channel.port2.postMessage(0);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
});
const begun = { cpu: cpu(), time: performance.now(), ...(await metrics()) };
const heaps = [];
for (let minute = 1; minute <= minutes; minute += 1) {
  await page.waitForTimeout(60000);
  await cdp.send("HeapProfiler.collectGarbage");
  heaps.push((await metrics()).JSHeapUsedSize / 1e6);
  console.log(`minute ${minute}: heap ${heaps.at(-1).toFixed(1)} MB`);
}
const now = await metrics();
const seconds = (performance.now() - begun.time) / 1000;
const work = (await page.evaluate(() => window.work)).sort((a, b) => a - b);
const p95 = work[Math.floor(work.length * 0.95)];
const core = ((cpu() - begun.cpu) / seconds) * 100;
const growth = heaps.length > 2 ? (heaps.at(-1) / heaps[1] - 1) * 100 : NaN;
console.log(`heap: ${Math.max(...heaps).toFixed(1)} MB at most (limit 60), ${growth.toFixed(1)} % more than after minute 2 (limit 10)`);
console.log(`main thread: ${p95.toFixed(1)} ms of work a frame at p95 (limit 10); ${(((now.TaskDuration - begun.TaskDuration) / seconds) * 100).toFixed(1)} % of a core`);
console.log(`server: ${core.toFixed(1)} % of a core (limit 5)`);
await engine.close();
server.kill("SIGTERM");
const good = Math.max(...heaps) <= 60 && !(growth > 10) && p95 <= 10 && core <= 5;
process.exit(good ? 0 : 1);
