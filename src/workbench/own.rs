//! Someone's own shader: what it binds, filled and sized as asked for or by default, and timed like the kernels.

use super::numbers::Numbers;
use super::reflect::{Interface, Slot, SlotKind};
use super::roofs::Roofs;
use super::timing::{Measurement, times};
use crate::gpu::{Bound, Cost, Gpu, Program, Resource, StorageKind};
use crate::{Error, Result};
use naga::ScalarKind;

/// How large something bound is.
#[derive(Debug, Clone, PartialEq)]
pub enum Size {
    /// A buffer's bytes.
    Bytes(u64),
    /// A texture's texels along x, y and z.
    Texels([u32; 3]),
    /// A buffer with these contents.
    Contents(Vec<u8>),
}

/// What a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Zeros.
    Zeros,
    /// Floats between -1 and 1, the same in every run.
    Random,
    /// Integers 0, 1, 2, ….
    Count,
}

/// A wish about something bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The variable's name.
    pub name: String,
    /// Its size.
    pub size: Size,
    /// What it holds; by default floats are random and the rest is zero.
    pub fill: Option<Fill>,
}

/// A shader with all it binds.
#[derive(Debug)]
pub struct OwnCall {
    /// Its entry point.
    pub entry: String,
    /// Its overridable constants that are set.
    pub constants: Vec<(String, f64)>,
    /// What is bound.
    pub bound: Vec<Bound>,
    /// Workgroups along x, y and z.
    pub grid: [u32; 3],
    /// Bytes bound that it reads and writes.
    pub cost: Cost,
    /// Whether more of them are in textures than in buffers.
    pub storage: StorageKind,
}

/// What may grow is so large unless asked for, bytes.
const DEFAULT_BYTES: u64 = 16 << 20;
/// A texture's sides unless asked for, by its dimensions.
const DEFAULT_TEXELS: [[u32; 3]; 3] = [[1024, 1, 1], [1024, 1024, 1], [64, 64, 64]];
/// Workgroups along an axis, WebGPU's default limit.
const MOST_WORKGROUPS: u64 = 65535;
/// Everything together, bytes.
const MOST_BYTES: u64 = 4 << 30;

/// Sizes and fills what `interface` binds. `numbers` go to uniforms, by their names, or `variable.name`; `largest` is the
/// largest binding, bytes. Without a grid there is a lane for each element of the first thing written that has a size.
///
/// # Errors
/// For wishes and numbers that name nothing there is, or do not fit it.
pub fn prepare(
    interface: &Interface,
    wishes: &[Wish],
    numbers: &[(String, f64)],
    grid: Option<[u32; 3]>,
    largest: u64,
) -> Result<OwnCall> {
    let names = || interface.slots.iter().map(|slot| &*slot.name).collect::<Vec<_>>().join(", ");
    if let Some(unknown) =
        wishes.iter().find(|wish| interface.slots.iter().all(|slot| slot.name != wish.name))
    {
        return Err(Error::Usage(format!("the shader binds no {:?}, but {}", unknown.name, names())));
    }
    let (mut bound, mut cost, mut in_textures, mut total) = (vec![], Cost::default(), 0, 0u64);
    let lanes = interface.workgroup.iter().map(|&lanes| u64::from(lanes)).product();
    for slot in &interface.slots {
        let wish = wishes.iter().find(|wish| wish.name == slot.name);
        let resource = resource(slot, wish, numbers, [largest, lanes])?;
        let bytes = resource.bytes()?;
        total = total.saturating_add(bytes);
        if total > MOST_BYTES {
            return Err(Error::Usage(format!("what is bound takes more than {} GiB", MOST_BYTES >> 30)));
        }
        let [read, written] = match &slot.kind {
            SlotKind::Storage { access, .. } | SlotKind::StorageTexture { access, .. } => *access,
            SlotKind::Uniform { .. } | SlotKind::Texture { .. } | SlotKind::Sampler { .. } => [true, false],
        };
        cost.read += u64::from(read) * bytes;
        cost.written += u64::from(written) * bytes;
        if matches!(resource, Resource::Texture { .. } | Resource::StorageTexture { .. }) {
            in_textures += bytes;
        }
        let Slot { group, binding, name, .. } = slot.clone();
        bound.push(Bound { group, binding, name, resource });
    }
    check_numbers(interface, numbers)?;
    let grid = match grid {
        Some(grid) => grid,
        None => default_grid(interface, &bound)?,
    };
    let storage = if 2 * in_textures > total { StorageKind::Texture } else { StorageKind::Buffer };
    let constants = numbers.iter().filter(|(name, _)| interface.constants.contains(name)).cloned().collect();
    Ok(OwnCall { entry: interface.entry.clone(), constants, bound, grid, cost, storage })
}

