//! The loop: what an answer is, where it ends, and what is computed again.

use crate::common::loaded::{Fixture, fixture};
use kaiwu::generate::{Answer, Conversation, Event, FinishReason, Generator, Options};
use kaiwu::sample::SamplerSettings;
use kaiwu::text::ChatTemplate;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn generator(fixture: &Fixture) -> Generator {
    Generator::new(fixture.runner(), Arc::clone(&fixture.tokenizer))
}

fn options(max_tokens: usize) -> Options {
    Options { max_tokens: Some(max_tokens), ..Options::default() }
}

/// The answer, and the pieces it came in.
fn answer(generator: &mut Generator, prompt: &[u32], options: &Options) -> (Answer, Vec<String>) {
    let mut pieces = vec![];
    let made = generator.answer(prompt, options, |event| {
        if let Event::Text(text) = event {
            pieces.push(text.to_owned());
        }
        Ok(())
    });
    (made.unwrap(), pieces)
}

#[test]
fn answers_end_where_they_should() {
    let fixture = fixture();
    let mut generator = generator(fixture);
    let stop = |text: &str, n| Options { stop: vec![text.into()], ..options(n) };
    let counting = "1, 2, 3, 4, 5, 6,";
    let rows = [
        ("The capital of France is", options(3), FinishReason::Length, Some(3), " Paris.\n"),
        ("The capital of France is", stop("\n", 20), FinishReason::Stop, Some(3), " Paris."),
        ("The capital of France is", stop("ris.\n\nThe", 20), FinishReason::Stop, Some(5), " Pa"),
        (counting, stop(", 9, 1", 40), FinishReason::Stop, None, " 7, 8"),
        // What might have become a stop string is shown at the end.
        (
            "The capital of France is",
            stop(" Paris.\n\nLondon", 3),
            FinishReason::Length,
            Some(3),
            " Paris.\n",
        ),
    ];
    for (prompt, options, reason, count, text) in rows {
        let ids = fixture.tokenizer.encode(prompt, true).unwrap();
        let (answer, pieces) = answer(&mut generator, &ids, &options);
        let what = format!("{prompt:?} {:?}: {:?}", options.stop, answer.text);
        assert_eq!((answer.finish_reason, &*answer.text), (reason, text), "{what}");
        assert_eq!(count.unwrap_or(answer.ids.len()), answer.ids.len(), "{what}");
        assert_eq!(pieces.concat(), answer.text, "{what}");
    }
}

#[test]
fn each_token_is_told_once_after_its_text() {
    let fixture = fixture();
    let prompt = fixture.tokenizer.encode("The capital of France is", true).unwrap();
    let mut generator = generator(fixture);
    let mut told = |logprobs, n| {
        let (mut ids, mut texts, mut likely) = (vec![], vec![String::new()], vec![]);
        let options = Options { logprobs, ..options(n) };
        let answer = generator.answer(&prompt, &options, |event| {
            match event {
                Event::Text(piece) => texts.last_mut().unwrap().push_str(piece),
                Event::Token { id, likelihoods } => {
                    ids.push(id);
                    likely.extend(likelihoods.cloned());
                    texts.push(String::new());
                }
                Event::Prompt { .. } => {}
            }
            Ok(())
        });
        let answer = answer.unwrap();
        assert_eq!((&answer.ids, texts.concat()), (&ids, answer.text));
        assert_eq!(&texts[..2], [" Paris", "."]);
        (ids, likely, answer.decode)
    };
    let (plain, none, counts) = told(None, 12);
    assert!(
        none.is_empty() && counts.readback_bytes <= 16 * counts.tokens,
        "the logits stay: {counts:?}"
    );
    let (ids, likely, _) = told(Some(3), 12);
    assert_eq!((ids, likely.len()), (plain.clone(), 12));
    for (id, found) in plain.iter().zip(&likely) {
        // The likeliest is taken.
        assert_eq!(
            (found.top.len(), found.top[0].id, found.top[0].logprob),
            (3, *id, found.logprob)
        );
        assert!(found.top.is_sorted_by(|a, b| a.logprob >= b.logprob) && found.logprob < 0.0);
    }
    assert!(told(Some(0), 2).1.iter().all(|found| found.top.is_empty()));
}

