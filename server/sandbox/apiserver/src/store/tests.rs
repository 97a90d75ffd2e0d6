//! The store by itself: history, journal, snapshots.

use super::*;
use serde_json::json;
use std::path::Path;

fn open(path: Option<PathBuf>) -> io::Result<Store> {
    Store::open(path, Bounds { request: 1 << 20, space: 64 << 20 })
}

fn object(namespace: &str, name: &str, data: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name}, "data": data})
}

fn put(store: &Store, namespace: &str, name: &str, data: &str) -> u64 {
    let write = store.write(0, false, |t| Ok(t.put("", "configmaps", object(namespace, name, data))));
    object::resource_version(&write.unwrap().0)
}

fn names(state: &State, namespace: Option<&str>) -> Vec<String> {
    state.list_stored("", "configmaps", namespace, None).map(|(key, _)| key.to_string()).collect()
}

#[test]
fn keys_sort_as_etcd_sorts_them_and_namespaces_do_not_mix() {
    let store = open(None).unwrap();
    for (namespace, name) in [("b", "x"), ("a", "y"), ("a", "x"), ("a-b", "x"), ("ab", "x")] {
        put(&store, namespace, name, "");
    }
    assert_eq!(names(&store.state(), None), ["a-b/x", "a/x", "a/y", "ab/x", "b/x"]);
    assert_eq!(names(&store.state(), Some("a")), ["a/x", "a/y"]);
    let state = store.state();
    let after =
        |namespace, after| state.list_stored("", "configmaps", namespace, Some(after)).map(|(key, _)| key.to_string()).collect::<Vec<_>>();
    assert_eq!(after(None, "a/x"), ["a/y", "ab/x", "b/x"]);
    assert_eq!(after(Some("a"), "a/x"), ["a/y"]);
    assert_eq!(after(Some("a"), "zzz"), [""; 0]);
    assert_eq!(after(Some("b"), "a"), ["b/x"]);
}

#[test]
fn a_failed_or_dry_write_changes_nothing() {
    let store = open(None).unwrap();
    let failed = store.write(0, false, |t| {
        t.put("", "configmaps", object("a", "x", ""));
        Err::<(), _>(ApiError::internal("no"))
    });
    assert!(failed.is_err());
    let (_, changes) = store.write(0, true, |t| Ok(t.put("", "configmaps", object("a", "x", "")))).unwrap();
    assert!(changes.is_empty());
    assert_eq!((store.state().resource_version(), store.state().all_count()), (0, 0));
}

#[test]
fn history_is_bounded_and_says_when_it_forgot() {
    let store = open(None).unwrap();
    for n in 0..history::MOST + 10 {
        put(&store, "a", &format!("n{n}"), "");
    }
    assert!(matches!(store.since(9), History::Expired));
    let History::Since(events, reached) = store.since(10) else { panic!("the history reaches back to 10") };
    assert_eq!((events.len(), reached), (history::MOST, (history::MOST + 10) as u64));
    // Old changes go when new ones come, however few there are beyond the floor.
    store.write(history::SECONDS + 1, false, |t| Ok(t.put("", "configmaps", object("a", "late", "")))).unwrap();
    let History::Since(events, _) = store.since(store.state().resource_version() - 1) else { panic!("the newest change is kept") };
    assert_eq!(events.len(), 1);
    assert!(matches!(store.since(100), History::Expired));
}

#[test]
fn a_store_at_rest_tells_the_same_changes() {
    let store = open(None).unwrap();
    put(&store, "a", "one", "1");
    put(&store, "a", "one", "2");
    store.write(0, false, |t| Ok(t.remove("", "configmaps", "a", "one"))).unwrap();
    let told = || {
        let History::Since(events, reached) = store.since(1) else { panic!("the history reaches back to 1") };
        let shown = |event: &Arc<Event>| (event.change.kind, event.change.object.clone(), event.previous.clone());
        (events.iter().map(shown).collect::<Vec<_>>(), reached)
    };
    let before = told();
    store.rest(0);
    assert_eq!(told(), before);
    put(&store, "a", "two", "");
    assert_eq!((told().0.len(), told().1), (3, 4), "older and newer ones together");
}

fn fill(path: &Path) -> Store {
    let store = open(Some(path.to_owned())).unwrap();
    put(&store, "a", "one", "1");
    put(&store, "a", "two", "2");
    put(&store, "a", "one", "changed");
    store.write(0, false, |t| Ok(t.remove("", "configmaps", "a", "two"))).unwrap();
    store
}

