// Opens the live page in Chromium on the sample clip, compares what it shows with the packets of the same
// frames, presses its buttons, and keeps pictures of it. Called by ../test-page.sh:
//
//   node check.mjs PROGRAM CHROMIUM FOLDER [CLIP]
//
// FOLDER receives desktop.png, dark.png, phone.png, phone-whole.png and no-webgl.png.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const [program, executablePath, folder, clip = "samples/balance.mjpeg"] = process.argv.slice(2);
const TOKEN = "page-test-0123456789";
const PATIENCE_MS = 180_000;
/** Frames of which every number is compared. */
const FRAMES = 12;
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
const WORDS = { "own body": "self-occluded", "out of picture": "out-of-frame" };

const work = mkdtempSync(join(tmpdir(), "neuralsmpl-page-"));
const say = (words) => console.log(`page: ${words}`);

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < end, `waited in vain for ${what}`);
    await sleep(100);
  }
}

/** The process under test: address of its page, and how to end it. */
async function start() {
  const metrics = await freePort();
  const config = join(work, "run.toml");
  writeFileSync(join(work, "token"), `${TOKEN}\n`, { mode: 0o600 });
  writeFileSync(config, `
[source]
source = "${clip}"
loop = true
pace = "every-frame"
[camera]
intrinsics = [836.865, 836.8985, 267.2475, 481.613, -0.047847, 0.136786, 0.000972, 0.000291]
[budget]
deadline_ms = 10000
[track]
persons = 1
[track.detector]
refresh_frames = 0
[[sink]]
type = "jsonl"
path = "${join(work, "lines.jsonl")}"
[[sink]]
type = "tcp"
listen = "127.0.0.1:0"
[health]
listen = "127.0.0.1:${metrics}"
[web]
listen = "127.0.0.1:0"
token_file = "${join(work, "token")}"
folder = "${join(work, "kept")}"
viewers = 2
`);
  const child = spawn(program, ["run", "--config", config], { stdio: ["ignore", "inherit", "pipe"] });
  let errors = "";
  child.stderr.on("data", (text) => { errors += text; });
  const ended = new Promise((done) => child.once("exit", done));
  const url = await until("the page's address", () => {
    assert(child.exitCode === null, `the program has ended:\n${errors}`);
    return /live page: (\S+)\n/.exec(errors)?.[1];
  });
  return {
    url,
    metric: async (name) => {
      const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
    },
    stop: async () => {
      child.kill("SIGTERM");
      assert.equal(await ended, 0, errors);
    },
  };
}

const lines = new Map();

/** The pose packet of a person and frame, from the JSON-lines sink. */
async function packet(time, person) {
  const key = `${time} ${person}`;
  return until(`the packet of person ${person} at ${time}`, () => {
    if (!lines.has(key)) {
      for (const name of readdirSync(work).filter((n) => n.endsWith(".jsonl"))) {
        for (const line of readFileSync(join(work, name), "utf8").split("\n")) {
          if (!line.startsWith('{"kind":"pose"') || !line.endsWith("}")) continue;
          const pose = JSON.parse(line);
          lines.set(`${pose.time_us} ${pose.person_id}`, pose);
        }
      }
    }
    return lines.get(key);
  });
}

/** What the page shows now, taken in one go. */
const shown = (page) => page.evaluate(() => ({
  time: document.body.dataset.time,
  people: document.body.dataset.people,
  person: document.querySelector("#list tbody").dataset.person,
  rows: [...document.querySelectorAll("#list tbody tr")].map((row) => ({
    joint: row.dataset.joint, seen: row.dataset.seen, words: [...row.cells].map((cell) => cell.textContent),
  })),
  frame: window.nsmpl.frame(),
}));

function turn([x, y, z, w]) {
  return Math.round((2 * Math.atan2(Math.hypot(x, y, z), Math.abs(w)) * 180) / Math.PI);
}

