//! The folder of a cluster: made once, used over restarts, gone with its value.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, system};
use crate::programs::{self, RunAs};
use crate::server::{PASSWORD, Tls};

/// A cluster that is not running by itself.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    run_as: RunAs,
}

impl Cluster {
    /// Makes a cluster in a new folder under the parent.
    pub(crate) fn make(parent: &Path) -> Result<Self, Error> {
        let programs = programs::find()?;
        let run_as = programs::run_as()?;
        // A short name: the path of a socket in it may have about a hundred bytes.
        let folder = tempfile::Builder::new()
            .prefix("pg-")
            .tempdir_in(parent)
            .map_err(system("make a folder for a cluster"))?;
        let cluster = Self {
            folder,
            programs,
            run_as,
        };
        cluster.own(cluster.folder.path())?;
        cluster.initdb()?;
        Ok(cluster)
    }

    /// Gives the folder that holds the cluster and its socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the cluster's own folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Prepares one of the server's programs.
    pub(crate) fn command(&self, program: &str) -> std::process::Command {
        programs::command(self.programs.join(program), self.run_as, self.folder())
    }

    /// Copies what the server needs for TLS to where it may read it, and gives the settings that say so.
    pub(crate) fn place(&self, tls: &Tls) -> Result<Vec<(String, String)>, Error> {
        let mut settings = vec![("ssl".to_owned(), "on".to_owned())];
        let files = [
            ("ssl_cert_file", Some(&tls.certificate)),
            ("ssl_key_file", Some(&tls.key)),
            ("ssl_ca_file", tls.client_ca.as_ref()),
        ];
        for (setting, from) in files {
            let Some(from) = from else { continue };
            let to = self.folder().join(setting);
            std::fs::copy(from, &to).map_err(system("copy a certificate"))?;
            std::fs::set_permissions(&to, Permissions::from_mode(0o600)).map_err(system("protect a key"))?;
            self.own(&to)?;
            settings.push((setting.to_owned(), to.display().to_string()));
        }
        if tls.client_ca.is_some() {
            // A client without a certificate of that authority gets no further than the handshake.
            let rules = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n";
            std::fs::write(self.data().join("pg_hba.conf"), rules).map_err(system("write pg_hba.conf"))?;
        }
        Ok(settings)
    }

    fn own(&self, path: &Path) -> Result<(), Error> {
        match self.run_as {
            RunAs::Self_ => Ok(()),
            RunAs::User { uid, gid } => {
                chown(path, Some(uid), Some(gid)).map_err(system("hand a file to the server's user"))
            }
        }
    }

    fn initdb(&self) -> Result<(), Error> {
        let password = self.folder().join("password");
        std::fs::write(&password, PASSWORD).map_err(system("write the password"))?;
        self.own(&password)?;
        let made = self
            .command("initdb")
            .args(["--no-sync", "--no-instructions", "--no-locale", "--encoding=UTF8"])
            .args(["--username=postgres", "--auth=scram-sha-256"])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(self.data())
            .output()
            .map_err(system("run initdb"))?;
        if made.status.success() {
            return Ok(());
        }
        let said = [made.stdout, made.stderr].concat();
        Err(Error::Initdb {
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }
}
