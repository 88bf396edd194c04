// Bodies over the picture and in 3D, with three.js.

import {
  BufferAttribute, BufferGeometry, Color, DataTexture, DirectionalLight, DynamicDrawUsage, GridHelper, Group,
  HemisphereLight, LineBasicMaterial, LineSegments, Mesh, MeshStandardMaterial, OrbitControls, PerspectiveCamera,
  RedFormat, Scene, ShaderMaterial, Vector2, Vector3, Vector4, WebGLRenderer,
} from "./three.min.js";

/** Colours of people, in turn. */
const SKINS = ["#7fb6d6", "#e3a65c", "#9dc183", "#c79be0"];

/** Nearest and farthest distance that is drawn, metres. */
const [NEAR, FAR] = [0.1, 100];

/** The picture's own camera: pinhole and Brown–Conrady lens, each vertex put where the lens shows it. */
const VERTEX = `
uniform vec4 pinhole;   // fx, fy, cx, cy
uniform vec4 lens;      // k1, k2, p1, p2
uniform vec2 covers;    // pixels of the whole picture
uniform vec4 square;    // of the map: centre, side, angle
varying vec3 vNormal;
varying vec3 vEye;
varying vec3 vCell;     // place in the map times depth, and depth: straight in space, as the map is flat
void main() {
  vec2 n = position.xy / position.z;
  float r2 = dot(n, n);
  float radial = 1.0 + r2 * (lens.x + r2 * lens.y);
  vec2 d = n * radial + vec2(
    2.0 * lens.z * n.x * n.y + lens.w * (r2 + 2.0 * n.x * n.x),
    lens.z * (r2 + 2.0 * n.y * n.y) + 2.0 * lens.w * n.x * n.y);
  vec2 at = 2.0 * (pinhole.xy * d + pinhole.zw) / covers - 1.0;
  float z = position.z;
  gl_Position = vec4(at.x * z, -at.y * z, ${(FAR + NEAR) / (FAR - NEAR)} * z - ${(2 * FAR * NEAR) / (FAR - NEAR)}, z);
  vec2 ideal = pinhole.xy * n + pinhole.zw - square.xy;
  float c = cos(square.w), s = sin(square.w);
  vec2 cell = vec2(c * ideal.x + s * ideal.y, -s * ideal.x + c * ideal.y) / square.z + 0.5;
  vCell = vec3(cell * z, z);
  vNormal = normal;
  vEye = -position;
}`;

const FRAGMENT = `
uniform sampler2D map;
uniform float cells;    // of the map along each side; 0: show the body's colour
uniform vec3 colour;
varying vec3 vNormal;
varying vec3 vEye;
varying vec3 vCell;
vec3 ramp(float t) {
  vec3 a = vec3(0.552, 0.0194, 0.0144), b = vec3(0.855, 0.175, 0.0232), c = vec3(0.871, 0.604, 0.188);
  vec3 d = vec3(0.107, 0.565, 0.445), e = vec3(0.0052, 0.305, 0.305);
  t = clamp(t, 0.0, 1.0) * 4.0;
  return t < 1.0 ? mix(a, b, t) : t < 2.0 ? mix(b, c, t - 1.0) : t < 3.0 ? mix(c, d, t - 2.0) : mix(d, e, t - 3.0);
}
vec3 seen() {
  vec2 at = vCell.xy / vCell.z * cells - 0.5;
  vec2 base = floor(at), f = at - base;
  float sum = 0.0, weight = 0.0;
  for (int y = -1; y <= 2; y++) for (int x = -1; x <= 2; x++) {
    vec2 o = vec2(float(x), float(y));
    vec2 p = (base + o + 0.5) / cells;
    float v = texture2D(map, p).r * 255.0;
    vec2 far = abs(o - f);
    float w = max(1.25 - far.x, 0.0) * max(1.25 - far.y, 0.0) + 1e-4;
    if (v > 0.5) { sum += w * (v - 1.0) / 254.0; weight += w; }
  }
  return weight > 0.0 ? ramp(sum / weight) : vec3(0.25, 0.27, 0.3);
}
void main() {
  vec3 n = normalize(vNormal), eye = normalize(vEye), key = vec3(-0.49, -0.67, -0.56);
  float facing = clamp(dot(n, eye), 0.0, 1.0);
  vec3 albedo = cells > 0.5 ? seen() : colour;
  vec3 sky = mix(vec3(0.13, 0.125, 0.13), vec3(0.42, 0.44, 0.48), 0.5 - 0.5 * n.y);
  float sun = max((dot(n, key) + 0.2) / 1.2, 0.0);
  vec3 lit = albedo * (sky + vec3(1.0, 0.98, 0.94) * sun) * (0.5 + 0.5 * facing)
    + 0.12 * pow(max(dot(n, normalize(key + eye)), 0.0), 24.0);
  gl_FragColor = vec4(pow(clamp(lit, 0.0, 1.0), vec3(1.0 / 2.2)) * smoothstep(0.0, 0.22, facing), 1.0);
}`;

