//! gator's suites: templates and constraints with objects, and what is said of them.
//!
//! <https://open-policy-agent.github.io/gatekeeper/website/docs/gator/#writing-test-suites>. Files are asked for by their names as the
//! suite writes them; where they lie is the caller's business.

use crate::{
    Engine, Invalid, Origin, Providers, Review, Violation,
    expansion::{self, Expander},
    group_version, items,
    mutation::{self, Mutable, System},
    text,
};
use machinery::object;
use regex::Regex;
use serde_json::Value;

/// The enforcement point at which gator judges.
pub const POINT: &str = "gator.gatekeeper.sh";
const LONGEST_REGEX: usize = 1 << 20;

/// Reads the documents of a file that a suite names.
pub type Files<'a> = dyn Fn(&str) -> Result<Vec<Value>, String> + 'a;

/// A suite as it is written.
#[derive(Debug)]
pub struct Suite {
    pub skip: bool,
    pub tests: Vec<Test>,
}

/// A template with a constraint, and the cases that they judge.
#[derive(Debug, Default)]
pub struct Test {
    pub name: String,
    template: String,
    constraint: String,
    expansion: String,
    /// The constraint must not fit the schema of its template.
    invalid: bool,
    skip: bool,
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    name: String,
    object: String,
    inventory: Vec<String>,
    assertions: Vec<Assertion>,
    skip: bool,
}

#[derive(Debug)]
struct Assertion {
    violations: Wanted,
    message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Some,
    None,
    Exactly(u64),
}

/// How a test or a case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Skipped,
    /// Why it failed.
    Failed(String),
}

/// A test and its cases.
#[derive(Debug)]
pub struct TestOutcome {
    pub name: String,
    /// Of the test itself: a template or constraint that cannot be used fails all of it.
    pub outcome: Outcome,
    pub cases: Vec<(String, Outcome)>,
}

impl TestOutcome {
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_)) || self.cases.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    }
}

/// Whether a document is a suite.
pub fn is_suite(given: &Value) -> bool {
    group_version(text(&given["apiVersion"])).0 == "test.gatekeeper.sh" && given["kind"] == "Suite"
}

impl Suite {
    /// Reads a suite; the error names the field.
    pub fn read(given: &Value) -> Result<Self, String> {
        known(given, "", &["apiVersion", "kind", "metadata", "skip", "tests"])?;
        let mut tests = Vec::new();
        for (index, test) in items(&given["tests"]).iter().enumerate() {
            let field = format!("tests[{index}]");
            known(test, &field, &["name", "template", "constraint", "expansion", "invalid", "skip", "cases"])?;
            let mut cases = Vec::new();
            for (index, case) in items(&test["cases"]).iter().enumerate() {
                cases.push(Case::read(case, &format!("{field}.cases[{index}]"))?);
            }
            let of = |field: &str| text(&test[field]).to_owned();
            tests.push(Test {
                name: of("name"),
                template: of("template"),
                constraint: of("constraint"),
                expansion: of("expansion"),
                invalid: test["invalid"] == true,
                skip: test["skip"] == true,
                cases,
            });
        }
        Ok(Self { skip: given["skip"] == true, tests })
    }
}

/// Refuses fields that gator does not know.
fn known(given: &Value, path: &str, fields: &[&str]) -> Result<(), String> {
    match given.as_object().into_iter().flatten().find(|(field, _)| !fields.contains(&field.as_str())) {
        None => Ok(()),
        Some((field, _)) if path.is_empty() => Err(format!("{field}: a suite has no such field")),
        Some((field, _)) => Err(format!("{path}.{field}: a suite has no such field")),
    }
}

