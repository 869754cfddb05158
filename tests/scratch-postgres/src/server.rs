//! A server in its cluster, and what a test does to it.
//!
//! Nothing polls. That the server is ready is a line of its log, which is read from a pipe; that all of it is gone is
//! the end of that pipe, because every one of its processes holds the other side. So `kill` returns when the last
//! process is gone, and a restart never meets what the one before left.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::error::{Error, system};
use crate::family;

/// The password of the user `postgres`.
pub(crate) const PASSWORD: &str = "scratch";

/// What the server says when it takes connections.
const READY: &str = "database system is ready to accept connections";

/// Lines of the log that an error shows.
const SHOWN_LINES: usize = 40;

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where its folder is made; in the system's temporary folder unless given.
    pub parent: Option<PathBuf>,
    /// Settings of `postgresql.conf` beside those that this crate needs.
    pub settings: Vec<(String, String)>,
    /// Makes it speak TLS.
    pub tls: Option<Tls>,
}

/// What a server needs for TLS, as PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority of clients; if given, a client must show a certificate of it.
    pub client_ca: Option<PathBuf>,
}

/// A PostgreSQL server that ends with its value.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    port: u16,
    settings: Vec<(String, String)>,
    running: Option<Running>,
    log: Log,
}

/// The processes of a server.
#[derive(Debug)]
struct Running {
    child: Child,
    reader: JoinHandle<()>,
}

type Log = Arc<Mutex<Vec<String>>>;

impl Server {
    /// Makes a cluster and starts a server in it.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if there is no PostgreSQL on this machine, and what keeps it from starting.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(&Options::default())
    }

    /// Makes a cluster and starts a server in it, with settings of one's own.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start_with(options: &Options) -> Result<Self, Error> {
        let parent = options.parent.clone().unwrap_or_else(std::env::temp_dir);
        let cluster = Cluster::make(&parent)?;
        let mut settings = options.settings.clone();
        if let Some(tls) = &options.tls {
            settings.extend(cluster.place(tls)?);
        }
        let mut server = Self {
            cluster,
            port: free_port()?,
            settings,
            running: None,
            log: Log::default(),
        };
        server.restart()?;
        Ok(server)
    }

    /// Gives the address as a URL with the password in it.
    pub fn url(&self) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Gives the address of its socket as a URL with the password in it.
    pub fn socket_url(&self) -> String {
        let folder = self.cluster.folder().display().to_string().replace('/', "%2F");
        format!("postgres://postgres:{PASSWORD}@{folder}:{}/postgres", self.port)
    }

    /// Gives its TCP port, which stays over a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives what it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Ends every process of it at once; all are gone when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if it does not run.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.end(Signal::SIGKILL, "be killed")
    }

    /// Ends it in order: what is under way is broken off, and everything is written.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if it does not run.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.end(Signal::SIGINT, "be stopped")
    }

    /// Stops every process of it; connections stay open and silent.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if it does not run.
    pub fn freeze(&self) -> Result<(), Error> {
        self.signal(Signal::SIGSTOP, "be frozen")
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if it does not run.
    pub fn thaw(&self) -> Result<(), Error> {
        self.signal(Signal::SIGCONT, "be thawed")
    }

    /// Starts it again in its cluster and on its port; it has recovered and takes connections when this returns.
    ///
    /// # Errors
    ///
    /// What keeps it from starting.
    pub fn restart(&mut self) -> Result<(), Error> {
        if self.running.is_some() {
            self.stop()?;
        }
        let mut child = self.command().spawn().map_err(system("run postgres"))?;
        let (ready, until_ready) = mpsc::channel();
        let log = self.log.clone();
        let output = child.stderr.take();
        let reader = std::thread::spawn(move || read(output, &log, &ready));
        self.running = Some(Running { child, reader });
        if until_ready.recv().is_ok() {
            return Ok(());
        }
        // The log has ended, and so has the server.
        drop(self.end(Signal::SIGKILL, "be cleaned up"));
        Err(Error::Start {
            folder: self.cluster.folder().to_owned(),
            log: self.last_lines(),
        })
    }

    fn command(&self) -> Command {
        let mut command = self.cluster.command("postgres");
        let own = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            (
                "unix_socket_directories",
                self.cluster.folder().display().to_string(),
            ),
            ("fsync", "on".to_owned()),
            // Files of the cluster instead of the system's shared memory, which a killed server would leave behind.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
        ];
        for (name, value) in own {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .arg("-D")
            .arg(self.cluster.data())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn signal(&self, signal: Signal, what: &'static str) -> Result<(), Error> {
        let running = self.running.as_ref().ok_or(Error::Stopped { what })?;
        family::signal(running.child.id(), signal);
        Ok(())
    }

    fn end(&mut self, signal: Signal, what: &'static str) -> Result<(), Error> {
        let Running { mut child, reader } = self.running.take().ok_or(Error::Stopped { what })?;
        if signal == Signal::SIGKILL {
            family::signal(child.id(), signal);
        } else {
            // The parent ends its children itself. One that was frozen has to wake up for it.
            family::signal(child.id(), Signal::SIGCONT);
            family::send(child.id(), signal);
        }
        child.wait().map_err(system("wait for the server's end"))?;
        // The last process closes the log. A reader that panicked has closed its side, and there is nothing to wait for.
        drop(reader.join());
        if signal == Signal::SIGKILL {
            release_memory(&self.cluster.data());
        }
        Ok(())
    }

    fn last_lines(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log[log.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.running.is_some() {
            // Nobody reads this cluster again, so it needs no orderly end.
            drop(self.kill());
        }
    }
}

/// Keeps the log until every process of the server has ended, and tells when the server is ready.
fn read(output: Option<ChildStderr>, log: &Log, ready: &mpsc::Sender<()>) {
    let Some(output) = output else { return };
    let mut ready = Some(ready);
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if line.contains(READY)
            && let Some(ready) = ready.take()
        {
            ready.send(()).ok();
        }
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Removes the piece of shared memory by which a server tells that it runs; a killed one could not.
///
/// The next server in the cluster would do it too, but there may be none.
fn release_memory(data: &Path) {
    // The seventh line: the segment's key and id.
    let Ok(facts) = std::fs::read_to_string(data.join("postmaster.pid")) else {
        return;
    };
    let Some(id) = facts
        .lines()
        .nth(6)
        .and_then(|line| line.split_whitespace().nth(1))
    else {
        return;
    };
    // The segment may be gone already.
    drop(
        Command::new("ipcrm")
            .args(["-m", id])
            .stderr(Stdio::null())
            .status(),
    );
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(system("find a free port"))?;
    Ok(listener.local_addr().map_err(system("find a free port"))?.port())
}
