//! What is taken out before a configuration is printed.
//!
//! The type [`crate::Secret`] redacts itself. This is the second line: options of crates that know
//! nothing of it, and connection strings with a password in the middle. A key that ends in `_file` or
//! `_path` names where a secret lives, which is what an operator needs to see, so it stays.

use crate::secret::REDACTED;

/// Tells whether a key holds a secret by its name.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.ends_with("_file") || key.ends_with("_path") {
        return false;
    }
    [
        "password",
        "passphrase",
        "secret",
        "api_key",
        "apikey",
        "credential",
        "private_key",
    ]
    .iter()
    .any(|word| key.contains(word))
        || key == "token"
        || key.ends_with("_token")
}

/// Replaces every secret in a table, at any depth.
pub fn table(tree: &mut toml::Table) {
    for (key, value) in tree.iter_mut() {
        let secret = is_secret(key);
        redact(value, secret);
    }
}

fn redact(value: &mut toml::Value, secret: bool) {
    match value {
        toml::Value::String(text) if secret => REDACTED.clone_into(text),
        toml::Value::String(text) => {
            if let Some(clean) = without_userinfo(text) {
                *text = clean;
            }
        }
        toml::Value::Array(values) => values.iter_mut().for_each(|value| redact(value, secret)),
        toml::Value::Table(nested) => table(nested),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

/// The same address with `[redacted]` for the user and password before the host, if it has them.
pub(super) fn without_userinfo(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (_, host) = authority.rsplit_once('@')?;
    Some(format!("{scheme}://{REDACTED}@{host}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::{is_secret, table, without_userinfo};

    #[test]
    fn secrets_are_told_by_name_and_files_are_not() {
        for key in [
            "api_key",
            "API_KEY",
            "db_password",
            "token",
            "hf_token",
            "client_secret",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in [
            "api_key_file",
            "max_tokens",
            "tokenizer",
            "secret_path",
            "address",
        ] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn secrets_are_redacted_at_any_depth_and_in_addresses() {
        let mut tree: toml::Table =
            "a = 1\nurl = 'postgres://u:p@h/db'\n[m]\napi_key = 's'\n[[m.l]]\ntoken = 't'"
                .parse()
                .unwrap();
        table(&mut tree);
        let text = toml::to_string(&tree).unwrap();
        assert!(
            !text.contains("'s'") && !text.contains("\"s\"") && !text.contains("u:p"),
            "{text}"
        );
        assert_eq!(text.matches("[redacted]").count(), 3, "{text}");
    }

    #[test]
    fn an_address_without_userinfo_is_left_alone() {
        assert_eq!(without_userinfo("http://h:7233/a@b"), None);
        assert_eq!(without_userinfo("https://u@h").unwrap(), "https://[redacted]@h");
    }
}
