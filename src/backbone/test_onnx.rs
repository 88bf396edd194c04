//! Small networks for tests, written as ONNX bytes.

/// A network over `[1, 3, side, side]`: each output `(name, n, value)` is `[1, n]` and holds
/// `value` times the mean of the input. Only the first `made` outputs have a node that makes them.
pub(crate) fn model(side: usize, made: usize, outputs: &[(&str, usize, f32)]) -> Vec<u8> {
    let flat = 3 * side * side;
    let mut graph = Message::default();
    graph.message(1, &node("Flatten", &["image"], "flat"));
    for (name, n, value) in &outputs[..made] {
        let weight = format!("{name}.weight");
        graph.message(1, &node("MatMul", &["flat", &weight], name));
        graph.message(5, &constant(&weight, [flat, *n], value / flat as f32));
    }
    graph.text(2, "test");
    graph.message(11, &port("image", &[1, 3, side, side]));
    for (name, n, _) in outputs {
        graph.message(12, &port(name, &[1, *n]));
    }
    whole(&graph)
}

/// A network over `[1, 3, side, side]` whose outputs have any shape: `(name, shape, value)` holds
/// `value` times the mean of the input everywhere.
pub(crate) fn shaped(side: usize, outputs: &[(&str, &[usize], f32)]) -> Vec<u8> {
    let flat = 3 * side * side;
    let mut graph = Message::default();
    graph.message(1, &node("Flatten", &["image"], "flat"));
    for (name, shape, value) in outputs {
        let (weight, mean, to) = (
            format!("{name}.weight"),
            format!("{name}.mean"),
            format!("{name}.shape"),
        );
        graph.message(1, &node("MatMul", &["flat", &weight], &mean));
        graph.message(1, &node("Expand", &[&mean, &to], name));
        graph.message(5, &constant(&weight, [flat, 1], value / flat as f32));
        let mut tensor = Message::default();
        tensor.number(1, shape.len()).number(2, INT64).text(8, &to);
        let raw: Vec<u8> = shape
            .iter()
            .flat_map(|&n| (n as i64).to_le_bytes())
            .collect();
        tensor.bytes(9, &raw);
        graph.message(5, &tensor);
    }
    graph.text(2, "test");
    graph.message(11, &port("image", &[1, 3, side, side]));
    for (name, shape, _) in outputs {
        graph.message(12, &port(name, shape));
    }
    whole(&graph)
}

fn whole(graph: &Message) -> Vec<u8> {
    let mut opset = Message::default();
    opset.text(1, "").number(2, 17);
    let mut model = Message::default();
    model.number(1, 8).message(7, graph).message(8, &opset);
    model.0
}

fn node(kind: &str, inputs: &[&str], output: &str) -> Message {
    let mut node = Message::default();
    for input in inputs {
        node.text(1, input);
    }
    node.text(2, output).text(3, output).text(4, kind);
    node
}

fn constant(name: &str, shape: [usize; 2], value: f32) -> Message {
    let mut tensor = Message::default();
    tensor
        .number(1, shape[0])
        .number(1, shape[1])
        .number(2, FLOAT)
        .text(8, name);
    tensor.bytes(9, &value.to_le_bytes().repeat(shape[0] * shape[1]));
    tensor
}

fn port(name: &str, shape: &[usize]) -> Message {
    let mut dims = Message::default();
    for &n in shape {
        let mut dim = Message::default();
        dim.number(1, n);
        dims.message(1, &dim);
    }
    let (mut tensor, mut kind, mut port) =
        (Message::default(), Message::default(), Message::default());
    tensor.number(1, FLOAT).message(2, &dims);
    kind.message(1, &tensor);
    port.text(1, name).message(2, &kind);
    port
}

/// ONNX's number of the f32 type.
const FLOAT: usize = 1;

/// And of the i64 type.
const INT64: usize = 7;

/// A protocol-buffer message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: usize, value: usize) -> &mut Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(&mut self, field: usize, value: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2);
        self.varint(value.len());
        self.0.extend_from_slice(value);
        self
    }

    fn text(&mut self, field: usize, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(&mut self, field: usize, value: &Self) -> &mut Self {
        self.bytes(field, &value.0)
    }
}
