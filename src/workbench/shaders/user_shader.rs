//! Someone's own shader: what it binds, filled and sized as asked for or by default, and timed like
//! the kernels.

use super::constants::keyed;
use super::reflect::{Interface, Slot, SlotKind};
use super::values::{Field, refusal};
use crate::error::Remedy;
use crate::gpu::{Bound, Resource, StorageKind};
use crate::kernels::Numbers;
use crate::{Error, Result};
use naga::Scalar;

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
    /// What it holds; by default floats of four bytes are random and the rest is zero.
    pub fill: Option<Fill>,
}

/// A shader with all it binds.
#[derive(Debug)]
pub struct UserShaderRun {
    /// Its entry point.
    pub entry: String,
    /// Its overridable constants that are set, by [`crate::workbench::Constant::key`].
    pub constants: Vec<(String, f64)>,
    /// What is bound.
    pub bound: Vec<Bound>,
    /// Workgroups along x, y and z.
    pub grid: [u32; 3],
    /// All that is bound, bytes.
    pub bytes: u64,
    /// Whether more of them are in textures than in buffers.
    pub storage: StorageKind,
    /// Numbers of uniforms and immediates that were not set, so that they are 0.
    pub zeros: Vec<String>,
}

/// What may grow is so large unless asked for, bytes.
const DEFAULT_BYTES: u64 = 16 << 20;
/// A texture's sides unless asked for, by its dimensions.
const DEFAULT_TEXELS: [[u32; 3]; 3] = [[1024, 1, 1], [1024, 1024, 1], [64, 64, 64]];
/// Workgroups along an axis, WebGPU's default limit.
const MOST_WORKGROUPS: u64 = 65535;
/// Everything together, bytes.
const MOST_BYTES: u64 = 4 << 30;

