//! The JSON schemas of the Foxglove messages that are recorded, by Foxglove's well-known names.

use serde_json::{Value, json};

fn numbers(names: &[&str]) -> Value {
    let properties: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "number"})))
        .collect();
    json!({"type": "object", "properties": properties})
}

fn time(title: &str) -> Value {
    json!({"type": "object", "title": title, "properties": {
        "sec": {"type": "integer", "minimum": 0},
        "nsec": {"type": "integer", "minimum": 0, "maximum": 999_999_999}
    }})
}

fn vector() -> Value {
    numbers(&["x", "y", "z"])
}

fn quaternion() -> Value {
    numbers(&["x", "y", "z", "w"])
}

fn colour() -> Value {
    numbers(&["r", "g", "b", "a"])
}

fn pose() -> Value {
    json!({"type": "object", "title": "foxglove.Pose", "properties": {
        "position": vector(), "orientation": quaternion()
    }})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// `foxglove.FrameTransforms`.
pub fn frame_transforms() -> Value {
    let transform = json!({"type": "object", "title": "foxglove.FrameTransform", "properties": {
        "timestamp": time("time"),
        "parent_frame_id": {"type": "string"},
        "child_frame_id": {"type": "string"},
        "translation": vector(),
        "rotation": quaternion()
    }});
    json!({"title": "foxglove.FrameTransforms", "type": "object", "properties": {
        "transforms": list(transform)
    }})
}

/// `foxglove.SceneUpdate`, with the parts of primitives that are never written left open.
pub fn scene_update() -> Value {
    let open = || list(json!({"type": "object"}));
    let sphere = json!({"type": "object", "title": "foxglove.SpherePrimitive", "properties": {
        "pose": pose(), "size": vector(), "color": colour()
    }});
    let line = json!({"type": "object", "title": "foxglove.LinePrimitive", "properties": {
        "type": {"type": "integer"},
        "pose": pose(),
        "thickness": {"type": "number"},
        "scale_invariant": {"type": "boolean"},
        "points": list(vector()),
        "color": colour(),
        "colors": list(colour()),
        "indices": list(json!({"type": "integer", "minimum": 0}))
    }});
    let text = json!({"type": "object", "title": "foxglove.TextPrimitive", "properties": {
        "pose": pose(),
        "billboard": {"type": "boolean"},
        "font_size": {"type": "number"},
        "scale_invariant": {"type": "boolean"},
        "color": colour(),
        "text": {"type": "string"}
    }});
    let pair = json!({"type": "object", "properties": {
        "key": {"type": "string"}, "value": {"type": "string"}
    }});
    let entity = json!({"type": "object", "title": "foxglove.SceneEntity", "properties": {
        "timestamp": time("time"),
        "frame_id": {"type": "string"},
        "id": {"type": "string"},
        "lifetime": time("duration"),
        "frame_locked": {"type": "boolean"},
        "metadata": list(pair),
        "arrows": open(), "cubes": open(), "spheres": list(sphere), "cylinders": open(),
        "lines": list(line), "triangles": open(), "texts": list(text), "models": open()
    }});
    let deletion = json!({"type": "object", "title": "foxglove.SceneEntityDeletion", "properties": {
        "timestamp": time("time"), "type": {"type": "integer"}, "id": {"type": "string"}
    }});
    json!({"title": "foxglove.SceneUpdate", "type": "object", "properties": {
        "deletions": list(deletion), "entities": list(entity)
    }})
}
