//! Names in both manglings, overlapping symbols, and a real executable: the one that the tests run in.

use super::*;

fn symbol(name: &str, address: u64, size: u64) -> Symbol {
    Symbol {
        name: name.to_owned(),
        address,
        size,
        file: None,
    }
}

fn of_file(name: &str, file: &str) -> Symbol {
    Symbol {
        file: Some(file.to_owned()),
        ..symbol(name, 0, 1)
    }
}

#[test]
fn the_first_path_tells_the_crate() {
    for (name, expected) in [
        ("tokio::task::spawn::<ai_worker::Run>", Some("tokio")),
        (
            "<candle_core::Tensor as core::clone::Clone>::clone",
            Some("candle_core"),
        ),
        ("<&mut h2::Frame as core::fmt::Debug>::fmt", Some("h2")),
        ("<T as tonic::IntoRequest>::into_request", Some("tonic")),
        ("<dyn rustls::Verifier>::type_id", Some("rustls")),
        ("<(u8, [prost::Any]) as core::fmt::Debug>::fmt", Some("prost")),
        ("<str>::parse::<url::Url>", Some("core")),
        ("<[u8]>::sort::<url::Url>", Some("core")),
        ("main", None),
    ] {
        assert_eq!(head(name), expected, "{name}");
    }
}

#[test]
fn drop_glue_counts_for_what_is_dropped() {
    for (of, expected) in [
        ("<tonic::Request<h2::Frame>>", Some("tonic")),
        ("::<core::option::Option<prost::Any>>", Some("prost")),
        (
            "<alloc::vec::Vec<(u8, &alloc::string::String, h2::Frame)>>",
            Some("h2"),
        ),
        (
            "<<tonic::Grpc as tower::Service>::call::{{closure}}>",
            Some("tonic"),
        ),
        ("<alloc::vec::Vec<u8>>", None),
        ("<[u8]>", None),
    ] {
        assert_eq!(dropped(of), expected, "{of}");
    }
}

#[test]
fn both_manglings_are_read_and_code_that_is_not_rust_counts_for_who_brings_it() {
    for (symbol, expected) in [
        (symbol("_RNvCs1234_7mycrate3foo", 0, 1), Some("mycrate")),
        (
            symbol("_ZN5tokio4task5spawn17h0123456789abcdefE", 0, 1),
            Some("tokio"),
        ),
        (
            symbol("_ZN5tokio4task5spawn17h0123456789abcdefE.llvm.42", 0, 1),
            Some("tokio"),
        ),
        (
            symbol(
                "_ZN4core3ptr37drop_in_place$LT$h2..frame..Frame$GT$17h0123456789abcdefE",
                0,
                1,
            ),
            Some("h2"),
        ),
        (
            symbol(
                "_ZN4core3ptr46drop_in_place$LT$alloc..vec..Vec$LT$u8$GT$$GT$17h0123456789abcdefE",
                0,
                1,
            ),
            Some("core"),
        ),
        (symbol("sqlite3_step", 0, 1), Some("libsqlite3_sys")),
        (
            of_file("btreeInvokeBusyHandler", "sqlite3.c"),
            Some("libsqlite3_sys"),
        ),
        (symbol("ring_core_0_17_14__aes_hw_encrypt", 0, 1), Some("ring")),
        (of_file("helper", "curve.c"), None),
        (of_file("_RNvCs1234_7mycrate3foo", "sqlite3.c"), Some("mycrate")),
        (symbol("memcpy", 0, 1), None),
    ] {
        assert_eq!(origin(&symbol).as_deref(), expected, "{symbol:?}");
    }
}

#[test]
fn every_byte_counts_once() {
    let code = Code {
        addresses: 100..200,
        symbols: vec![
            // Reaches over the end.
            symbol("_RNvCs1234_4last3foo", 190, 50),
            // One function under two names, of which one tells a crate.
            symbol("alias", 110, 10),
            symbol("_RNvCs1234_5first3foo", 110, 10),
            // Begins inside the one before, and holds a label.
            symbol("_RNvCs1234_6second3foo", 115, 15),
            symbol("label", 120, 0),
            symbol("assembly", 150, 20),
            symbol("outside", 300, 20),
        ],
    };
    let crates = [("first", 10), ("second", 10), ("last", 10)];
    let expected = Shares {
        crates: crates.map(|(name, bytes)| (name.to_owned(), bytes)).into(),
        crateless: 20,
        nameless: 50,
    };
    assert_eq!(code.by_crate(), expected);
    assert_eq!(expected.total(), 100);
}

#[test]
fn the_code_of_this_executable_is_nearly_all_named() {
    let data = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let file = object::File::parse(&*data).unwrap();
    let shares = read(&file).unwrap().by_crate();
    let text = file.section_by_name(".text").unwrap().size();
    assert_eq!(shares.total(), text);
    for name in [
        env!("CARGO_CRATE_NAME"),
        "core",
        "std",
        "test",
        "object",
        "rustc_demangle",
    ] {
        assert!(shares.crates.contains_key(name), "nothing of {name}");
    }
    let known: u64 = shares.crates.values().sum();
    assert!(known * 100 > text * 95, "{known} of {text}");
}
