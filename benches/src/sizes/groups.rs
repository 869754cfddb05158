//! Crates that serve one purpose, together: what a reader of the sizes could decide to do without, or to replace.
//!
//! A crate is listed where nearly all of its code comes with the group's purpose. What serves everything alike, such as
//! serde, stays outside; the largest of these crates are named in the output, so that the list can follow the tree.

/// Crates that serve one purpose.
#[derive(Debug)]
pub(crate) struct Group {
    /// As it is shown.
    pub(crate) name: &'static str,
    /// The purpose, as it is shown.
    pub(crate) why: &'static str,
    /// Names in code; one that ends with `*` stands for all that begin so.
    crates: &'static [&'static str],
}

/// What comes with the toolchain. Some of its parts are on the registry too, under the same names.
const STD: Group = Group {
    name: "std",
    why: "the standard library with the crates it is made of, also where others use these",
    crates: &[
        "__rustc",
        "addr2line",
        "alloc",
        "compiler_builtins",
        "core",
        "gimli",
        "hashbrown",
        "memchr",
        "miniz_oxide",
        "object",
        "panic_unwind",
        "rustc_demangle",
        "std",
        "std_detect",
        "unwind",
    ],
};

/// All groups, in the order in which they are shown. No crate is in two.
pub(crate) const GROUPS: [Group; 10] = [
    Group {
        name: "own crates",
        why: "this repository, with the code generated from its contract",
        crates: &[
            "activity_context",
            "ai_worker",
            "ai_workflows",
            "benches",
            "blob_store",
            "chaos_provider",
            "data_activities",
            "data_worker",
            "documents",
            "effect_journal",
            "llm_activities",
            "local_models",
            "model_clients",
            "pipelinectl",
            "temporal_client",
            "worker_factory",
            "workflow_types",
        ],
    },
    Group {
        name: "Temporal",
        why: "SDK, its core, and every message of the server's interface",
        crates: &[
            "temporalio_*",
            "prost*",
            "pbjson*",
            "erased_serde",
            "typetag",
            "futures_retry",
        ],
    },
    Group {
        name: "gRPC, HTTP, TLS",
        why: "the wire to the server, to providers and to stores",
        crates: &[
            "h2",
            "http",
            "http_body*",
            "httparse",
            "hyper*",
            "openssl_probe",
            "reqwest",
            "ring",
            "rustls*",
            "tokio_rustls",
            "tonic*",
            "tower*",
            "untrusted",
            "webpki",
        ],
    },
    Group {
        name: "tokio, futures",
        why: "tasks, timers, sockets; holds what was inlined into a task's polling",
        crates: &[
            "futures",
            "futures_channel",
            "futures_core",
            "futures_executor",
            "futures_task",
            "futures_util",
            "mio",
            "parking_lot*",
            "tokio",
            "tokio_stream",
            "tokio_util",
        ],
    },
    Group {
        name: "candle, gemm",
        why: "inference of the local model",
        crates: &[
            "candle_*",
            "dyn_stack",
            "float8",
            "gemm*",
            "half",
            "pulp",
            "raw_cpuid",
            "safetensors",
        ],
    },
    Group {
        name: "llguidance, regex, tokenizers",
        why: "answers held to a schema, token counts, splitting of text",
        crates: &[
            "aho_corasick",
            "bstr",
            "daachorse",
            "derivre",
            "fancy_regex",
            "llguidance",
            "rayon*",
            "regex*",
            "spm_precompiled",
            "tiktoken_rs",
            "tokenizers",
            "toktrie*",
            "unicode_*",
            "whatlang",
        ],
    },
    Group {
        name: "jsonschema",
        why: "answers checked against their schema, whatever model wrote them",
        crates: &["email_address", "fluent_uri", "jsonschema*", "referencing"],
    },
    Group {
        name: "SQLite",
        why: "the effect journal on one machine",
        crates: &["libsqlite3_sys", "rusqlite"],
    },
    Group {
        name: "object_store",
        why: "blobs on S3, Azure and Google Cloud, with the XML of their answers",
        crates: &["crc_fast", "object_store", "quick_xml"],
    },
    STD,
];

impl Group {
    /// Says whether a crate is in the group.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.crates.iter().any(|listed| {
            listed
                .strip_suffix('*')
                .map_or(*listed == name, |start| name.starts_with(start))
        })
    }
}

/// Says whether a crate is in no group.
pub(crate) fn is_other(name: &str) -> bool {
    !GROUPS.iter().any(|group| group.holds(name))
}

/// Says whether a crate comes with the toolchain.
pub(crate) fn is_std(name: &str) -> bool {
    STD.holds(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        let group = Group {
            name: "",
            why: "",
            crates: &["h2", "tower*"],
        };
        let held = ["h2", "h3", "h", "h2_x", "tower", "tower_http", "tow"].map(|name| group.holds(name));
        assert_eq!(held, [true, false, false, false, true, true, false]);
    }

    #[test]
    fn no_name_is_listed_in_two_groups() {
        for listed in GROUPS.iter().flat_map(|group| group.crates) {
            let name = listed.trim_end_matches('*');
            let holders: Vec<_> = GROUPS
                .iter()
                .filter(|group| group.holds(name))
                .map(|group| group.name)
                .collect();
            assert_eq!(holders.len(), 1, "{listed} is in {holders:?}");
        }
    }

    #[test]
    fn every_crate_of_the_repository_is_listed() {
        let own = &GROUPS[0];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
        let names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .into_string()
                    .unwrap()
                    .replace('-', "_")
            })
            .collect();
        let missing: Vec<_> = names.iter().filter(|name| !own.holds(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(names.iter().any(|name| name == "ai_worker"), "{names:?}");
    }
}