impl Case {
    fn read(given: &Value, field: &str) -> Result<Self, String> {
        known(given, field, &["name", "object", "inventory", "assertions", "skip"])?;
        let mut assertions = Vec::new();
        for (index, assertion) in items(&given["assertions"]).iter().enumerate() {
            let field = format!("{field}.assertions[{index}]");
            known(assertion, &field, &["violations", "message"])?;
            let violations = match &assertion["violations"] {
                Value::Null => Wanted::Some,
                Value::String(word) if word == "yes" => Wanted::Some,
                // `yes` and `no` are booleans in YAML 1.1.
                Value::Bool(true) => Wanted::Some,
                Value::Bool(false) => Wanted::None,
                Value::String(word) if word == "no" => Wanted::None,
                other => match other.as_u64() {
                    Some(number) => Wanted::Exactly(number),
                    None => return Err(format!("{field}.violations: must be a nonnegative integer, \"yes\", or \"no\", not {other}")),
                },
            };
            assertions.push(Assertion { violations, message: assertion["message"].as_str().map(str::to_owned) });
        }
        Ok(Self {
            name: text(&given["name"]).to_owned(),
            object: text(&given["object"]).to_owned(),
            inventory: items(&given["inventory"]).iter().map(|file| text(file).to_owned()).collect(),
            assertions,
            skip: given["skip"] == true,
        })
    }
}

impl Test {
    /// Runs the test; `wanted` says which tests and cases are, by the name of the test and of the case.
    pub fn run(&self, files: &Files, wanted: &dyn Fn(&str, Option<&str>) -> bool) -> TestOutcome {
        let of = |outcome, cases| TestOutcome { name: self.name.clone(), outcome, cases };
        if self.skip || !wanted(&self.name, None) {
            return of(Outcome::Skipped, Vec::new());
        }
        let built = self.engine(files);
        if self.invalid {
            return match built {
                Err(Broken::Constraint(Invalid::Schema(_))) => of(Outcome::Passed, Vec::new()),
                Err(other) => {
                    of(Outcome::Failed(format!("constraint should have failed schema validation, but: {}", other.words())), Vec::new())
                }
                Ok(_) => of(Outcome::Failed("constraint should have failed schema validation".to_owned()), Vec::new()),
            };
        }
        if let Err(broken) = built.and_then(|_| self.expander(files).map_err(Broken::Other)) {
            return of(Outcome::Failed(broken.words()), Vec::new());
        }
        let mut cases = Vec::new();
        for case in &self.cases {
            let outcome = if case.skip || !wanted(&self.name, Some(&case.name)) {
                Outcome::Skipped
            } else {
                match self.judge(case, files) {
                    Ok(()) => Outcome::Passed,
                    Err(why) => Outcome::Failed(why),
                }
            };
            cases.push((case.name.clone(), outcome));
        }
        of(Outcome::Passed, cases)
    }

    fn engine(&self, files: &Files) -> Result<Engine, Broken> {
        let mut engine = Engine::default().with_providers(Providers::default());
        let template = one(files, &self.template, "template").map_err(Broken::Other)?;
        engine.add_template(&template).map_err(|findings| {
            let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Broken::Other(format!("{}: {}", self.template, said.join("; ")))
        })?;
        let constraint = one(files, &self.constraint, "constraint").map_err(Broken::Other)?;
        engine.add_constraint(&constraint).map_err(Broken::Constraint)?;
        Ok(engine)
    }

    fn expander(&self, files: &Files) -> Result<(Expander, System), String> {
        let (mut expander, mut mutators) = (Expander::default(), System::default());
        if !self.expansion.is_empty() {
            for given in files(&self.expansion)? {
                let added = match &given {
                    given if expansion::is_expansion_template(given) => expander.add(given),
                    given if mutation::is_mutator(given) => mutators.add(given),
                    _ => Ok(()),
                };
                added.map_err(|finding| format!("{}: {finding}", self.expansion))?;
            }
        }
        Ok((expander, mutators))
    }

