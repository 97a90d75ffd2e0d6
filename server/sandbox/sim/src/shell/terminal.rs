//! A terminal's line discipline: echo, erase, Ctrl-C, Ctrl-D.

use super::machine::Control;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

const MOST_LINE: usize = 4096;

/// Takes what a person types and hands on whole lines, until the client goes or the reader does.
pub async fn discipline(mut keys: mpsc::Receiver<Bytes>, lines: mpsc::Sender<Bytes>, screen: mpsc::Sender<Bytes>, control: Arc<Control>) {
    let mut line: Vec<u8> = Vec::new();
    let mut escape = false;
    while let Some(bytes) = keys.recv().await {
        let mut echo = Vec::new();
        for byte in bytes {
            if escape {
                // A cursor key: swallow up to its last letter.
                escape = !byte.is_ascii_alphabetic() && byte != b'~';
                continue;
            }
            match byte {
                b'\r' | b'\n' => {
                    echo.extend_from_slice(b"\r\n");
                    line.push(b'\n');
                    if !echo.is_empty() && screen.send(Bytes::from(std::mem::take(&mut echo))).await.is_err() {
                        return;
                    }
                    if lines.send(Bytes::from(std::mem::take(&mut line))).await.is_err() {
                        return;
                    }
                }
                0x03 => {
                    echo.extend_from_slice(b"^C");
                    line.clear();
                    control.signal(2);
                }
                0x04 => {
                    if line.is_empty() {
                        return;
                    }
                    if lines.send(Bytes::from(std::mem::take(&mut line))).await.is_err() {
                        return;
                    }
                }
                0x7f | 0x08 => {
                    while line.last().is_some_and(|b| b & 0xc0 == 0x80) {
                        line.pop();
                    }
                    if line.pop().is_some() {
                        echo.extend_from_slice(b"\x08 \x08");
                    }
                }
                0x15 => {
                    for _ in 0..String::from_utf8_lossy(&line).chars().count() {
                        echo.extend_from_slice(b"\x08 \x08");
                    }
                    line.clear();
                }
                0x1b => escape = true,
                b'\t' => {
                    line.push(b'\t');
                    echo.push(b'\t');
                }
                byte if byte < 0x20 => {}
                byte if line.len() < MOST_LINE => {
                    line.push(byte);
                    echo.push(byte);
                }
                _ => {}
            }
        }
        if !echo.is_empty() && screen.send(Bytes::from(echo)).await.is_err() {
            return;
        }
    }
}
