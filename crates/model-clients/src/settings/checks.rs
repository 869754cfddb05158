//! What is checked in the options of every endpoint, whatever it speaks.

use std::path::PathBuf;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::Problem;
use crate::setup::Model;
use crate::transport::endpoint::Common;

impl Common<'_> {
    /// Reports everything that is wrong, each with the path of its key.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |key: &str, message: &str| problems.push(Problem::new(key, message));
        if self.name.is_empty() || self.name.contains(['/', ' ']) {
            report("name", "must not be empty or contain `/` or spaces");
        }
        if let Err(message) = self.url() {
            report("base_url", &message);
        }
        if self.api_key.is_some() && self.api_key_file.is_some() {
            report("api_key", "is set beside api_key_file; give one of the two");
        }
        if self.key_name.is_empty() || self.key_name.contains(['/', ' ']) {
            report("key_name", "must not be empty or contain `/` or spaces");
        }
        if self.max_response_bytes == 0 || usize::try_from(self.max_response_bytes).is_err() {
            report("max_response_bytes", "must be above 0 and fit in memory");
        }
        problems.extend(self.timeouts.validate("timeouts"));
        problems.extend(self.header_problems());
        problems
    }

    /// Gives the files that the options name, each under its path within them.
    pub(crate) fn files<'o>(&self, models: impl Iterator<Item = Model<'o>>) -> Vec<(String, PathBuf)> {
        let own = [("api_key_file", self.api_key_file), ("ca_file", self.ca_file)];
        let tokenizers = models.filter_map(|model| {
            let file = model.tokenizer.file()?.clone();
            Some((format!("models.{}.tokenizer.path", model.name), file))
        });
        own.into_iter()
            .filter_map(|(key, path)| Some((key.to_owned(), path?.to_owned())))
            .chain(tokenizers)
            .collect()
    }

    fn header_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let has_key = self.api_key.is_some() || self.api_key_file.is_some();
        for (name, value) in self.extra_headers {
            let path = format!("extra_headers.{name}");
            let lower = name.to_ascii_lowercase();
            if HeaderName::try_from(name).is_err() {
                problems.push(Problem::new(path, "is no name of a header"));
            } else if HeaderValue::from_str(value.expose_secret()).is_err() {
                problems.push(Problem::new(path, "holds characters that a header cannot carry"));
            } else if SET_ALWAYS.contains(&lower.as_str())
                || self.own_headers.contains(&lower.as_str())
                || (has_key && lower == self.key_header.name().as_str())
            {
                problems.push(Problem::new(path, "is set by the client itself; remove it"));
            }
        }
        problems
    }

    /// Gives the URL that requests are posted to, or what is wrong with `base_url`.
    pub(crate) fn url(&self) -> Result<Url, String> {
        if self.base_url.is_empty() {
            return Err("must be set, such as http://127.0.0.1:8080/v1".to_owned());
        }
        let mut url = Url::parse(self.base_url).map_err(|error| format!("is no URL: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user or password; use api_key_file or extra_headers".to_owned());
        }
        let is_here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" => {}
            "http" if is_here || self.allow_plain_http => {}
            "http" => {
                return Err(
                    "is plain http to another machine; use https, or set allow_plain_http".to_owned(),
                );
            }
            _ => return Err("must begin with https:// or http://".to_owned()),
        }
        url.set_fragment(None);
        url.path_segments_mut()
            .map_err(|()| "cannot be appended to".to_owned())?
            .pop_if_empty()
            .extend(self.path);
        Ok(url)
    }
}

/// Headers that the client sets itself, whatever the protocol.
const SET_ALWAYS: [&str; 6] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];
