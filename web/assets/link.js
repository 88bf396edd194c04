// The way to the process: token, WebSocket with its flow control, buttons' requests.

const KEY = "nsmpl-token";
const FULL = 4003;
const text = new TextDecoder();

let token = "";
try {
  token = sessionStorage.getItem(KEY) ?? "";
} catch { /* storage may be forbidden; then the token lives as long as the page */ }

// A token behind # never leaves the browser; it is taken out of the address at once.
const given = /^#token=([A-Za-z0-9._~-]+)$/.exec(location.hash);
if (given) {
  remember(given[1]);
  history.replaceState(null, "", location.pathname);
}

export function remember(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch { /* as above */ }
}

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Answers of the process: `{ok, status, response}`; never throws. */
export async function ask(path, method = "GET") {
  try {
    const response = await fetch(path, { method, headers: headers() });
    return { ok: response.ok, status: response.status, response };
  } catch {
    return { ok: false, status: 0, response: null };
  }
}

/** A button: the answer's JSON, or an error with the process's own words. */
export async function act(path) {
  const { ok, status, response } = await ask(path, "POST");
  if (!ok) {
    const words = response ? (await response.text()).trim() : "";
    throw new Error(words || (status ? `refused (${status})` : "the process cannot be reached"));
  }
  return status === 204 ? null : response.json();
}

/** Splits a binary message into the frame's JSON, each person's vertices and map, and the picture. */
export function unpack(buffer) {
  const bytes = new DataView(buffer).getUint32(0, true);
  const frame = JSON.parse(text.decode(new Uint8Array(buffer, 4, bytes)));
  let at = 4 + bytes;
  for (const person of frame.persons) {
    person.steps = new Int16Array(buffer, at, 3 * person.vertices);
    at += 6 * person.vertices;
    person.map = new Uint8Array(buffer, at, person.map_side ** 2);
    at += person.map.length;
    at = 4 * Math.ceil(at / 4);
  }
  const jpeg = new Blob([new Uint8Array(buffer, at, frame.jpeg_bytes)], { type: "image/jpeg" });
  return { frame, jpeg };
}

/** Keeps a connection, and opens it again when it is lost. `on`: frame, figures, state, token. */
export function connect(on) {
  let pause = 500;
  const again = () => {
    setTimeout(open, pause);
    pause = Math.min(2 * pause, 5000);
  };
  async function open() {
    const hello = await ask("/api/hello");
    if (hello.status === 401) {
      on.token(token !== "", (value) => {
        remember(value);
        open();
      });
      return;
    }
    if (!hello.ok) {
      const words = hello.response ? (await hello.response.text()).trim() : "";
      on.state("bad", "no answer", words || "The process cannot be reached; trying again.");
      again();
      return;
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(
      `${scheme}://${location.host}/api/live`,
      token ? ["nsmpl", `token.${token}`] : ["nsmpl"],
    );
    socket.binaryType = "arraybuffer";
    let turn = Promise.resolve();
    socket.onopen = () => {
      pause = 500;
      on.state("wait", "waiting for a frame", "");
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        on.figures(JSON.parse(data));
        return;
      }
      // One picture after the other; the next is asked for once this one is drawn.
      turn = turn
        .then(() => on.frame(unpack(data)))
        .catch((error) => console.error(error))
        .then(() => socket.readyState === WebSocket.OPEN && socket.send("ready"));
    };
    socket.onclose = ({ code, reason }) => {
      const words = code === FULL ? reason : "The connection is lost; trying again.";
      on.state("bad", code === FULL ? "full" : "lost", words);
      again();
    };
  }
  open();
}
