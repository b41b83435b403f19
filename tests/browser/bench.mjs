// What the page costs: called by bench/dashboard. `bench.mjs MINUTES`, of a real lab: an embedded cluster, 200 requests a second.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { browser, open, root, served } from "./support.mjs";

const minutes = Number(process.argv[2] ?? 10);
if (!(minutes >= 1)) throw new Error("the length is in minutes, at least 1");
/** Seconds of load without a viewer, to know what the load alone costs. */
const ALONE = 30;
/** Work of a frame above this length is counted as this, in milliseconds. */
const LONGEST_WORK = 1000;
const program = process.env.MESHY ?? `${root}target/release/meshy`;
const home = mkdtempSync(`${tmpdir()}/meshy-bench-`);
const env = { ...process.env, HOME: home, NO_COLOR: "1", DOCKER_HOST: "unix:///nonexistent.sock" };
for (const name of ["XDG_STATE_HOME", "KUBECONFIG"]) delete env[name];
const meshy = (...args) => execFileSync(program, args, { env, stdio: ["ignore", "ignore", "inherit"] });
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

/** Returns the end of the slot below which this share of what was counted is. */
function quantile(counts, share) {
  let left = counts.reduce((sum, count) => sum + count, 0) * share;
  return 1 + counts.findIndex((count) => (left -= count) <= 0);
}

async function measure(engine) {
  const server = await served(["dashboard", "--no-open"], program, env);
  /** Seconds of CPU that the server used: user and system time, in ticks of 10 ms. */
  const cpu = () => {
    const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  const first = await open(engine, server.url);
  const send = (command) => first.page.evaluate(async (body) => (await fetch("do", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).status, command);
  await send({ do: "load", rate: 200 });
  await send({ do: "fault", service: "bounced-service", percent: 30 });
  await first.context.close();
  await sleep(2);
  const before = cpu();
  await sleep(ALONE);
  const alone = (cpu() - before) / ALONE;
  const { page, context } = await open(engine, server.url);
  const cdp = await context.newCDPSession(page);
  await cdp.send("Performance.enable");
  await cdp.send("HeapProfiler.enable");
  const metrics = async () => Object.fromEntries((await cdp.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
  /** Frames by the main thread's work in each, in tenths of a millisecond, from now on: counts, which do not grow with the time. */
  await page.evaluate((most) => {
    window.work = new Uint32Array(most);
    const channel = new MessageChannel();
    let begun = 0;
    channel.port1.onmessage = () => { window.work[Math.min(most - 1, Math.floor((performance.now() - begun) * 10))] += 1; };
    const frame = () => {
      begun = performance.now();
      channel.port2.postMessage(0);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }, LONGEST_WORK * 10);
  const begun = { cpu: cpu(), time: performance.now(), ...(await metrics()) };
  const heaps = [];
  for (let minute = 1; minute <= minutes; minute += 1) {
    await sleep(60);
    await cdp.send("HeapProfiler.collectGarbage");
    heaps.push((await metrics()).JSHeapUsedSize / 1e6);
    console.log(`minute ${minute}: heap ${heaps.at(-1).toFixed(1)} MB`);
  }
  const now = await metrics();
  const seconds = (performance.now() - begun.time) / 1000;
  const work = await page.evaluate(() => [...window.work]);
  const result = {
    heap: Math.max(...heaps),
    // From minute 2 on, so it needs three minutes.
    growth: heaps.length > 2 ? (heaps.at(-1) / heaps[1] - 1) * 100 : null,
    work: quantile(work, 0.95) / 10,
    main: ((now.TaskDuration - begun.TaskDuration) / seconds) * 100,
    server: ((cpu() - begun.cpu) / seconds) * 100,
    alone: alone * 100,
    requests: await page.textContent("[data-whole=requests]"),
  };
  await context.close();
  await server.end();
  return result;
}

const engine = await browser();
let good = false;
try {
  meshy("up", "--provider", "embedded");
  const { heap, growth, work, main, server, alone, requests } = await measure(engine);
  const part = server - alone;
  console.log(`${minutes} minutes, ${requests} requests`);
  console.log(`heap: ${heap.toFixed(1)} MB at most (limit 60), ${growth === null ? "growth needs 3 minutes" : `${growth.toFixed(1)} % more than after minute 2 (limit 10)`}`);
  console.log(`main thread: ${work.toFixed(1)} ms of work a frame at p95 (limit 10); ${main.toFixed(1)} % of a core`);
  console.log(`server: ${part.toFixed(1)} % of a core for the page (limit 5): ${server.toFixed(1)} % with a viewer, ${alone.toFixed(1)} % without, which sends the load and reads the proxies`);
  good = heap <= 60 && !(growth > 10) && work <= 10 && part <= 5;
} finally {
  await engine.close();
  meshy("down");
  rmSync(home, { recursive: true, force: true });
}
process.exit(good ? 0 : 1);
