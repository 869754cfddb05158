//! What belongs to one run: the keys of its effects and the prefix of what it stages.
//!
//! Both are built from the workflow id and the *first* run id, which stay the same over retries and continue-as-new, so
//! that a later run finds what an earlier one paid for; and a new start under the same workflow id does not.

use std::fmt::Write as _;

/// The identity of a workflow over all its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunScope {
    namespace: String,
    workflow_id: String,
    first_run_id: String,
}

impl RunScope {
    /// Names a workflow by its namespace, its id and the id of its first run.
    pub fn new(namespace: &str, workflow_id: &str, first_run_id: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            workflow_id: workflow_id.to_owned(),
            first_run_id: first_run_id.to_owned(),
        }
    }

    /// Gives the effect key of a logical step such as `chunk/3/call/0`.
    pub fn effect_key(&self, step: &str) -> String {
        let parts = [&self.namespace, &self.workflow_id, &self.first_run_id].map(|part| key_part(part));
        format!("{}/{step}", parts.join("/"))
    }

    /// Gives the workflow id of what removes the run's staged data after it; no two runs have the same.
    pub fn clean_up_id(&self) -> String {
        format!("{}/clean-up/{}", self.workflow_id, self.first_run_id)
    }

    /// Gives the name of the run's budget: what every call counts against that is made for it, its children's included.
    pub fn account(&self) -> String {
        let parts = [&self.namespace, &self.workflow_id, &self.first_run_id].map(|part| key_part(part));
        format!("run:{}", parts.join("/"))
    }

    /// Gives the prefix under which the run stages data: `runs/<workflow id>/<first run id>/`.
    pub fn stage_prefix(&self) -> String {
        format!(
            "runs/{}/{}/",
            percent_encode(&self.workflow_id),
            percent_encode(&self.first_run_id)
        )
    }
}

/// Writes a part of an effect key so that it can't be taken for two: the slash, the percent sign and control characters
/// become `%XX`, nothing else does. The journal refuses any other spelling.
fn key_part(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_control() || character == '/' || character == '%' {
            // Writing to a String can't fail.
            let _written = write!(encoded, "%{:02X}", u32::from(character));
        } else {
            encoded.push(character);
        }
    }
    encoded
}

/// Writes a text so that it is one segment of a path: letters, digits and `._-` stay, every other byte becomes `%XX`.
/// A segment that a file system would read as a folder, `.` or `..`, is encoded too.
pub fn percent_encode(text: &str) -> String {
    let dots = text == "." || text == "..";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'.' if dots => encoded.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => encoded.push(char::from(byte)),
            other => {
                // Writing to a String can't fail.
                let _written = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_prefixes_keep_ids_apart() {
        let scope = RunScope::new("default", "llm/a b", "run-1");
        assert_eq!(scope.effect_key("call/0"), "default/llm%2Fa b/run-1/call/0");
        assert_eq!(scope.stage_prefix(), "runs/llm%2Fa%20b/run-1/");
        assert_eq!(scope.account(), "run:default/llm%2Fa b/run-1");
        assert_eq!(scope.clean_up_id(), "llm/a b/clean-up/run-1");
    }

    #[test]
    fn an_id_cannot_leave_its_folder() {
        assert_eq!(percent_encode(".."), "%2E%2E");
        assert_eq!(percent_encode("../x"), "..%2Fx");
        assert_eq!(percent_encode("ü"), "%C3%BC");
    }
}