#[test]
fn what_was_acknowledged_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let before = fill(&path).state();
    let after = open(Some(path)).unwrap();
    assert_eq!(after.state().resource_version(), 4);
    assert_eq!(names(&after.state(), None), ["a/one"]);
    assert_eq!(after.state().get("", "configmaps", "a", "one"), before.get("", "configmaps", "a", "one"));
    assert_eq!(put(&after, "a", "three", ""), 5);
}

/// Where each frame of a journal begins, and where the last one ends.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut starts: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"CJF1")).collect();
    starts.push(bytes.len());
    starts
}

/// However many bytes are missing at the end, the whole records before are there and the file takes new ones.
#[test]
fn a_torn_tail_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fill(&path);
    let whole = std::fs::read(&path).unwrap();
    let starts = frames(&whole);
    let held: [&[&str]; 5] = [&[], &["a/one"], &["a/one", "a/two"], &["a/one", "a/two"], &["a/one"]];
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let records = starts.iter().filter(|start| **start <= length).count().saturating_sub(1);
        let store = open(Some(path.clone())).unwrap();
        assert_eq!(names(&store.state(), None), held[records], "cut to {length} bytes");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), starts[records] as u64);
        assert_eq!(put(&store, "a", "zzz", ""), records as u64 + 1);
        let again = open(Some(path.clone())).unwrap().state();
        assert_eq!(names(&again, None), [held[records], &["a/zzz"]].concat(), "cut to {length} bytes, written and opened again");
    }
}

/// After a loss of power, blocks that were promised and never written read as zeros.
#[test]
fn a_tail_of_zeros_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fill(&path);
    let whole = std::fs::read(&path).unwrap();
    let last = frames(&whole)[3];
    let mut longer = whole.clone();
    longer.extend([0; 4096]);
    let mut emptied = whole.clone();
    emptied[last + 30..].fill(0);
    for (bytes, length, held) in [(&longer, whole.len(), &["a/one"][..]), (&emptied, last, &["a/one", "a/two"])] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(names(&open(Some(path.clone())).unwrap().state(), None), held);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), length as u64);
    }
}

/// Whichever bit turns over, in the last record too: nothing is lost without a word.
#[test]
fn damage_names_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fill(&path);
    let whole = std::fs::read(&path).unwrap();
    let starts = frames(&whole);
    for at in 0..whole.len() {
        let record = starts.iter().rev().find(|start| **start <= at).copied().unwrap_or(0);
        for bit in [0x01, 0x10, 0x80] {
            let mut damaged = whole.clone();
            damaged[at] ^= bit;
            std::fs::write(&path, &damaged).unwrap();
            let error = open(Some(path.clone())).expect_err("damage is an error").to_string();
            let place = format!(
                "journal: {} at offset {record}",
                if record == 0 { "not a cluster journal of this version" } else { "damaged record" }
            );
            assert!(error.ends_with(&place), "byte {at}: {error}");
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "what is damaged is left as it is");
        }
    }
}

/// What a compaction or a snapshot that did not end leaves beside its file is nobody's business.
#[test]
fn an_interrupted_replacement_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let before = fill(&path).state();
    for half in [&b""[..], b"cordon-jour", b"cordon-journal 1\nCJF1\x10"] {
        std::fs::write(folder.path().join("journal.part"), half).unwrap();
        let mut store = open(Some(path.clone())).unwrap();
        assert_eq!(names(&store.state(), None), names(&before, None));
        compact(store.writer.get_mut().journal.as_mut().unwrap(), &before);
        assert!(!folder.path().join("journal.part").exists());
        assert_eq!(put(&store, "a", "one", "again"), before.resource_version() + 1);
        assert_eq!(open(Some(path.clone())).unwrap().state().resource_version(), before.resource_version() + 1);
        std::fs::remove_file(&path).unwrap();
        fill(&path);
    }
}

/// A server that is started anew again and again compacts as one that runs on.
#[test]
fn compaction_comes_also_to_a_file_that_is_opened_often() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let large = "x".repeat(500_000);
    for _ in 0..20 {
        let store = open(Some(path.clone())).unwrap();
        for n in 0..3 {
            put(&store, "a", "one", &format!("{large}{n}"));
        }
    }
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < 8_000_000, "30 MB were written, {length} bytes remain");
}

