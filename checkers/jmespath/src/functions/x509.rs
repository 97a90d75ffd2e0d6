//! `x509_decode`: certificates and requests with RSA keys, as `encoding/json` writes Go's structs.

use super::string;
use crate::{
    Error,
    interpreter::{Answer, Run},
    value::{Numbers, Value},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};
use x509_parser::{
    certificate::X509Certificate,
    certification_request::X509CertificationRequest,
    extensions::{DistributionPointName, GeneralName, ParsedExtension, X509Extension},
    num_bigint::BigUint,
    oid_registry::Oid,
    pem::Pem,
    prelude::FromDer,
    public_key::PublicKey,
    time::ASN1Time,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Name},
};

const SIGNATURES: [(&str, u8); 13] = [
    ("1.2.840.113549.1.1.2", 1),
    ("1.2.840.113549.1.1.4", 2),
    ("1.2.840.113549.1.1.5", 3),
    ("1.2.840.113549.1.1.11", 4),
    ("1.2.840.113549.1.1.12", 5),
    ("1.2.840.113549.1.1.13", 6),
    ("1.2.840.10040.4.3", 7),
    ("2.16.840.1.101.3.4.3.2", 8),
    ("1.2.840.10045.4.1", 9),
    ("1.2.840.10045.4.3.2", 10),
    ("1.2.840.10045.4.3.3", 11),
    ("1.2.840.10045.4.3.4", 12),
    ("1.3.101.112", 16),
];

/// Fields of a name, by the identifier of the attribute.
const NAME_LISTS: [(&str, &str); 7] = [
    ("2.5.4.6", "Country"),
    ("2.5.4.10", "Organization"),
    ("2.5.4.11", "OrganizationalUnit"),
    ("2.5.4.7", "Locality"),
    ("2.5.4.8", "Province"),
    ("2.5.4.9", "StreetAddress"),
    ("2.5.4.17", "PostalCode"),
];

pub(super) fn decode<'a>(run: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let text = string(&given[0]);
    run.charge(text.len())?;
    let failed = |problem: &str| Error::Failed(problem.to_owned());
    let (pem, _) = Pem::read(std::io::Cursor::new(text)).map_err(|_| failed("failed to decode PEM block"))?;
    let malformed = |_| failed("x509: malformed certificate");
    let decoded = match pem.label.as_str() {
        "CERTIFICATE" => certificate(&X509Certificate::from_der(&pem.contents).map_err(malformed)?.1, &pem.contents),
        "CERTIFICATE REQUEST" => request(&X509CertificationRequest::from_der(&pem.contents).map_err(malformed)?.1, &pem.contents),
        _ => return Err(failed("PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST")),
    };
    Ok(Value::owned(decoded.map_err(failed)?, Numbers::Floats))
}

fn certificate(certificate: &X509Certificate<'_>, raw: &[u8]) -> Result<Json, &'static str> {
    let extensions = certificate.extensions();
    let mut fields = Map::new();
    let mut set = |name: &str, value: Json| fields.insert(name.to_owned(), value);
    set("PublicKey", key(certificate.public_key())?);
    set("Raw", bytes(raw));
    set("RawTBSCertificate", bytes(certificate.tbs_certificate.as_ref()));
    set("RawSubjectPublicKeyInfo", bytes(certificate.public_key().raw));
    set("RawSubject", bytes(certificate.subject().as_raw()));
    set("RawIssuer", bytes(certificate.issuer().as_raw()));
    set("Signature", bytes(&certificate.signature_value.data));
    set("SignatureAlgorithm", signature(&certificate.signature_algorithm));
    set("PublicKeyAlgorithm", json!(1));
    set("Version", json!(certificate.version().0 + 1));
    set("SerialNumber", integer(&certificate.tbs_certificate.serial));
    set("Issuer", name(certificate.issuer()));
    set("Subject", name(certificate.subject()));
    set("NotBefore", time(certificate.validity().not_before));
    set("NotAfter", time(certificate.validity().not_after));
    fields.append(&mut extended(extensions));
    for absent in ["ExtraExtensions", "UnhandledCriticalExtensions", "PermittedDNSDomains", "ExcludedDNSDomains", "PermittedIPRanges"]
        .into_iter()
        .chain(["ExcludedIPRanges", "PermittedEmailAddresses", "ExcludedEmailAddresses", "PermittedURIDomains", "ExcludedURIDomains"])
        .chain(["PolicyMappings"])
    {
        fields.entry(absent).or_insert(Json::Null);
    }
    for zero in ["InhibitAnyPolicy", "InhibitPolicyMapping", "RequireExplicitPolicy"] {
        fields.insert(zero.to_owned(), json!(0));
        fields.insert(format!("{zero}Zero"), json!(false));
    }
    fields.insert("PermittedDNSDomainsCritical".to_owned(), json!(false));
    Ok(Json::Object(fields))
}

fn request(request: &X509CertificationRequest<'_>, raw: &[u8]) -> Result<Json, &'static str> {
    let info = &request.certification_request_info;
    let mut fields = Map::new();
    let mut set = |name: &str, value: Json| fields.insert(name.to_owned(), value);
    set("PublicKey", key(&info.subject_pki)?);
    set("Raw", bytes(raw));
    set("RawTBSCertificateRequest", bytes(info.raw));
    set("RawSubjectPublicKeyInfo", bytes(info.subject_pki.raw));
    set("RawSubject", bytes(info.subject.as_raw()));
    set("Signature", bytes(&request.signature_value.data));
    set("SignatureAlgorithm", signature(&request.signature_algorithm));
    set("PublicKeyAlgorithm", json!(1));
    set("Version", json!(info.version.0));
    set("Subject", name(&info.subject));
    for absent in ["Attributes", "Extensions", "ExtraExtensions", "DNSNames", "EmailAddresses", "IPAddresses", "URIs"] {
        set(absent, Json::Null);
    }
    let mut named = Alternatives::default();
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(alternative) = extension {
            named.add(&alternative.general_names);
        }
    }
    fields.append(&mut named.fields());
    Ok(Json::Object(fields))
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> Result<Json, &'static str> {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let exponent = rsa.try_exponent().map_err(|_| "failed to parse subject public key info")?;
            Ok(json!({ "N": BigUint::from_bytes_be(rsa.modulus).to_string(), "E": exponent }))
        }
        _ => Err("certificate should use rsa algorithm"),
    }
}