/// Sizes and fills what `interface` binds. `numbers` go to uniforms, by their names, or
/// `variable.name`; `largest` is the largest binding, bytes. Without a grid there is a lane for
/// each element of the first thing written that has a size; where workgroups have several axes, an
/// array's elements are laid out as a square or a cube.
///
/// # Errors
/// For wishes and numbers that name nothing there is, or do not fit it.
pub fn prepare(
    interface: &Interface,
    wishes: &[Wish],
    numbers: &[(String, f64)],
    grid: Option<[u32; 3]>,
    largest: u64,
) -> Result<UserShaderRun> {
    let names = || interface.slots.iter().map(|slot| &*slot.name).collect::<Vec<_>>().join(", ");
    if let Some(unknown) =
        wishes.iter().find(|wish| interface.slots.iter().all(|slot| slot.name != wish.name))
    {
        return Err(Error::input(format!(
            "the shader binds no {:?}, but {}",
            unknown.name,
            names()
        )));
    }
    let (mut bound, mut zeros, mut in_textures, mut total) = (vec![], vec![], 0, 0u64);
    let lanes = interface.workgroup.iter().map(|&lanes| u64::from(lanes)).product();
    for slot in &interface.slots {
        let wish = wishes.iter().find(|wish| wish.name == slot.name);
        let resource = resource(slot, wish, numbers, [largest, lanes])?;
        let bytes = resource.bytes()?;
        total = total.saturating_add(bytes);
        if total > MOST_BYTES {
            return Err(Error::input(format!(
                "what is bound takes more than {} GiB",
                MOST_BYTES >> 30
            )));
        }
        if matches!(resource, Resource::Texture { .. } | Resource::StorageTexture { .. }) {
            in_textures += bytes;
        }
        if let (SlotKind::Uniform { fields, .. } | SlotKind::Immediates { fields, .. }, None) =
            (&slot.kind, wish)
        {
            let unset = fields.iter().filter(|field| numbers.iter().all(|(set, _)| !field.is(set)));
            zeros.extend(unset.map(|field| field.name.clone()));
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
    let constants = keyed(&interface.constants, numbers)?;
    Ok(UserShaderRun {
        entry: interface.entry.clone(),
        constants,
        bound,
        grid,
        bytes: total,
        storage,
        zeros,
    })
}

/// What the numbers of a variable become, on top of a file's bytes where it is given one.
fn contents(
    name: &str,
    bytes: u32,
    fields: &[Field],
    wish: Option<&Wish>,
    numbers: &[(String, f64)],
) -> Result<Vec<u8>> {
    let wrong = |what: String| Err(Error::input(what));
    let mut contents = match wish.map(|wish| &wish.size) {
        None => vec![0; bytes as usize],
        Some(Size::Contents(contents)) if contents.len() == bytes as usize => contents.clone(),
        Some(_) => {
            let message = format!("{name}: its size is {bytes} bytes");
            let remedy = Remedy::SetNumbersOf(name.to_owned());
            return Err(Error::input(message).with_remedy(remedy));
        }
    };
    for field in fields {
        let Some((_, value)) = numbers.iter().rfind(|(set, _)| field.is(set)) else { continue };
        if let Some(refusal) = refusal(field.scalar, *value) {
            return wrong(format!("{} cannot be {value}: {refusal}", field.name));
        }
        let encoded = field.encoded(*value);
        contents[field.offset as usize..][..encoded.len()].copy_from_slice(&encoded);
    }
    Ok(contents)
}

/// `largest` bytes a binding, `lanes` a workgroup.
fn resource(
    slot: &Slot,
    wish: Option<&Wish>,
    numbers: &[(String, f64)],
    [largest, lanes]: [u64; 2],
) -> Result<Resource> {
    let name = &slot.name;
    let wrong = |what: String| Err(Error::input(format!("{name}: {what}")));
    let texels = |dimension: u32| match wish.map(|wish| &wish.size) {
        None => Ok(DEFAULT_TEXELS[dimension as usize - 1]),
        Some(Size::Texels(texels)) => Ok(*texels),
        Some(_) => Err(Error::input(format!(
            "{name} is a texture: give its texels, such as {name}=1024x1024"
        ))),
    };
    match &slot.kind {
        SlotKind::Uniform { bytes, .. } | SlotKind::Immediates { bytes, .. }
            if u64::from(*bytes) > largest =>
        {
            wrong(format!("{bytes} bytes, but this adapter binds at most {largest}"))
        }
        SlotKind::Uniform { bytes, fields } => {
            Ok(Resource::Uniform(contents(name, *bytes, fields, wish, numbers)?))
        }
        SlotKind::Immediates { bytes, fields } => {
            Ok(Resource::Immediates(contents(name, *bytes, fields, wish, numbers)?))
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
                    let room = (DEFAULT_BYTES.min(largest).saturating_sub(fixed)
                        / u64::from(*stride))
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
            let usual = if *scalar == Some(Scalar::F32) { Fill::Random } else { Fill::Zeros };
            let fill = wish.and_then(|wish| wish.fill).unwrap_or(usual);
            Ok(Resource::Storage(filled(size as usize, fill)))
        }
        SlotKind::StorageTexture { format, dimension, layered, .. } => {
            Ok(Resource::StorageTexture {
                format: format.clone(),
                size: texels(*dimension)?,
                dimension: *dimension,
                layered: *layered,
            })
        }
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

/// Names that an error lists.
const LISTED: usize = 40;

/// Each number must be of something.
fn check_numbers(interface: &Interface, numbers: &[(String, f64)]) -> Result<()> {
    let fields: Vec<_> = interface
        .slots
        .iter()
        .flat_map(|slot| match &slot.kind {
            SlotKind::Uniform { fields, .. } | SlotKind::Immediates { fields, .. } => &fields[..],
            _ => &[],
        })
        .collect();
    let constants = &interface.constants;
    let known = |name: &str| {
        constants.iter().any(|constant| constant.is(name))
            || fields.iter().any(|field| field.is(name))
    };
    let Some((name, _)) = numbers.iter().find(|(name, _)| !known(name)) else { return Ok(()) };
    let mut names: Vec<_> = constants.iter().map(|constant| &*constant.name).collect();
    names.extend(fields.iter().map(|field| &*field.name));
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let listed =
        names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Error::input(if listed.is_empty() {
        format!("there is no number {name:?} to set: the shader has none")
    } else {
        format!("there is no number {name:?} to set, but {listed}")
    }))
}

fn default_grid(interface: &Interface, bound: &[Bound]) -> Result<[u32; 3]> {
    let over = |elements: u64, lanes: u32| match elements.div_ceil(u64::from(lanes.max(1))) {
        // Bytes that no lane touches would count as moved.
        count if count > MOST_WORKGROUPS => {
            let message = format!(
                "a lane for each of {elements} elements takes {count} workgroups of {lanes} lanes, \
                 more than {MOST_WORKGROUPS}: choose their number, or larger workgroups"
            );
            Err(Error::input(message).with_remedy(Remedy::ChooseGrid))
        }
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
                // A workgroup of 16 x 16 lanes is meant for a square, one of 64 for a row.
                let axes = lanes.iter().filter(|&&lanes| lanes > 1).count();
                let side = match axes {
                    0 | 1 => elements,
                    axes => side(elements, axes as u32),
                };
                let along = |axis: usize| {
                    if lanes[axis] > 1 || (axes == 0 && axis == 0) {
                        over(side, lanes[axis])
                    } else {
                        Ok(1)
                    }
                };
                return Ok([along(0)?, along(1)?, along(2)?]);
            }
            (
                SlotKind::StorageTexture { access: [_, true], .. },
                Resource::StorageTexture { size, .. },
            ) => {
                let [x, y, z] = [0, 1, 2].map(|axis| over(size[axis].into(), lanes[axis]));
                return Ok([x?, y?, z?]);
            }
            _ => {}
        }
    }
    Ok([1, 1, 1])
}

/// The least side of a square (or cube, by its `axes`) that has so many elements.
fn side(elements: u64, axes: u32) -> u64 {
    let mut side = (elements as f64).powf(1.0 / f64::from(axes)) as u64;
    while side.pow(axes) < elements {
        side += 1;
    }
    side
}