#[test]
fn what_is_too_large_or_finds_no_room_is_refused_in_etcds_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let store = Store::open(Some(path.clone()), Bounds { request: 10_000, space: 100_000 }).unwrap();
    let write = |name: &str, size: usize| {
        let write = store.write(0, false, |t| Ok(t.put("", "configmaps", object("a", name, &"x".repeat(size)))));
        write.map(drop).map_err(|error| (error.code, error.message))
    };
    let refused = |why: &str| Err((500, format!("etcdserver: {why}")));
    assert_eq!(write("large", 10_000), refused("request is too large"));
    // The same object again and again takes no more room than once.
    for _ in 0..50 {
        assert_eq!(write("same", 9_000), Ok(()));
        store.write(0, false, |t| Ok(t.remove("", "configmaps", "a", "same"))).unwrap();
    }
    let most = (0..50).find(|n| write(&format!("n{n}"), 9_000).is_err()).unwrap();
    assert_eq!(most, 10);
    assert_eq!(write("one-more", 9_000), refused("mvcc: database space exceeded"));
    assert!(std::fs::metadata(&path).unwrap().len() <= 100_000);
    let going =
        json!({"metadata": {"namespace": "a", "name": "n0", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "data": "x".repeat(9_000)});
    store.write(0, false, |t| Ok(t.put("", "configmaps", going))).unwrap();
    store.write(0, false, |t| Ok(t.remove("", "configmaps", "a", "n0"))).unwrap();
    assert_eq!(write("one-more", 9_000), Ok(()));
    assert_eq!(names(&open(Some(path)).unwrap().state(), None), names(&store.state(), None));
}

#[test]
fn compaction_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let store = open(Some(path.clone())).unwrap();
    let large = "x".repeat(100_000);
    for n in 0..200 {
        put(&store, "a", &format!("n{}", n % 3), &format!("{large}{n}"));
    }
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < 10_000_000, "20 MB were written, {length} bytes remain");
    let again = open(Some(path)).unwrap();
    assert_eq!(again.state().resource_version(), 200);
    assert_eq!(again.state().get("", "configmaps", "a", "n1").unwrap()["data"].as_str().unwrap().len(), 100_003);
}

#[test]
fn a_snapshot_shares_its_objects_and_survives_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let template = open(None).unwrap();
    put(&template, "a", "one", "1");
    let snapshot = snapshot::Snapshot::new(template.state());
    let path = folder.path().join("cluster");
    let cluster = open(Some(path.clone())).unwrap();
    cluster.restore(0, &snapshot.content.state, || snapshot.encoded()).unwrap();
    let (a, b) = (template.state(), cluster.state());
    assert!(Arc::ptr_eq(&a.get("", "configmaps", "a", "one").unwrap(), &b.get("", "configmaps", "a", "one").unwrap()));
    put(&cluster, "a", "two", "2");
    assert_eq!(names(&open(Some(path)).unwrap().state(), None), ["a/one", "a/two"]);
    assert_eq!(names(&template.state(), None), ["a/one"]);

    let file = folder.path().join("snapshot");
    snapshot.write_to(&file).unwrap();
    let read = snapshot::Snapshot::read_from(&file).unwrap();
    assert_eq!((read.resource_version, read.len()), (1, 1));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    assert!(snapshot::Snapshot::read_from(&file).unwrap_err().to_string().contains("cut at offset"));
}

