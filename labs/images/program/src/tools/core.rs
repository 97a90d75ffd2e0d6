//! Coreutils, grep, sed (uutils) and find, xargs (findutils), which are libraries as well as programs.

use std::{ffi::OsString, io::Write, vec::IntoIter};

type Main = fn(IntoIter<OsString>) -> i32;

/// By their names; the functions take the program's name as their first argument.
const TOOLS: &[(&str, Main)] = &[
    ("[", uu_test::uumain),
    ("base64", uu_base64::uumain),
    ("basename", uu_basename::uumain),
    ("cat", uu_cat::uumain),
    ("chgrp", uu_chgrp::uumain),
    ("chmod", uu_chmod::uumain),
    ("chown", uu_chown::uumain),
    ("cksum", uu_cksum::uumain),
    ("comm", uu_comm::uumain),
    ("cp", uu_cp::uumain),
    ("cut", uu_cut::uumain),
    ("date", uu_date::uumain),
    ("dd", uu_dd::uumain),
    ("df", uu_df::uumain),
    ("dirname", uu_dirname::uumain),
    ("du", uu_du::uumain),
    ("echo", uu_echo::uumain),
    ("env", uu_env::uumain),
    ("expr", uu_expr::uumain),
    ("false", uu_false::uumain),
    ("fold", uu_fold::uumain),
    ("head", uu_head::uumain),
    ("hostname", uu_hostname::uumain),
    ("install", uu_install::uumain),
    ("kill", uu_kill::uumain),
    ("ln", uu_ln::uumain),
    ("ls", uu_ls::uumain),
    ("md5sum", uu_md5sum::uumain),
    ("mkdir", uu_mkdir::uumain),
    ("mkfifo", uu_mkfifo::uumain),
    ("mknod", uu_mknod::uumain),
    ("mktemp", uu_mktemp::uumain),
    ("mv", uu_mv::uumain),
    ("nl", uu_nl::uumain),
    ("nproc", uu_nproc::uumain),
    ("od", uu_od::uumain),
    ("paste", uu_paste::uumain),
    ("printenv", uu_printenv::uumain),
    ("printf", uu_printf::uumain),
    ("pwd", uu_pwd::uumain),
    ("readlink", uu_readlink::uumain),
    ("realpath", uu_realpath::uumain),
    ("rm", uu_rm::uumain),
    ("rmdir", uu_rmdir::uumain),
    ("seq", uu_seq::uumain),
    ("sha1sum", uu_sha1sum::uumain),
    ("sha256sum", uu_sha256sum::uumain),
    ("sha512sum", uu_sha512sum::uumain),
    ("sleep", uu_sleep::uumain),
    ("sort", uu_sort::uumain),
    ("split", uu_split::uumain),
    ("stat", uu_stat::uumain),
    ("sync", uu_sync::uumain),
    ("tac", uu_tac::uumain),
    ("tail", uu_tail::uumain),
    ("tee", uu_tee::uumain),
    ("test", uu_test::uumain),
    ("timeout", uu_timeout::uumain),
    ("touch", uu_touch::uumain),
    ("tr", uu_tr::uumain),
    ("true", uu_true::uumain),
    ("truncate", uu_truncate::uumain),
    ("tty", uu_tty::uumain),
    ("uname", uu_uname::uumain),
    ("uniq", uu_uniq::uumain),
    ("unlink", uu_unlink::uumain),
    ("wc", uu_wc::uumain),
    ("whoami", uu_whoami::uumain),
    ("yes", uu_yes::uumain),
    ("grep", uu_grep::uumain),
    ("egrep", uu_grep::uumain),
    ("fgrep", uu_grep::uumain),
    ("sed", sed::sed::uumain),
];

#[cfg(test)]
pub fn has(name: &str) -> bool {
    matches!(name, "find" | "xargs") || TOOLS.iter().any(|(tool, _)| *tool == name)
}

/// `arguments` begins with the program. `None`: there is no such tool.
pub fn run(name: &str, arguments: &[String]) -> Option<i32> {
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match name {
        "find" => return Some(findutils::find::find_main(&texts, &findutils::find::StandardDependencies::new())),
        "xargs" => return Some(findutils::xargs::xargs_main(&texts)),
        _ => {}
    }
    let (_, main) = TOOLS.iter().find(|(tool, _)| *tool == name)?;
    // Messages of the tools are looked up by their names; without this they are shown as keys.
    let _ = uucore::locale::setup_localization(if name == "[" { "test" } else { name });
    let _ = uucore_of_grep::locale::setup_localization("grep");
    let mut own: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    match name {
        "egrep" => own.insert(1, "-E".into()),
        "fgrep" => own.insert(1, "-F".into()),
        _ => {}
    }
    let code = main(own.into_iter());
    let _ = std::io::stdout().flush();
    Some(code)
}
