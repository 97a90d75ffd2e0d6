//! Table tier: the language of conditions, from Falco's documentation (<https://falco.org/docs/concepts/rules/conditions/>) and the
//! types of its fields (<https://falco.org/docs/reference/rules/supported-fields/>).

use expect_test::{Expect, expect};
use falco::{Schema, compile, fields::Source, fields_of, syntax::parse};
use serde_json::{Value, json};

/// `Ok` with the condition as it was understood, or the message and where it points.
fn parsed(condition: &str) -> String {
    match parse(condition) {
        Ok(expr) => expr.to_string(),
        Err(error) => format!("{}: {error}", error.position),
    }
}

fn check(condition: &str, expected: &Expect) {
    expected.assert_eq(&parsed(condition));
}

#[test]
fn conditions_read_as_they_are_meant() {
    check("evt.type = open", &expect!["evt.type = open"]);
    check("evt.type=open and proc.name==cat", &expect!["(evt.type = open and proc.name = cat)"]);
    check("a or b and c", &expect!["(a or (b and c))"]);
    check("not a and not(b or c)", &expect!["(not a and not (b or c))"]);
    check("not not a", &expect!["a"]);
    check("proc.name in (cat, 'two words', \"tab\\there\")", &expect![[r#"proc.name in (cat, "two words", "tab\there")"#]]);
    check("proc.aname[2] exists", &expect!["proc.aname[2] exists"]);
    check("proc.env['A B'] contains x", &expect!["proc.env[A B] contains x"]);
    check("tolower( proc.name ) = val(proc.pname)", &expect!["tolower(proc.name) = val(proc.pname)"]);
    check("join(\"-\", (proc.name, 'x')) startswith a-", &expect![[r#"join(-, (proc.name, x)) startswith a-"#]]);
    check("getopt((\"-n\"), \"n:\")[n] = 1", &expect!["getopt((-n), n:)[n] = 1"]);
    check(
        "proc.name startswith oneof (a, b) and proc.name == anyof",
        &expect!["(proc.name startswith oneof (a, b) and proc.name = anyof)"],
    );
    check("fd.sport >= 1024 and fd.num < -0.5e+1", &expect!["(fd.sport >= 1024 and fd.num < -0.5e+1)"]);
    check("evt.type in ()", &expect!["evt.type in ()"]);
}

#[test]
fn what_is_no_condition_is_said_with_its_place() {
    check("", &expect!["index 0, line 1, column 1: filter input string is empty"]);
    check(
        "evt.type",
        &expect![[
            r#"index 8, line 1, column 9: expected a valid check operator: one of 'exists', '<=', '<', '>=', '>', '==', '=', '!=', 'glob', 'iglob', 'contains', 'icontains', 'bcontains', 'startswith', 'bstartswith', 'endswith', 'regex', 'intersects', 'in', 'pmatch'"#
        ]],
    );
    check("a and\n  or b", &expect!["index 11, line 2, column 6: unexpected token after 'or', expecting 'or', 'and'"]);
    check("(a", &expect!["index 2, line 1, column 3: expected a ')' token"]);
    check("a andb", &expect!["index 5, line 1, column 6: expected blank or '(' after 'and'"]);
    check("evt.arg[\"x\" = value", &expect!["index 11, line 1, column 12: expected a ']' token"]);
    check(
        "proc.name = 'open",
        &expect![
            "index 12, line 1, column 13: expected a string value or a field with a valid transformer: 'val', 'tolower', 'toupper', 'b64', 'basename', 'len', 'join', 'concat', 'getopt'"
        ],
    );
    check("proc.name = 'a\\q'", &expect!["index 17, line 1, column 18: unsupported string escape sequence: \\q"]);
    check("proc.name ==oneof(cat)", &expect!["index 17, line 1, column 18: unexpected token after 'oneof', expecting 'or', 'and'"]);
    check("b64(proc.name exists", &expect!["index 14, line 1, column 15: expected a ')' token closing the transformer"]);
    check("proc.name in (a, )", &expect!["index 17, line 1, column 18: expected a string value"]);
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}evt.type exists{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(100)).is_ok());
    assert!(parse(&nested(100_000)).is_err_and(|error| error.message.starts_with("exceeded max depth")));
    let transformers = format!("{}proc.name{} = x", "toupper(".repeat(5_000), ")".repeat(5_000));
    assert!(parse(&transformers).is_err());
}

fn compiled(condition: &str) -> Result<Vec<String>, String> {
    let expr = parse(condition).map_err(|error| error.message)?;
    let (_, warnings) = compile(&expr, Source::Syscall, &mut Schema::default()).map_err(|error| error.message)?;
    Ok(warnings.into_iter().map(|warning| warning.message).collect())
}

#[test]
fn operators_suit_the_types_of_fields() {
    let allowed: &[&str] = &[
        "proc.name glob a*",
        "proc.name < 1",
        "fd.sport = ssh",
        "evt.cpu intersects (1, 2)",
        "evt.is_io in (true)",
        "evt.buffer bcontains 48545450",
        "evt.buffer startswith GET",
        "fd.ip in (10.0.0.1, ::1)",
        "fd.snet in (10.0.0.0/8)",
        "fd.net == anyof (10.0.0.0/8)",
        "thread.cpu > 0.5",
        "fd.types intersects (file, ipv4)",
        "len(fd.types) > 1",
        "len(proc.name) > 15",
        "evt.rawarg.flags = 1",
        "evt.arg.flags contains O_CREAT",
        "evt.arg[0] exists",
        "container.label.app = web",
        "k8s.pod.label[app.kubernetes.io/name] = web",
        "proc.name = val(proc.pname)",
        "evt.around[1404996934793590564] = 1000",
        "evt.type.is.open = 1",
        "proc.aname = bash",
        "proc.env[PATH] contains bin",
        "proc.args[0] = -c",
        "proc.aargs contains base64",
        "fd.is_upper_layer = true",
    ];
    for condition in allowed {
        assert_eq!(compiled(condition), Ok(Vec::new()), "{condition}");
    }
    let refused: &[(&str, &str)] = &[
        ("proc.nobody = cat", "filter_check called with nonexistent field proc.nobody"),
        ("proc.name[1] = cat", "filter_check called with nonexistent field proc.name[1]"),
        ("ka.verb = create", "filter_check called with nonexistent field ka.verb"),
        ("evt.arg = x", "filter syntax error: evt.arg"),
        ("evt.arg.nothing = x", "unknown event argument nothing"),
        ("proc.aname[x] = cat", "x is not a valid number"),
        ("proc.pid contains 1", "filter error: 'contains' operator not supported for numeric filters"),
        ("proc.name bcontains 41", "filter error: 'bcontains' operator not supported for string filters"),
        ("evt.buffer glob *", "filter error: 'glob' operator not supported for buffer filters"),
        ("evt.is_io > 1", "filter error: '>' operator not supported for numeric filters"),
        ("fd.ip > 1", "filter error: '>' operator not supported for ip address and network filters"),
        ("evt.rawarg.addr > 0", "filter error: '>' operator not supported for type 'SOCKADDR'"),
        ("fd.types = file", "filter error: '=' operator not supported list filters"),
        ("evt.is_io = yes", "filter error: unrecognized boolean value yes"),
        ("proc.pid = many", "many is not a valid number"),
        ("fd.net = 10.0.0.1", "unrecognized IP network 10.0.0.1"),
        ("fd.sport = nothing", "unrecognized protocol nothing"),
        ("evt.type = opne", "unknown event type opne"),
        ("evt.type in (open, opne)", "unknown event type opne"),
        ("evt.buffer bcontains 2g", "filter error: bcontains and bstartswith operator support hex strings only"),
        ("proc.name regex '('", "invalid regex pattern: unclosed group"),
        ("some_macro", "filter error: unexpected identifier 'some_macro'"),
        (
            "b64(proc.pid) = 1",
            "can't add field transformer: type 'INT64' is not supported by 'b64' transformer applied on field 'proc.pid'",
        ),
        ("tolower(proc.aname) = x", "field 'proc.aname' does not support transformers"),
        ("join(',', proc.name) = x", "join() second argument must be a list"),
        ("concat(proc.name) = x", "concat() requires at least 2 arguments"),
        ("getopt(('-n'), 'n')[no] = x", "getopt() field argument must be a single option character"),
        ("toupper(proc.name)[x] = A", "filter error: transformer 'toupper' does not support field arguments"),
        ("proc.name pmatch val(proc.pname)", "operator 'PMATCH' doesn't support right-hand side fields"),
        ("fd.net = val(fd.cip)", "field type 'IPNET' doesn't support right-hand side fields"),
        ("proc.aname = val(proc.name)", "field 'proc.aname' doesn't support right-hand side fields"),
        ("proc.name = val(proc.aname)", "field 'proc.aname' can't be used as a right-hand side field"),
        (
            "syscall.type = val(evt.is_wait)",
            "field 'syscall.type' has type 'CHARBUF' while the right-hand side field 'evt.is_wait' has incompatible type 'BOOL'",
        ),
    ];
    for (condition, message) in refused {
        assert_eq!(compiled(condition), Err((*message).to_owned()), "{condition}");
    }
}

#[test]
fn values_that_may_be_meant_as_something_else_are_pointed_out() {
    let table: &[(&str, &str)] = &[
        ("proc.name = proc.pname", "'proc.pname' may be a valid field misused as a const string value"),
        ("proc.name = 'tolower( proc.pname)'", "'tolower( proc.pname)' may be a valid field transformer misused as a const string value"),
        (
            "proc.name regex '.*bash'",
            "regex check with '.*bash' may be optimized with simpler operators such as '=', 'contains', 'startswith', 'endswith'",
        ),
    ];
    for (condition, message) in table {
        assert_eq!(compiled(condition), Ok(vec![(*message).to_owned()]), "{condition}");
    }
}

fn holds(condition: &str, event: &Value) -> bool {
    let mut schema = Schema::default();
    let expr = parse(condition).unwrap_or_else(|error| panic!("{condition}: {error}"));
    let (filter, _) = compile(&expr, Source::Syscall, &mut schema).unwrap_or_else(|error| panic!("{condition}: {error}"));
    filter.matches(&schema.decode(fields_of(event).expect("fields")))
}

#[test]
fn conditions_hold_or_do_not() {
    let file = json!({
        "evt.type": "openat", "evt.rawres": -2, "evt.num": 7, "evt.arg.flags": "O_RDONLY|O_CLOEXEC", "evt.rawtime": 1_000_000_000_u64,
        "fd.name": "/etc/shadow", "fd.directory": "/etc", "fd.num": 3, "fd.types": ["file", "ipv4"], "evt.buffer": "HTTP/1.1",
        "proc.name": "cat", "proc.pname": "cat", "proc.pid": 42, "proc.aname": ["bash", "sshd"], "evt.is_open_read": true, "user.uid": 4_294_967_295_u32,
    });
    let net = json!({
        "evt.type": "connect", "fd.cip": "10.0.0.5", "fd.sip": "142.251.111.147", "fd.cport": 43210, "fd.sport": 443, "proc.name": "curl",
        "proc.aname[1]": "bash", "proc.aname[2]": "systemd",
    });
    let truths: &[(&str, &Value, bool)] = &[
        // A field without a value makes every comparison false, and its negation true.
        ("user.name = root", &file, false),
        ("user.name != root", &file, false),
        ("not user.name = root", &file, true),
        ("user.name exists", &file, false),
        ("proc.name exists", &file, true),
        ("proc.name in (cat, ls)", &file, true),
        ("proc.name = val(proc.pname)", &file, true),
        ("proc.name = proc.pname", &file, false),
        ("fd.name pmatch (/etc, /var)", &file, true),
        ("fd.name glob /e*/sh?dow", &file, true),
        ("fd.name icontains SHADOW", &file, true),
        ("fd.name regex '/etc/(shadow|passwd)'", &file, true),
        ("fd.name regex 'shadow'", &file, false),
        ("evt.buffer bstartswith 48545450", &file, true),
        ("evt.failed = true", &file, true),
        ("evt.rawres < 0 and evt.count = 1 and evt.dir = <", &file, true),
        ("user.uid = -1", &file, true),
        ("syscall.type = openat and evt.source = syscall", &file, true),
        ("evt.type.is.openat = 1", &file, true),
        ("evt.around[1500000000] = 600", &file, true),
        ("evt.around[1500000000] = 400", &file, false),
        // Any ancestor is enough, for `!=` too; a level is one ancestor.
        ("proc.aname = sshd", &file, true),
        ("proc.aname != sshd", &file, true),
        ("proc.aname[2] = sshd and proc.aname[1] = bash and proc.aname[0] = cat", &file, true),
        ("proc.aname[3] exists", &file, false),
        ("proc.aname in (systemd)", &net, true),
        // `in` wants every value of a list, `intersects` any.
        ("fd.types in (file)", &file, false),
        ("fd.types in (file, ipv4, unix)", &file, true),
        ("fd.types intersects (file)", &file, true),
        ("len(fd.types) = 2 and len(proc.name) = 3", &file, true),
        // Both sides of a connection.
        ("fd.ip = 10.0.0.5 and fd.ip = 142.251.111.147", &net, true),
        ("fd.ip != 10.0.0.5", &net, false),
        ("fd.ip != 10.0.0.6", &net, true),
        ("fd.net = 142.0.0.0/4 and fd.snet = 142.251.0.0/16 and fd.cnet = 10.0.0.0/8", &net, true),
        ("fd.net != 10.0.0.0/8", &net, false),
        ("fd.port = 443 and fd.sport = https", &net, true),
        ("fd.sip != ::1", &net, true),
        ("toupper(proc.name) = CURL and basename(fd.name) = x", &net, false),
        ("concat(proc.name, '!') = curl! and join('.', ('a', 'b')) = a.b", &net, true),
        ("b64('Y3VybA') = curl", &net, true),
        ("proc.name startswith oneof (cu, ca) and proc.name != allof (cat, ls)", &net, true),
    ];
    for (condition, event, expected) in truths {
        assert_eq!(holds(condition, event), *expected, "{condition}");
    }
}
