// The page: what comes from the process, shown.

import { Series, count, draw, short } from "./charts.js";
import { JointView, drawLines } from "./figure.js";
import { act, ask, connect } from "./link.js";

const $ = (id) => document.getElementById(id);
const MIB = 1 << 20;
const STAGES = { capture: "--c5", locate: "--c1", fit: "--c2", emit: "--c3", total: "--c4" };
const STAGE_WORDS = {
  capture: "until taken up", locate: "networks", fit: "fit", emit: "packets", total: "capture to packets",
};
const DROPS = { overtaken: "--c5", source: "--c4", backbone: "--c2", fit: "--c3", output: "--c1" };
const DROP_WORDS = {
  overtaken: "overtaken by newer", source: "broken or missed", backbone: "networks failed", fit: "fit failed",
  output: "packets lost by outputs",
};

let body = null;
let bodies = null;
let chosen = null;
let last = null;
let over = "seen";
let running = false;
const view = new JointView($("figure"), $("list").tBodies[0], $("facts"));
const stages = Object.fromEntries(Object.keys(STAGES).map((name) => [name, new Series()]));
const memory = { resident: new Series(), pool: new Series() };
const rates = { rate: new Series(), ...Object.fromEntries(Object.keys(DROPS).map((name) => [name, new Series()])) };
const seconds = () => performance.now() / 1000;

// Bodies need WebGL; all else does without.
try {
  const { Bodies } = await import("./bodies.js");
  bodies = new Bodies($("mesh"), $("world"));
} catch (error) {
  console.warn(error);
  noWebgl();
}

function noWebgl() {
  $("no-webgl").hidden = false;
  $("world").hidden = $("mesh").hidden = true;
  for (const id of ["front", "side", "above"]) $(id).hidden = true;
  document.querySelectorAll('[name=over][value=seen], [name=over][value=body]').forEach((choice) => {
    choice.disabled = true;
    choice.parentElement.hidden = true;
  });
  document.querySelector('[name=over][value=joints]').checked = true;
  over = "joints";
  document.body.dataset.webgl = "none";
}

async function learnBody() {
  const { ok, response } = await ask("/api/body");
  if (!ok) return;
  body = await response.json();
  view.clear();
  view.build(body);
  bodies?.forget();
}

async function onFrame({ frame, jpeg }) {
  const bitmap = await createImageBitmap(jpeg);
  if (body?.model !== frame.model_id) await learnBody();
  const photo = $("photo");
  const [width, height] = frame.picture_size;
  if (photo.width !== width || photo.height !== height) {
    [photo.width, photo.height] = [width, height];
    $("stage").style.setProperty("--aspect", width / height);
    document.body.dataset.wide = width > height;
  }
  photo.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  $("no-picture").hidden = true;
  last = frame;
  choose(frame);
  redraw();
  const now = seconds();
  for (const [name, series] of Object.entries(stages)) series.add(now, frame.stages_ms[name]);
  $("frame").textContent = frame.frame;
  $("tile-total").textContent = short(frame.stages_ms.total);
  $("tile-people").textContent = frame.persons.length;
  const person = frame.persons.find((p) => p.packet.person_id === chosen);
  const seen = person?.packet.joints.filter((joint) => joint.visibility === "visible").length;
  $("tile-seen").textContent = person ? `${seen}/${person.packet.joints.length}` : "–";
  view.show(person ?? null);
  Object.assign(document.body.dataset, {
    frame: frame.frame, time: frame.time_us, people: frame.persons.map((p) => p.packet.person_id).join(" "),
  });
}

function redraw() {
  if (!last || !body) return;
  try {
    bodies?.draw(last, body, over, chosen);
  } catch (error) {
    console.error(error);
    bodies = null;
    noWebgl();
  }
  drawLines($("lines"), over === "none" ? null : last, body.parents, chosen, over === "joints");
}

/** Keeps the person who was chosen, else takes the first. */
function choose(frame) {
  const ids = frame.persons.map((person) => person.packet.person_id);
  if (!ids.includes(chosen)) chosen = ids[0] ?? null;
  const key = `${ids} ${chosen}`;
  const box = $("people");
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(...ids.map((id) => {
    const [label, input, span] = ["label", "input", "span"].map((kind) => document.createElement(kind));
    Object.assign(input, { type: "radio", name: "person", value: id, checked: id === chosen });
    input.addEventListener("change", () => {
      chosen = id;
      if (last) {
        view.show(last.persons.find((person) => person.packet.person_id === id) ?? null);
        redraw();
      }
    });
    span.textContent = `person ${id}`;
    label.append(input, span);
    return label;
  }));
}

