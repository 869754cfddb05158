//! One suite of behaviours, run against a folder and against S3 (a `moto` server on this machine), and what is
//! particular to each.
//!
//! The S3 half needs the Python of the tests, which `make setup` builds; `make test` says where it is in
//! `TAW_TEST_PYTHON`.

#[cfg(test)]
mod local;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod suite;