#[test]
fn a_snapshot_of_a_journal_is_its_second_name() {
    use snapshot::Snapshot;
    use std::{fs, os::unix::fs::MetadataExt};
    let folder = tempfile::tempdir().unwrap();
    let [journal, file, other] = ["journal", "first", "second"].map(|name| folder.path().join(name));
    let inode = |path: &std::path::Path| fs::metadata(path).unwrap().ino();
    let held = |path: &std::path::Path| names(&Snapshot::read_from(path).unwrap().content.state, None).join(" ");
    let store = open(Some(journal.clone())).unwrap();
    put(&store, "a", "one", "1");
    assert_eq!(store.snapshot_to(&file).unwrap().len(), 1);
    put(&store, "a", "two", "2");
    store.snapshot_to(&other).unwrap();
    put(&store, "a", "three", "3");
    assert_eq!([inode(&file), inode(&other)], [inode(&journal); 2]);
    assert_eq!([held(&file), held(&other)], ["a/one", "a/one a/two"]);

    // The same name again is the newer state, also where the file is the same; a compaction leaves the old file to the snapshots.
    store.snapshot_to(&file).unwrap();
    assert_eq!(held(&file), "a/one a/three a/two");
    for _ in 0..200 {
        put(&store, "a", "one", &"x".repeat(100_000));
    }
    assert_ne!(inode(&journal), inode(&file), "the journal was compacted");
    store.snapshot_to(&other).unwrap();
    put(&store, "a", "four", "4");
    assert_eq!([held(&file), held(&other)], ["a/one a/three a/two"; 2]);
    assert_eq!(names(&open(Some(journal.clone())).unwrap().state(), None).len(), 4);

    // A record that was not finished lies behind the mark. Under another name the file stands for nothing.
    let mut bytes = fs::read(&journal).unwrap();
    bytes.truncate(bytes.len() - 5);
    fs::write(&other, &bytes).unwrap();
    assert_eq!(held(&other), "a/one a/three a/two");
    fs::copy(&other, folder.path().join("third")).unwrap();
    let error = Snapshot::read_from(&folder.path().join("third")).unwrap_err().to_string();
    assert!(error.contains("third: this is a journal with the snapshot \"second\" and none of this name"), "{error}");
    // What a crash left beside a snapshot is another name of the journal, which must not be written to.
    fs::hard_link(&journal, folder.path().join("fourth.part")).unwrap();
    let before = fs::read(&journal).unwrap();
    Snapshot::new(store.state()).write_to(&folder.path().join("fourth")).unwrap();
    assert_eq!(fs::read(&journal).unwrap(), before);
    assert!(!folder.path().join("fourth.part").exists());
}

#[test]
fn restoring_over_a_living_store_shows_as_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster");
    let store = open(Some(path.clone())).unwrap();
    put(&store, "a", "changed", "before");
    put(&store, "a", "removed", "");
    put(&store, "a", "same", "");
    let snapshot = snapshot::Snapshot::new(store.state());
    put(&store, "a", "changed", "after");
    put(&store, "a", "added", "");
    store.write(0, false, |t| Ok(t.remove("", "configmaps", "a", "removed"))).unwrap();
    let at = store.state().resource_version();
    store.restore(0, &snapshot.content.state, || snapshot.encoded()).unwrap();
    let History::Since(events, reached) = store.since(at) else { panic!("the restore is in the history") };
    let seen: Vec<_> = events.iter().map(|e| (e.change.kind, object::name(&e.change.object).to_owned())).collect();
    let expected = [(ChangeKind::Modified, "changed"), (ChangeKind::Added, "removed"), (ChangeKind::Deleted, "added")];
    assert_eq!(seen, expected.map(|(kind, name)| (kind, name.to_owned())));
    assert_eq!(reached, at + 3);
    let again = open(Some(path)).unwrap().state();
    assert_eq!(names(&again, None), ["a/changed", "a/removed", "a/same"]);
    assert_eq!(again.get("", "configmaps", "a", "changed").unwrap()["data"], "before");
    // What is as it was, but for its resource version, is not written again.
    store.restore(0, &snapshot.content.state, || snapshot.encoded()).unwrap();
    assert_eq!(store.state().resource_version(), at + 3);
}

#[test]
fn another_object_of_the_same_name_goes_before_the_restored_one_comes() {
    let store = open(None).unwrap();
    let put = |uid: &str| {
        let object = json!({"metadata": {"namespace": "a", "name": "one", "uid": uid}});
        store.write(0, false, |t| Ok(t.put("", "pods", object))).unwrap();
    };
    put("first");
    let snapshot = snapshot::Snapshot::new(store.state());
    store.write(0, false, |t| Ok(t.remove("", "pods", "a", "one"))).unwrap();
    put("second");
    let at = store.state().resource_version();
    store.restore(0, &snapshot.content.state, || snapshot.encoded()).unwrap();
    let History::Since(events, _) = store.since(at) else { panic!("the restore is in the history") };
    let seen: Vec<_> = events.iter().map(|e| (e.change.kind, object::uid(&e.change.object).to_owned())).collect();
    assert_eq!(seen, [(ChangeKind::Deleted, "second".to_owned()), (ChangeKind::Added, "first".to_owned())]);
}
