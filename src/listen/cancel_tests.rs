//! Keys tell nothing, and fit nobody else.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use std::collections::HashSet;

#[test]
fn a_key_is_drawn_and_no_other_is_like_it() {
    let keys = CancelKeys::default();
    let drawn: Vec<Key> = (0..2000).map(|_| keys.issue().unwrap()).collect();
    assert_eq!(drawn.iter().map(|key| key.0).collect::<HashSet<_>>().len(), drawn.len(), "each number is one connection's");
    assert!(drawn.iter().all(|key| key.0 > 0 && i32::try_from(key.0).is_ok() && key.1.len() == 4));
    // A counter's numbers are close together and rise; of drawn ones half of the steps go down.
    let falls = drawn.windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
    assert!((800..1200).contains(&falls), "{falls}");
    let near = drawn.windows(2).filter(|pair| pair[1].0.abs_diff(pair[0].0) < 1 << 16).count();
    assert!(near < 20, "{near}");
    assert!(drawn.iter().map(|key| &key.1).collect::<HashSet<_>>().len() > 1990);
}

#[test]
fn only_the_whole_key_is_found() {
    let keys = CancelKeys::default();
    let (number, secret) = keys.issue().unwrap();
    assert!(matches!(keys.find(&(number, secret.clone())), Ok(None)), "it means nobody yet");
    let mut others: Vec<Key> =
        (0..32).map(|bit| (number, (u32::from_be_bytes(secret.clone().try_into().unwrap()) ^ (1 << bit)).to_be_bytes().to_vec())).collect();
    others.extend([
        (number ^ 1, secret.clone()),
        (number, secret[..3].to_vec()),
        (number, [&secret[..], &[0]].concat()),
        (number, Vec::new()),
    ]);
    for other in others {
        assert!(keys.find(&other).is_err(), "{other:?}");
    }
    keys.remove(&(number, secret.clone()));
    assert!(keys.find(&(number, secret)).is_err());
}
