//! `history export`: a run's history for replay.

use crate::{cli::ExportArgs, exit::Exit, failure::Failure, out_file, output, session::Session};

/// Writes a run's history to a file or to standard output.
pub(crate) async fn export(args: &ExportArgs, session: &Session) -> Result<Exit, Failure> {
    if let Some(path) = &args.out {
        out_file::check(path)?;
    }
    let client = session.connect().await?;
    let json = client.history(&args.id, args.run_id.as_deref()).await?;
    match &args.out {
        Some(path) => {
            out_file::write(path, &json)?;
            session
                .printer
                .remark(&format!("wrote {} bytes to {}", json.len(), path.display()));
        }
        None => output::answer(&String::from_utf8_lossy(&json))?,
    }
    Ok(Exit::Success)
}