/// `largest` bytes a binding, `lanes` a workgroup.
fn resource(
    slot: &Slot,
    wish: Option<&Wish>,
    numbers: &[(String, f64)],
    [largest, lanes]: [u64; 2],
) -> Result<Resource> {
    let name = &slot.name;
    let wrong = |what: String| Err(Error::Usage(format!("{name}: {what}")));
    let texels = |dimension: u32| match wish.map(|wish| &wish.size) {
        None => Ok(DEFAULT_TEXELS[dimension as usize - 1]),
        Some(Size::Texels(texels)) => Ok(*texels),
        Some(_) => {
            Err(Error::Usage(format!("{name} is a texture: give its texels, such as {name}=1024x1024")))
        }
    };
    match &slot.kind {
        SlotKind::Uniform { bytes, fields } => {
            let mut contents = match wish.map(|wish| &wish.size) {
                None => vec![0; *bytes as usize],
                Some(Size::Contents(contents)) if contents.len() == *bytes as usize => contents.clone(),
                Some(_) => return wrong(format!("its size is {bytes} bytes; set its numbers with --set")),
            };
            for field in fields {
                let full = format!("{name}.{}", field.name);
                let set = numbers.iter().rfind(|(set, _)| *set == field.name || *set == full);
                if let Some(&(_, value)) = set {
                    contents[field.offset as usize..][..4].copy_from_slice(&encoded(field.scalar, value));
                }
            }
            Ok(Resource::Uniform(contents))
        }
        SlotKind::Storage { bytes, stride, scalar, .. } => {
            let fixed = u64::from(*bytes);
            let size = match (wish.map(|wish| &wish.size), stride) {
                (Some(Size::Contents(contents)), _) => contents.len() as u64,
                (Some(Size::Bytes(size)), _) => *size,
                (Some(Size::Texels(_)), _) => {
                    return wrong("it is a buffer: give its bytes, such as 64MiB".into());
                }
                (None, None) => fixed,
                (None, Some(stride)) => {
                    // No more elements than a grid of one axis has lanes.
                    let room = (DEFAULT_BYTES.min(largest).saturating_sub(fixed) / u64::from(*stride))
                        .min(MOST_WORKGROUPS * lanes);
                    fixed + room.max(1) * u64::from(*stride)
                }
            };
            let least = fixed + u64::from(stride.unwrap_or(0));
            if size < least {
                return wrong(format!("the shader needs at least {least} bytes, not {size}"));
            }
            if size > largest {
                return wrong(format!("{size} bytes, but this adapter binds at most {largest}"));
            }
            if let Some(Size::Contents(contents)) = wish.map(|wish| &wish.size) {
                return Ok(Resource::Storage(contents.clone()));
            }
            let usual = if *scalar == Some(ScalarKind::Float) { Fill::Random } else { Fill::Zeros };
            let fill = wish.and_then(|wish| wish.fill).unwrap_or(usual);
            Ok(Resource::Storage(filled(size as usize, fill)))
        }
        SlotKind::StorageTexture { format, dimension, .. } => Ok(Resource::StorageTexture {
            format: format.clone(),
            size: texels(*dimension)?,
            dimension: *dimension,
        }),
        SlotKind::Texture { samples, dimension, layered } => Ok(Resource::Texture {
            samples: *samples,
            size: texels(*dimension)?,
            dimension: *dimension,
            layered: *layered,
        }),
        SlotKind::Sampler { .. } if wish.is_some() => wrong("a sampler has no size".into()),
        SlotKind::Sampler { comparison } => Ok(Resource::Sampler { comparison: *comparison }),
    }
}

