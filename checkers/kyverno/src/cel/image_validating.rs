//! ImageValidatingPolicy and NamespacedImageValidatingPolicy: signatures and attestations are what the evidence says of an image.

use super::{
    autogen,
    image_ref::ImageRef,
    kinds::Kinds,
    library::{Library, json_of},
    matching::{matches, rules},
    policy::{Exempt, Judge, annotations, conditions, exceptions, exempt, holds, invalid, program, run_of, text},
    request::{Request, text_at},
};
use crate::{Evidence, RuleResult, RuleType, Status};
use machinery::cel::{
    Answer, Run, Value as Cel,
    cost::BUDGET,
    value::{of_json, printed, string, to_json},
};
use serde_json::{Map, Value, json};
use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

/// What the functions of these policies know.
#[derive(Debug)]
pub(super) struct Images {
    references: Vec<Value>,
    attestations: Vec<Value>,
    /// Images that something was asked of, and whether any of it was right.
    verified: RefCell<BTreeMap<String, bool>>,
}

impl Images {
    fn new(spec: &Value) -> Self {
        Self {
            references: rules(&spec["matchImageReferences"]).to_vec(),
            attestations: rules(&spec["attestations"]).to_vec(),
            verified: RefCell::default(),
        }
    }

    pub fn call(&self, name: &str, arguments: &[Cel], library: &Library<'_>) -> Option<Answer> {
        Some(match (name, arguments) {
            ("verifyImageSignatures", [Cel::String(image), Cel::List(attestors)]) => {
                self.count(image, attestors, library, |data| data.pointer("/signatures").cloned())
            }
            ("verifyAttestationSignatures", [Cel::String(image), Cel::String(attestation), Cel::List(attestors)]) => {
                match self.attestation(attestation) {
                    Ok(_) => {
                        self.count(image, attestors, library, |data| data["attestations"][attestation.as_str()].get("signatures").cloned())
                    }
                    Err(error) => Err(error),
                }
            }
            ("getImageData", [Cel::String(image)]) => data(image, library).map(of_json),
            ("extractPayload", [Cel::String(image), Cel::String(attestation)]) => self
                .attestation(attestation)
                .and_then(|_| data(image, library))
                .map(|data| of_json(&data["attestations"][attestation.as_str()]["payload"])),
            _ => return None,
        })
    }

    fn attestation(&self, name: &str) -> Result<&Value, String> {
        let found = self.attestations.iter().find(|attestation| text(attestation, "name") == name);
        found.ok_or_else(|| format!("attestation not found in policy: {name}"))
    }

    /// How many of the attestors have signed, as the evidence names them.
    fn count(&self, image: &str, attestors: &[Cel], library: &Library<'_>, signatures: impl Fn(&Value) -> Option<Value>) -> Answer {
        if !takes(&self.references, image, library)? {
            return Ok(Cel::Int(0));
        }
        let signed = signatures(data(image, library)?).unwrap_or_default();
        let has = |attestor: &&Cel| {
            let attestor = json_of(attestor).unwrap_or_default();
            rules(&signed).iter().any(|signer| signer == &attestor["name"])
        };
        let count = attestors.iter().filter(has).count();
        if !attestors.is_empty() {
            *self.verified.borrow_mut().entry(image.to_owned()).or_default() |= count > 0;
        }
        Ok(Cel::Int(i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

fn data<'a>(image: &str, library: &Library<'a>) -> Result<&'a Value, String> {
    let found = library.evidence.images.iter().find(|data| data["image"] == image);
    found.ok_or_else(|| format!("failed to get imagedata: image data for {image} not found in the context"))
}

/// Whether a list of globs and expressions takes an image; the empty list takes all.
fn takes(references: &[Value], image: &str, library: &Library<'_>) -> Result<bool, String> {
    for reference in references {
        let taken = match text(reference, "glob") {
            "" => {
                let mut run = Run::new(library, Arc::default(), BUDGET);
                run.set("ref", string(image));
                matches!(run.run(&program(text(reference, "expression"))?)?, Cel::Bool(true))
            }
            glob => kyverno_jmespath::wildcard::matches(glob, image),
        };
        if taken {
            return Ok(true);
        }
    }
    Ok(references.is_empty())
}

pub(super) fn apply(policy: &Value, request: &Request, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
    let namespaced = text(policy, "kind") == "NamespacedImageValidatingPolicy";
    let kind = if namespaced { "NamespacedImageValidatingPolicy" } else { "ImageValidatingPolicy" };
    let judge = Judge { policy, kind, rule_type: RuleType::ImageVerify, request };
    let spec = &policy["spec"];
    let namespace = text_at(policy, "/metadata/namespace");
    if !namespace.is_empty() && namespace != request.namespace {
        return Vec::new();
    }
    let mut results = Vec::new();
    let generated = autogen::validating(spec);
    for spec in std::iter::once(spec).chain(&generated) {
        let is_json = text(&spec["evaluation"], "mode") == "JSON";
        match if is_json { Ok(true) } else { matches(&spec["matchConstraints"], request) } {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                results.push(judge.result("match", Status::Error, format!("failed to execute matching: {error}")));
                continue;
            }
        }
        results.push(match judge.verify(spec, evidence, kinds) {
            Ok(result) => result,
            Err(error) => judge.result("evaluation", Status::Error, format!("failed to evaluate policy: {error}")),
        });
    }
    results
}

/// Where the containers of the built-in kinds are.
fn containers(request: &Request) -> Option<&'static str> {
    Some(match (request.kind.group.as_str(), request.resource.as_str()) {
        ("", "pods") => "/spec",
        ("batch", "jobs") | ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets") => "/spec/template/spec",
        ("batch", "cronjobs") => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    })
}

