//! Turns of those who wait.

use super::*;

fn queue(waiters: &[(&'static str, u32)]) -> Queue<&'static str, u32> {
    let mut queue = Queue::default();
    waiters.iter().for_each(|(tenant, n)| queue.push(*tenant, *n));
    queue
}

fn all(mut queue: Queue<&'static str, u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.next(|_| true)).map(|(_, n)| n).collect()
}

#[test]
fn tenants_take_turns_and_each_ones_own_are_first_come_first_served() {
    let many: Vec<(&'static str, u32)> = (0..5).map(|n| ("a", n)).chain([("b", 10), ("b", 11), ("c", 20)]).collect();
    assert_eq!(all(queue(&many)), [0, 10, 20, 1, 11, 2, 3, 4]);
}

#[test]
fn one_that_may_not_have_its_turn_keeps_it() {
    let mut queue = queue(&[("a", 0), ("b", 10), ("a", 1), ("b", 11)]);
    assert_eq!(queue.next(|k| *k != "a"), Some(("b", 10)));
    assert_eq!(queue.next(|k| *k != "a"), Some(("b", 11)));
    assert_eq!(queue.next(|k| *k != "a"), None);
    assert_eq!((queue.count(), queue.has(&"b")), (2, false));
    assert_eq!(all(queue), [0, 1]);
}

#[test]
fn who_is_gone_leaves_and_takes_no_turn() {
    let mut queue = queue(&[("a", 0), ("a", 1), ("b", 10)]);
    queue.leave(&"a", |n| *n == 0);
    assert_eq!(queue.count(), 2);
    queue.leave(&"a", |_| true);
    assert_eq!((queue.count(), queue.has(&"a")), (1, false));
    assert_eq!(all(queue), [10]);
}
