//! A viewer without a screen, to measure what a page costs the process: takes every picture that it is sent
//! and is ready at once. Ends when the process does.
//!
//! ```text
//! cargo run --release -p neuralsmpl-web --example viewer -- 127.0.0.1:8080 [TOKEN]
//! ```

use std::error::Error;
use std::net::TcpStream;

use tungstenite::Message;
use tungstenite::client::IntoClientRequest;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or("no address; expected one such as 127.0.0.1:8080")?;
    let protocols = match arguments.next() {
        Some(token) => format!("nsmpl, token.{token}"),
        None => "nsmpl".to_owned(),
    };
    let mut request = format!("ws://{address}/api/live").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("Origin", format!("http://{address}").parse()?);
    headers.insert("Sec-WebSocket-Protocol", protocols.parse()?);
    let (mut socket, _) = tungstenite::client(request, TcpStream::connect(&address)?)?;
    let (mut pictures, mut bytes) = (0u64, 0usize);
    // The process ends the connection, in whatever way.
    while let Ok(message) = socket.read() {
        if let Message::Binary(picture) = message {
            pictures += 1;
            bytes += picture.len();
            if socket.send(Message::Text("ready".into())).is_err() {
                break;
            }
        }
    }
    println!("{{\"pictures\":{pictures},\"bytes\":{bytes}}}");
    Ok(())
}
