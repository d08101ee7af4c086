//! A text on its way through a model: how long it is, and the cache that holds its keys and values.

use crate::gpu::{Device, HostMemory};
use crate::model::config::Config;
use crate::model::state::{Cache, SessionOptions};
use crate::{Error, Result};

/// The tokens of one text that were computed so far.
pub(in crate::model) struct Sequence {
    pub cache: Cache,
    pub options: SessionOptions,
    /// Most tokens the text may have.
    context: usize,
    /// Tokens whose keys and values the next one can see.
    position: usize,
    /// Positions below this were written since the text began: those from `position` on were taken
    /// back, and a ring has lost what they replaced.
    written: usize,
}

impl Sequence {
    /// An empty text.
    ///
    /// # Errors
    /// When the context exceeds the model's own or the device's memory.
    pub fn new(device: &Device, config: &Config, options: SessionOptions) -> Result<Self> {
        let options = SessionOptions { chunk: options.chunk.max(1), ..options };
        let longest = config.max_context;
        let context = options.context.unwrap_or(longest);
        if context == 0 || context > longest {
            let why = format!(
                "of {context} tokens is not possible: the model was made for 1 to {longest}"
            );
            return Err(Error::setting("a context", why));
        }
        let tokens = options.expected.clamp(1, context);
        let cache = Cache::new(device, config, tokens, context, &options)?;
        Ok(Self { cache, options, context, position: 0, written: 0 })
    }

    /// Tokens so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Most tokens the text may have.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Checks that a text of `tokens` tokens fits the context.
    ///
    /// # Errors
    /// When it does not, with both lengths.
    pub fn fits(&self, config: &Config, tokens: usize) -> Result<()> {
        if tokens <= self.context {
            return Ok(());
        }
        let (limit, longest) = (self.context, config.max_context);
        Err(Error::ContextFull { needed: tokens, limit, longest })
    }

    /// Forgets all tokens from `position` on, and says how many are left: all before it, or none
    /// where a layer with a window has let go of what the next token would see.
    pub fn rewind(&mut self, config: &Config, position: usize) -> usize {
        let position = position.min(self.position);
        let there = self.cache.reaches(config, position, self.written);
        self.position = if there { position } else { 0 };
        if self.position == 0 {
            self.written = 0;
        }
        self.position
    }

    /// Notes that a step writes the next `tokens` positions, for which the cache has room.
    pub fn begin_step(&mut self, tokens: usize) {
        self.written = self.written.max(self.position + tokens);
    }

    /// Notes that a step of `tokens` tokens was computed.
    pub fn end_step(&mut self, tokens: usize) {
        self.position += tokens;
    }

    /// Has the cache hold `more` tokens than there are, in a larger one that takes over its content
    /// if it must; `held` are the bytes that the device holds already for whoever computes this.
    ///
    /// # Errors
    /// When the context does not hold so many tokens, or the device not so large a cache.
    pub fn ensure_capacity(
        &mut self,
        device: &Device,
        host: &mut HostMemory,
        config: &Config,
        more: usize,
        held: impl FnOnce(&Self) -> u64,
    ) -> Result<()> {
        let needed = self.position + more;
        self.fits(config, needed)?;
        if needed <= self.cache.capacity {
            return Ok(());
        }
        let capacity = SessionOptions::grown(self.cache.capacity, needed, self.context);
        if let Device::Gpu(gpu) = device {
            let more = self.options.bytes_apart(config, capacity, self.cache.capacity);
            let what = format!("the model and a cache grown to {capacity} tokens");
            gpu.refuse_beyond(held(self), more, &what)?;
        }
        let (old, options) = (&self.cache.layers, &self.options);
        let larger = Cache::grown(device, config, capacity, self.context, options, old)?;
        larger.take_over(device, host, &self.cache);
        self.cache = larger;
        Ok(())
    }
}
