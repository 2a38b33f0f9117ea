//! One source's tries do not hold up another's, nor the thread that serves them.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

impl From<Busy> for () {
    fn from(_: Busy) -> Self {}
}

fn peer(ip: &str) -> Peer {
    Peer::Ip(ip.parse().unwrap())
}

/// Done by a runtime of one thread.
fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn checks_are_one_at_a_time_and_a_flood_stands_in_the_queue_once() {
    on_one_thread(async {
        let attempts = Arc::new(Attempts::new(1000));
        let (running, most, ticks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let check = |running: Arc<AtomicUsize>, most: Arc<AtomicUsize>| {
            move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                running.fetch_sub(1, Ordering::SeqCst);
                Err::<(), ()>(())
            }
        };
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (attempts, check) = (attempts.clone(), check(running.clone(), most.clone()));
            flood.spawn(async move { attempts.check((peer("10.0.0.1"), None), check).await });
        }
        let ticker = tokio::spawn({
            let ticks = ticks.clone();
            async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    ticks.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (before, failed) = (Instant::now(), || attempts.source(peer("10.0.0.1")).failed().times);
        let first = failed();
        assert_eq!(attempts.check((peer("10.0.0.2"), None), || Ok::<_, ()>(7)).await, Ok(7));
        let behind = failed() - first;
        assert!(behind < 10, "behind a check or two of the flood and not behind a hundred: {behind} in {:?}", before.elapsed());
        while flood.join_next().await.is_some() {}
        ticker.abort();
        assert!(ticks.load(Ordering::SeqCst) > 3, "the thread serves meanwhile");
        assert_eq!(most.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn who_fails_often_waits_and_nobody_else_does() {
    on_one_thread(async {
        let attempts = Attempts::within(Duration::from_secs(3), 3);
        let wait = async |peer: Peer| {
            let before = Instant::now();
            attempts.wait(peer, None).await.unwrap();
            before.elapsed()
        };
        for times in 1..=4 {
            assert!(wait(peer("2001:db8::1")).await < WAIT, "{times}");
            attempts.failed(peer("2001:db8::1"));
        }
        assert!(wait(peer("2001:db8::1")).await >= WAIT);
        assert!(wait(peer("2001:db8::ffff:1")).await >= WAIT, "another address of its network");
        for other in [peer("2001:db8:0:1::1"), peer("10.0.0.1"), Peer::Unix(Some(0)), Peer::Unknown] {
            assert!(wait(other).await < WAIT, "{other:?}");
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(wait(peer("2001:db8::1")).await < WAIT, "it is forgotten");
    });
}

#[test]
fn many_connections_at_once_try_no_more_often() {
    on_one_thread(async {
        let attempts = Attempts::new(0);
        attempts.failed(peer("10.0.0.1"));
        let source = attempts.source(peer("10.0.0.1"));
        let pauses = |user: Option<&str>| source.failed().pause(user);
        for nth in 1..=10 {
            let pause = pauses(Some("app")).unwrap();
            assert!(pause > WAIT * (nth - 1) && pause <= WAIT * nth, "{nth}: {pause:?}");
        }
        assert_eq!(pauses(Some("app")), Err(Busy), "nobody waits for minutes");
        // Another user's come between them, and one whose user is not known.
        let (other, token) = (pauses(Some("worker")).unwrap(), pauses(None).unwrap());
        assert!(other < WAIT * 2 && token > other && token < WAIT * 2, "{other:?} {token:?}");
        (0..1000).for_each(|n| drop(pauses(Some(&format!("{n:0200}")))));
        assert!(source.failed().users.len() <= USERS_MAX + 1);
    });
}

#[test]
fn sources_are_bounded() {
    on_one_thread(async {
        let attempts = Attempts::new(0);
        for number in 0..u32::try_from(SOURCES_MAX).unwrap() + 100 {
            attempts.failed(Peer::Ip(IpAddr::V4(number.into())));
        }
        assert_eq!(attempts.sources().len(), SOURCES_MAX);
        assert!(attempts.others.failed().times >= 100);
    });
}
