// Visibility of each joint: a figure, a list, and lines over the picture.

const SVG = "http://www.w3.org/2000/svg";

/** Where each joint is drawn: a person who faces you, whose left is on your right. */
const PLACES = {
  pelvis: [100, 150], left_hip: [114, 158], right_hip: [86, 158], spine1: [100, 132], left_knee: [119, 210],
  right_knee: [81, 210], spine2: [100, 112], left_ankle: [122, 262], right_ankle: [78, 262], spine3: [100, 92],
  left_foot: [131, 278], right_foot: [69, 278], neck: [100, 62], left_collar: [112, 74], right_collar: [88, 74],
  head: [100, 34], left_shoulder: [132, 76], right_shoulder: [68, 76], left_elbow: [150, 116],
  right_elbow: [50, 116], left_wrist: [162, 154], right_wrist: [38, 154], left_hand: [167, 172],
  right_hand: [33, 172],
};

const WORDS = {
  visible: "visible", "self-occluded": "own body", occluded: "occluded", "out-of-frame": "out of picture",
};

/** Turn of a joint from its rest, whole degrees. */
export function degrees([x, y, z, w]) {
  return Math.round((2 * Math.atan2(Math.hypot(x, y, z), Math.abs(w)) * 180) / Math.PI);
}

export class JointView {
  constructor(svg, list, facts) {
    this.list = list;
    this.facts = facts;
    this.svg = svg;
    this.names = [];
  }

  /** Builds figure and list for a body. */
  build(body) {
    this.names = body.joints;
    this.parents = body.parents;
    this.svg.replaceChildren();
    this.dots = [];
    this.bones = [];
    const make = (kind, attributes) => {
      const element = document.createElementNS(SVG, kind);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      this.svg.append(element);
      return element;
    };
    body.joints.forEach((name, j) => {
      const [x, y] = PLACES[name];
      const parent = body.parents[j];
      if (parent === null || parent === undefined) return;
      const [px, py] = PLACES[body.joints[parent]];
      this.bones[j] = make("line", { x1: px, y1: py, x2: x, y2: y });
    });
    body.joints.forEach((name, j) => {
      const [x, y] = PLACES[name];
      this.dots[j] = make("circle", { cx: x, cy: y, r: name === "head" ? 15 : 6.5 });
      const title = document.createElementNS(SVG, "title");
      title.textContent = name;
      this.dots[j].append(title);
    });
    make("text", { x: 40, y: 296 }).textContent = "right";
    make("text", { x: 160, y: 296 }).textContent = "left";
    this.rows = body.joints.map((name) => {
      const row = this.list.insertRow();
      row.dataset.joint = name;
      row.insertCell().textContent = name.replace("_", " ");
      for (let k = 0; k < 3; k++) row.insertCell();
      return row;
    });
  }

  clear() {
    while (this.list.rows.length) this.list.deleteRow(0);
  }

  /** Shows a person's packet; `null`: nobody. */
  show(person) {
    if (!this.rows) return;
    this.list.dataset.person = person ? person.packet.person_id : "";
    this.rows.forEach((row, j) => {
      const joint = person?.packet.joints[j];
      const seen = joint?.visibility ?? "";
      for (const element of [row, this.dots[j], this.bones[j]]) {
        if (element && element.dataset.seen !== seen) element.dataset.seen = seen;
      }
      const cells = joint
        ? [WORDS[seen], `${Math.round(100 * joint.confidence)} %`, `${degrees(joint.rotation_xyzw)}°`]
        : ["–", "–", "–"];
      cells.forEach((words, k) => {
        const cell = row.cells[k + 1];
        if (cell.textContent !== words) cell.textContent = words;
      });
    });
    this.tell(person);
  }

  tell(person) {
    const facts = [];
    if (person) {
      const p = person.packet;
      facts.push(["person", p.person_id]);
      facts.push(["distance", `${Math.hypot(...person.origin_m).toFixed(2)} m`]);
      facts.push(["fit", `${Math.round(100 * p.fit_quality)} %`]);
      facts.push(["steps", p.fit_steps]);
      facts.push(["late by", `${(p.latency_us / 1000).toFixed(0)} ms`]);
      const flags = p.flags.map((flag) => flag.toLowerCase()).filter((flag) => flag !== "smoothed");
      facts.push(["flags", flags.join(", ") || "none"]);
    }
    const key = JSON.stringify(facts);
    if (key === this.told) return;
    this.told = key;
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = name;
      dd.textContent = value;
      return [dt, dd];
    }));
  }
}

/** Pixel of the whole picture, lens included, of a point in front of the camera; `null` behind it. */
export function pixel(camera, [x, y, z]) {
  if (!(z > 0.1)) return null;
  const [u, v] = [x / z, y / z];
  const r2 = u * u + v * v;
  const radial = 1 + r2 * (camera.k1 + r2 * camera.k2);
  const du = u * radial + 2 * camera.p1 * u * v + camera.p2 * (r2 + 2 * u * u);
  const dv = v * radial + camera.p1 * (r2 + 2 * v * v) + 2 * camera.p2 * u * v;
  return [camera.fx * du + camera.cx, camera.fy * dv + camera.cy];
}

/** Draws joints and boxes over the picture. */
export function drawLines(canvas, frame, parents, chosen, joints) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const g = canvas.getContext("2d");
  g.clearRect(0, 0, width, height);
  if (!frame) return;
  const scale = width / frame.covers[0];
  const css = getComputedStyle(document.documentElement);
  const colour = (seen) => css.getPropertyValue(
    { visible: "--visible", "self-occluded": "--self", occluded: "--occluded" }[seen] ?? "--out",
  ).trim();
  const bold = Math.max(width / 220, 2);
  for (const person of frame.persons) {
    const at = person.joints_m.map((joint) => pixel(frame.camera, joint)?.map((c) => c * scale));
    if (joints) {
      g.lineCap = "round";
      at.forEach((to, j) => {
        const from = at[parents?.[j] ?? -1];
        if (!to || !from) return;
        g.strokeStyle = "#000a";
        g.lineWidth = 1.9 * bold;
        g.beginPath();
        g.moveTo(...from);
        g.lineTo(...to);
        g.stroke();
        g.strokeStyle = colour(person.packet.joints[j].visibility);
        g.lineWidth = bold;
        g.stroke();
      });
      at.forEach((to, j) => {
        if (!to) return;
        g.beginPath();
        g.arc(...to, 1.5 * bold, 0, 7);
        g.fillStyle = colour(person.packet.joints[j].visibility);
        g.fill();
        g.strokeStyle = "#fff";
        g.lineWidth = bold / 2.2;
        g.stroke();
      });
    }
    const spot = at[15] ?? at[0];
    if (!spot) continue;
    const words = `${person.packet.person_id}`;
    g.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    const wide = g.measureText(words).width + 12 * ratio;
    const [x, y] = [
      Math.min(Math.max(spot[0] - wide / 2, 4), width - wide - 4),
      Math.max(spot[1] - 0.06 * height - 20 * ratio, 4),
    ];
    g.fillStyle = person.packet.person_id === chosen ? "#0f7f80" : "#14191ccc";
    g.beginPath();
    g.roundRect(x, y, wide, 19 * ratio, 6 * ratio);
    g.fill();
    g.fillStyle = "#fff";
    g.textAlign = "left";
    g.textBaseline = "middle";
    g.fillText(words, x + 6 * ratio, y + 10 * ratio);
  }
}
