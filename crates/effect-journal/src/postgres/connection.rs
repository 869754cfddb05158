//! One connection to the server: how it is opened, what it is set to, and what must hold before it is used.
//!
//! There is no pool. Each of the few tasks that write has one connection for itself, with the statements prepared
//! that it sends: a pool would hand out connections in any state, and statements that are prepared on first use
//! cannot be sent in one go with those around them.
//!
//! Every new connection is asked whether its commits wait for the disk. That is a setting of the server, the database
//! and the role, and any of the three can be changed while a worker runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::{Address, PostgresOptions, Tls};
use super::statements::Statements;
use super::{schema, tls};
use crate::Error;

/// What a connection is set to; `{schema}` and `{seconds}` are filled in.
///
/// A worker that stands still in the middle of a transaction loses its connection, and with it the locks that others
/// wait for.
const SESSION: &str = "
SET search_path = {schema};
SET statement_timeout = '{seconds}s';
SET idle_in_transaction_session_timeout = '{seconds}s';
SET default_transaction_isolation = 'read committed';
SET client_min_messages = error;
SET jit = off;
";

/// What a connection that writes is set to: every row is found by its index, also in the minute before the server has
/// noticed that a table is not empty any more; and by one that is walked entry by entry, because only so are entries of
/// rows that are gone marked on the way, and not looked up again for each batch.
const WRITER: &str = "
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
";

/// Asks for what a journal must be able to rely on.
const FITNESS: &str =
    "SELECT current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery()";

/// What a source of an error is.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// The way to the server.
pub(super) struct Server {
    /// The address as it may be shown.
    pub(super) shown: String,
    /// How long a connection or a transaction may take.
    pub(super) timeout: Duration,
    config: Config,
    session: String,
    schema: String,
    tls: Option<MakeRustlsConnect>,
    password_file: Option<PathBuf>,
    password: Mutex<Option<Vec<u8>>>,
}

/// An open connection; closed when dropped, whatever is under way on it.
pub(super) struct Connection {
    /// Sends statements.
    pub(super) client: Arc<Client>,
    task: JoinHandle<()>,
}

/// A connection with the statements of a writer.
pub(super) struct Writer {
    /// The connection.
    pub(super) connection: Connection,
    /// Its prepared statements.
    pub(super) statements: Statements,
}

impl Server {
    /// Reads what the options name: certificates, keys and the password.
    pub(super) fn prepare(options: &PostgresOptions, address: Address) -> Result<Self, Error> {
        let shown = address.shown.clone();
        let unusable = |source: Source| Error::Connect {
            server: shown.clone(),
            source,
        };
        let tls = match address.tls {
            Tls::Plain => None,
            Tls::Encrypted | Tls::Verified => {
                let connector = tls::connector(options, address.tls);
                Some(connector.map_err(|error| unusable(error.into()))?)
            }
        };
        let password = match &options.password_file {
            Some(path) => Some(password(path).map_err(unusable)?),
            None => None,
        };
        let timeout = Duration::from_secs(u64::from(options.timeout_seconds));
        Ok(Self {
            config: configured(&address, timeout),
            // The schema's name was checked to be one that needs no quotes.
            session: SESSION
                .replace("{schema}", &options.schema)
                .replace("{seconds}", &options.timeout_seconds.to_string()),
            schema: options.schema.clone(),
            shown: address.shown,
            timeout,
            tls,
            password_file: options.password_file.clone(),
            password: Mutex::new(password),
        })
    }

    /// Brings the schema to the version of this release.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] or [`Error::NewerSchema`].
    pub(super) async fn migrate(&self) -> Result<(), Error> {
        let unusable = |source: Source| Error::Connect {
            server: self.shown.clone(),
            source,
        };
        let connection = self.open().await.map_err(unusable)?;
        let migrated = self
            .bounded(schema::migrate(&connection.client, &self.schema))
            .await;
        let found = migrated.map_err(unusable)?;
        self.refuse_newer(found)
    }

