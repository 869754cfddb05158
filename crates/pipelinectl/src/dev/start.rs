//! From flags to running processes: everything that can be wrong is looked for before the first one starts.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use temporal_client::{Client, connection};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::{failure::Failure, session::Session};

use super::{
    DevArgs,
    child::Spec,
    fleet::Fleet,
    ports, readiness,
    state::DevState,
    worker_settings::{self, DRAIN_PATIENCE_SECONDS, LOCAL_MODEL_FILE, Shared},
};

/// The namespace of `dev`, which the server makes by itself.
pub(super) const NAMESPACE: &str = "default";

const SERVER_UP_WITHIN: Duration = Duration::from_mins(1);
const WORKERS_READY_WITHIN: Duration = Duration::from_mins(3);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const DEFAULT_PORT: u16 = 7233;
const DEFAULT_UI_PORT: u16 = 8233;

/// Makes a worker's configuration file.
type Settings = fn(&Shared<'_>, SocketAddr) -> Result<String, Failure>;

/// What is to be started.
pub(super) struct Plan {
    /// The state folder, absolute.
    pub(super) state_folder: PathBuf,
    port: u16,
    ui_port: Option<u16>,
    blob_store: String,
    profile_file: PathBuf,
    server: Spec,
    workers: Vec<Spec>,
    /// Held as long as this program runs, so that a second `dev` keeps out of the folder.
    _lock: File,
}

impl Plan {
    /// Checks programs, ports and folders, and writes the settings.
    pub(super) fn make(args: &DevArgs, session: &Session) -> Result<Self, Failure> {
        let (state_folder, lock) = claim(&args.state_dir)?;
        let cache = cache(args, session)?;
        let temporal = temporal(args, &cache)?;
        let port = ports::choose(args.port, "--port")?;
        let ui_port = ui_port(args, port)?;
        let profile_file = state_folder.join("temporal.toml");
        let profile =
            format!("[profile.default]\naddress = \"127.0.0.1:{port}\"\nnamespace = \"{NAMESPACE}\"\n");
        write(&profile_file, &profile)?;
        let blob_store = Url::from_directory_path(state_folder.join("blobs"))
            .map_err(|()| Failure::bad_input("the state folder is no absolute path"))?
            .to_string();
        let mut plan = Self {
            server: server(args, temporal, &state_folder, (port, ui_port)),
            workers: Vec::new(),
            state_folder,
            port,
            ui_port,
            blob_store,
            profile_file,
            _lock: lock,
        };
        plan.server.hidden = worker_settings::hidden(session.env.keys());
        if !args.no_workers {
            plan.workers = plan.workers(args, &cache, session)?;
        }
        Ok(plan)
    }

    fn workers(&self, args: &DevArgs, cache: &Path, session: &Session) -> Result<Vec<Spec>, Failure> {
        let model = cache.join(LOCAL_MODEL_FILE);
        if !model.is_file() {
            return Err(Failure::bad_input(format!(
                "the local model is not at {}: fetch it with `make setup`, or start without workers (--no-workers)",
                model.display()
            )));
        }
        let shared = Shared {
            state_folder: &self.state_folder,
            blob_store: &self.blob_store,
            cache,
            address: &self.address(),
            profile_file: &self.profile_file,
        };
        let known: [(&'static str, Settings); 2] = [
            ("ai-worker", worker_settings::ai_worker),
            ("data-worker", worker_settings::data_worker),
        ];
        known
            .into_iter()
            .map(|(name, settings)| {
                let health = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::choose(0, "--port")?));
                let file = self.state_folder.join(format!("{name}.toml"));
                write(&file, &settings(&shared, health)?)?;
                Ok(Spec {
                    name,
                    program: beside(args, name)?,
                    args: vec!["--config".into(), file.into()],
                    env: worker_settings::variables(&shared),
                    hidden: worker_settings::hidden(session.env.keys()),
                    log: self.state_folder.join(format!("logs/{name}.log")),
                    health: Some(health),
                    patience: Duration::from_secs(DRAIN_PATIENCE_SECONDS),
                })
            })
            .collect()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Gives what runs.
    pub(super) fn state(&self, fleet: &Fleet) -> DevState {
        DevState {
            address: self.address(),
            namespace: NAMESPACE.to_owned(),
            web_ui: self.ui_port.map(|port| format!("http://127.0.0.1:{port}")),
            blob_store: self.blob_store.clone(),
            state_folder: self.state_folder.display().to_string(),
            pid: std::process::id(),
            children: fleet.children(),
        }
    }
}

/// Starts the server, then what a namespace needs, then the workers; returns when all are ready.
pub(super) async fn bring_up(plan: &Plan, fleet: &mut Fleet, session: &Session) -> Result<(), Failure> {
    session.printer.remark("starting the Temporal server");
    fleet.start_server(plan.server.clone())?;
    let client = until_up(plan, fleet).await?;
    client.register_search_attributes().await?;
    for worker in &plan.workers {
        session.printer.remark(&format!("starting {}", worker.name));
        fleet.start_worker(worker.clone())?;
    }
    until_ready(plan, fleet).await
}

async fn until_up(plan: &Plan, fleet: &mut Fleet) -> Result<Client, Failure> {
    let options = connection::Options {
        address: Some(plan.address()),
        namespace: Some(NAMESPACE.to_owned()),
        profile_file: Some(plan.profile_file.clone()),
        identity: format!("pipelinectl/{}", std::process::id()),
        ..connection::Options::default()
    };
    let began = Instant::now();
    loop {
        fleet.check_alive()?;
        match Client::connect(&options, &std::collections::HashMap::new()).await {
            Ok(client) => return Ok(client),
            Err(error) if began.elapsed() > SERVER_UP_WITHIN => return Err(error.into()),
            Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

async fn until_ready(plan: &Plan, fleet: &mut Fleet) -> Result<(), Failure> {
    let began = Instant::now();
    for worker in &plan.workers {
        let Some(health) = worker.health else { continue };
        while !readiness::is_ready(health).await {
            fleet.check_alive()?;
            if began.elapsed() > WORKERS_READY_WITHIN {
                let log = worker.log.display();
                return Err(Failure::internal(format!(
                    "{} is not ready after {WORKERS_READY_WITHIN:?}; the end of {log}:\n{}",
                    worker.name,
                    worker.tail()
                )));
            }
            sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}

/// Makes the state folder and keeps others out of it.
fn claim(folder: &Path) -> Result<(PathBuf, File), Failure> {
    let failed = |error| Failure::file("use the state folder", folder, &error);
    fs::create_dir_all(folder.join("logs")).map_err(failed)?;
    let folder_whole = folder.canonicalize().map_err(failed)?;
    let lock = File::create(folder_whole.join("dev.lock")).map_err(failed)?;
    lock.try_lock().map_err(|_| {
        Failure::bad_input(format!(
            "another `pipelinectl dev` uses {}: stop it, or give another --state-dir",
            folder.display()
        ))
    })?;
    Ok((folder_whole, lock))
}

fn cache(args: &DevArgs, session: &Session) -> Result<PathBuf, Failure> {
    if let Some(cache) = &args.cache {
        return std::path::absolute(cache).map_err(|error| Failure::file("use the cache", cache, &error));
    }
    let variable = |name: &str| {
        session
            .env
            .get(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map(|folder| folder.join("temporal-ai-workers"))
        .ok_or_else(|| {
            Failure::bad_input("neither HOME nor XDG_CACHE_HOME is set: name the cache with --cache")
        })
}

fn temporal(args: &DevArgs, cache: &Path) -> Result<PathBuf, Failure> {
    let path = args
        .temporal_bin
        .clone()
        .unwrap_or_else(|| cache.join("bin/temporal"));
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::bad_input(format!(
        "the Temporal dev server is not at {}: fetch it with `make setup`, or name it with --temporal-bin",
        path.display()
    )))
}

fn ui_port(args: &DevArgs, port: u16) -> Result<Option<u16>, Failure> {
    if args.headless {
        return Ok(None);
    }
    let wanted = match args.ui_port {
        Some(wanted) => wanted,
        None if args.port == DEFAULT_PORT => DEFAULT_UI_PORT,
        None if args.port == 0 => 0,
        None => port.saturating_add(1_000),
    };
    ports::choose(wanted, "--ui-port").map(Some)
}

fn server(args: &DevArgs, program: PathBuf, state_folder: &Path, ports: (u16, Option<u16>)) -> Spec {
    let (port, ui_port) = ports;
    let mut line: Vec<String> = ["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"]
        .map(str::to_owned)
        .into();
    line.extend(["--port".to_owned(), port.to_string()]);
    match ui_port {
        Some(ui_port) => line.extend(["--ui-port".to_owned(), ui_port.to_string()]),
        None => line.push("--headless".to_owned()),
    }
    // By default each shard looks for work 20 times a second, and a dev server has one shard: every step would wait
    // for the next look, 50 ms on.
    for queue in ["transfer", "timer"] {
        line.push("--dynamic-config-value".to_owned());
        line.push(format!("history.{queue}ProcessorMaxPollRPS=2000"));
    }
    if args.persist {
        line.push("--db-filename".to_owned());
        line.push(state_folder.join("temporal.db").display().to_string());
    }
    Spec {
        name: "temporal",
        program,
        args: line.into_iter().map(Into::into).collect(),
        env: Vec::new(),
        hidden: Vec::new(),
        log: state_folder.join("logs/temporal.log"),
        health: None,
        patience: Duration::from_secs(10),
    }
}

fn beside(args: &DevArgs, name: &str) -> Result<PathBuf, Failure> {
    let folder = match &args.bin_dir {
        Some(folder) => folder.clone(),
        None => std::env::current_exe()
            .ok()
            .and_then(|program| program.parent().map(Path::to_owned))
            .ok_or_else(|| Failure::internal("this program does not know where it is: give --bin-dir"))?,
    };
    let program = folder.join(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::bad_input(format!(
        "{name} is not in {}: build it with `cargo build -p ai-worker -p data-worker`, or give --bin-dir",
        folder.display()
    )))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::file("write", path, &error))
}

#[cfg(test)]
mod tests;
