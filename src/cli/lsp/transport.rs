//! Messages over standard input and output, each of bounded size.

use std::{
    io::{self, BufRead, Read},
    thread::{self, JoinHandle},
};

use lsp_server::{Connection, Message};

/// The largest message, in bytes: a text of the largest rule is a small part of it.
const MOST: u64 = 16 * 1024 * 1024;
/// The longest line of a head, in bytes.
const LONGEST_LINE: u64 = 8 * 1024;
/// Messages that wait to be looked at; an editor that sends more waits too.
const WAITING: usize = 64;

/// The threads that read and write.
pub(super) struct Threads {
    reader: JoinHandle<io::Result<()>>,
    writer: JoinHandle<io::Result<()>>,
}

/// Starts to read and write.
pub(super) fn start() -> Result<(Connection, Threads), String> {
    let (to_server, receiver) = crossbeam_channel::bounded(WAITING);
    let (sender, to_editor) = crossbeam_channel::bounded::<Message>(WAITING);
    let fault = |error: io::Error| format!("cannot start a thread: {error}");
    let reader = thread::Builder::new().name("reader".into()).spawn(move || {
        let mut input = Bounded(io::stdin().lock());
        while let Some(message) = Message::read(&mut input)? {
            let last = matches!(&message, Message::Notification(note) if note.method == "exit");
            if to_server.send(message).is_err() || last {
                break;
            }
        }
        Ok(())
    });
    let writer = thread::Builder::new().name("writer".into()).spawn(move || {
        let mut output = io::stdout().lock();
        to_editor.iter().try_for_each(|message| message.write(&mut output))
    });
    let threads = Threads { reader: reader.map_err(fault)?, writer: writer.map_err(fault)? };
    Ok((Connection { sender, receiver }, threads))
}

impl Threads {
    /// Waits for their ends. What was wrong is said without what was sent: that may be anything.
    pub(super) fn join(self) -> Result<(), String> {
        let gone = |_| "a thread of the server has failed".to_owned();
        self.writer.join().map_err(gone)?.map_err(|error| format!("the editor does not listen: {}", error.kind()))?;
        self.reader.join().map_err(gone)?.map_err(|error| format!("a message cannot be read: {}", error.kind()))
    }
}

/// Input of which no line of a head and no message is larger than the bounds.
struct Bounded<R>(R);

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }

    /// Heads are read by lines. Their length is believed before anything is read, so it is looked at here.
    fn read_line(&mut self, line: &mut String) -> io::Result<usize> {
        let length = self.0.by_ref().take(LONGEST_LINE).read_line(line)?;
        let size = line.split_once(':').filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"));
        let fits = size.is_none_or(|(_, size)| size.trim().parse::<u64>().is_ok_and(|size| size <= MOST));
        if fits { Ok(length) } else { Err(io::Error::new(io::ErrorKind::FileTooLarge, "the message is too large")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_read() {
        let read = |text: &str| Message::read(&mut Bounded(text.as_bytes())).map_err(|error| error.kind());
        let message = r#"{"jsonrpc":"2.0","method":"x"}"#;
        assert!(matches!(read(&format!("Content-Length: {}\r\n\r\n{message}", message.len())), Ok(Some(_))));
        for length in ["99999999999999999", "16777217", "-1", "x"] {
            assert!(matches!(
                read(&format!("content-length: {length}\r\n\r\n{message}")),
                Err(io::ErrorKind::FileTooLarge)
            ));
        }
        assert!(read(&"x".repeat(100_000)).is_err());
        assert!(matches!(read(""), Ok(None)));
    }
}
