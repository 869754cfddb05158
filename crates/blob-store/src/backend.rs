//! The stores that an address can name, and how each is opened.
//!
//! The builders are used one by one, and not the library's parser of addresses, because that ignores a key it does
//! not know, reads in 30 seconds or not at all, and repeats for three minutes: here a mistyped key is an error,
//! progress is what is timed, and a store that stays away becomes the caller's news within a minute.

use std::{collections::BTreeMap, str::FromStr, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
    prefix::PrefixStore,
};
use rustls::crypto::CryptoProvider;
use url::Url;

type OpenError = Box<dyn std::error::Error + Send + Sync>;

/// The kind of store that an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    File,
    S3,
    Google,
    Azure,
}

impl Scheme {
    pub(crate) fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "file" if url.host().is_none() && url.to_file_path().is_ok() => Some(Self::File),
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" => Some(Self::Azure),
            _ => None,
        }
        .filter(|scheme| *scheme == Self::File || url.host_str().is_some_and(|host| !host.is_empty()))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "a local folder",
            Self::S3 => "S3",
            Self::Google => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
        }
    }

    /// Gives how the provider's variables begin.
    pub(crate) fn variable_prefix(self) -> Option<&'static str> {
        match self {
            Self::File => None,
            Self::S3 => Some("AWS_"),
            Self::Google => Some("GOOGLE_"),
            Self::Azure => Some("AZURE_"),
        }
    }

    pub(crate) fn knows(self, key: &str) -> bool {
        self.same_key(key, key)
    }

    /// Tells whether two spellings mean the same option; false where either is none.
    pub(crate) fn same_key(self, left: &str, right: &str) -> bool {
        match self {
            Self::File => false,
            Self::S3 => same::<AmazonS3ConfigKey>(left, right),
            Self::Google => same::<GoogleConfigKey>(left, right),
            Self::Azure => same::<AzureConfigKey>(left, right),
        }
    }

    /// Tells whether the option's value is the path of a file.
    pub(crate) fn names_file(self, key: &str) -> bool {
        let files: &[&str] = match self {
            Self::File => &[],
            Self::S3 => &[
                "aws_web_identity_token_file",
                "aws_container_authorization_token_file",
            ],
            Self::Google => &["google_service_account", "google_application_credentials"],
            Self::Azure => &["azure_federated_token_file"],
        };
        files.iter().any(|file| self.same_key(file, key))
    }

    /// Opens a store behind HTTP, with the address's path as the prefix of everything.
    pub(crate) fn open(
        self,
        url: &Url,
        options: &BTreeMap<String, String>,
    ) -> Result<Arc<dyn ObjectStore>, OpenError> {
        install_crypto();
        let address = url.as_str();
        let prefix = ObjectStoreScheme::parse(url)?.1;
        let store: Arc<dyn ObjectStore> = match self {
            Self::File => return Err("a local folder is not behind HTTP".into()),
            Self::S3 => {
                let builder = AmazonS3Builder::new()
                    .with_retry(retries())
                    .with_client_options(client())
                    .with_url(address);
                Arc::new(configured(builder, options, AmazonS3Builder::with_config)?.build()?)
            }
            Self::Google => {
                let builder = GoogleCloudStorageBuilder::new()
                    .with_retry(retries())
                    .with_client_options(client())
                    .with_url(address);
                Arc::new(configured(builder, options, GoogleCloudStorageBuilder::with_config)?.build()?)
            }
            Self::Azure => {
                let builder = MicrosoftAzureBuilder::new()
                    .with_retry(retries())
                    .with_client_options(client())
                    .with_url(address);
                Arc::new(configured(builder, options, MicrosoftAzureBuilder::with_config)?.build()?)
            }
        };
        if prefix == Path::ROOT {
            return Ok(store);
        }
        Ok(Arc::new(PrefixStore::new(store, prefix)))
    }
}

fn same<K: FromStr + PartialEq>(left: &str, right: &str) -> bool {
    let key = |text: &str| text.to_ascii_lowercase().parse::<K>().ok();
    key(left).is_some_and(|left| key(right).is_some_and(|right| left == right))
}

fn configured<B, K>(
    builder: B,
    options: &BTreeMap<String, String>,
    with: impl Fn(B, K, String) -> B,
) -> Result<B, OpenError>
where
    K: FromStr,
    K::Err: std::error::Error + Send + Sync + 'static,
{
    options.iter().try_fold(builder, |builder, (key, value)| {
        Ok(with(builder, key.to_ascii_lowercase().parse()?, value.clone()))
    })
}

/// A large object takes as long as it takes; what is bounded is the time without progress.
fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(Duration::from_secs(30))
}

/// Enough for a hiccup; longer troubles are retried by the workflow, durably and in sight.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_secs(45),
        ..RetryConfig::default()
    }
}

/// The HTTP client is built without a TLS library of its own choice and needs one installed in the process.
fn install_crypto() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, with the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
}