/// The images of a request by where they were found.
fn extracted(run: &mut Run<'_>, spec: &Value, request: &Request) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut images = BTreeMap::new();
    if let Some(place) = containers(request) {
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let items = request.subject().pointer(place).map_or(&[][..], |pod| rules(&pod[list]));
            images.insert(list.to_owned(), items.iter().map(|container| text(container, "image").to_owned()).collect());
        }
    }
    for (index, extractor) in rules(&spec["images"]).iter().enumerate() {
        let program = program(text(extractor, "expression")).map_err(|error| invalid("spec.images", index, "expression", &error))?;
        match to_json(&run.run(&program)?) {
            Value::Array(items) => {
                let items = items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                images.insert(text(extractor, "name").to_owned(), items);
            }
            _ => return Err("output is expected to be of type list".to_owned()),
        }
    }
    Ok(images)
}

impl Judge<'_> {
    fn verify(&self, spec: &Value, evidence: &Evidence, kinds: &Kinds<'_>) -> Result<RuleResult, String> {
        let mut library = Library::new(evidence, kinds, text_at(self.policy, "/metadata/namespace"));
        library.images = Some(Images::new(spec));
        let mut run = run_of(&library, self.request, spec)?;
        let conditions = conditions(&spec["matchConditions"], "spec.matchConditions")?;
        match holds(&mut run, &conditions) {
            Ok(true) => {}
            Err(error) if text(spec, "failurePolicy") != "Ignore" => return Err(error),
            _ => return Ok(self.result("", Status::Skip, "skip")),
        }
        if let Exempt::Whole { exceptions, pass } = exempt(&mut run, &exceptions(evidence, self.kind, self.policy))? {
            return Ok(self.exempted(exceptions, pass));
        }
        let mut by_list = Map::new();
        let mut all = Vec::new();
        for (list, images) in extracted(&mut run, spec, self.request)? {
            let mut taken = Vec::new();
            for image in images {
                if takes(rules(&spec["matchImageReferences"]), &image, &library)? {
                    taken.push(image);
                }
            }
            all.extend(taken.iter().cloned());
            by_list.insert(list, json!(taken));
        }
        let settings = &spec["validationConfigurations"];
        if settings["verifyDigest"] != false
            && let Some(bare) = all.iter().find(|image| ImageRef::parse(image).is_ok_and(|image| image.digest.is_empty()))
        {
            return Ok(self.result("", Status::Fail, format!("image {bare} does not have a digest")));
        }
        run.set("images", of_json(&Value::Object(by_list)));
        for (name, list) in [("attestors", &spec["attestors"]), ("attestations", &spec["attestations"])] {
            let named: Map<_, _> = rules(list).iter().map(|item| (text(item, "name").to_owned(), item.clone())).collect();
            run.set(name, of_json(&Value::Object(named)));
        }
        for (index, validation) in rules(&spec["validations"]).iter().enumerate() {
            let program =
                program(text(validation, "expression")).map_err(|error| invalid("spec.validations", index, "expression", &error))?;
            match run.run(&program)? {
                Cel::Bool(true) => {}
                Cel::Bool(false) => {
                    let message = super::validating::message(&mut run, validation, index);
                    annotations(&mut run, spec)?;
                    return Ok(self.result("", Status::Fail, message));
                }
                other => return Err(format!("unexpected type {}, expected bool", printed(&other))),
            }
        }
        annotations(&mut run, spec)?;
        let verified = library.images.as_ref().map(|images| images.verified.borrow().clone()).unwrap_or_default();
        let unverified = all.iter().find(|image| verified.get(*image) != Some(&true));
        Ok(match unverified {
            Some(image) if settings["required"] != false => {
                let why = if verified.contains_key(image) {
                    format!("image {image} failed signature or attestation verification")
                } else {
                    format!("image {image} is not verified: no policy performed a signature or attestation check on it")
                };
                self.result("", Status::Fail, why)
            }
            _ => self.result("", Status::Pass, "success"),
        })
    }
}