/** Every number of a frame against its packet. */
async function compare(page) {
  const now = await shown(page);
  if (!now.person) return null;
  assert.equal(String(now.frame.time_us), now.time);
  assert(now.people.split(" ").includes(now.person), `${now.person} of ${now.people}`);
  const sent = await packet(now.time, now.person);
  assert.equal(now.rows.length, sent.joints.length);
  sent.joints.forEach((joint, j) => {
    const { joint: name, seen, words } = now.rows[j];
    assert.equal(name, joint.name);
    assert.equal(seen, joint.visibility, `${name} at ${now.time}`);
    assert.equal(WORDS[words[1]] ?? words[1], joint.visibility);
    assert.equal(words[2], `${Math.round(100 * joint.confidence)} %`, name);
    assert.equal(words[3], `${turn(joint.rotation_xyzw)}°`, name);
  });
  const { packet: received, joints_m: joints } = now.frame.persons.find(
    (person) => String(person.packet.person_id) === now.person,
  );
  const { sequence: _mine, ...mine } = received;
  const { sequence: _theirs, kind: _kind, ...theirs } = sent;
  delete mine.kind;
  assert.deepEqual(mine, theirs, "the whole packet is the same");
  // The body stands where the packet says: its pelvis lies within its own size of the translation.
  assert(Math.hypot(...joints[0].map((c, k) => c - sent.translation_m[k])) < 1.5);
  return now.time;
}

/** The mesh over the picture lies where the joints are: both boxes in the canvas's own pixels. */
async function overlay(page) {
  const { mesh, joints, size } = await page.evaluate(async () => {
    const { pixel } = await import("./figure.js");
    const canvas = document.getElementById("mesh");
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    const box = () => [Infinity, Infinity, -Infinity, -Infinity];
    const grow = (b, x, y) => {
      b[0] = Math.min(b[0], x);
      b[1] = Math.min(b[1], y);
      b[2] = Math.max(b[2], x);
      b[3] = Math.max(b[3], y);
    };
    const mesh = box();
    const joints = box();
    for (let i = 3; i < data.length; i += 4) {
      if (data[i] > 128) grow(mesh, ((i - 3) / 4) % canvas.width, Math.floor((i - 3) / 4 / canvas.width));
    }
    const frame = window.nsmpl.frame();
    for (const joint of frame.persons[0].joints_m) {
      const at = pixel(frame.camera, joint);
      grow(joints, (at[0] * canvas.width) / frame.covers[0], (at[1] * canvas.height) / frame.covers[1]);
    }
    return { mesh, joints, size: [canvas.width, canvas.height] };
  });
  const span = Math.max(joints[2] - joints[0], joints[3] - joints[1]);
  for (const [k, way] of [[0, -1], [1, -1], [2, 1], [3, 1]]) {
    const most = Math.min(Math.max(joints[k], 0), size[k % 2]);
    const beyond = way * (mesh[k] - most);
    assert(beyond > -0.03 * span && beyond < 0.25 * span, `mesh ${mesh}, joints ${joints}, canvas ${size}`);
  }
}

async function browser(flags, options, work_) {
  const opened = await chromium.launch({ executablePath, args: [...FLAGS, ...flags] });
  try {
    const page = await (await opened.newContext(options)).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const faults = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith(running.url) && !/^(blob|data|ws):/.test(request.url())) faults.push(request.url());
    });
    await work_(page);
    assert.deepEqual(faults, [], "errors, or requests to other places");
  } finally {
    await opened.close();
  }
}

const seen = (page) => page.waitForFunction(() => document.body.dataset.time);

async function enter(page, words) {
  await page.locator("#ask-token").fill(words);
  await page.locator("#ask button").click();
}

