//! Work that is shared among the cores.

#[cfg(not(target_family = "wasm"))]
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(target_family = "wasm"))]
use std::sync::mpsc;

/// Has `work` done for each number below `count`, on as many threads as there are cores, and gives
/// `done` the results on this one as they come, with their numbers. The first error of `done` ends
/// it: what has not been begun by then is left out.
///
/// # Errors
/// That of `done`.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn on_all_cores<T: Send, E>(
    count: usize,
    work: impl Fn(usize) -> T + Sync,
    mut done: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(count);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // The receiver leaves at the first error; what remains is not needed then.
                    if number >= count || sender.send((number, work(number))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver.into_iter().try_for_each(|(number, result)| done(number, result))
    })
}

/// Has `work` done for each number below `count`, on the one thread that there is, and gives `done`
/// the results. The first error of `done` ends it.
///
/// # Errors
/// That of `done`.
#[cfg(target_family = "wasm")]
pub(crate) fn on_all_cores<T, E>(
    count: usize,
    work: impl Fn(usize) -> T,
    mut done: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    (0..count).try_for_each(|number| done(number, work(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_number_is_done_once_and_an_error_ends_it() {
        let mut seen = BTreeSet::new();
        let all: Result<(), ()> = on_all_cores(
            100,
            |number| number * number,
            |number, square| {
                assert!(square == number * number && seen.insert(number));
                Ok(())
            },
        );
        assert!(all.is_ok() && seen.len() == 100);
        let ended = on_all_cores(100, |n| n, |_, n| if n == 3 { Err(n) } else { Ok(()) });
        assert_eq!(ended, Err(3));
        assert_eq!(on_all_cores(0, |n| n, |_, n| Err(n)), Ok(()));
    }
}