/// A number as JSON reads it back: a float64.
fn integer(number: &BigUint) -> Json {
    number.to_string().parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(Json::Null, Json::Number)
}

fn bytes(bytes: &[u8]) -> Json {
    Json::String(STANDARD.encode(bytes))
}

fn signature(algorithm: &AlgorithmIdentifier<'_>) -> Json {
    let identifier = algorithm.algorithm.to_id_string();
    json!(SIGNATURES.iter().find(|(known, _)| *known == identifier).map_or(0, |(_, number)| *number))
}

fn time(time: ASN1Time) -> Json {
    json!(crate::go_time::Time::unix(time.timestamp()).to_string())
}

fn identifier(oid: &Oid<'_>) -> Json {
    oid.iter().map(|arcs| arcs.map(Json::from).collect()).unwrap_or(Json::Null)
}

fn name(name: &X509Name<'_>) -> Json {
    let mut fields = Map::new();
    for (_, list) in NAME_LISTS {
        fields.insert(list.to_owned(), Json::Null);
    }
    fields.insert("SerialNumber".to_owned(), json!(""));
    fields.insert("CommonName".to_owned(), json!(""));
    fields.insert("ExtraNames".to_owned(), Json::Null);
    let mut names = Vec::new();
    for attribute in name.iter_attributes() {
        let value = attribute.as_str().unwrap_or_default();
        names.push(json!({ "Type": identifier(attribute.attr_type()), "Value": value }));
        match attribute.attr_type().to_id_string().as_str() {
            "2.5.4.3" => drop(fields.insert("CommonName".to_owned(), json!(value))),
            "2.5.4.5" => drop(fields.insert("SerialNumber".to_owned(), json!(value))),
            other => {
                if let Some((_, list)) = NAME_LISTS.iter().find(|(known, _)| *known == other) {
                    push(&mut fields, list, json!(value));
                }
            }
        }
    }
    fields.insert("Names".to_owned(), if names.is_empty() { Json::Null } else { Json::Array(names) });
    Json::Object(fields)
}

fn push(fields: &mut Map<String, Json>, list: &str, value: Json) {
    match fields.get_mut(list) {
        Some(Json::Array(items)) => items.push(value),
        _ => drop(fields.insert(list.to_owned(), Json::Array(vec![value]))),
    }
}

