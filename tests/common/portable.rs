//! Shaders seen by naga alone: translated to what every backend takes, and held against limits. No
//! driver is asked.

use kaiwu::workbench::Shader;
use naga::proc::Layouter;
use naga::{AddressSpace, ImageClass, TypeInner};

/// A shader that naga took.
#[derive(Debug)]
pub struct Portable {
    shader: Shader,
}

/// WebGPU's default limits (W3C, WebGPU, section 3.6.2), of what kernels use.
const STORAGE_BUFFERS: usize = 8;
const UNIFORM_BUFFERS: usize = 12;
const UNIFORM_BYTES: u32 = 64 << 10;
const WORKGROUP_BYTES: u32 = 16 << 10;
const LANES: u32 = 256;
const LANES_Z: u32 = 64;
/// Twice the default: the storage that needs them is offered only where there are as many.
const STORAGE_TEXTURES: usize = 8;

impl Portable {
    /// Parses and validates. Without `subgroups`, subgroup operations are errors.
    pub fn parse(text: &str, entry: &str, subgroups: bool) -> Result<Self, String> {
        let shader = Shader::parse(text, entry, subgroups).map_err(|error| error.to_string())?;
        Ok(Self { shader })
    }

    /// Writes it in every language that has what it claims; gives their names.
    pub fn translate(&self) -> Result<Vec<&'static str>, String> {
        let words = |error: kaiwu::Error| error.to_string();
        self.spirv(true)?;
        self.shader.msl().map_err(words)?;
        self.hlsl(false)?;
        if self.shader.f16() {
            // GLSL has halves in an extension only, which naga does not write: it must say so.
            return match self.shader.glsl(false) {
                Err(_) => Ok(vec!["SPIR-V", "MSL", "HLSL 6.2"]),
                Ok(_) => Err("GLSL was written, which has no halves".into()),
            };
        }
        self.shader.glsl(false).map_err(words)?;
        let mut written = vec!["SPIR-V", "MSL", "HLSL 6.0", "GLSL 4.30"];
        if !self.shader.subgroups() {
            let text = self.hlsl(true)?;
            // naga writes these into shader model 5.1 without a word, and the compiler of that
            // model refuses them.
            if let Some(name) = ["Wave", "int64_t"].iter().find(|&&name| text.contains(name)) {
                return Err(format!("HLSL 5.1 has no {name}"));
            }
            self.shader.glsl(true).map_err(words)?;
            written.extend(["HLSL 5.1", "GLSL ES 3.10"]);
        }
        Ok(written)
    }

    /// Whether it asks for half-precision arithmetic.
    pub fn f16(&self) -> bool {
        self.shader.f16()
    }

    /// The words for Vulkan, with bounds checks, as a device opened with `checked`
    /// gets them, or without.
    pub fn spirv(&self, checked: bool) -> Result<Vec<u32>, String> {
        self.shader.spirv(checked).map_err(|error| error.to_string())
    }

    /// The text for DX12: of shader model 5.1, which FXC is to take, or of 6.0, for DXC.
    pub fn hlsl(&self, fxc: bool) -> Result<String, String> {
        self.shader.hlsl(fxc).map_err(|error| error.to_string())
    }

    /// Lanes of a workgroup, and bytes of workgroup memory.
    pub fn lanes_and_workgroup_bytes(&self) -> (u32, u32) {
        let mut layouts = Layouter::default();
        layouts.update(self.shader.module().to_ctx()).expect("a validated module has layouts");
        let shared = self.shader.module().global_variables.iter().map(|(_, global)| global);
        let shared = shared.filter(|global| global.space == AddressSpace::WorkGroup);
        let bytes = shared.map(|global| layouts[global.ty].size.next_multiple_of(4)).sum();
        (self.shader.module().entry_points[0].workgroup_size.iter().product(), bytes)
    }

    /// What it uses beyond WebGPU's default limits, in words.
    pub fn breaches(&self) -> Vec<String> {
        let mut layouts = Layouter::default();
        layouts.update(self.shader.module().to_ctx()).expect("a validated module has layouts");
        let size = |ty| layouts[ty].to_stride();
        let (mut storage, mut uniform, mut textures, mut workgroup) = (0, 0, 0, 0);
        let mut breaches = vec![];
        if self.shader.f16() {
            breaches.push("half-precision arithmetic".to_owned());
        }
        for (_, global) in self.shader.module().global_variables.iter() {
            match (&self.shader.module().types[global.ty].inner, global.space) {
                (_, AddressSpace::Storage { .. }) => storage += 1,
                (_, AddressSpace::Uniform) => {
                    uniform += 1;
                    if size(global.ty) > UNIFORM_BYTES {
                        breaches.push(format!("a uniform of {} bytes", size(global.ty)));
                    }
                }
                (_, AddressSpace::WorkGroup) => workgroup += size(global.ty).next_multiple_of(16),
                (TypeInner::Image { class: ImageClass::Storage { .. }, .. }, _) => textures += 1,
                _ => {}
            }
        }
        let [x, y, z] = self.shader.module().entry_points[0].workgroup_size;
        breaches.extend(
            [
                (storage > STORAGE_BUFFERS, format!("{storage} storage buffers")),
                (uniform > UNIFORM_BUFFERS, format!("{uniform} uniform buffers")),
                (textures > STORAGE_TEXTURES, format!("{textures} storage textures")),
                (workgroup > WORKGROUP_BYTES, format!("{workgroup} bytes of workgroup memory")),
                (x * y * z > LANES || z > LANES_Z, format!("workgroups of {x} x {y} x {z} lanes")),
            ]
            .into_iter()
            .filter_map(|(breached, words)| breached.then_some(words)),
        );
        breaches
    }
}
