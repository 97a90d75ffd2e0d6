//! The store by itself: history, journal, snapshots.

use super::*;
use serde_json::json;
use std::path::Path;

fn object(namespace: &str, name: &str, data: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name}, "data": data})
}

fn put(store: &Store, namespace: &str, name: &str, data: &str) -> u64 {
    let write = store.write(0, false, |t| Ok(t.put("", "configmaps", object(namespace, name, data))));
    object::resource_version(&write.unwrap().0)
}

fn names(state: &State, namespace: Option<&str>) -> Vec<String> {
    state.list("", "configmaps", namespace, None).map(|(key, _)| key.to_string()).collect()
}

#[test]
fn keys_sort_as_etcd_sorts_them_and_namespaces_do_not_mix() {
    let store = Store::open(None).unwrap();
    for (namespace, name) in [("b", "x"), ("a", "y"), ("a", "x"), ("a-b", "x"), ("ab", "x")] {
        put(&store, namespace, name, "");
    }
    assert_eq!(names(&store.state(), None), ["a-b/x", "a/x", "a/y", "ab/x", "b/x"]);
    assert_eq!(names(&store.state(), Some("a")), ["a/x", "a/y"]);
    let state = store.state();
    let after = |namespace, after| state.list("", "configmaps", namespace, Some(after)).map(|(key, _)| key.to_string()).collect::<Vec<_>>();
    assert_eq!(after(None, "a/x"), ["a/y", "ab/x", "b/x"]);
    assert_eq!(after(Some("a"), "a/x"), ["a/y"]);
    assert_eq!(after(Some("a"), "zzz"), [""; 0]);
    assert_eq!(after(Some("b"), "a"), ["b/x"]);
}

#[test]
fn a_failed_or_dry_write_changes_nothing() {
    let store = Store::open(None).unwrap();
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
    let store = Store::open(None).unwrap();
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
    let store = Store::open(None).unwrap();
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
    let store = Store::open(Some(path.to_owned())).unwrap();
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
    let after = Store::open(Some(path)).unwrap();
    assert_eq!(after.state().resource_version(), 4);
    assert_eq!(names(&after.state(), None), ["a/one"]);
    assert_eq!(after.state().get("", "configmaps", "a", "one"), before.get("", "configmaps", "a", "one"));
    assert_eq!(put(&after, "a", "three", ""), 5);
}

/// However many bytes of the last record are missing, the records before it are there and the file takes new ones.
#[test]
fn a_torn_tail_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fill(&path);
    let whole = std::fs::read(&path).unwrap();
    let last = (0..whole.len()).rev().find(|at| whole[*at..].starts_with(b"CJF1")).unwrap();
    for length in last + 1..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let store = Store::open(Some(path.clone())).unwrap();
        assert_eq!(names(&store.state(), None), ["a/one", "a/two"], "cut to {length} bytes");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), last as u64);
        put(&store, "a", "new", "");
        assert_eq!(names(&Store::open(Some(path.clone())).unwrap().state(), None), ["a/new", "a/one", "a/two"]);
    }
}

#[test]
fn damage_in_the_middle_names_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fill(&path);
    let whole = std::fs::read(&path).unwrap();
    // The first frame: its magic, its length, its sum, its payload.
    for at in [17, 17 + 4, 17 + 7, 17 + 8, 17 + 12, 17 + 40] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&path, &damaged).unwrap();
        let error = Store::open(Some(path.clone())).unwrap_err().to_string();
        assert!(error.contains("journal") && error.contains("at offset 17"), "byte {at}: {error}");
    }
    std::fs::write(&path, b"something else entirely").unwrap();
    assert!(Store::open(Some(path)).unwrap_err().to_string().contains("at offset 0"));
}

#[test]
fn compaction_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let store = Store::open(Some(path.clone())).unwrap();
    let large = "x".repeat(100_000);
    for n in 0..200 {
        put(&store, "a", &format!("n{}", n % 3), &format!("{large}{n}"));
    }
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < 10_000_000, "20 MB were written, {length} bytes remain");
    let again = Store::open(Some(path)).unwrap();
    assert_eq!(again.state().resource_version(), 200);
    assert_eq!(again.state().get("", "configmaps", "a", "n1").unwrap()["data"].as_str().unwrap().len(), 100_003);
}

#[test]
fn a_snapshot_shares_its_objects_and_survives_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let template = Store::open(None).unwrap();
    put(&template, "a", "one", "1");
    let snapshot = snapshot::Snapshot::new(template.state());
    let path = folder.path().join("cluster");
    let cluster = Store::open(Some(path.clone())).unwrap();
    cluster.restore(0, &snapshot.content.state, || snapshot.encoded()).unwrap();
    let (a, b) = (template.state(), cluster.state());
    assert!(Arc::ptr_eq(a.get("", "configmaps", "a", "one").unwrap(), b.get("", "configmaps", "a", "one").unwrap()));
    put(&cluster, "a", "two", "2");
    assert_eq!(names(&Store::open(Some(path)).unwrap().state(), None), ["a/one", "a/two"]);
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
fn restoring_over_a_living_store_shows_as_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster");
    let store = Store::open(Some(path.clone())).unwrap();
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
    let again = Store::open(Some(path)).unwrap().state();
    assert_eq!(names(&again, None), ["a/changed", "a/removed", "a/same"]);
    assert_eq!(again.get("", "configmaps", "a", "changed").unwrap()["data"], "before");
    // What is as it was, but for its resource version, is not written again.
    store.restore(0, &snapshot.content.state, || snapshot.encoded()).unwrap();
    assert_eq!(store.state().resource_version(), at + 3);
}

#[test]
fn another_object_of_the_same_name_goes_before_the_restored_one_comes() {
    let store = Store::open(None).unwrap();
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