/// What the extensions of a certificate say.
fn extended(extensions: &[X509Extension<'_>]) -> Map<String, Json> {
    let mut fields = Map::new();
    for list in ["ExtKeyUsage", "UnknownExtKeyUsage", "OCSPServer", "IssuingCertificateURL", "CRLDistributionPoints", "PolicyIdentifiers"]
        .into_iter()
        .chain(["Policies", "SubjectKeyId", "AuthorityKeyId", "Extensions"])
    {
        fields.insert(list.to_owned(), Json::Null);
    }
    for (name, value) in [("KeyUsage", json!(0)), ("BasicConstraintsValid", json!(false)), ("IsCA", json!(false))] {
        fields.insert(name.to_owned(), value);
    }
    fields.insert("MaxPathLen".to_owned(), json!(0));
    fields.insert("MaxPathLenZero".to_owned(), json!(false));
    let mut named = Alternatives::default();
    for extension in extensions {
        push(
            &mut fields,
            "Extensions",
            json!({ "Id": identifier(&extension.oid), "Critical": extension.critical, "Value": bytes(extension.value) }),
        );
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(alternative) => named.add(&alternative.general_names),
            ParsedExtension::KeyUsage(usage) => drop(fields.insert("KeyUsage".to_owned(), json!(usage.flags))),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let known = [
                    (usage.any, 0),
                    (usage.server_auth, 1),
                    (usage.client_auth, 2),
                    (usage.code_signing, 3),
                    (usage.email_protection, 4),
                    (usage.time_stamping, 8),
                    (usage.ocsp_signing, 9),
                ];
                known.iter().filter(|(set, _)| *set).for_each(|(_, number)| push(&mut fields, "ExtKeyUsage", json!(number)));
                usage.other.iter().for_each(|other| push(&mut fields, "UnknownExtKeyUsage", identifier(other)));
            }
            ParsedExtension::BasicConstraints(constraints) => {
                let length = constraints.path_len_constraint;
                fields.insert("BasicConstraintsValid".to_owned(), json!(true));
                fields.insert("IsCA".to_owned(), json!(constraints.ca));
                fields.insert("MaxPathLen".to_owned(), length.map_or(json!(-1), |length| json!(length)));
                fields.insert("MaxPathLenZero".to_owned(), json!(length == Some(0)));
            }
            ParsedExtension::SubjectKeyIdentifier(id) => drop(fields.insert("SubjectKeyId".to_owned(), bytes(id.0))),
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                if let Some(id) = &authority.key_identifier {
                    fields.insert("AuthorityKeyId".to_owned(), bytes(id.0));
                }
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                for description in &access.accessdescs {
                    let list = match description.access_method.to_id_string().as_str() {
                        "1.3.6.1.5.5.7.48.1" => "OCSPServer",
                        "1.3.6.1.5.5.7.48.2" => "IssuingCertificateURL",
                        _ => continue,
                    };
                    if let GeneralName::URI(uri) = description.access_location {
                        push(&mut fields, list, json!(uri));
                    }
                }
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                for point in points.iter() {
                    let Some(DistributionPointName::FullName(names)) = &point.distribution_point else { continue };
                    for name in names {
                        if let GeneralName::URI(uri) = name {
                            push(&mut fields, "CRLDistributionPoints", json!(uri));
                        }
                    }
                }
            }
            ParsedExtension::CertificatePolicies(policies) => {
                for policy in policies.iter() {
                    push(&mut fields, "PolicyIdentifiers", identifier(&policy.policy_id));
                    push(&mut fields, "Policies", json!(policy.policy_id.to_id_string()));
                }
            }
            _ => {}
        }
    }
    fields.append(&mut named.fields());
    fields
}

/// Alternative names of a subject.
#[derive(Default)]
struct Alternatives(Map<String, Json>);

impl Alternatives {
    fn add(&mut self, names: &[GeneralName<'_>]) {
        for name in names {
            match name {
                GeneralName::DNSName(name) => push(&mut self.0, "DNSNames", json!(name)),
                GeneralName::RFC822Name(name) => push(&mut self.0, "EmailAddresses", json!(name)),
                GeneralName::IPAddress(address) => {
                    let ip = match address.len() {
                        4 => <[u8; 4]>::try_from(*address).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
                        _ => <[u8; 16]>::try_from(*address).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
                    };
                    push(&mut self.0, "IPAddresses", json!(ip));
                }
                GeneralName::URI(uri) => push(&mut self.0, "URIs", url(uri)),
                _ => {}
            }
        }
    }

    fn fields(mut self) -> Map<String, Json> {
        for list in ["DNSNames", "EmailAddresses", "IPAddresses", "URIs"] {
            self.0.entry(list).or_insert(Json::Null);
        }
        self.0
    }
}

fn url(uri: &str) -> Json {
    let (rest, fragment) = uri.split_once('#').unwrap_or((uri, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once(':').unwrap_or(("", rest));
    let (host, path, opaque) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (host, path, "")
        }
        None if rest.starts_with('/') || scheme.is_empty() => ("", rest, ""),
        None => ("", "", rest),
    };
    json!({
        "Scheme": scheme, "Opaque": opaque, "User": null, "Host": host, "Path": path, "RawPath": "", "OmitHost": false,
        "ForceQuery": false, "RawQuery": query, "Fragment": fragment, "RawFragment": "",
    })
}