#[test]
fn half_a_character_is_never_shown() {
    let fixture = fixture();
    let parts = fixture.tokenizer.encode("🙂", false).unwrap();
    assert!(parts.len() > 1);
    let sampling = SamplerSettings { logit_bias: vec![(parts[0], 1000.0)], ..Default::default() };
    let prompt = fixture.tokenizer.encode("Smile:", true).unwrap();
    let (answer, pieces) =
        answer(&mut generator(fixture), &prompt, &Options { sampling, ..options(1) });
    assert_eq!((answer.ids, answer.text, pieces), (vec![parts[0]], String::new(), vec![]));
}

#[test]
fn the_end_of_turn_ends_an_answer_and_surplus_steps_leave_no_trace() {
    let fixture = fixture();
    let prompt = fixture.prompts().find(|prompt| prompt["prompt"].is_array()).unwrap();
    let ids: Vec<u32> = prompt["input_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect();
    let mut first = generator(fixture);
    let (whole, _) = answer(&mut first, &ids, &options(60));
    assert_eq!((whole.finish_reason, whole.ids.last()), (FinishReason::Stop, Some(&2)));
    assert_eq!(whole.reused, 0);
    // Submissions of several steps ran past the end.
    assert!(whole.decode.tokens as usize >= whole.ids.len() - 1);

    // What goes on from there is what a fresh generator makes of it, and only the new tokens are
    // computed.
    let more = fixture
        .tokenizer
        .encode("\n<|im_start|>user\nSay it again.<|im_end|>\n<|im_start|>assistant\n", false);
    let longer = [&ids[..], &whole.ids, &more.unwrap()].concat();
    let (again, _) = answer(&mut first, &longer, &options(12));
    let (fresh, _) = answer(&mut generator(fixture), &longer, &options(12));
    assert_eq!(again.ids, fresh.ids);
    assert!(again.reused >= ids.len() + whole.ids.len() - 1, "{} reused", again.reused);
    assert_eq!(again.prefill.tokens as usize, longer.len() - again.reused);
    assert_eq!(fresh.prefill.tokens as usize, longer.len());

    // The same prompt once more: all but its last token is there.
    let (same, _) = answer(&mut first, &longer, &options(12));
    assert_eq!((same.reused, same.ids), (longer.len() - 1, again.ids));
}

#[test]
fn sampling_on_the_host_agrees_with_the_device_and_follows_its_seed() {
    let fixture = fixture();
    let prompt = fixture.tokenizer.encode("Once upon a time", true).unwrap();
    let mut generator = generator(fixture);
    let mut with = |sampling: SamplerSettings| {
        let (answer, _) = answer(&mut generator, &prompt, &Options { sampling, ..options(10) });
        (answer.ids, answer.decode)
    };
    let (greedy, counts) = with(SamplerSettings::default());
    assert!(counts.readback_bytes <= 16 * counts.tokens, "{counts:?}");
    // A bias for a token that is never likely makes the host choose, and changes nothing.
    let (host, counts) =
        with(SamplerSettings { logit_bias: vec![(7, -1.0)], ..Default::default() });
    assert_eq!(host, greedy);
    // A step whose workers missed each other takes one more.
    assert!(counts.tokens == 9 && (18..=27).contains(&counts.submits), "{counts:?}");

    let hot = |seed| SamplerSettings { temperature: 1.0, top_p: 0.95, seed, ..Default::default() };
    let [one, same, other] = [hot(1), hot(1), hot(2)].map(|sampling| with(sampling).0);
    assert_eq!(one, same);
    assert_ne!(one, other);
    let banned = with(SamplerSettings {
        logit_bias: vec![(greedy[0], f32::NEG_INFINITY)],
        ..Default::default()
    })
    .0;
    assert_ne!(banned[0], greedy[0]);
}

#[test]
fn an_interrupt_ends_an_answer_and_the_next_one_is_whole() {
    let fixture = fixture();
    let prompt = fixture.tokenizer.encode("The capital of France is", true).unwrap();
    let mut first = generator(fixture);
    let flag = first.interrupt();
    let mut seen = 0;
    let cut = first.answer(&prompt, &options(200), |event| {
        seen += usize::from(matches!(event, Event::Text(_)));
        flag.store(seen >= 2, Ordering::Relaxed);
        Ok(())
    });
    let cut = cut.unwrap();
    assert_eq!(cut.finish_reason, FinishReason::Interrupted);
    assert!((2..12).contains(&cut.ids.len()), "{}", cut.ids.len());
    let (next, _) = answer(&mut first, &prompt, &options(8));
    assert_eq!(next.ids, answer(&mut generator(fixture), &prompt, &options(8)).0.ids);

    // While the prompt is read, too.
    let flag = first.interrupt();
    let nothing = first.answer(&[&prompt[1..], &prompt].concat(), &options(8), |_| {
        flag.store(true, Ordering::Relaxed);
        Ok(())
    });
    assert!(nothing.unwrap().ids.is_empty());
}

#[test]
fn an_error_of_the_reader_comes_back_and_what_does_not_fit_is_refused() {
    let fixture = fixture();
    let mut generator = generator(fixture);
    let prompt = fixture.tokenizer.encode("The capital of France is", true).unwrap();
    let failing = generator.answer(&prompt, &options(5), |event| match event {
        Event::Text(_) => Err(kaiwu::Error::caller("enough")),
        Event::Prompt { .. } | Event::Token { .. } => Ok(()),
    });
    assert_eq!(failing.unwrap_err().to_string(), "enough");
    let rows: [(&[u32], &str); 3] =
        [(&[], "no tokens"), (&[50_000], "50000"), (&[1; 8193], "8193")];
    for (prompt, message) in rows {
        let error = generator.answer(prompt, &options(5), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let (answer, _) = answer(&mut generator, &prompt, &options(2));
    assert_eq!(answer.text, " Paris.");
}

#[test]
fn the_context_bounds_an_answer() {
    let fixture = fixture();
    let device = kaiwu::gpu::Device::Gpu(Arc::clone(&fixture.gpu));
    let runner = kaiwu::model::Runner::new(&device, &fixture.model, Some(9), 9).unwrap();
    let mut generator = Generator::new(runner, Arc::clone(&fixture.tokenizer));
    let prompt = fixture.tokenizer.encode("The capital of France is", true).unwrap();
    let (answer, _) = answer(&mut generator, &prompt, &Options::default());
    // Nine tokens are computed; the last choice needs no place.
    assert_eq!((answer.finish_reason, answer.ids.len()), (FinishReason::Length, 5));
}

#[test]
fn a_conversation_continues_its_own_ids() {
    let fixture = fixture();
    let tokenizer = &fixture.tokenizer;
    let template = || ChatTemplate::from_gguf(&fixture.gguf, tokenizer).unwrap().unwrap();
    let mut generator = generator(fixture);
    let mut talk = Conversation::new(template(), Some("Be brief."));
    let first = talk.ask(tokenizer, "What is the capital of Japan?").unwrap();
    let (one, _) = answer(&mut generator, &first, &options(30));
    talk.answered(tokenizer, &one);
    let second = talk.ask(tokenizer, "And of Italy?").unwrap();
    assert!(
        second.starts_with(&[&first[..], &one.ids].concat()),
        "{}",
        tokenizer.decode(&second, false)
    );
    // It is also what the template makes of all messages at once.
    let text = template().render(talk.messages(), true).unwrap();
    assert_eq!(tokenizer.decode(&second, false), text);

    // Whether an answer was cut short by its length or a stop string, the text stays the
    // template's.
    for options in [options(2), Options { stop: vec!["o".into()], ..options(30) }] {
        talk.reset();
        let first = talk.ask(tokenizer, "What is the capital of Japan?").unwrap();
        let (cut, _) = answer(&mut generator, &first, &options);
        talk.answered(tokenizer, &cut);
        let second = talk.ask(tokenizer, "And of Italy?").unwrap();
        assert_eq!(
            tokenizer.decode(&second, false),
            template().render(talk.messages(), true).unwrap()
        );
    }

    // A question that got no answer is as if it had not been asked.
    talk.reset();
    talk.ask(tokenizer, "What is the capital of Japan?").unwrap();
    talk.unanswered();
    assert_eq!(talk.ask(tokenizer, "What is the capital of Japan?").unwrap(), first);
    assert_eq!(talk.messages().len(), 2);
}
