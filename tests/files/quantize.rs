//! Quantisers and the writer of GGUF files: their errors bounded, their files read back.

use crate::common;
use crate::common::program::run;
use crate::common::{TempFile, default_model};
use kaiwu::format::blocks::{dequantise, quantise};
use kaiwu::format::quantize::{convert, plan, quantize};
use kaiwu::format::{
    Array, DType, Gguf, NewTensor, Quantization, Strings, TensorInfo, Value, write_gguf,
};
use kaiwu::workbench::Numbers;

fn squared_error(dtype: DType, bytes: &[u8], weights: &[f32]) -> f64 {
    let mut back = vec![f32::NAN; weights.len()];
    dequantise(dtype, bytes, &mut back).unwrap();
    weights.iter().zip(&back).map(|(w, b)| f64::from(w - b).powi(2)).sum()
}

#[test]
fn the_search_finds_better_steps_than_the_plain_choice() {
    // The type, and the share of the plain choice's squared error that may be left on normal-ish
    // numbers.
    for (dtype, share) in
        [(DType::Q4_0, 0.9), (DType::Q5_0, 0.97), (DType::Q4K, 0.85), (DType::Q8_0, 1.0)]
    {
        let weights = Numbers::new(5).floats(64 * 256, 0.05);
        let plain = squared_error(dtype, &quantise(dtype, &weights), &weights);
        let found = squared_error(dtype, &quantize(dtype, &weights).unwrap(), &weights);
        assert!(found <= share * plain, "{dtype}: {found:e}, plainly {plain:e}");
    }
}

#[test]
fn awkward_blocks_are_quantised_within_bounds() {
    let noise = Numbers::new(6).floats(512, 1.0);
    let inputs = [
        ("zero", vec![0.0; 512]),
        ("constant", vec![-0.75; 512]),
        ("positive", noise.iter().map(|w| w.abs() + 0.5).collect()),
        ("negative", noise.iter().map(|w| -w.abs() - 0.5).collect()),
        ("one spike", (0..512).map(|i| if i % 256 == 37 { 2.0 } else { 0.0 }).collect()),
        ("tiny", noise.iter().map(|w| w * 1e-5).collect()),
    ];
    for dtype in [DType::Q4_0, DType::Q5_0, DType::Q4K, DType::Q8_0, DType::F16] {
        for (name, weights) in &inputs {
            let bytes = quantize(dtype, weights).unwrap();
            assert_eq!(Some(bytes.len() as u64), dtype.bytes_for(512), "{dtype} {name}");
            let mut back = vec![f32::NAN; 512];
            dequantise(dtype, &bytes, &mut back).unwrap();
            let most = weights.iter().fold(0f32, |most, w| most.max(w.abs()));
            for (w, b) in weights.iter().zip(&back) {
                assert!((w - b).abs() <= 0.15 * most + 5e-7, "{dtype} {name}: {w} became {b}");
            }
        }
    }
}

#[test]
fn threads_give_what_one_thread_does() {
    let weights = Numbers::new(7).floats(300 * 1024, 0.1);
    let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    for dtype in [DType::Q8_0, DType::Q4_0, DType::Q4K, DType::F16, DType::F32] {
        assert!(
            convert(DType::F32, &bytes, dtype).unwrap() == quantize(dtype, &weights).unwrap(),
            "{dtype}"
        );
    }
}

