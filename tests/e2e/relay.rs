//! A relay in front of the colony's server, which goes away and comes back, and loses answers on demand.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use colonyos_operator::colony::Server;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// What a request to submit a process has in it.
const SUBMIT: &[u8] = b"submitfuncspecmsg";

/// A relay. Gone, with all its connections, when dropped.
pub struct Relay {
    /// Its port, at the server's own host name.
    pub port: u16,
    losses: Arc<Losses>,
    task: JoinHandle<()>,
}

/// Answers to submits that are kept from those who asked.
#[derive(Default)]
struct Losses {
    are_wanted: AtomicBool,
    count: AtomicUsize,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// A relay to `server` at some port, or at one that a relay had before.
    pub async fn start(server: &Server, port: u16) -> Self {
        let host = server.host.clone();
        let listener = TcpListener::bind((host.as_str(), port)).await.unwrap_or_else(|error| {
            panic!(
                "failed to listen at {host}: {error}; this test stands between the cluster and the ColonyOS server, \
                 which must be on this machine"
            )
        });
        let port = listener.local_addr().unwrap().port();
        let losses = Arc::new(Losses::default());
        let upstream = (host, server.port);
        let task = tokio::spawn({
            let losses = losses.clone();
            async move {
                // Dropped with the task, and with it every connection.
                let mut connections = JoinSet::new();
                loop {
                    let Ok((client, _)) = listener.accept().await else { return };
                    let (upstream, losses) = (upstream.clone(), losses.clone());
                    connections.spawn(async move {
                        let server = TcpStream::connect(upstream).await.expect("the server is there");
                        // A client or server that leaves ends the connection, and nothing else.
                        let _ = Box::pin(pass(client, server, &losses)).await;
                    });
                }
            }
        });
        Self { port, losses, task }
    }

    /// From now on submits are carried out and not answered, or answered again.
    pub fn lose_answers_to_submits(&self, wanted: bool) {
        self.losses.are_wanted.store(wanted, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.losses.count.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, losses: &Losses) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    let mut request = Vec::new();
    loop {
        tokio::select! {
            count = from_client.read(&mut asked) => {
                let part = &asked[..count?];
                if part.is_empty() {
                    return Ok(());
                }
                request.extend_from_slice(part);
                to_server.write_all(part).await?;
            }
            count = from_server.read(&mut answered) => {
                let part = &answered[..count?];
                if part.is_empty() {
                    return Ok(());
                }
                let is_submit = request.windows(SUBMIT.len()).any(|window| window == SUBMIT);
                if is_submit && losses.are_wanted.load(Ordering::SeqCst) {
                    // The server has done its work as soon as it begins to answer.
                    losses.count.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                request.clear();
                to_client.write_all(part).await?;
            }
        }
    }
}