function renderer(canvas) {
  const out = new WebGLRenderer({
    canvas, alpha: true, antialias: true, powerPreference: "low-power", preserveDrawingBuffer: true,
  });
  out.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
  out.setClearColor(0, 0);
  return out;
}

/** Makes the drawing as large as its canvas; whether it has a size at all. */
function fit(out, canvas) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const size = out.getSize(new Vector2());
  if (width && height && (size.x !== width || size.y !== height)) out.setSize(width, height, false);
  return width > 0 && height > 0;
}

/** A mesh whose vertices change. */
function geometry(body) {
  const out = new BufferGeometry();
  const moving = (n) => new BufferAttribute(new Float32Array(n), 3).setUsage(DynamicDrawUsage);
  out.setAttribute("position", moving(3 * body.limbs.length));
  out.setAttribute("normal", moving(3 * body.limbs.length));
  out.setIndex(new BufferAttribute(new Uint32Array(body.faces.flat()), 1));
  return out;
}

/** Unit normals, outward, weighted by area. `turn`: 1, or −1 where the axes are mirrored twice. */
function normals(geometry) {
  const { position, normal } = geometry.attributes;
  const [p, n, f] = [position.array, normal.array, geometry.index.array];
  n.fill(0);
  for (let t = 0; t < f.length; t += 3) {
    const [a, b, c] = [3 * f[t], 3 * f[t + 1], 3 * f[t + 2]];
    const [ux, uy, uz] = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
    const [vx, vy, vz] = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
    const [x, y, z] = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    for (const at of [a, b, c]) {
      n[at] += x;
      n[at + 1] += y;
      n[at + 2] += z;
    }
  }
  for (let i = 0; i < n.length; i += 3) {
    const size = Math.hypot(n[i], n[i + 1], n[i + 2]) || 1;
    n[i] /= size;
    n[i + 1] /= size;
    n[i + 2] /= size;
  }
  normal.needsUpdate = position.needsUpdate = true;
}

/** Bodies over the picture. */
class Overlay {
  constructor(canvas) {
    this.canvas = canvas;
    this.out = renderer(canvas);
    this.scene = new Scene();
    this.eye = new PerspectiveCamera();
    this.people = [];
  }

  person(i, body) {
    this.people[i] ??= (() => {
      const material = new ShaderMaterial({
        vertexShader: VERTEX, fragmentShader: FRAGMENT,
        uniforms: {
          pinhole: { value: new Vector4() }, lens: { value: new Vector4() }, covers: { value: new Vector2() },
          square: { value: new Vector4(0, 0, 1, 0) }, map: { value: null }, cells: { value: 0 },
          colour: { value: new Color(SKINS[i % SKINS.length]) },
        },
      });
      const mesh = new Mesh(geometry(body), material);
      mesh.frustumCulled = false;
      this.scene.add(mesh);
      return mesh;
    })();
    return this.people[i];
  }