const running = await start();
mkdirSync(folder, { recursive: true });
try {
  const desktop = { viewport: { width: 1440, height: 1000 }, colorScheme: "light" };
  await browser(GL, desktop, async (page) => {
    await page.goto(running.url);
    await page.locator("#ask[open]").waitFor();
    await enter(page, "wrong-0123456789abc");
    await page.locator("#ask-wrong:visible").waitFor();
    await enter(page, TOKEN);
    await seen(page);
    say("a wrong token is refused, the right one opens");

    const times = new Set();
    await until("frames to compare", async () => {
      const time = await compare(page);
      if (time) times.add(time);
      return times.size >= FRAMES;
    });
    say(`${times.size} frames: person, joints, visibility, confidence as in their packets`);
    await overlay(page);
    say("the mesh lies over the joints");

    await page.locator("#record").click();
    await page.locator('#record[aria-pressed="true"]').waitFor();
    await sleep(2000);
    await page.locator("#record").click();
    const told = await page.locator("#toasts div", { hasText: "packets in" }).textContent();
    const file = join(work, "kept", "recording.bin");
    const decoded = execFileSync(program, ["decode", file], { encoding: "utf8" }).trim().split("\n");
    assert.equal(Number(/^([\d\u202f]+) packets/.exec(told)[1].replaceAll("\u202f", "")), decoded.length, told);
    assert(decoded.some((line) => line.includes('"pose"')));
    say(`a recording of ${decoded.length} packets`);

    await page.locator("#snapshot").click();
    await page.locator("#toasts a", { hasText: "poses" }).waitFor();
    const kept = readdirSync(join(work, "kept")).filter((name) => name.startsWith("snapshot-")).sort();
    assert.deepEqual(kept.map((name) => name.split(".")[1]), ["jpg", "json"]);
    const pose = JSON.parse(readFileSync(join(work, "kept", kept[1]), "utf8"));
    assert.deepEqual([...readFileSync(join(work, "kept", kept[0])).subarray(0, 2)], [0xff, 0xd8]);
    for (const { packet: { person_id: id, joints } } of pose.persons) {
      const sent = await packet(pose.time_us, id);
      assert.deepEqual(joints, sent.joints);
    }
    say("a snapshot, with the poses of its own frame");

    const runs = await running.metric("neuralsmpl_detector_runs_total");
    await page.locator("#redetect").click();
    await until("a run of the detector", async () =>
      (await running.metric("neuralsmpl_detector_runs_total")) > runs);
    say("the detector runs when asked to");

    for (const over of ["body", "joints", "none", "seen"]) await page.locator(`[name=over][value=${over}]`).check({ force: true });
    await page.locator("#sinks tr[data-open=true]").nth(1).waitFor();
    // A line needs some seconds.
    await sleep(20_000);
    await page.evaluate(() => document.getElementById("toasts").replaceChildren());
    await page.screenshot({ path: join(folder, "desktop.png"), fullPage: true });
    await page.emulateMedia({ colorScheme: "dark" });
    await sleep(2500);
    await page.screenshot({ path: join(folder, "dark.png"), fullPage: true });
  });

  const phone = {
    viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: "light",
  };
  await browser(GL, phone, async (page) => {
    await page.goto(`${running.url}#token=${TOKEN}`);
    await seen(page);
    assert(!page.url().includes(TOKEN), "the token stays out of the address");
    await until("a frame to compare", () => compare(page));
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(width <= 390, `${width} px wide on a phone of 390`);
    await sleep(12_000);
    await page.screenshot({ path: join(folder, "phone.png") });
    await page.screenshot({ path: join(folder, "phone-whole.png"), fullPage: true });
    say("a phone shows it without sideways scrolling");
  });

  await browser(["--disable-3d-apis"], desktop, async (page) => {
    await page.goto(`${running.url}#token=${TOKEN}`);
    await seen(page);
    await page.locator("#no-webgl:visible").waitFor();
    await until("a frame to compare", () => compare(page));
    await page.screenshot({ path: join(folder, "no-webgl.png") });
    say("without WebGL it says so and shows the rest");
  });
  await running.stop();
} finally {
  if (process.exitCode !== 0) await running.stop().catch(() => {});
  rmSync(work, { recursive: true, force: true });
}
say(`pictures in ${folder}`);
