// Screenshots for docs/pictures/make --review: every view, the steps of recorded runs, and each step of two lessons on a lab.
// Prints what is wrong with the layout of a page, and exits with 1 then.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { browser, layoutFaults, open, served } from "../../tests/browser/support.mjs";

const [meshy, place, ...runs] = process.argv.slice(2);
const folder = resolve(place);
const SIZES = [[1280, 720], [400, 800]];
const LESSONS = ["lesson/retry-budget", "lesson/timeouts"];
let faults = 0;

const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const until = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 120000 });
const ends = (file) => readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line)).filter((event) => event.type === "step-ended");

/** Takes a screenshot of the page as it is, in full, and checks its layout. */
async function shot(page, name, fullPage = true) {
  if (await page.evaluate(() => document.body.dataset.ready === "true")) await drawn(page);
  const width = page.viewportSize().width;
  await page.screenshot({ path: `${folder}/${name}-${width}.png`, fullPage });
  for (const fault of await layoutFaults(page)) {
    faults += 1;
    console.log(`${name}-${width}.png: ${fault}`);
  }
}

async function panel(page) {
  await page.locator("#graph .call").first().focus();
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector("#panel").open && document.querySelector("#panel-content").textContent !== "");
}

/** The steps of a recorded run. */
async function recorded(engine, name, file) {
  const server = await served(["dashboard", "--replay", file, "--no-open"], meshy);
  for (const [width, height] of SIZES) {
    for (const colorScheme of ["light", "dark"]) {
      const { page, context } = await open(engine, server.url, { viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
      if (colorScheme === "dark") await shot(page, `${name}-dark`);
      else {
        for (const [index, step] of ends(file).entries()) {
          if (step.variant) await page.check(`#variants input[value="${step.variant}"]`);
          await page.$eval("#seek", (bar, at) => { bar.value = at; bar.dispatchEvent(new Event("input")); }, step.elapsed_ms);
          const variant = step.variant ? `-${step.variant}` : "";
          await shot(page, `${name}-${index + 1}-${step.step}${variant}`);
        }
        await panel(page);
        await shot(page, `${name}-panel`, false);
      }
      await context.close();
    }
  }
  await server.end();
}

/** The file of the report, as it opens and as a browser without scripts shows it. */
async function report(engine, name, file) {
  const html = `${folder}/${name}.html`;
  execFileSync(meshy, ["report", file, "--out", html]);
  for (const [width, height] of SIZES) {
    const { page, context } = await open(engine, `file://${html}`, { viewport: { width, height }, reducedMotion: "reduce" });
    await shot(page, `${name}-report`);
    await context.close();
    const plain = await engine.newContext({ viewport: { width, height }, javaScriptEnabled: false });
    const still = await plain.newPage();
    await still.goto(`file://${html}`);
    await shot(still, `${name}-report-plain`);
    await plain.close();
  }
}

/** The page of a lab, and a lesson on it: at each step what is asked, and at the end the result; the speaker's page next to it. */
async function live(engine, lesson) {
  const server = await served(["dashboard", "--no-open"], meshy);
  const pages = [];
  for (const [width, height] of SIZES) {
    const { page, context } = await open(engine, server.url, { viewport: { width, height }, reducedMotion: "reduce" });
    const speaker = await context.newPage();
    await speaker.goto(new URL("/speaker", server.url).href);
    await speaker.waitForSelector("body[data-ready=true]");
    pages.push({ page, speaker });
  }
  const name = lesson.replace("/", "-");
  const each = async (work) => { for (const one of pages) await work(one); };
  const [{ page }] = pages;
  await page.click("#load-toggle");
  await page.fill("#fault-0", "30");
  await until(page, () => Number(document.querySelector("[data-cells=bad]").textContent) > 3);
  await each(({ page: one }) => shot(one, `live-${name}`));
  await panel(page);
  await until(page, () => document.querySelector("#panel-content pre") !== null);
  await shot(page, `live-${name}-panel`, false);
  await page.click("#panel-close");
  await page.selectOption("#scenario", lesson);
  if (await page.isVisible("#scenario-short")) await page.check("#scenario-short");
  await page.click("#scenario-start");
  for (let step = 1; ; step += 1) {
    await until(page, () => document.querySelector("#next-step")?.getAttribute("aria-disabled") === "false" || document.querySelector("#stop-run")?.textContent === "Back to the lab");
    const isOver = (await page.textContent("#stop-run")) === "Back to the lab";
    const place = isOver ? "end" : `step-${step}`;
    await each(({ page: one }) => shot(one, `${name}-${place}`));
    await each(({ speaker }) => shot(speaker, `${name}-${place}-speaker`));
    if (isOver) break;
    await page.click("#next-step");
    await until(page, () => document.querySelector("#next-step")?.getAttribute("aria-disabled") !== "false");
  }
  await server.end();
}

const engine = await browser();
for (const [name, file] of runs.map((run) => run.split("="))) {
  await recorded(engine, name, file);
  await report(engine, name, file);
}
for (const lesson of LESSONS) await live(engine, lesson);
await engine.close();
process.exit(faults ? 1 : 0);
