// Pictures for docs/pictures/make: a terminal's text as SVG, and screenshots of pages.

import { readFileSync, writeFileSync } from "node:fs";
import { browser, open, served } from "../../tests/browser/support.mjs";

const [what, ...args] = process.argv.slice(2);

/** The width of the terminal that is drawn, in columns. */
const COLUMNS = 100;

/** Breaks a line that is longer than the terminal at its last space. */
function broken(line) {
  if (line.length <= COLUMNS) return [line];
  const space = line.lastIndexOf(" ", COLUMNS);
  const at = space > COLUMNS / 2 ? space : COLUMNS;
  return [line.slice(0, at), ...broken(`  ${line.slice(at).trimStart()}`)];
}

/** Draws lines of text as a terminal. */
function terminal(command, file, target) {
  const lines = [`$ ${command}`, ...readFileSync(file, "utf8").trimEnd().split("\n").flatMap(broken)];
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const [width, height] = [Math.max(...lines.map((line) => line.length)) * 8.4 + 40, lines.length * 19 + 34];
  const texts = lines.map((line, row) => `<text x="20" y="${row * 19 + 30}" xml:space="preserve"${row === 0 ? ' fill="#7cc4f0"' : ""}>${escaped(line)}</text>`);
  writeFileSync(target, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width.toFixed(0)} ${height}" width="${width.toFixed(0)}" height="${height}">
<rect width="100%" height="100%" rx="10" fill="#0f141b"/>
<g font-family="ui-monospace, DejaVu Sans Mono, Menlo, monospace" font-size="14" fill="#e9eef4">
${texts.join("\n")}
</g>
</svg>
`);
}

/** Shows a replay at a time, in milliseconds; the end without one. */
async function seek(page, time) {
  if (time === undefined) return;
  await page.$eval("#seek", (bar, at) => { bar.value = at; bar.dispatchEvent(new Event("input")); }, time);
}

/** Waits until what was asked for is drawn: two frames. */
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

const ends = (file) => readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line)).filter((event) => event.type === "step-ended");

/** Takes a picture of a page down to the end of an element. */
async function shoot(engine, url, target, { width, height, time, colorScheme = "light", last }) {
  const { page, context } = await open(engine, url, { viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
  await seek(page, time);
  await drawn(page);
  const end = await page.locator(last).first().evaluate((part) => part.getBoundingClientRect().bottom + window.scrollY);
  await page.screenshot({ path: target, fullPage: true, clip: { x: 0, y: 0, width, height: Math.ceil(end) + 14 } });
  await context.close();
}

if (what === "terminal") terminal(...args);
else {
  const engine = await browser();
  if (what === "page") {
    const [meshy, file, target] = args;
    const server = await served(["dashboard", "--replay", file, "--no-open"], meshy);
    await shoot(engine, server.url, target, { width: 1280, height: 720, time: ends(file)[1].elapsed_ms, colorScheme: "dark", last: ".columns" });
    await server.end();
  } else await shoot(engine, `file://${args[0]}`, args[1], { width: 1280, height: 720, last: ".report article:nth-of-type(2)" });
  await engine.close();
}
