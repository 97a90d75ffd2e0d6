//! id. Users of pods often have no name in the image; uutils' id complains of each, where GNU's and busybox' show the number alone.

use crate::options::Options;
use rustix::process::{getegid, geteuid, getgroups};

pub fn run(arguments: &[String]) -> i32 {
    let options = match Options::parse(arguments, "ugGnr", &[("user", 'u'), ("group", 'g'), ("groups", 'G'), ("name", 'n'), ("real", 'r')])
    {
        Ok(options) => options,
        Err(why) => return complain(&why),
    };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let (uid, gid) = match options.operands.first() {
        None => (geteuid().as_raw(), getegid().as_raw()),
        Some(wanted) => match by_name(&passwd, wanted) {
            Some(found) => found,
            None => return complain(&format!("'{wanted}': no such user")),
        },
    };
    let mut groups = vec![gid];
    if options.operands.is_empty() {
        groups.extend(getgroups().unwrap_or_default().into_iter().map(|group| group.as_raw()).filter(|other| *other != gid));
    }
    let plain = |table: &str, id: u32| name(table, id).filter(|_| options.has('n')).unwrap_or_else(|| id.to_string());
    let text = match (options.has('u'), options.has('g'), options.has('G')) {
        (true, ..) => plain(&passwd, uid),
        (_, true, _) => plain(&group, gid),
        (_, _, true) => groups.iter().map(|id| plain(&group, *id)).collect::<Vec<_>>().join(" "),
        _ => {
            let groups: Vec<String> = groups.iter().map(|id| shown(&group, *id)).collect();
            format!("uid={} gid={} groups={}", shown(&passwd, uid), shown(&group, gid), groups.join(","))
        }
    };
    println!("{text}");
    0
}

/// `0(root)`, or the number alone.
fn shown(table: &str, id: u32) -> String {
    name(table, id).map_or_else(|| id.to_string(), |name| format!("{id}({name})"))
}

/// The name of a number, in a table whose third column is the number.
fn name(table: &str, id: u32) -> Option<String> {
    table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split(':').collect();
        (columns.get(2)?.parse() == Ok(id)).then(|| columns[0].to_owned())
    })
}

/// User and group of a name or a number.
fn by_name(passwd: &str, wanted: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let columns: Vec<&str> = line.split(':').collect();
        let is_meant = columns[0] == wanted || columns.get(2) == Some(&wanted);
        is_meant.then(|| Some((columns.get(2)?.parse().ok()?, columns.get(3)?.parse().ok()?)))?
    })
}

fn complain(why: &str) -> i32 {
    eprintln!("id: {why}");
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_is_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ncurl_user:x:100:101::/home:/bin/sh\n";
        for (id, expected) in [(0, "0(root)"), (100, "100(curl_user)"), (10_001, "10001")] {
            assert_eq!(shown(passwd, id), expected);
        }
        assert_eq!([by_name(passwd, "curl_user"), by_name(passwd, "0"), by_name(passwd, "nobody")], [Some((100, 101)), Some((0, 0)), None]);
    }
}