fn filled(size: usize, fill: Fill) -> Vec<u8> {
    let words = size / 4;
    let mut bytes: Vec<u8> = match fill {
        Fill::Zeros => vec![],
        Fill::Random => {
            let mut numbers = Numbers::new(7);
            (0..words).flat_map(|_| numbers.float().to_le_bytes()).collect()
        }
        Fill::Count => (0..words as u32).flat_map(u32::to_le_bytes).collect(),
    };
    bytes.resize(size, 0);
    bytes
}

fn encoded(scalar: ScalarKind, value: f64) -> [u8; 4] {
    match scalar {
        ScalarKind::Float => (value as f32).to_le_bytes(),
        ScalarKind::Sint => (value as i32).to_le_bytes(),
        _ => (value as u32).to_le_bytes(),
    }
}

/// Each number must be of something.
fn check_numbers(interface: &Interface, numbers: &[(String, f64)]) -> Result<()> {
    let mut known = interface.constants.clone();
    for slot in &interface.slots {
        if let SlotKind::Uniform { fields, .. } = &slot.kind {
            known.extend(fields.iter().map(|field| field.name.clone()));
            known.extend(fields.iter().map(|field| format!("{}.{}", slot.name, field.name)));
        }
    }
    match numbers.iter().find(|(name, _)| !known.contains(name)) {
        None => Ok(()),
        Some((name, _)) if known.is_empty() => {
            Err(Error::Usage(format!("there is no number {name:?} to set: the shader has none")))
        }
        Some((name, _)) => {
            Err(Error::Usage(format!("there is no number {name:?} to set, but {}", known.join(", "))))
        }
    }
}

fn default_grid(interface: &Interface, bound: &[Bound]) -> Result<[u32; 3]> {
    let over = |elements: u64, lanes: u32| match elements.div_ceil(u64::from(lanes.max(1))) {
        // Bytes that no lane touches would count as moved.
        count if count > MOST_WORKGROUPS => Err(Error::Usage(format!(
            "a lane for each of {elements} elements takes {count} workgroups of {lanes} lanes, more than \
             {MOST_WORKGROUPS}: give --grid, or larger workgroups"
        ))),
        count => Ok(count.max(1) as u32),
    };
    let lanes = interface.workgroup;
    for (slot, bound) in interface.slots.iter().zip(bound) {
        match (&slot.kind, &bound.resource) {
            (
                SlotKind::Storage { stride: Some(stride), access: [_, true], bytes, .. },
                Resource::Storage(held),
            ) => {
                let elements = (held.len() as u64 - u64::from(*bytes)) / u64::from(*stride);
                return Ok([over(elements, lanes.iter().product())?, 1, 1]);
            }
            (SlotKind::StorageTexture { access: [_, true], .. }, Resource::StorageTexture { size, .. }) => {
                let [x, y, z] = [0, 1, 2].map(|axis| over(size[axis].into(), lanes[axis]));
                return Ok([x?, y?, z?]);
            }
            _ => {}
        }
    }
    Ok([1, 1, 1])
}

/// Times `call`; `operations` are as many as its author says, for nobody can count them from the text.
///
/// # Errors
/// What the compiler or the device refuses.
pub fn measure_own(
    gpu: &Gpu,
    roofs: &Roofs,
    what: &str,
    text: &str,
    call: &OwnCall,
    operations: u64,
) -> Result<Measurement> {
    let program = Program::from_wgsl(gpu, text, &call.entry, &call.constants, &call.bound, call.grid)?;
    // The first run compiles, and clears memory.
    program.profile(gpu)?;
    let times = times(gpu, &program)?;
    let cost = Cost { operations, ..call.cost };
    let least = roofs.seconds(cost, call.storage);
    Ok(Measurement::new([what, &call.entry, "own"], &times, cost, least, None))
}