let before = null;

function onFigures(figures) {
  const now = seconds();
  const { drops, memory: held, source } = figures;
  memory.resident.add(now, held.resident_bytes / MIB);
  memory.pool.add(now, held.pool_used_bytes / MIB);
  rates.rate.add(now, figures.frame_rate_hz);
  if (before && figures.uptime_s > before.uptime_s) {
    const span = figures.uptime_s - before.uptime_s;
    for (const name of Object.keys(DROPS)) {
      rates[name].add(now, Math.max(drops[name] - before.drops[name], 0) / span);
    }
  }
  before = figures;
  $("tile-rate").textContent = short(figures.frame_rate_hz);
  $("tile-memory").textContent = Math.round(held.resident_bytes / MIB);
  $("tile-temperature").textContent = figures.temperature_c === null ? "–" : Math.round(figures.temperature_c);
  health(figures);
  rows($("memory"), [
    ["resident", `${short(held.resident_bytes / MIB)} MiB`, "--c1"],
    ["most so far", `${short(held.peak_bytes / MIB)} MiB`],
    ["networks' pool, in use", `${short(held.pool_used_bytes / MIB)} of ${short(held.pool_bytes / MIB)} MiB`, "--c2"],
    ["networks' pool, most so far", `${short(held.pool_peak_bytes / MIB)} MiB`],
  ]);
  rows($("drops"), [
    ["frames worked on", `${count(figures.frames.processed)} of ${count(figures.frames.captured)}`, "--c1"],
    ...Object.keys(DROPS).map((name) => [DROP_WORDS[name], count(drops[name]), drops[name] ? DROPS[name] : null]),
    ["over their deadline", count(figures.overruns)],
  ]);
  sinks(figures.sinks);
  recording(figures.record);
  const size = source.size[0] ? `${source.size[0]} × ${source.size[1]}, ` : "";
  $("source").textContent = `Source: ${source.name}, ${size}${source.connected ? "open" : "not there"}`
    + (source.last_error && !source.connected ? ` (${source.last_error})` : "");
  $("version").textContent = `neuralsmpl ${figures.version}, up ${span(figures.uptime_s)}`;
  const { page } = figures;
  $("viewers").textContent = `${page.viewers} of ${page.most_viewers} viewers, `
    + `${count(page.shots)} pictures, ${count(page.skipped)} left out, ${count(page.missed)} missed`;
  for (const id of ["snapshot", "redetect"]) $(id).disabled = false;
  charts(now);
}

function health({ faults, source, paused }) {
  if (paused) state("warn", "paused", "");
  else if (!source.connected) state("bad", "no source", `${source.name}: ${source.last_error ?? "not there"}`);
  else if (faults.length) state("warn", faults.join(", "), "");
  else state("good", "running", "");
}

function state(kind, words, notice) {
  const pill = $("state");
  pill.dataset.state = kind;
  pill.textContent = words;
  $("notice").textContent = notice;
  $("notice").hidden = !notice;
  if (kind === "bad" && words !== "no source") {
    for (const id of ["record", "snapshot", "redetect"]) $(id).disabled = true;
  }
}

function span(s) {
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h ? `${h} h ${m} min` : m ? `${m} min ${Math.floor(s % 60)} s` : `${Math.floor(s)} s`;
}

/** Fills a table of names and values, with a key's colour in front. */
function rows(table, lines) {
  const into = table.tBodies[0];
  while (into.rows.length > lines.length) into.deleteRow(-1);
  lines.forEach((line, i) => {
    const row = into.rows[i] ?? into.insertRow();
    const colour = line.at(-1);
    const keyed = typeof colour === "string" && colour.startsWith("--");
    const cells = line.filter((cell, k) => k === 0 || (cell !== null && !String(cell).startsWith("--")));
    cells.forEach((words, k) => {
      const cell = row.cells[k] ?? row.insertCell();
      if (cell.textContent !== String(words)) cell.textContent = words;
    });
    row.cells[0].className = keyed ? "key" : "";
    if (keyed) row.cells[0].style.setProperty("--key", `var(${colour})`);
  });
}

