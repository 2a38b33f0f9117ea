//! When a session ends whose identity does.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[tokio::test]
async fn what_is_under_way_when_an_identity_ends_has_a_while_and_no_more() {
    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(30);
    let (wall, drain) = watch::channel(relay::SERVES);
    let mut goes_on = ending_within(drain.clone(), SHORT, std::future::pending());
    let mut waits = ending_within(drain.clone(), LONG, std::future::ready(()));
    let mut ends = ending_within(drain.clone(), SHORT, tokio::time::sleep(SHORT));
    // One identity rests on two things.
    let mut both = ending_within(waits.clone(), SHORT, std::future::pending());
    assert_eq!(*waits.wait_for(|level| *level > relay::SERVES).await.unwrap(), relay::ENDED);
    assert_eq!(*both.wait_for(|level| *level > relay::SERVES).await.unwrap(), relay::ENDED);
    assert_eq!(*ends.wait_for(|level| *level > relay::SERVES).await.unwrap(), relay::ENDED);
    assert_eq!(*ends.wait_for(|level| *level > relay::ENDED).await.unwrap(), relay::NOW);
    assert_eq!((*goes_on.borrow_and_update(), *waits.borrow_and_update(), *both.borrow()), (relay::SERVES, relay::ENDED, relay::ENDED));
    wall.send_replace(relay::DRAINS);
    assert_eq!(*goes_on.wait_for(|level| *level > relay::SERVES).await.unwrap(), relay::DRAINS);
    assert_eq!(*waits.borrow(), relay::ENDED, "it takes nothing back");
}
