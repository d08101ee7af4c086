//! Ending an answer from elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the answer that is being made, from another thread or a signal's handler. Clones end the
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
    /// Ends the answer that is being made after the step that is being computed. The next answer
    /// is not affected.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, which is true once the answer is to end.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.0
    }
}
