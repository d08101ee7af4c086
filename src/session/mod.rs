//! The front door: a model that loads in one call and generates, chats, embeds and scores.
//!
//! ```no_run
//! use kaiwu::Model;
//!
//! let model = Model::load("models/SmolLM2-135M-Instruct.Q4_1.gguf")?;
//! print!("{}", model.generate("Once upon a time")?);
//!
//! let mut chat = model.chat().system("Be brief.").temperature(0.7);
//! for piece in chat.ask("What is gravity?")? {
//!     print!("{}", piece?);
//! }
//! # Ok::<(), kaiwu::Error>(())
//! ```
//!
//! [`Model::options`] says how a model is loaded, and [`ModelOptions::open`] opens its files
//! without loading them: their configuration, tokenizer, and the memory they would take. A
//! [`Model`] is cheap to clone, and clones share the weights; each [`Chat`] and each [`Completion`]
//! has a cache of keys and values of its own. All of them may be sent to other threads.
//!
//! The inner modules are for what this one leaves out: [`crate::generate`] has the loop from ids to
//! ids, [`crate::model`] the forward pass, and [`crate::gpu`] the device.

mod cancel;
mod chat;
mod completion;
mod loading;
mod locate;
mod model;
mod model_file;
mod options;
mod reply;
mod sampling;
mod text_score;

pub use cancel::Cancel;
pub use chat::Chat;
pub use completion::{Completion, Pieces};
pub use loading::{Loading, LoadingStage, load_weights};
pub use locate::locate;
pub use model::Model;
pub use model_file::{ModelFile, Needs};
pub use options::ModelOptions;
pub use reply::Reply;
pub use text_score::{TextScore, TokenScore};

// A server holds these and moves them between threads.
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_sync<T: Sync>() {}
    is_send::<Model>();
    is_sync::<Model>();
    is_send::<ModelFile>();
    is_send::<Chat>();
    is_send::<Reply<'static>>();
    is_send::<Completion>();
    is_send::<Pieces>();
    is_sync::<Cancel>();
    is_send::<crate::generate::Generator>();
    is_send::<crate::model::Scorer>();
    is_send::<crate::model::Embedder>();
};

/// The error when an answer is continued after another error has ended it.
fn ended_before() -> crate::Error {
    crate::Error::input("the answer ended with an error before")
}
