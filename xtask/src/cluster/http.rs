//! Health checks over plain HTTP, which need nothing but a socket.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long a health check may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether `GET path` at `host:port` answers 200.
pub fn is_ok(host: &str, port: u16, path: &str) -> bool {
    status(host, port, path).is_some_and(|status| status == 200)
}

/// Status of `GET path`, or nothing when the server cannot be reached.
fn status(host: &str, port: u16, path: &str) -> Option<u16> {
    let address = (host, port).to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = [0; 32];
    let mut length = 0;
    while length < "HTTP/1.1 200".len() {
        let read = stream.read(answer.get_mut(length..)?).ok()?;
        if read == 0 {
            break;
        }
        length += read;
    }
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            // All of it: what is left unread when the stream is closed resets the connection.
            while !request.ends_with(b"\r\n\r\n") {
                let mut chunk = [0; 256];
                let length = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn only_200_is_healthy() {
        assert!(is_ok("127.0.0.1", answering("HTTP/1.1 200 OK\r\n\r\nok"), "/healthz"));
        assert!(!is_ok("127.0.0.1", answering("HTTP/1.1 503 Service Unavailable\r\n\r\n"), "/healthz"));
    }

    #[test]
    fn a_closed_port_is_not_healthy() {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        assert!(!is_ok("127.0.0.1", port, "/healthz"));
    }
}
