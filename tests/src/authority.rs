//! A certificate authority of a test's own.
//!
//! Certificates are made afresh in every run: one in the tree would expire one day, and its key would be a secret that
//! is none. Every authority has a name of its own, so that a foreign one is told by its name, as in life, and not by a
//! signature that does not fit.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// An authority that signs certificates.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, for a server or a client.
pub struct Credential {
    certificate: Certificate,
    key: KeyPair,
}

/// Where a credential lies.
#[derive(Debug, Clone)]
pub struct CredentialFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority with this name.
    ///
    /// # Errors
    ///
    /// That no key can be made.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: params.self_signed(&key)?,
            issuer: Issuer::new(params, key),
        })
    }

    /// Signs a certificate for this host name, good for a server and for a client.
    ///
    /// # Errors
    ///
    /// That the name is none, or no key can be made.
    pub fn issue(&self, name: &str) -> anyhow::Result<Credential> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        Ok(Credential {
            certificate: params.signed_by(&key, &self.issuer)?,
            key,
        })
    }

    /// Writes the authority's certificate as PEM and gives the file.
    ///
    /// # Errors
    ///
    /// That it can't be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
        write(folder, &format!("{name}.pem"), &self.certificate.pem())
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

impl Credential {
    /// Writes the certificate and its key as PEM.
    ///
    /// # Errors
    ///
    /// That they can't be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<CredentialFiles> {
        Ok(CredentialFiles {
            certificate: write(folder, &format!("{name}.pem"), &self.certificate.pem())?,
            key: write(folder, &format!("{name}.key"), &self.key.serialize_pem())?,
        })
    }

    pub(crate) fn parts(self) -> (Certificate, KeyPair) {
        (self.certificate, self.key)
    }
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}