#[test]
fn what_cannot_be_quantised_is_an_error() {
    let rows: [(DType, Vec<f32>, &str); 4] = [
        (DType::Q8_0, vec![f32::NAN; 32], "NaN"),
        (DType::Q4_0, vec![f32::NEG_INFINITY; 32], "-inf"),
        (DType::Q4K, vec![7e4; 256], "70000"),
        (DType::Q4K, vec![1.0; 255], "not whole Q4_K blocks"),
    ];
    for (dtype, weights, message) in rows {
        let error = quantize(dtype, &weights).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    assert!(convert(DType::Q4_0, &[0; 17], DType::F32).is_err());
    assert!(convert(DType::F32, &[0; 4 * 31], DType::Q8_0).is_err());
}

#[test]
fn what_matters_much_keeps_its_bits() {
    let info = |name: &str, shape: &[u64], dtype| TensorInfo {
        name: name.into(),
        shape: shape.into(),
        dtype,
        file: 0,
        offset: 0,
        bytes: 0,
    };
    let tensors = [
        info("token_embd.weight", &[100, 256], DType::BF16),
        info("blk.0.attn_norm.weight", &[256], DType::F32),
        info("blk.0.attn_q.weight", &[64, 256], DType::BF16),
        info("blk.0.ffn_up.weight", &[64, 96], DType::BF16),
        info("blk.0.odd.weight", &[64, 33], DType::BF16),
        info("blk.0.attn_q.bias", &[64], DType::F32),
        info("position_embd.weight", &[64, 256], DType::F32),
        info("blk.0.ffn_gate_inp.weight", &[8, 256], DType::F32),
        info("blk.0.ffn_up_exps.weight", &[8, 64, 256], DType::BF16),
    ];
    use DType::{BF16, F32, Q4_0, Q4K, Q5_0, Q8_0};
    assert_eq!(plan(Quantization::Q4K, &tensors), [Q8_0, F32, Q4K, Q5_0, BF16, F32, F32, F32, Q4K]);
    assert_eq!(
        plan(Quantization::Q4_0, &tensors),
        [Q8_0, F32, Q4_0, Q4_0, BF16, F32, F32, F32, Q4_0]
    );
    let untied = [&tensors[..1], &[info("output.weight", &[100, 256], BF16)]].concat();
    assert_eq!(plan(Quantization::Q4_0, &untied), [Q4_0, Q8_0]);
    assert_eq!(plan(Quantization::Q8_0, &untied), [Q8_0, Q8_0]);
}

#[test]
fn what_is_written_is_read_back() {
    let text = |text: &str| Value::String(text.into());
    let strings = Strings::from_iter(["", "é", "<s>"]);
    let metadata: Vec<(String, Value)> = [
        ("general.architecture", text("llama")),
        ("a.u8", Value::U8(200)),
        ("a.i8", Value::I8(-3)),
        ("a.u16", Value::U16(60000)),
        ("a.i16", Value::I16(-300)),
        ("a.u32", Value::U32(u32::MAX)),
        ("a.i32", Value::I32(-70000)),
        ("a.f32", Value::F32(1e-6)),
        ("a.bool", Value::Bool(true)),
        ("a.u64", Value::U64(u64::MAX)),
        ("a.i64", Value::I64(i64::MIN)),
        ("a.f64", Value::F64(std::f64::consts::PI)),
        ("a.strings", Value::Array(Array::String(strings))),
        ("a.floats", Value::Array(Array::F32(vec![0.5, -1.0]))),
        ("a.bools", Value::Array(Array::Bool(vec![true, false]))),
        ("a.empty", Value::Array(Array::I32(vec![]))),
        (
            "a.nested",
            Value::Array(Array::Nested(vec![Array::U8(vec![1]), Array::I64(vec![-2, 3])])),
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let tensor = |name: &str, shape: &[u64], dtype| NewTensor {
        name: name.into(),
        shape: shape.into(),
        dtype,
    };
    // Seven halves do not fill an alignment.
    let tensors = [
        tensor("a", &[7], DType::F16),
        tensor("b", &[3, 2, 32], DType::Q4_0),
        tensor("c", &[1], DType::F32),
    ];
    let data = |index: usize| vec![index as u8 + 1; tensors[index].bytes().unwrap() as usize];
    let file = TempFile::new("written.gguf", b"");
    write_gguf(&file.0, &metadata, &tensors, |index| Ok(data(index))).unwrap();
    let read = Gguf::open(&file.0).unwrap();
    assert_eq!(read.metadata(), metadata);
    for (index, tensor) in tensors.iter().enumerate() {
        let info = read.tensor(&tensor.name).unwrap();
        assert_eq!((&info.shape, info.dtype), (&tensor.shape, tensor.dtype));
        assert_eq!(read.data(info), data(index));
    }

    // What does not fit its shape is refused, and the file of before is still there.
    let error =
        write_gguf(&file.0, &metadata, &tensors, |_| Ok(vec![0; 3])).unwrap_err().to_string();
    assert!(error.contains("tensor a got 3 bytes"), "{error}");
    let odd = [tensor("odd", &[2, 33], DType::Q4_0)];
    assert!(write_gguf(&file.0, &metadata, &odd, |_| Ok(vec![0; 36])).is_err());
    assert_eq!(Gguf::open(&file.0).unwrap().tensors().len(), 3);
    assert!(!file.0.with_extension("gguf.part").exists());
}

#[test]
fn a_converted_model_says_what_the_model_says() {
    let (model, text) = (default_model(), common::data("text.txt"));
    let [model, text] = [&model, &text].map(|path| path.to_str().unwrap());
    // The type, bits a weight, and the most that its distributions may be apart.
    for (name, bits, apart) in [("q8_0", 8.7, 0.004), ("q4_k", 6.2, 0.12)] {
        let file = TempFile::new(&format!("converted.{name}.gguf"), b"");
        let output = file.0.to_str().unwrap();
        let ran = run(&["convert", "-m", model, "--quantize", name, "-o", output, "--json"]);
        assert!(
            ran.code == 0 && ran.err.contains("weights of Q4_1 are rounded again"),
            "{}",
            ran.err
        );
        assert!(ran.json()["bits_per_weight"].as_f64().unwrap() < bits, "{}", ran.out);
        let json = run(&["compare", "-m", model, "-m", output, text, "--json"]).json();
        let divergence = json["mean_divergence"].as_f64().unwrap();
        assert!(divergence > 0.0 && divergence < apart, "{name}: {json}");
        assert!(json["top1_agreement"].as_f64().unwrap() > 0.75, "{name}: {json}");
        // The same while loading, without a file.
        let loaded = run(&["perplexity", "-m", model, "--quantize", name, text, "--json"]).json();
        let (loaded, converted) = (&loaded["mean_nll"], &json["b"]["mean_nll"]);
        assert!(
            (loaded.as_f64().unwrap() - converted.as_f64().unwrap()).abs() < 1e-5,
            "{loaded}, {converted}"
        );
    }
}

#[test]
fn a_conversion_to_floats_changes_no_weight() {
    let file = TempFile::new("converted.f32.gguf", b"");
    let output = file.0.to_str().unwrap();
    let ran = run(&["convert", "--quantize", "f32", "-o", output]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let (old, new) = (Gguf::open(&default_model()).unwrap(), Gguf::open(&file.0).unwrap());
    for info in old.tensors() {
        let converted = new.tensor(&info.name).unwrap();
        assert_eq!((&converted.shape, converted.dtype), (&info.shape, DType::F32), "{}", info.name);
        let mut values = vec![0.0; info.elements() as usize];
        dequantise(info.dtype, old.data(info), &mut values).unwrap();
        let bytes: &[u8] = new.data(converted);
        assert!(
            values.iter().zip(bytes.chunks(4)).all(|(v, b)| v.to_le_bytes() == b),
            "{}",
            info.name
        );
    }
    let kept = |(key, _): &&(String, Value)| {
        !["general.file_type", "general.quantization_version"].contains(&&**key)
    };
    assert!(old.metadata().iter().filter(kept).eq(new.metadata().iter().filter(kept)));
}

#[test]
fn what_cannot_be_converted_is_said() {
    let model = default_model();
    let model = model.to_str().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny/gemma3-bf16");
    let rows: [(&[&str], i32, &str); 6] = [
        (&["convert", "--quantize", "q8_0"], 2, "--output"),
        (&["convert", "-m", folder, "-o", "x.gguf"], 1, "no regular order"),
        (&["convert", "-m", model, "-o", "x.gguf"], 2, "GGUF file already"),
        (&["convert", "--quantize", "q9", "-o", "x"], 2, "q4_k"),
        (
            &["convert", "-m", model, "--quantize", "q8_0", "-o", model],
            2,
            "is a file of the model itself",
        ),
        (
            &["convert", "-m", model, "--quantize", "q8_0", "-o", "/dev/null/x.gguf"],
            1,
            "/dev/null/x.gguf",
        ),
    ];
    for (arguments, code, message) in rows {
        let ran = run(arguments);
        assert_eq!((ran.code, &*ran.out), (code, ""), "{arguments:?}: {}", ran.err);
        assert!(
            ran.err.starts_with("kaiwu: ") && ran.err.contains(message),
            "{arguments:?}: {}",
            ran.err
        );
    }
}