    fn judge(&self, case: &Case, files: &Files) -> Result<(), String> {
        if case.object.is_empty() {
            return Err("a case must define its object".to_owned());
        }
        if case.assertions.is_empty() {
            return Err("a case must have assertions".to_owned());
        }
        let mut engine = self.engine(files).map_err(|broken| broken.words())?;
        let given = one(files, &case.object, "object")?;
        for file in &case.inventory {
            for added in files(file)? {
                engine.add_data(&added).map_err(|why| format!("{file}: unable to add object to data.inventory: {why}"))?;
            }
        }
        let review = Review::of_document(&given).map_err(|error| error.to_string())?;
        let mut violations = engine.review(&review, POINT).map_err(|error| error.to_string())?;
        if !Review::is_admission_review(&given) {
            let (expander, mutators) = self.expander(files)?;
            violations.extend(expanded(&engine, &given, &expander, &mutators, POINT)?);
        }
        let messages: Vec<_> = violations.iter().map(|violation| violation.message.as_str()).collect();
        case.assertions.iter().try_for_each(|assertion| assertion.check(&messages))
    }
}

/// The violations of what an object would create; their messages say by which template.
pub fn expanded(engine: &Engine, object: &Value, expander: &Expander, mutators: &System, point: &str) -> Result<Vec<Violation>, String> {
    let mut violations = Vec::new();
    if expander.is_empty() {
        return Ok(violations);
    }
    let namespace = engine.inventory().namespace(object::namespace(object));
    let mut base = object.clone();
    let about = Mutable { namespace, origin: Origin::Original, operation: "" };
    mutators.mutate(&mut base, &about).map_err(|error| error.to_string())?;
    for resultant in expander.expand(&base, namespace, mutators).map_err(|error| error.to_string())? {
        let review = Review::of_object(&resultant.object, Origin::Generated);
        for mut violation in engine.review(&review, point).map_err(|error| error.to_string())? {
            violation.message = format!("[Implied by {}] {}", resultant.template, violation.message);
            if !resultant.enforcement_action.is_empty() {
                violation.enforcement_action = resultant.enforcement_action.clone();
            }
            violations.push(violation);
        }
    }
    Ok(violations)
}

/// Why a test cannot be run.
enum Broken {
    Constraint(Invalid),
    Other(String),
}

impl Broken {
    fn words(&self) -> String {
        match self {
            Self::Other(why) => why.clone(),
            Self::Constraint(invalid) => {
                let said: Vec<_> = invalid.findings().iter().map(ToString::to_string).collect();
                format!("adding constraint: {}", said.join("; "))
            }
        }
    }
}

fn one(files: &Files, name: &str, what: &str) -> Result<Value, String> {
    if name.is_empty() {
        return Err(format!("invalid Suite: missing {what}"));
    }
    let mut documents = files(name)?;
    match (documents.pop(), documents.len()) {
        (Some(document), 0) => Ok(document),
        (None, _) => Err(format!("{name}: missing objects")),
        (Some(_), more) => Err(format!("{name}: the file must contain exactly one object, not {}", more + 1)),
    }
}

impl Assertion {
    fn check(&self, messages: &[&str]) -> Result<(), String> {
        let regex = match &self.message {
            None => None,
            Some(pattern) => {
                let built = regex::RegexBuilder::new(pattern).size_limit(LONGEST_REGEX).build();
                Some(built.map_err(|error| format!("message contains invalid regular expression: {error}"))?)
            }
        };
        let matching = messages.iter().filter(|message| regex.as_ref().is_none_or(|regex: &Regex| regex.is_match(message))).count() as u64;
        let wanted = match self.violations {
            Wanted::Some if matching == 0 => "at least 1".to_owned(),
            Wanted::None if matching > 0 => "none".to_owned(),
            Wanted::Exactly(number) if matching != number => format!("exactly {number}"),
            _ => return Ok(()),
        };
        let containing = self.message.as_ref().map(|pattern| format!(" containing {pattern:?}")).unwrap_or_default();
        Err(format!("unexpected number of violations: got {matching} violations{containing} but want {wanted}: got messages {messages:?}"))
    }
}
