//! The front door: what `kaiwu::Model` promises, on tiny checkpoints.

use kaiwu::gpu::GpuOptions;
use kaiwu::session::LoadingStage;
use kaiwu::{CacheType, FinishReason, Model, ModelOptions, Remedy};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

fn tiny(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
}

/// Independent of what this machine's user has tuned or quarantined.
fn options() -> ModelOptions {
    Model::options().gpu(GpuOptions::default())
}

fn load(name: &str) -> Model {
    options().load(tiny(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn pieces_answers_and_texts_are_the_same_text() {
    let model = load("llama-f32");
    let completion = || model.completion("Once upon a time").max_tokens(24);
    let text = completion().text().unwrap();
    assert!(!text.is_empty());
    let mut pieces = completion().pieces().unwrap();
    assert!(pieces.answer().is_none());
    let joined: String = pieces.by_ref().map(|piece| piece.unwrap()).collect();
    assert_eq!(joined, text);
    let answer = pieces.answer().unwrap();
    assert_eq!((answer.ids.len(), answer.finish_reason), (24, FinishReason::Length));
    assert_eq!(answer.text, text);
    let ids = model.tokenizer().unwrap().encode("Once upon a time", true).unwrap();
    let of_ids = model.completion_of_ids(ids).max_tokens(24).answer().unwrap();
    assert_eq!(of_ids.ids, answer.ids);
    // Up to 256 tokens where nothing is said, and greedy.
    let long = model.generate("Once upon a time").unwrap();
    assert!(long.starts_with(&text), "{long:?} does not begin with {text:?}");
}

#[test]
fn the_references_generate_what_the_device_does() {
    let reference = Model::options().reference().load(tiny("llama-f32")).unwrap();
    let [a, b] = [&load("llama-f32"), &reference]
        .map(|model| model.completion("How are").max_tokens(6).answer().unwrap().ids);
    assert_eq!(a, b);
    assert_eq!(reference.device_name(), "CPU references");
}

#[test]
fn sampling_settings_stop_strings_and_seeds_count() {
    let model = load("llama-f32");
    let drawn = |seed| {
        let completion = model.completion("The sky is").temperature(1.5).seed(seed).max_tokens(16);
        completion.answer().unwrap().ids
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let whole = model.completion("The sky is").max_tokens(16).text().unwrap();
    let stop: String = whole.chars().skip(2).take(2).collect();
    let stopped = model.completion("The sky is").max_tokens(16).stop(&stop).answer().unwrap();
    assert_eq!(stopped.finish_reason, FinishReason::Stop);
    assert_eq!(stopped.text, whole.split(&stop).next().unwrap());
}

#[test]
fn a_chat_keeps_its_cache_between_turns() {
    let model = load("llama-f32");
    let mut chat = model.chat().system("Be brief.").temperature(0.0).max_tokens(8);
    let first = chat.ask("What is gravity?").unwrap().finish().unwrap();
    assert_eq!(first.reused, 0);
    let mut reply = chat.ask("And light?").unwrap();
    let text: String = reply.by_ref().map(|piece| piece.unwrap()).collect();
    let second = reply.answer().unwrap().clone();
    assert_eq!(second.text, text);
    assert!(second.reused > 0, "nothing of {} tokens was reused", reply.prompt_tokens());
    drop(reply);
    let roles: Vec<_> = chat.messages().iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    assert_eq!(chat.turns(), (2, 0));
    assert_eq!(chat.undo().as_deref(), Some("And light?"));
    let again = chat.ask("And light?").unwrap().finish().unwrap();
    assert_eq!(again.text, second.text);
}

#[test]
fn an_answer_that_is_left_stays_as_far_as_it_goes() {
    let model = load("llama-f32");
    let mut chat = model.chat().temperature(0.0).max_tokens(64);
    let first = chat.ask("How are you?").unwrap().next().unwrap().unwrap();
    let [question, answer] = chat.messages() else { panic!("{:?}", chat.messages()) };
    assert_eq!(question.content, "How are you?");
    assert!(answer.content.starts_with(&first));
    chat.ask("And now?").unwrap().finish().unwrap();
    assert_eq!(chat.messages().len(), 4);
}

#[test]
fn another_thread_cancels_an_answer() {
    let model = load("llama-f32");
    let mut chat = model.chat().temperature(0.0);
    let cancel = chat.cancel();
    let mut reply = chat.ask("How are you?").unwrap();
    reply.next().unwrap().unwrap();
    std::thread::spawn(move || cancel.cancel()).join().unwrap();
    let answer = reply.finish().unwrap();
    assert_eq!(answer.finish_reason, FinishReason::Interrupted);
    // The next answer hears nothing of it.
    chat.options_mut().max_tokens = Some(4);
    let next = chat.ask("And now?").unwrap().finish().unwrap();
    assert_ne!(next.finish_reason, FinishReason::Interrupted);

    let completion = model.completion("Once");
    let cancel = completion.cancel();
    let mut pieces = completion.pieces().unwrap();
    pieces.next().unwrap().unwrap();
    cancel.cancel();
    assert_eq!(pieces.finish().unwrap().finish_reason, FinishReason::Interrupted);
}

#[test]
fn chats_on_threads_of_their_own_answer_as_they_would_alone() {
    let model = load("llama-f32");
    let talk = |model: Model, questions: [&str; 2]| {
        let mut chat = model.chat().temperature(0.0).max_tokens(16);
        questions.map(|question| chat.ask(question).unwrap().finish().unwrap().ids)
    };
    let all = [["How are you?", "And now?"], ["What is gravity?", "And light?"]];
    let alone = all.map(|questions| talk(model.clone(), questions));
    let together = std::thread::scope(|scope| {
        let threads = all.map(|questions| {
            let model = model.clone();
            scope.spawn(move || talk(model, questions))
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(alone, together);
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let path = tiny("llama-f32");
    let longest = options().open(&path).unwrap().config().max_context;
    let refused = |options: ModelOptions, words: &[&str]| {
        let Err(error) = options.load(&path) else { panic!("{words:?}: was loaded") };
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
        assert!(!message.contains(" --"), "{message:?} speaks of a command line");
    };
    refused(options().context(longest + 1), &["context", &longest.to_string()]);
    refused(options().context(0), &["context of 0"]);
    refused(options().lora("no/such/adapter", 1.0), &["no/such/adapter"]);
    let unknown = options().adapter("no such adapter").load(&path).map(|_| ()).unwrap_err();
    assert!(unknown.to_string().contains("no such adapter"), "{unknown}");
    let missing = Model::load("no/such/file.gguf").map(|_| ()).unwrap_err().to_string();
    assert!(missing.contains("no/such/file.gguf"), "{missing}");

    let model = load("llama-f32");
    let empty = model.completion_of_ids([]).text().unwrap_err().to_string();
    assert!(empty.contains("no tokens"), "{empty}");
    let cold = model.completion("a").temperature(-1.0).text().unwrap_err().to_string();
    assert!(cold.contains("temperature"), "{cold}");
    let long = "word ".repeat(longest);
    assert!(model.generate(&long).is_err());
    let mut chat = model.chat();
    assert!(chat.ask(&long).is_err());
    assert!(chat.messages().is_empty());
    assert!(load("gemma3-bf16").chat().ask("Hello").is_ok());
    let silent = options().load(tiny("gemma3-caps")).unwrap();
    assert!(silent.generate("Hello").is_err(), "it has no tokenizer");
    assert!(silent.completion_of_ids([3, 4]).answer().is_err());
}

#[test]
fn loading_says_how_far_it_is() {
    let told = Arc::new(Mutex::new(vec![]));
    let heard = Arc::clone(&told);
    let model = options()
        .context(100)
        .cache(CacheType::F32)
        .on_progress(move |loading| heard.lock().unwrap().push(loading))
        .load(tiny("llama-f32"))
        .unwrap();
    let told = told.lock().unwrap();
    let last = told.last().expect("progress was told");
    assert_eq!(last.stage, LoadingStage::Uploading);
    assert!(told.is_sorted_by_key(|loading| loading.done) && last.done > 0);
    assert!(last.done <= last.total);
    assert_eq!(model.context(), 100);
}

#[test]
fn the_footprint_is_known_before_loading() {
    let path = tiny("llama-f32");
    let of = |options: ModelOptions| options.open(&path).unwrap().footprint().unwrap();
    let (short, long) = (of(options().context(64)), of(options().context(128)));
    assert_eq!((short.context, long.context), (64, 128));
    assert!(short.cache_bytes < long.cache_bytes);
    assert_eq!(short.weights_bytes, long.weights_bytes);
    let model = options().context(64).load(&path).unwrap();
    assert_eq!(model.weights().bytes(), short.weights_bytes);
    let gpu = GpuOptions { memory_bytes: Some(short.total_bytes / 2), ..Default::default() };
    let Err(error) = options().gpu(gpu).context(64).load(&path) else {
        panic!("was loaded into half of its memory");
    };
    assert!(error.to_string().contains("MiB"), "{error}");
}

#[test]
fn texts_are_embedded_and_scored() {
    let model = load("llama-f32");
    let vector = model.embed("a small cat").unwrap();
    assert_eq!(vector.len(), model.config().hidden_size);
    assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-3);
    assert_eq!(model.embed("a small cat").unwrap(), vector);
    assert_ne!(model.embed("another text, and a longer one").unwrap(), vector);

    let score = model.score("How are you today?").unwrap();
    let ids = model.tokenizer().unwrap().encode_plain("How are you today?").unwrap();
    assert_eq!(score.tokens.iter().map(|token| token.id).collect::<Vec<_>>(), ids);
    let scored: Vec<f64> = score.tokens.iter().filter_map(|token| token.log_prob).collect();
    assert!(scored.len() + 1 >= ids.len() && scored.iter().all(|&log_prob| log_prob < 0.0));
    let mean = -scored.iter().sum::<f64>() / scored.len() as f64;
    assert!((score.perplexity() - mean.exp()).abs() < 1e-9);
    assert!(model.score("").is_err());

    let embedder = options().embeddings_only().load(tiny("llama-f32")).unwrap();
    assert_eq!(embedder.embed("a small cat").unwrap(), vector);
}

#[test]
fn the_command_line_gives_the_same_text() {
    let path = tiny("llama-f32");
    let command_line = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kaiwu"));
        command.args(arguments).arg("-m").arg(&path).args(["--no-tuning", "-n", "12"]);
        let ran = command.env("KAIWU_IGNORE_QUARANTINE", "1").output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let model = load("llama-f32");
    let text = model.completion("Once upon a time").max_tokens(12).text().unwrap();
    assert_eq!(command_line(&["generate", "Once upon a time"]).trim_end(), text.trim_end());

    let mut chat = model.chat().system("Be brief.").temperature(0.0).max_tokens(12);
    let answer = chat.ask("How are you?").unwrap().finish().unwrap().text;
    let asked = ["generate", "--chat", "--system", "Be brief.", "How are you?"];
    assert_eq!(command_line(&asked).trim_end(), answer.trim_end());
}

/// A copy of `llama-f32` that a test may change, and take away in the end.
fn copied(to: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("kaiwu-{}-{to}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for file in std::fs::read_dir(tiny("llama-f32")).unwrap().map(|file| file.unwrap()) {
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    folder
}

#[test]
fn recommendations_that_cannot_be_read_are_said_each_time() {
    let folder = copied("recommends");
    let wrong = r#"{"do_sample": true, "temperature": "hot"}"#;
    std::fs::write(folder.join("generation_config.json"), wrong).unwrap();
    let mut chat = options().load(&folder).unwrap().chat().max_tokens(2);
    for _ in 0..2 {
        let error = chat.ask("How are you?").err().expect("an error").to_string();
        assert!(error.contains("temperature should be a number"), "{error}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_model_without_a_template_continues_texts() {
    let folder = copied("plain");
    std::fs::remove_file(folder.join("chat_template.jinja")).unwrap();
    let model = options().load(&folder).unwrap();
    let error = model.chat().ask("How are you?").err().expect("an error");
    assert_eq!(error.remedy(), Some(Remedy::ContinueTexts), "{error}");
    assert!(!model.completion("How are").max_tokens(2).text().unwrap().is_empty());
    std::fs::remove_dir_all(&folder).unwrap();
}
