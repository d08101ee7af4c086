//! The tokens still in the race, as the steps of a [`Chain`](super::Chain) see them.

use std::cmp::Ordering;

/// A token that may still be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The token.
    pub id: u32,
    /// Its logit or its weight, as [`Candidates::logits`] or [`Candidates::weights`] was asked for.
    pub value: f32,
}

impl Candidate {
    /// Orders the likelier one first; the lower id among equals.
    pub fn by_likelihood(a: &Self, b: &Self) -> Ordering {
        b.value.total_cmp(&a.value).then(a.id.cmp(&b.id))
    }
}

/// All tokens that may still be chosen: at first those of the whole vocabulary.
///
/// A step changes single logits ([`logit_mut`](Self::logit_mut)), or the list of those that are
/// left, by their logits or by their weights, whichever says better what it wants: a weight is a
/// probability that was not divided by the sum of all. A vocabulary has up to 262144 tokens, so the
/// list is made when a step first asks for it, and exponentials are taken once.
#[derive(Debug)]
pub struct Candidates<'a> {
    /// Those of the whole vocabulary `[V]`.
    logits: &'a mut [f32],
    /// Those that are left, unless that is the vocabulary.
    list: &'a mut Vec<Candidate>,
    state: State,
    /// What logits of the list are still to be divided by, before weights are taken.
    temperature: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No token was dropped; `logits` says all, and the list nothing.
    Whole,
    /// The list has logits.
    Logits,
    /// The list has weights.
    Weights,
}

impl<'a> Candidates<'a> {
    /// The whole vocabulary. `list` is memory to work in.
    pub(super) fn new(logits: &'a mut [f32], list: &'a mut Vec<Candidate>) -> Self {
        Self { logits, list, state: State::Whole, temperature: 1.0 }
    }

    /// Tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.logits.len()
    }

    /// Tokens that are left.
    pub fn len(&self) -> usize {
        if self.state == State::Whole { self.logits.len() } else { self.list.len() }
    }

    /// Whether no token is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The logit of a token; `None` where it was dropped or is none of the vocabulary's.
    pub fn logit_mut(&mut self, id: u32) -> Option<&mut f32> {
        if self.state == State::Whole {
            return self.logits.get_mut(id as usize);
        }
        self.logits().iter_mut().find(|candidate| candidate.id == id).map(|found| &mut found.value)
    }

    /// The tokens that are left, with their logits, in no certain order. Entries may be changed,
    /// dropped and ordered.
    pub fn logits(&mut self) -> &mut Vec<Candidate> {
        self.make_list();
        if self.state == State::Weights {
            self.list.iter_mut().for_each(|candidate| candidate.value = candidate.value.ln());
            self.state = State::Logits;
        } else if self.temperature != 1.0 {
            let (max, temperature) = (self.max(), std::mem::replace(&mut self.temperature, 1.0));
            for candidate in self.list.iter_mut() {
                candidate.value = (candidate.value - max) / temperature;
            }
        }
        self.list
    }

    /// The tokens that are left, with their weights, in no certain order. The first time that
    /// weights are asked for, the largest is 1. Entries may be changed, dropped and ordered.
    pub fn weights(&mut self) -> &mut Vec<Candidate> {
        self.make_list();
        if self.state == State::Logits {
            // The largest exponent is 0, so that nothing overflows.
            let (max, temperature) = (self.max(), std::mem::replace(&mut self.temperature, 1.0));
            for candidate in self.list.iter_mut() {
                candidate.value = ((candidate.value - max) / temperature).exp();
            }
            self.state = State::Weights;
        }
        self.list
    }

    /// Divides all logits by a positive number: when they, or weights, are next asked for.
    pub fn divide_logits(&mut self, temperature: f32) {
        if self.state == State::Weights || self.temperature != 1.0 {
            self.logits();
        }
        self.temperature = temperature;
    }

    /// Drops all but the likeliest token, the lowest id among equals.
    pub fn keep_likeliest(&mut self) {
        let likeliest = self.likeliest();
        if self.state == State::Whole {
            self.state = State::Logits;
        }
        self.list.clear();
        self.list.extend(likeliest);
    }

    /// The likeliest token, the lowest id among equals; `None` where none is left.
    pub(super) fn likeliest(&self) -> Option<Candidate> {
        if self.state == State::Whole {
            let mut best = Candidate { id: 0, value: *self.logits.first()? };
            for (id, &value) in (0u32..).zip(self.logits.iter()) {
                if value > best.value {
                    best = Candidate { id, value };
                }
            }
            return Some(best);
        }
        self.list.iter().copied().reduce(|best, next| {
            let is_tie = next.value == best.value && next.id < best.id;
            if next.value > best.value || is_tie { next } else { best }
        })
    }

    /// A token with a value that no later step can work with: not a number, or infinitely large.
    pub(super) fn broken(&self) -> Option<Candidate> {
        let is_broken = |value: f32| value.is_nan() || value == f32::INFINITY;
        if self.state == State::Whole {
            // Nearly always none is, and without a way out the loop is done in vectors.
            let any = self.logits.iter().fold(false, |any, &value| any | is_broken(value));
            let found = || self.logits.iter().position(|&value| is_broken(value));
            let id = any.then(found).flatten()?;
            return Some(Candidate { id: id as u32, value: self.logits[id] });
        }
        self.list.iter().copied().find(|candidate| is_broken(candidate.value))
    }

    /// Whether a token is left that is not banned.
    pub(super) fn has_choice(&self) -> bool {
        match self.state {
            State::Whole => self.logits.iter().any(|&value| value > f32::NEG_INFINITY),
            State::Logits => self.list.iter().any(|candidate| candidate.value > f32::NEG_INFINITY),
            State::Weights => self.list.iter().any(|candidate| candidate.value > 0.0),
        }
    }

    fn max(&self) -> f32 {
        self.list.iter().fold(f32::NEG_INFINITY, |max, candidate| max.max(candidate.value))
    }

    fn make_list(&mut self) {
        if self.state == State::Whole {
            let all = (0u32..).zip(self.logits.iter());
            self.list.clear();
            self.list.extend(all.map(|(id, &value)| Candidate { id, value }));
            self.state = State::Logits;
        }
    }
}
