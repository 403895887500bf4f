use std::future::{pending, ready};
use std::sync::mpsc::channel;

use super::*;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn unfollow(partition: i32) -> News {
    News::Unfollow(key(Uuid(7), partition))
}

#[test]
fn a_thread_ends_while_something_that_it_has_left_behind_still_hangs() {
    let (let_go, hangs) = channel::<()>();
    let (ended, has_ended) = channel();
    let thread = std::thread::spawn(move || {
        run_and_leave(runtime(), async move {
            // As a name is looked up that nobody knows; it is being waited for as the end comes.
            let looked_up = tokio::task::spawn_blocking(move || hangs.recv());
            assert!(tokio::time::timeout(Duration::from_millis(50), looked_up).await.is_err());
        });
        ended.send(()).unwrap();
    });
    let in_time = has_ended.recv_timeout(LONG);
    drop(let_go);
    thread.join().unwrap();
    assert_eq!(in_time, Ok(()));
}

#[test]
fn it_stops_at_once_whatever_it_waits_for() {
    let (inbox, mut news) = mpsc::unbounded_channel();
    let (_stored_here, mut stored) = mpsc::unbounded_channel();
    let mut told = Vec::new();
    inbox.send(unfollow(1)).unwrap();
    drop(inbox);
    let ended = runtime().block_on(async {
        let waiting = hearing(pending::<()>(), &mut news, &mut stored, |one| told.push(one));
        tokio::time::timeout(LONG, waiting).await
    });
    assert_eq!(ended, Ok(None));
    assert!(matches!(told[..], [Told::News(News::Unfollow(_))]));
}

#[test]
fn what_is_told_meanwhile_is_taken_in_before_what_it_waited_for() {
    let (inbox, mut news) = mpsc::unbounded_channel();
    let (stored_here, mut stored) = mpsc::unbounded_channel();
    inbox.send(unfollow(1)).unwrap();
    stored_here.send(key(Uuid(7), 2)).unwrap();
    let mut told = Vec::new();
    let done = runtime()
        .block_on(hearing(ready(3), &mut news, &mut stored, |one| told.push(format!("{one:?}"))));
    assert_eq!(done, Some(3));
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("News(Unfollow("), "{told:?}");
    assert!(told[1].starts_with("Stored("), "{told:?}");
}