  forget() {
    for (const mesh of this.people) {
      this.scene.remove(mesh);
      mesh.geometry.dispose();
      mesh.material.dispose();
    }
    this.people = [];
  }

  draw(frame, body, over) {
    this.canvas.hidden = over !== "seen" && over !== "body";
    if (this.canvas.hidden || !fit(this.out, this.canvas)) return;
    const k = frame.camera;
    this.people.forEach((mesh) => { mesh.visible = false; });
    frame.persons.forEach((person, i) => {
      if (3 * body.limbs.length !== person.steps.length) return;
      const mesh = this.person(i, body);
      mesh.visible = true;
      const to = mesh.geometry.attributes.position.array;
      for (let v = 0; v < to.length; v++) to[v] = person.origin_m[v % 3] + frame.vertex_step_m * person.steps[v];
      normals(mesh.geometry);
      const u = mesh.material.uniforms;
      u.pinhole.value.set(k.fx, k.fy, k.cx, k.cy);
      u.lens.value.set(k.k1, k.k2, k.p1, k.p2);
      u.covers.value.set(...frame.covers);
      const r = person.map_region;
      u.square.value.set(...r.center, r.side || 1, r.angle);
      u.cells.value = over === "seen" ? person.map_side : 0;
      if (person.map_side) {
        if (u.map.value?.image.width !== person.map_side) {
          u.map.value?.dispose();
          u.map.value = new DataTexture(person.map, person.map_side, person.map_side, RedFormat);
          u.map.value.unpackAlignment = 1;
        }
        u.map.value.image.data = person.map;
        u.map.value.needsUpdate = true;
      }
    });
    this.out.render(this.scene, this.eye);
  }
}

/** The bodies in the room, seen from anywhere. */
class Room {
  constructor(canvas) {
    this.canvas = canvas;
    this.out = renderer(canvas);
    this.scene = new Scene();
    this.eye = new PerspectiveCamera(38, 1, 0.05, 60);
    this.hands = new OrbitControls(this.eye, canvas);
    this.hands.enableDamping = false;
    this.hands.minDistance = 0.6;
    this.hands.maxDistance = 25;
    this.hands.addEventListener("change", () => this.render());
    this.scene.add(new HemisphereLight("#ffffff", "#7d8891", 1.7));
    const sun = new DirectionalLight("#ffffff", 1.9);
    sun.position.set(2, 4, 3);
    this.scene.add(sun);
    this.grid = new GridHelper(6, 12, "#8b989f", "#8b989f");
    this.grid.material.transparent = true;
    this.grid.material.opacity = 0.35;
    this.scene.add(this.grid);
    this.bodies = new Group();
    this.scene.add(this.bodies);
    this.camera = null;
    this.people = [];
    this.floor = null;
    this.centre = null;
    new ResizeObserver(() => this.render()).observe(canvas);
  }

  person(i, body) {
    this.people[i] ??= (() => {
      const shape = geometry(body);
      shape.setAttribute(
        "color", new BufferAttribute(new Float32Array(3 * body.limbs.length), 3).setUsage(DynamicDrawUsage));
      const mesh = new Mesh(shape, new MeshStandardMaterial({ vertexColors: true, roughness: 0.62 }));
      mesh.frustumCulled = false;
      this.bodies.add(mesh);
      return mesh;
    })();
    return this.people[i];
  }

  forget() {
    for (const mesh of this.people) {
      this.bodies.remove(mesh);
      mesh.geometry.dispose();
      mesh.material.dispose();
    }
    this.people = [];
  }

  /** The camera as a small pyramid at its place. */
  pyramid(frame) {
    const k = frame.camera;
    const depth = 0.35;
    const [w, h] = frame.image_size;
    const corner = (x, y) => [((x - k.cx) / k.fx) * depth, (-(y - k.cy) / k.fy) * depth, -depth];
    const corners = [corner(0, 0), corner(w, 0), corner(w, h), corner(0, h)];
    const points = corners.flatMap((c, i) => [0, 0, 0, ...c, ...c, ...corners[(i + 1) % 4]]);
    const key = points.join();
    if (this.camera?.userData.key === key) return;
    if (this.camera) this.scene.remove(this.camera);
    const shape = new BufferGeometry();
    shape.setAttribute("position", new BufferAttribute(new Float32Array(points), 3));
    this.camera = new LineSegments(shape, new LineBasicMaterial({ color: "#8b989f" }));
    this.camera.userData.key = key;
    this.scene.add(this.camera);
  }

