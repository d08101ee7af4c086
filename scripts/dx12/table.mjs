// Asks FXC and DXC under wine about the HLSL of every shader of a folder, and prints a table: node table.mjs FOLDER [EVERY]
// Of each row of the table, one text of EVERY is asked about (all by default).
// WINE and COMPILE name wine and compile.exe. Exit status 1 when DXC refuses a shader, or FXC one without subgroup
// operations and halves (shader model 5.1, all that FXC knows, has neither), or one takes longer than LIMIT.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const LIMIT_SECONDS = 900;
const folder = process.argv[2];
const shaders = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));

// One process answers for many files; one that hangs or crashes costs its file, and the next one goes on.
class Asked {
  constructor(compiler) {
    this.compiler = compiler;
  }

  ask(file, entry, profile) {
    return new Promise((answered) => {
      if (!this.process) this.start();
      const give = (answer) => {
        clearTimeout(timer);
        this.lines.off('line', give);
        this.process?.off('exit', died);
        answered(answer);
      };
      const died = () => {
        this.process = undefined;
        give('refused 0 the compiler crashed');
      };
      const timer = setTimeout(() => {
        const hung = this.process;
        hung.off('exit', died);
        this.process = undefined;
        hung.kill('SIGKILL');
        give(`refused ${1000 * LIMIT_SECONDS} no answer within ${LIMIT_SECONDS} s`);
      }, 1000 * LIMIT_SECONDS);
      this.lines.on('line', give);
      this.process.on('exit', died);
      this.process.stdin.write(`${file} ${entry} ${profile}\n`);
    });
  }

  start() {
    const stdio = ['pipe', 'pipe', 'inherit'];
    this.process = spawn(process.env.WINE, [process.env.COMPILE, this.compiler], { cwd: folder, stdio });
    this.process.stdin.on('error', () => {});
    this.lines = createInterface({ input: this.process.stdout });
  }
}

const needs = ({ subgroups, f16 }) => [subgroups && 'subgroups', f16 && 'f16'].filter(Boolean).join(', ') || '-';
const key = (shader) => `${shader.kernel} | ${shader.entry} | ${needs(shader)}`;
const every = Number(process.argv[3] ?? 1);
const seen = new Map();
const asked = shaders.filter((shader) => {
  const before = seen.get(key(shader)) ?? 0;
  seen.set(key(shader), before + 1);
  return before % every === 0;
});
const jobs = asked.flatMap((shader) => ['fxc', 'dxc'].map((compiler) => ({ shader, compiler })));
const rows = new Map();
let failures = 0;
async function work() {
  const compilers = { fxc: new Asked('fxc'), dxc: new Asked('dxc') };
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    const { shader, compiler } = job;
    const file = `${shader.file}.${compiler}.hlsl`;
    const profile = compiler === 'fxc' ? 'cs_5_1' : shader.f16 ? 'cs_6_2' : 'cs_6_0';
    const answer = await compilers[compiler].ask(file, shader.entry, profile);
    const [, word, milliseconds, message] = answer.trim().match(/^(\w+) (\d+) ?(.*)$/) ?? [0, 'refused', 0, answer];
    const row = key(shader);
    if (!rows.has(row)) rows.set(row, { fxc: [0, 0, 0], dxc: [0, 0, 0] });
    const counts = rows.get(row)[compiler];
    counts[0] += word === 'ok';
    counts[1] += 1;
    counts[2] = Math.max(counts[2], milliseconds / 1000);
    if (word !== 'ok' && !(compiler === 'fxc' && (shader.subgroups || shader.f16))) {
      failures += 1;
      console.error(`${join(folder, file)}: ${message} [${compiler}; ${shader.what}]`);
    }
  }
  for (const { process: child } of Object.values(compilers)) child?.stdin.end();
}
await Promise.all(Array.from({ length: availableParallelism() }, work));

const cell = ([accepted, all, slowest]) =>
  `${accepted === all ? 'all' : accepted === 0 ? 'none' : accepted} of ${all} | ${slowest.toFixed(1)} s`;
console.log('| kernel | shader | needs | FXC, model 5.1 | slowest | DXC, model 6.0 or 6.2 | slowest |');
console.log('|---|---|---|---|---|---|---|');
for (const row of [...rows.keys()].sort()) {
  const { fxc, dxc } = rows.get(row);
  console.log(`| ${row} | ${cell(fxc)} | ${cell(dxc)} |`);
}
const count = every === 1 ? 'all' : `one of every ${every}`;
console.log(`${asked.length} of ${shaders.length} texts, ${count} of each row; ${failures} refused that should not be`);
process.exit(failures > 0 ? 1 : 0);
