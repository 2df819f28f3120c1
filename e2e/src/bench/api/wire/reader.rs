//! Listens to one connection, and wakes those who are answered.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use super::link::Link;
use crate::{Fault, Outcome};

/// Bytes read at once: several of the largest records.
const READ: usize = 64 << 10;

/// Longest until a ping is answered.
const PONG_MAX: Duration = Duration::from_secs(20);

/// Listens until the end, of which all callers hear.
pub(super) async fn run(link: Arc<Link>, read: OwnedReadHalf, ping: Option<Duration>) {
    let mut reader = Reader {
        link,
        read,
        pulse: ping.map(Pulse::new),
        woken: Vec::new(),
    };
    let why = reader.listen().await;
    reader.link.fail(&why);
}

struct Reader {
    link: Arc<Link>,
    read: OwnedReadHalf,
    pulse: Option<Pulse>,
    woken: Vec<Waker>,
}

impl Reader {
    /// Listens, and says why not any longer.
    async fn listen(&mut self) -> Fault {
        // Something may have come with the end of the handshake.
        let mut heard = self.hear(&[]).await;
        loop {
            match heard {
                Ok(()) => heard = self.turn().await,
                Err(why) => return why,
            }
        }
    }

    /// Waits for something to come, and takes it.
    async fn turn(&mut self) -> Outcome<()> {
        let sealed = match &mut self.pulse {
            None => arrival(&mut self.read).await?,
            Some(pulse) => pulse.wait(&self.link, &mut self.read).await?,
        };
        if sealed.is_empty() {
            return Err(Fault::new("the server ended the connection"));
        }
        self.hear(&sealed).await
    }

    async fn hear(&mut self, sealed: &[u8]) -> Outcome<()> {
        let heard = self.link.hear(sealed, &mut self.woken);
        let several = self.woken.len() > 1;
        self.woken.drain(..).for_each(Waker::wake);
        if several {
            after_the_woken().await;
        }
        self.link.gathered();
        heard
    }
}

/// What comes next; nothing at the end. While nothing comes there is no buffer.
async fn arrival(read: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut sealed = Vec::with_capacity(READ);
        let polled = poll_read_buf(Pin::new(&mut *read), cx, &mut sealed);
        polled.map_ok(|_bytes| sealed)
    })
    .await
}

/// Until those had their turn who were woken before.
async fn after_the_woken() {
    let mut is_after = false;
    poll_fn(|cx| {
        if is_after {
            return Poll::Ready(());
        }
        is_after = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Asks a silent server whether it is there.
struct Pulse {
    every: Duration,
    heard: Instant,
    is_asked: bool,
    alarm: Pin<Box<Sleep>>,
}

impl Pulse {
    fn new(every: Duration) -> Self {
        Self {
            every,
            heard: Instant::now(),
            is_asked: false,
            alarm: Box::pin(tokio::time::sleep(every)),
        }
    }

    /// Waits for something to come.
    async fn wait(&mut self, link: &Arc<Link>, read: &mut OwnedReadHalf) -> Outcome<Vec<u8>> {
        loop {
            tokio::select! {
                biased;
                arrived = arrival(read) => {
                    self.hear();
                    return Ok(arrived?);
                }
                () = self.alarm.as_mut() => self.ring(link)?,
            }
        }
    }

    fn hear(&mut self) {
        self.heard = Instant::now();
        if std::mem::take(&mut self.is_asked) {
            self.alarm.as_mut().reset(self.heard + self.every);
        }
    }

    /// The alarm is not set anew whenever something comes, only when it rings.
    fn ring(&mut self, link: &Arc<Link>) -> Outcome<()> {
        let now = Instant::now();
        let mut due = self.heard + self.every;
        if self.is_asked {
            let text = format!("no answer to a ping within {PONG_MAX:?}");
            return Err(Fault::new(text));
        }
        if due <= now {
            link.ping();
            self.is_asked = true;
            due = now + PONG_MAX;
        }
        self.alarm.as_mut().reset(due);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::coop;

    use super::*;
    use crate::wait;

    /// A task that has had its share of turns is told to wait though something is there, and has to be woken.
    #[tokio::test]
    async fn what_came_is_read_by_a_task_that_had_its_share() -> Outcome<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut far = TcpStream::connect(listener.local_addr()?).await?;
        let (mut read, _write) = listener.accept().await?.0.into_split();
        let reading = tokio::spawn(async move {
            let mut came = Vec::new();
            for piece in [&b"abc"[..], b"d"] {
                far.write_all(piece).await?;
                read.readable().await?;
                while coop::has_budget_remaining() {
                    coop::consume_budget().await;
                }
                came.extend(arrival(&mut read).await?);
            }
            drop(far);
            assert!(arrival(&mut read).await?.is_empty(), "the end");
            io::Result::Ok(came)
        });
        let read = wait::at_most("what came", Duration::from_secs(10), reading).await???;
        assert_eq!(read, b"abcd");
        Ok(())
    }
}
