// Hands every WGSL text of a folder to Tint, Chromium's shader compiler, through Dawn's backend that needs no driver:
//   node tint.mjs FOLDER
// FOLDER/index.json is what the test `write_shaders` writes. Dawn comes from the folder that NODE_MODULES names.
// Exit status: 0 when all are accepted, 1 when one is refused, 2 when there was nothing to ask.
//
// Two devices are asked. One has what the null backend can give, f16 and subgroups, and takes everything. The other has
// WebGPU's default limits and no feature, and takes the texts that promise to need no more: the last strategy of each
// kernel, with its tensors in buffers.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.argv[2];
const dawn = createRequire(join(resolve(process.env.NODE_MODULES ?? 'node_modules'), 'x.js')).resolve('webgpu');
const { create, globals } = await import(pathToFileURL(dawn));
Object.assign(globalThis, globals);

const gpu = create(['backend=null']);
async function open(requiredFeatures) {
  const adapter = await gpu.requestAdapter();
  return adapter.requestDevice({ requiredFeatures });
}
const able = await open(['subgroups', 'shader-f16']);
const strict = await open([]);

// Tint wants to be told. naga 30 refuses the line about subgroups, so our files do not have it; f16 may stand there.
function enabling(shader, text) {
  const code = text.replace(/\/\/.*/g, '');
  const lines = shader.subgroups ? ['enable subgroups;'] : [];
  if (/\bf16\b|\d(\.\d*)?h\b/.test(code) && !/\benable f16;/.test(code)) lines.push('enable f16;');
  return lines.join(' ');
}

// The first line is the enabling one, so lines are counted as in the file that follows it.
async function refusals(device, shader, text, pipeline) {
  device.pushErrorScope('validation');
  const enable = device === able ? enabling(shader, text) : '';
  const module = device.createShaderModule({ code: `${enable}\n${text}` });
  const { messages } = await module.getCompilationInfo();
  const found = messages
    .filter((message) => message.type === 'error')
    .map((message) => `${message.lineNum - 1}:${message.linePos}: ${message.message}`);
  if (found.length === 0 && pipeline) {
    device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: shader.entry } });
  }
  const error = await device.popErrorScope();
  if (found.length === 0 && error) found.push(`1:1: ${error.message.split('\n')[0]}`);
  return found;
}

const shaders = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
const counts = { compiled: 0, pipelines: 0, strict: 0 };
let refused = 0;
for (const shader of shaders) {
  const file = join(folder, `${shader.file}.wgsl`);
  const text = readFileSync(file, 'utf8');
  const textures = (text.match(/texture_storage_2d</g) ?? []).length;
  // Tensors go to textures only where an adapter binds more than WebGPU promises; the pipeline cannot be made here.
  // So it is with sizes that `kaiwu tune` may choose where there is more workgroup memory.
  // A chain binds what all its kernels bind, for an adapter that is asked first.
  const buffers = (text.match(/var<storage/g) ?? []).length;
  const fits = shader.workgroup_bytes <= able.limits.maxComputeWorkgroupStorageSize;
  const bound = fits && textures <= able.limits.maxStorageTexturesPerShaderStage;
  const pipeline = bound && (shader.kernel !== 'chain' || buffers <= able.limits.maxStorageBuffersPerShaderStage);
  const tries = [['tint', able, pipeline]];
  if (shader.least && shader.buffers) tries.push(['tint, default limits', strict, true]);
  counts.compiled += 1;
  counts.pipelines += pipeline;
  counts.strict += shader.least && shader.buffers;
  for (const [who, device, make] of tries) {
    for (const words of await refusals(device, shader, text, make)) {
      refused += 1;
      console.log(`${file}:${words} [${who}; ${shader.what}]`);
    }
  }
}
if (shaders.length === 0) {
  console.log(`${folder}/index.json lists no shader`);
  process.exit(2);
}
console.log(
  `tint: ${counts.compiled} texts compiled, ${counts.pipelines} made into pipelines, ${counts.strict} of them ` +
    `under WebGPU's default limits; ${refused} refused`,
);
process.exit(refused > 0 ? 1 : 0);
