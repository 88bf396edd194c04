fn main() {
    let _ = 0;
}
