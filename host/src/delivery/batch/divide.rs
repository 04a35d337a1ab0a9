//! Which messages go into one call: no two of a key, and not more bytes than a plugin can hold. Pure.

use std::collections::HashMap;

use crate::message::{Key, Message};

/// Bytes of the bodies of one call, all together; a message that has more goes alone.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The calls for `members`, whose messages are as `message` says: oldest first, so that the same members make the same calls; of one
/// key each in a later call than the one before it.
pub fn into_calls<M>(mut members: Vec<M>, message: impl Fn(&M) -> &Message) -> Vec<Vec<M>> {
    members.sort_by_key(|member| (message(member).accepted_at, message(member).id));
    let mut calls: Vec<(Vec<M>, usize)> = Vec::new();
    let mut free_from: HashMap<Key, usize> = HashMap::new();
    for member in members {
        let (bytes, key) = (message(&member).body.len(), message(&member).key.clone());
        let first = key.as_ref().and_then(|key| free_from.get(key)).copied().unwrap_or(0);
        let fits = |(_, used): &(Vec<M>, usize)| used.saturating_add(bytes) <= BATCH_BYTES_MAX;
        let found = calls.iter().skip(first).position(fits).map_or(calls.len(), |place| first + place);
        free_from.extend(key.map(|key| (key, found + 1)));
        match calls.get_mut(found) {
            Some((members, used)) => {
                members.push(member);
                *used = used.saturating_add(bytes);
            }
            None => calls.push((vec![member], bytes)),
        }
    }
    calls.into_iter().map(|(members, _)| members).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::Timestamp;
    use crate::message::{Headers, MessageId};
    use crate::random::SeededRandom;

    fn message(at: i64, key: &str, bytes: usize) -> Message {
        Message {
            id: MessageId::new(Timestamp(at), &SeededRandom::new(u64::try_from(at).unwrap())),
            parent: None,
            key: (!key.is_empty()).then(|| Key(key.to_owned())),
            content_type: String::new(),
            headers: Headers::default(),
            body: Bytes::from(vec![b'x'; bytes]),
            tracked: Vec::new(),
            origin: String::new(),
            accepted_at: Timestamp(at),
        }
    }

    fn calls(messages: Vec<Message>) -> Vec<Vec<i64>> {
        let calls = into_calls(messages, |message| message);
        calls.into_iter().map(|call| call.into_iter().map(|message| message.accepted_at.0).collect()).collect()
    }

    #[test]
    fn no_call_holds_two_of_a_key_and_the_older_of_a_key_goes_first() {
        let of = |at, key| message(at, key, 1);
        assert_eq!(calls(vec![of(5, "a"), of(4, ""), of(3, "b"), of(2, "a"), of(1, "a")]), [vec![1, 3, 4], vec![2], vec![5]]);
    }

    #[test]
    fn no_call_holds_more_bytes_than_it_may_but_for_one_message_that_is_larger() {
        let half = BATCH_BYTES_MAX / 2;
        let found = calls(vec![message(1, "a", half), message(2, "b", half + 1), message(3, "b", 1), message(4, "c", 2 * BATCH_BYTES_MAX)]);
        assert_eq!(found, [vec![1], vec![2], vec![3], vec![4]]);
    }
}
