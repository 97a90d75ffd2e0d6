//! The persistent map: cloning is free, a change copies only the path to it, objects are shared.

use super::Stored;
use rpds::RedBlackTreeMapSync;
use serde_json::{Value, value::RawValue};
use std::{ops::Bound, sync::Arc};

type Objects = RedBlackTreeMapSync<Arc<str>, Arc<Stored>>;

/// All objects of a cluster at one resource version.
#[derive(Debug, Clone, Default)]
pub struct State {
    buckets: RedBlackTreeMapSync<Arc<str>, Bucket>,
    resource_version: u64,
    count: usize,
}

/// All objects of one stored resource.
#[derive(Debug, Clone)]
struct Bucket {
    group: Arc<str>,
    resource: Arc<str>,
    objects: Objects,
}

/// Where an object lies in its bucket: `namespace/name`, or `name` for a cluster-scoped one. Keys sort as etcd's do.
pub(super) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

fn bucket_key(group: &str, resource: &str) -> String {
    format!("{group}/{resource}")
}

impl State {
    pub fn resource_version(&self) -> u64 {
        self.resource_version
    }

    pub(super) fn next(&mut self) -> u64 {
        self.resource_version += 1;
        self.resource_version
    }

    /// Moves the resource version up to `to`, never down.
    pub(super) fn raise(&mut self, to: u64) {
        self.resource_version = self.resource_version.max(to);
    }

    pub fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.at(group, resource, &key(namespace, name)).map(|stored| stored.tree())
    }

    pub fn has(&self, group: &str, resource: &str, namespace: &str, name: &str) -> bool {
        self.at(group, resource, &key(namespace, name)).is_some()
    }

    /// As [`Self::get`], in the form in which it is held.
    pub fn stored(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        self.at(group, resource, &key(namespace, name)).cloned()
    }

    /// The object under a key of its resource.
    pub(super) fn at(&self, group: &str, resource: &str, key: &str) -> Option<&Arc<Stored>> {
        self.bucket(group, resource)?.objects.get(key)
    }

    fn bucket(&self, group: &str, resource: &str) -> Option<&Bucket> {
        self.buckets.get(bucket_key(group, resource).as_str())
    }

    /// Objects in the order of their keys.
    pub fn list<'a>(&'a self, group: &str, resource: &str, namespace: Option<&str>) -> impl Iterator<Item = Arc<Value>> + use<'a> {
        self.list_stored(group, resource, namespace, None).map(|(_, stored)| stored.tree())
    }

    /// As [`Self::list`], in the form in which they are held, beside their keys; `after` leaves out all keys up to and including it.
    pub fn list_stored<'a>(
        &'a self,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Stored>)> + use<'a> {
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        let (low, high) = match namespace {
            // '0' follows '/' in ASCII.
            Some(namespace) => (Bound::Included(format!("{namespace}/")), Bound::Excluded(format!("{namespace}0"))),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let low = match after {
            Some(after) => match low {
                Bound::Included(start) if start.as_str() > after => Bound::Included(start),
                _ => Bound::Excluded(after.to_owned()),
            },
            None => low,
        };
        // A foreign continue token may point behind the namespace: an empty range, which the map would not accept.
        let empty = match (&low, &high) {
            (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
            _ => false,
        };
        let bucket = self.bucket(group, resource).filter(|_| !empty);
        bucket.into_iter().flat_map(move |bucket| {
            let low = low.as_ref().map(String::as_str);
            let high = high.as_ref().map(String::as_str);
            bucket.objects.range::<str, _>((low, high)).collect::<Vec<_>>()
        })
    }

    /// How many objects of all kinds there are.
    pub fn all_count(&self) -> usize {
        self.count
    }

    /// How many objects a stored resource has.
    pub fn count(&self, group: &str, resource: &str) -> usize {
        self.bucket(group, resource).map_or(0, |bucket| bucket.objects.size())
    }

    /// Every object with its group and resource, which all objects of a resource share.
    pub fn everything(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, Arc<Value>)> {
        self.buckets.values().flat_map(|bucket| bucket.objects.values().map(|stored| (&bucket.group, &bucket.resource, stored.tree())))
    }

    /// Every object with its group, resource and key.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &str, &Arc<Stored>)> {
        self.buckets
            .values()
            .flat_map(|bucket| bucket.objects.iter().map(|(key, object)| (&*bucket.group, &*bucket.resource, &**key, object)))
    }

    /// Stored group and resource of every non-empty bucket.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.buckets.values().filter(|bucket| !bucket.objects.is_empty()).map(|bucket| (&*bucket.group, &*bucket.resource))
    }

    pub(super) fn insert(
        &mut self,
        group: &str,
        resource: &str,
        key: String,
        object: Arc<Stored>,
    ) -> (Arc<str>, Arc<str>, Option<Arc<Stored>>) {
        let at = bucket_key(group, resource);
        let mut bucket = self.buckets.get(at.as_str()).cloned().unwrap_or_else(|| Bucket {
            group: group.into(),
            resource: resource.into(),
            objects: Objects::default(),
        });
        let previous = bucket.objects.get(key.as_str()).cloned();
        bucket.objects.insert_mut(key.into(), object);
        self.count += usize::from(previous.is_none());
        let names = (bucket.group.clone(), bucket.resource.clone());
        self.buckets.insert_mut(at.into(), bucket);
        (names.0, names.1, previous)
    }

    pub(super) fn remove(&mut self, group: &str, resource: &str, key: &str) -> Option<(Arc<str>, Arc<str>, Arc<Stored>)> {
        let at = bucket_key(group, resource);
        let mut bucket = self.buckets.get(at.as_str())?.clone();
        let previous = bucket.objects.get(key)?.clone();
        bucket.objects.remove_mut(key);
        self.count = self.count.saturating_sub(1);
        let names = (bucket.group.clone(), bucket.resource.clone());
        self.buckets.insert_mut(at.into(), bucket);
        Some((names.0, names.1, previous))
    }

    /// Reads back one stored operation.
    pub(super) fn replay(&mut self, group: &str, resource: &str, key: &str, text: Option<Box<RawValue>>, resource_version: u64) {
        match text {
            Some(text) => {
                self.insert(group, resource, key.to_owned(), Arc::new(Stored::of_text(text)));
            }
            None => {
                self.remove(group, resource, key);
            }
        }
        self.raise(resource_version);
    }

    /// Calls `visit` with each key that must change to make `target` of this: with the object wanted there, or `None`. Objects that
    /// differ in nothing but their resource version are the same: a restored object has a newer one than its snapshot knows.
    pub(super) fn difference(&self, target: &Self, mut visit: impl FnMut(&str, &str, &str, Option<&Arc<Stored>>)) {
        for (group, resource, key, object) in target.all() {
            if !self.at(group, resource, key).is_some_and(|here| same(here, object)) {
                visit(group, resource, key, Some(object));
            }
        }
        for (group, resource, key, _) in self.all() {
            if target.at(group, resource, key).is_none() {
                visit(group, resource, key, None);
            }
        }
    }
}

/// Whether two objects say the same, whatever their resource versions.
fn same(one: &Arc<Stored>, other: &Arc<Stored>) -> bool {
    fn fields<'a>(value: &'a Value, without: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        value.as_object().into_iter().flatten().filter(move |(key, _)| *key != without)
    }
    if Arc::ptr_eq(one, other) {
        return true;
    }
    let (one, other) = (one.tree(), other.tree());
    fields(&one["metadata"], "resourceVersion").eq(fields(&other["metadata"], "resourceVersion"))
        && fields(&one, "metadata").eq(fields(&other, "metadata"))
}