    /// Opens a connection that reads.
    pub(super) async fn reader(&self) -> Result<Connection, Source> {
        let connection = self.open().await?;
        let found = self.bounded(schema::version(&connection.client)).await?;
        self.refuse_newer(found)?;
        Ok(connection)
    }

    /// Opens a connection that decides and writes.
    pub(super) async fn writer(&self) -> Result<Writer, Source> {
        let connection = self.reader().await?;
        let statements = self.bounded(async {
            connection.client.batch_execute(WRITER).await?;
            Ok(Statements::prepare(&connection.client).await?)
        });
        Ok(Writer {
            statements: statements.await?,
            connection,
        })
    }

    async fn open(&self) -> Result<Connection, Source> {
        self.bounded(async {
            let connection = self.connect().await?;
            connection.client.batch_execute(&self.session).await?;
            let row = connection.client.query_one(FITNESS, &[]).await?;
            fit(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)?;
            Ok(connection)
        })
        .await
    }

    async fn connect(&self) -> Result<Connection, Source> {
        let mut config = self.config.clone();
        if let Some(password) = self.current_password() {
            config.password(password);
        }
        // What breaks a connection is told by the next statement on it, to somebody who can act on it.
        if let Some(tls) = &self.tls {
            let (client, connection) = config.connect(tls.clone()).await?;
            let task = tokio::spawn(async move { drop(connection.await) });
            return Ok(Connection {
                client: Arc::new(client),
                task,
            });
        }
        let (client, connection) = config.connect(NoTls).await?;
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection {
            client: Arc::new(client),
            task,
        })
    }

    async fn bounded<T>(&self, work: impl Future<Output = Result<T, Source>>) -> Result<T, Source> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(format!("the server is silent for {} s", self.timeout.as_secs()).into()),
        }
    }

    fn refuse_newer(&self, found: i64) -> Result<(), Error> {
        if found <= schema::VERSION {
            return Ok(());
        }
        let error = Error::NewerSchema {
            store: format!("{} (schema {})", self.shown, self.schema),
            found,
            known: schema::VERSION,
        };
        Err(error)
    }

    /// Returns the password in the file, or the last one that was there: a file that is just being replaced is no
    /// reason to lose the server.
    fn current_password(&self) -> Option<Vec<u8>> {
        let mut known = self.password.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(read)) = self.password_file.as_deref().map(password) {
            *known = Some(read);
        }
        known.clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn configured(address: &Address, timeout: Duration) -> Config {
    let mut config = address.config.clone();
    config
        .ssl_mode(match address.tls {
            Tls::Plain => SslMode::Disable,
            Tls::Encrypted | Tls::Verified => SslMode::Require,
        })
        .connect_timeout(timeout)
        .tcp_user_timeout(timeout)
        .keepalives_idle(timeout);
    if config.get_application_name().is_none() {
        config.application_name("effect-journal");
    }
    config
}

/// Refuses a server that could lose what it confirmed, or that takes no writes.
fn fit(synchronous_commit: &str, fsync: &str, standby: bool) -> Result<(), Source> {
    if synchronous_commit == "off" || fsync != "on" {
        return Err(format!(
            "the server does not wait for its disk (synchronous_commit={synchronous_commit}, fsync={fsync}), so that \
             a power cut would lose calls that were made: set both to on"
        )
        .into());
    }
    if standby {
        return Err(
            "the server is a standby and takes no writes: name the primary, or all hosts with \
                    target_session_attrs=read-write"
                .into(),
        );
    }
    Ok(())
}

/// Reads a password: a few bytes, so that it does not matter who waits for them.
fn password(path: &Path) -> Result<Vec<u8>, Source> {
    let failed = |what: &str| format!("the password file {} {what}", path.display());
    let read = std::fs::read(path).map_err(|error| failed(&format!("cannot be read: {error}")))?;
    let trimmed = read.trim_ascii_end();
    if trimmed.is_empty() {
        return Err(failed("is empty").into());
    }
    Ok(trimmed.to_vec())
}
