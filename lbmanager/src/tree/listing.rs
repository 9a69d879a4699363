//! Puts a whole listing into a tree: a hundred thousand keys at the start.

use presence::keys::TreeKey;
use presence::model::{MemberKey, Revision};
use presence::store::Entry;

use super::{BalancerTree, Listed, Tree};

impl Tree {
    /// Puts keys that are in order. Those of one load balancer and class stand
    /// together.
    pub(super) fn put_all(&mut self, entries: &[(String, Entry)]) {
        for siblings in entries.chunk_by(|(one, _), (next, _)| parent(one) == parent(next)) {
            self.put_siblings(siblings);
        }
    }

    /// Puts keys that differ in their last segment only. If the first is a
    /// member's, so are all whose last segment can name one; what is before it
    /// need not be read again.
    fn put_siblings(&mut self, entries: &[(String, Entry)]) {
        let first = entries.first().map(|(key, _)| self.keys.parse(key));
        let Some(Ok(TreeKey::Member(MemberKey {
            balancer, class, ..
        }))) = first
        else {
            return entries.iter().for_each(|(key, entry)| self.put(key, entry));
        };
        let mut members = Vec::with_capacity(entries.len());
        let mut newest = Revision::default();
        for (key, entry) in entries {
            match balancer.member(&key[parent(key).len()..]) {
                Ok(member) => {
                    newest = newest.max(entry.mod_revision);
                    let listed = Listed::new(entry);
                    self.doubt(key, listed.problem());
                    members.push(((class, member), listed));
                }
                Err(_) => self.put(key, entry),
            }
        }
        let BalancerTree {
            members: listed,
            departures,
            ..
        } = self.change(&balancer, newest);
        listed.extend(members);
        departures.retain(|member, _| !listed.contains_key(member));
    }
}

/// All of a key but its last segment.
fn parent(key: &str) -> &str {
    &key[..key.rfind('/').map_or(0, |slash| slash + 1)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use presence::keys;
    use presence::mirror::View;

    use super::*;

    const KEYS: [&str; 17] = [
        "/lbManager/config",
        "/lbManager/elb",
        "/lbManager/elb/us-east-1/a/config",
        "/lbManager/elb/us-east-1/a/multiple/I-00000001",
        "/lbManager/elb/us-east-1/a/multiple/i-00000001",
        "/lbManager/elb/us-east-1/a/multiple/i-00000002",
        "/lbManager/elb/us-east-1/a/single/i-00000002",
        "/lbManager/elb/us-east-1/b/multiple/",
        "/lbManager/elb/us-east-1/b/multiple/config",
        "/lbManager/elb/us-east-1/b/multiple/i-00000001",
        "/lbManager/elb/us-east-1/b/multiple/i-00000001/x",
        "/lbManager/elb/us-east-1/b/multiple/x",
        "/lbManager/elb/us-east-1/b/other/i-00000001",
        "/lbManager/ipvs/all/10.0.0.1:80:tcp/multiple/10.0.1.1:80",
        "/lbManager/route53/global/Z1/www.example.com/config",
        "/lbManager/route53/global/Z1/www.example.com/single/10.0.0.1",
        "/lbManager/route53/global/Z1/www.example.com/single/10.0.0.2",
    ];

    fn entry(revision: i64) -> Entry {
        Entry {
            value: b"{}".as_slice().into(),
            create_revision: Revision(1),
            mod_revision: Revision(revision),
            lease: None,
        }
    }

    #[test]
    fn all_at_once_is_the_same_as_one_after_the_other() {
        let keys = Arc::new(keys::Tree::new("/lbManager").unwrap());
        let entries: Vec<_> = (0..)
            .zip(KEYS)
            .map(|(number, key)| (key.to_owned(), entry(100 - number)))
            .collect();
        let mut once = Tree::new(Arc::clone(&keys));
        once.list_all(&entries);
        let mut each = Tree::new(keys);
        for (key, entry) in &entries {
            each.list(key, entry);
        }
        assert_eq!(once.general, each.general);
        assert_eq!(once.balancers, each.balancers);
        assert_eq!(once.malformed, each.malformed);
        assert_eq!(once.doubtful, each.doubtful);
        assert_eq!(each.balancers.len(), 3, "{:?}", each.malformed);
    }
}
