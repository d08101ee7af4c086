//! Ending an answer from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the answer that is being generated, from another thread or a signal handler. Clones end the
/// same answers.
///
/// ```
/// let model = kaiwu::Model::load("tests/data/tiny/llama-f32")?;
/// let mut chat = model.chat();
/// let cancel = chat.cancel();
/// let mut reply = chat.ask("How are you?")?;
/// reply.next();
/// cancel.cancel();
/// assert_eq!(reply.finish()?.finish_reason, kaiwu::FinishReason::Interrupted);
/// # Ok::<(), kaiwu::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the current answer after the step that is being computed. The next answer is not
    /// affected.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag that is set to end the answer.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.0
    }
}