function sinks(list) {
  const into = $("sinks").tBodies[0];
  while (into.rows.length > list.length) into.deleteRow(-1);
  list.forEach((sink, i) => {
    const row = into.rows[i] ?? into.insertRow();
    row.dataset.open = sink.connected;
    row.dataset.sink = sink.name;
    row.title = sink.last_fault ?? "";
    const server = sink.kind === "tcp" || sink.clients > 0;
    const words = [
      "", sink.name, count(sink.sent), count(sink.dropped), `${sink.queued}/${sink.capacity}`,
      server ? sink.clients : "–",
    ];
    words.forEach((text, k) => {
      const cell = row.cells[k] ?? row.insertCell();
      if (cell.textContent !== String(text)) cell.textContent = text;
    });
    row.cells[3].className = sink.dropped ? "lost" : "";
  });
}

function recording(record) {
  const button = $("record");
  running = record.running !== null;
  button.disabled = !record.possible;
  button.title = record.possible
    ? "Write packets to a file on the machine"
    : "No folder for recordings is configured (web.folder, --web-folder)";
  button.setAttribute("aria-pressed", running);
  button.lastElementChild.textContent = running ? "Stop" : "Record";
  const r = record.running;
  $("recording").textContent = r
    ? `recording ${span(r.seconds)}, ${count(r.packets)} packets, ${short(r.bytes / 1e6)} MB`
    : record.fault ?? "";
}

function charts(now) {
  if (document.hidden) return;
  draw($("chart-timing"), ["total", "locate", "fit"].map((name) => (
    { series: stages[name], colour: STAGES[name] })), now);
  draw($("chart-memory"), [
    { series: memory.resident, colour: "--c1", fill: true }, { series: memory.pool, colour: "--c2" },
  ], now);
  draw($("chart-rate"), [
    { series: rates.rate, colour: "--c1", fill: true },
    ...Object.entries(DROPS).filter(([name]) => rates[name].worst() > 0)
      .map(([name, colour]) => ({ series: rates[name], colour })),
  ], now);
  rows($("stages"), Object.keys(STAGES).map((name) => [
    STAGE_WORDS[name], short(stages[name].last), short(stages[name].median()), short(stages[name].worst()),
    ["total", "locate", "fit"].includes(name) ? STAGES[name] : null,
  ]));
}

function toast(words, links = [], bad = false) {
  const box = document.createElement("div");
  box.className = bad ? "bad" : "";
  box.textContent = words;
  if (links.length) box.append(document.createElement("br"), ...links);
  $("toasts").append(box);
  setTimeout(() => box.remove(), links.length ? 30000 : 6000);
}

/** A file of the process as a link to keep it by. */
async function keep(file, words) {
  const { ok, response } = await ask(`/api/snapshot/${file}`);
  if (!ok) throw new Error("the snapshot cannot be had");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = file;
  link.textContent = words;
  return link;
}

function button(id, work) {
  $(id).addEventListener("click", async () => {
    $(id).disabled = true;
    try {
      await work();
    } catch (error) {
      toast(error.message, [], true);
    }
    $(id).disabled = false;
  });
}

button("record", async () => {
  const record = await act(running ? "/api/record/stop" : "/api/record/start");
  recording(record);
  if (!record.running && record.last) {
    const { packets, path, lost } = record.last;
    toast(`${count(packets)} packets in ${path}${lost ? `, ${lost} lost` : ""}`);
  }
});
button("snapshot", async () => {
  const { saved, files } = await act("/api/snapshot");
  const links = [await keep(files[0], "picture"), await keep(files[1], "poses")];
  toast(saved ? `Snapshot kept in ${saved}` : "Snapshot", links);
});
button("redetect", async () => {
  await act("/api/redetect");
  toast("The next frame is searched for people.");
});
for (const choice of document.querySelectorAll("[name=over]")) {
  choice.addEventListener("change", () => {
    over = choice.value;
    redraw();
  });
}
for (const id of ["front", "side", "above"]) $(id).addEventListener("click", () => bodies?.room.look(id));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  bodies?.paint();
  redraw();
  charts(seconds());
});
new ResizeObserver(redraw).observe($("stage"));

connect({
  frame: onFrame,
  figures: onFigures,
  state,
  token: (wrong, given) => {
    state("wait", "token needed", "");
    $("ask-wrong").hidden = !wrong;
    $("ask").querySelector("form").onsubmit = () => given($("ask-token").value.trim());
    $("ask").showModal();
  },
});

// For the browser's console and the page's test.
window.nsmpl = { frame: () => last, figures: () => before };