  draw(frame, body, colours, chosen) {
    this.pyramid(frame);
    this.people.forEach((mesh) => { mesh.visible = false; });
    let floor = Infinity;
    let centre = null;
    frame.persons.forEach((person, i) => {
      if (3 * body.limbs.length !== person.steps.length) return;
      const mesh = this.person(i, body);
      mesh.visible = true;
      const { position, color } = mesh.geometry.attributes;
      const step = frame.vertex_step_m;
      const [ox, oy, oz] = person.origin_m;
      const [to, from, paint] = [position.array, person.steps, color.array];
      // three.js looks along −z with y up; the camera's frame has y down and z forward.
      for (let v = 0; v < to.length; v += 3) {
        to[v] = ox + step * from[v];
        to[v + 1] = -(oy + step * from[v + 1]);
        to[v + 2] = -(oz + step * from[v + 2]);
        if (to[v + 1] < floor) floor = to[v + 1];
      }
      const shades = person.packet.joints.map((joint) => colours[joint.visibility]);
      body.limbs.forEach((limb, v) => {
        const shade = shades[limb];
        paint[3 * v] = shade.r;
        paint[3 * v + 1] = shade.g;
        paint[3 * v + 2] = shade.b;
      });
      color.needsUpdate = true;
      normals(mesh.geometry);
      if (!centre || person.packet.person_id === chosen) centre = new Vector3(ox, -oy, -oz);
    });
    if (centre) {
      this.follow(centre);
      this.floor = this.floor === null ? floor : this.floor + 0.1 * (floor - this.floor);
      this.grid.position.set(this.centre.x, this.floor, this.centre.z);
    }
    this.render();
  }

  /** Keeps the person in the middle; the place that the eye has around them stays. */
  follow(centre) {
    if (!this.centre) {
      this.centre = centre;
      this.hands.target.copy(centre);
      this.look("front");
      return;
    }
    const move = centre.clone().sub(this.centre);
    if (move.length() < 1.5) move.multiplyScalar(0.25);
    this.centre.add(move);
    this.hands.target.add(move);
    this.eye.position.add(move);
  }

  look(from) {
    const away = { front: [0.5, 0.28, 3.1], side: [3.1, 0.28, 0.4], above: [0.02, 3.4, 0.9] }[from];
    this.hands.target.copy(this.centre ?? new Vector3(0, 0, -3));
    this.eye.position.copy(this.hands.target).add(new Vector3(...away));
    this.hands.update();
    this.render();
  }

  render() {
    if (!fit(this.out, this.canvas)) return;
    const aspect = this.canvas.clientWidth / this.canvas.clientHeight;
    if (this.eye.aspect !== aspect) {
      this.eye.aspect = aspect;
      this.eye.updateProjectionMatrix();
    }
    this.out.render(this.scene, this.eye);
  }
}

/** Both views; throws where the browser has no WebGL. */
export class Bodies {
  constructor(mesh, world) {
    this.room = new Room(world);
    this.overlay = new Overlay(mesh);
    this.paint();
  }

  /** Colours of the joints' states, from the style sheet. */
  paint() {
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => new Color(css.getPropertyValue(name).trim());
    this.colours = {
      visible: colour("--visible"), "self-occluded": colour("--self"), occluded: colour("--occluded"),
      "out-of-frame": colour("--out"),
    };
  }

  forget() {
    this.room.forget();
    this.overlay.forget();
  }

  draw(frame, body, over, chosen) {
    this.overlay.draw(frame, body, over);
    this.room.draw(frame, body, this.colours, chosen);
  }
}
