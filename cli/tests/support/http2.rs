//! The plainest peer of HTTP/2, which does what it should not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where log records are taken over gRPC.
pub const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// Connects, if that can be done soon.
pub fn open_at(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(300))).ok()?;
    Some(stream)
}

/// A connection of HTTP/2, byte by byte.
pub struct Http2(TcpStream);

impl Http2 {
    pub fn open(address: SocketAddr, window: u32) -> Option<Self> {
        let mut stream = open_at(address)?;
        // There are many, and each has to answer in time.
        stream.set_read_timeout(Some(Duration::from_millis(1))).ok()?;
        let mut settings = vec![0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4];
        settings.extend(window.to_be_bytes());
        stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()).ok()?;
        Some(Self(stream))
    }

    /// Asks for a path.
    pub fn get(&mut self, stream: u32, path: &str) {
        // Method, scheme and authority by HPACK's table; the path as it is.
        let mut head = vec![0x82, 0x86, 0x41, 1, b'x', 0x04, path.len() as u8];
        head.extend(path.as_bytes());
        let mut frame = vec![0, 0, head.len() as u8, 1, 5];
        frame.extend(stream.to_be_bytes());
        let _ = self.0.write_all(&[frame, head].concat());
    }

    /// Calls a method of gRPC; what it is called with follows as data.
    pub fn call(&mut self, stream: u32, path: &str) {
        self.call_with(stream, path, 0);
    }

    /// The same, with so many fields of metadata. Each takes a byte on the way.
    pub fn call_with(&mut self, stream: u32, path: &str, fields: usize) {
        let mut head = vec![0x83, 0x86, 0x41, 1, b'x', 0x04, path.len() as u8];
        head.extend(path.as_bytes());
        // The content type by HPACK's table, `te` as it is.
        head.extend([0x0f, 0x10, 16]);
        head.extend(b"application/grpc\0\x02te\x08trailers");
        if fields > 0 {
            // One by its name and value, which HPACK's table takes. The others are that one again.
            head.extend(b"\x40\x01a\x01b");
            head.resize(head.len() + fields - 1, 0xbe);
        }
        let mut frame = (head.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([1, 4]);
        frame.extend(stream.to_be_bytes());
        let _ = self.0.write_all(&[frame, head].concat());
    }

    /// Data, as much as it is allowed to send without being asked for more; the last of it or not.
    pub fn data(&mut self, stream: u32, data: &[u8], last: bool) {
        let length = data.len() as u32;
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([0, last.into()]);
        frame.extend(stream.to_be_bytes());
        let _ = self.0.write_all(&[&frame, data].concat());
    }

    /// Reads what is there, and answers pings; whether it is still open.
    pub fn stay(&mut self) -> bool {
        let mut head = [0; 9];
        loop {
            match self.0.read_exact(&mut head) {
                Ok(()) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
            let mut frame = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            if self.0.read_exact(&mut frame).is_err() {
                return false;
            }
            // GOAWAY is as good as closed.
            if head[3] == 7 {
                return false;
            }
            if head[3] == 6 && head[4] == 0 {
                head[4] = 1;
                let _ = self.0.write_all(&[&head[..], &frame].concat());
            }
        }
    }
}
