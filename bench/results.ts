/** A whole run as it is written down: the figures, and what they were measured on. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../test/helpers/requirements.ts';
import type { Measure } from './measure.ts';
import { STANDALONE } from './stage.ts';

export interface Results {
  /** ISO 8601, of the end of the run. */
  readonly date: string;
  readonly machine: string;
  /** What each program says about itself. */
  readonly versions: Readonly<Record<string, string>>;
  /** Milliseconds there and back as measured, by the length the line is meant to have. */
  readonly lines: Readonly<Record<string, number>>;
  readonly measures: readonly Measure[];
}

const FILE = fileURLToPath(new URL('results.json', import.meta.url));

/** How each program is asked, and where in its answer the version stands. */
const ASKED = {
  OpenSSH: ['ssh', '-V', /OpenSSH_([^\s,]+)/],
  dbclient: ['dbclient', '-V', /v(\S+)/],
  plink: ['plink', '-V', /Release (\S+)/],
  Dovecot: ['dovecot', '--version', /(\S+)/],
} as const;

const GIB = 1024 ** 3;

export function makeResults(measures: readonly Measure[], lines: ReadonlyMap<number, number>): Results {
  const versions: Record<string, string> = {
    'pine-rsh': ask(STANDALONE, '--version', /^pine-rsh (\S+)/) ?? '',
  };
  for (const [name, [program, word, pattern]] of Object.entries(ASKED)) {
    const path = findProgram(program);
    const version = path === undefined ? undefined : ask(path, word, pattern);
    if (version !== undefined) versions[name] = version;
  }
  return {
    date: new Date().toISOString(),
    machine: describeMachine(),
    versions,
    lines: Object.fromEntries([...lines].map(([meant, found]) => [meant, Math.round(found * 10) / 10])),
    measures,
  };
}

export function readResults(): Results {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Results;
}

export function writeResults(results: Results): void {
  writeFileSync(FILE, `${JSON.stringify(results, undefined, 2)}\n`);
}

function describeMachine(): string {
  const cores = cpus();
  const system =
    /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  return `${cores.length} cores of ${cores[0]?.model.trim()}, ${Math.round(totalmem() / GIB)} GiB, ${system}`;
}

function ask(path: string, word: string, pattern: RegExp): string | undefined {
  const { stdout, stderr } = spawnSync(path, [word], { encoding: 'utf8' });
  return pattern.exec(stdout + stderr)?.[1];
}
