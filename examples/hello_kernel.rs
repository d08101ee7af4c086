//! A kernel from end to end: its shader, its reference, a run, and a check. `cargo run --release
//! --example hello_kernel`.

use kaiwu::gpu::*;

/// z = a x + y
struct Axpy {
    a: f32,
    x: Tensor,
    y: Tensor,
    z: Tensor,
}

/// Operands are read and written four numbers at a time, wherever they live, through load_<name>
/// and store_<name>; the function asks by its parameters' names for what an invocation knows.
const SHADER: &str = "
fn axpy(invocation: vec3<u32>) {
    let i = invocation.x;
    if i < p.texels { store_z(i, p.a * load_x(i) + load_y(i)); }
}";

impl Kernel for Axpy {
    fn name(&self) -> &'static str {
        "axpy"
    }
    fn operands(&self) -> Vec<Operand> {
        vec![Operand::read("x", &self.x), Operand::read("y", &self.y), Operand::write("z", &self.z)]
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::F32("a", self.a), Parameter::U32("texels", self.x.len() as u32 / 4)]
    }
    fn strategies(&self, _: &Capabilities) -> Vec<Strategy> {
        let grid = [(self.x.len() as u32).div_ceil(4 * 64), 1, 1];
        let needs = Needs::lanes(64);
        vec![Strategy {
            name: "axpy",
            entry: "axpy",
            source: SHADER,
            constants: vec![],
            needs,
            grid,
        }]
    }
    fn cost(&self, _: usize) -> Cost {
        Cost {
            read: 2 * self.x.bytes(),
            written: self.z.bytes(),
            operations: 2 * self.x.len() as u64,
        }
    }
    fn reference(&self, memory: &mut HostMemory) {
        let (x, y) = (memory.f32(&self.x), memory.f32(&self.y));
        let z = memory.f32_mut(&self.z).iter_mut();
        z.zip(x.iter().zip(y.iter())).for_each(|(z, (x, y))| *z = self.a * x + y);
    }
}

fn main() -> kaiwu::Result<()> {
    let gpu = Gpu::open(&GpuOptions::default())?;
    let device = Device::Gpu(gpu.clone());
    let x =
        Tensor::constant(&device, "x", &[1000], &std::array::from_fn::<_, 1000, _>(|n| n as f32))?;
    let y = Tensor::constant(&device, "y", &[1000], &[1.0; 1000])?;
    let z = Tensor::zeros(&device, "z", &[1000], Element::F32)?;

    let mut recording = Recording::default();
    recording.push("hello", Axpy { a: 2.0, x, y, z: z.clone() });
    Program::compile(&gpu, &recording)?.run(&gpu);
    println!("z[..4] = {:?}", &z.read_f32(&gpu)?[..4]);

    println!(
        "first divergence: {:?}",
        first_divergence(&gpu, &recording, &mut HostMemory::default())?
    );
    println!("{:?}", recording.cost(0));
    Ok(())
}
