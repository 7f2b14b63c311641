/**
 * Does .pinerc make Alpine run pine-rsh for this alias, and well? Every mistake here ends in TCP and a password prompt
 * without a word from pine-rsh, because it is never run (clients' rules: c-client imap4r1.c, tcp_unix.c; pith/conf.c).
 */
import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import type { Alias } from '../../alias/alias.ts';
import { lookupAlias } from '../../alias/lookup.ts';
import { errnoOf } from '../../errors.ts';
import { OPEN_DEADLINE_MS } from '../../limits.ts';
import type { Settings } from '../../settings.ts';
import { RSH_OPEN_MIN_SECONDS } from '../limits.ts';
import {
  findSetting,
  listFolders,
  type PinercEntry,
  parsePinerc,
  type RemoteFolder,
  userOf,
} from '../pinerc-file.ts';
import { isUnsafeProgramPath } from '../pinerc-lines.ts';
import { type Finding, passed, warned } from './finding.ts';

export interface PinercContext {
  readonly settings: Settings;
  readonly programPath: string;
  /** Absolute. */
  readonly file: string;
  /** Somebody asked for this file, and not only for the usual one. */
  readonly named: boolean;
}

/** At least one finding. */
export function examinePinerc(host: string, alias: Alias, context: PinercContext): Finding[] {
  const { settings, programPath, file, named } = context;
  const show = `the right lines: pine-rshctl pinerc ${host}`;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (thrown) {
    const why = errnoOf(thrown) === 'ENOENT' ? 'does not exist' : `cannot be read (${errnoOf(thrown)})`;
    if (why === 'does not exist' && named) return [wrong(`${file} ${why}`, show)];
    if (why === 'does not exist') return [passed('pinerc', `${file} ${why}; ${show}`)];
    return [warned('pinerc', `${file} ${why}`, `run: chmod u+r ${file}`)];
  }
  const entries = parsePinerc(text);
  const folders = listFolders(entries).filter((folder) => isOfAlias(folder, alias, settings));
  if (folders.length === 0) return [warned('pinerc', `no folder of ${host} in ${file}`, show)];
  const problems = [
    ...examineProgram(entries, programPath, file),
    ...examineTimes(entries, file),
    ...folders.flatMap((folder) => examineFolder(folder, file)),
  ];
  if (problems.length > 0) return problems;
  return [passed('pinerc', `${file} opens ${host} with ${findSetting(entries, 'rsh-path')?.value}`)];
}

function isOfAlias(folder: RemoteFolder, { name }: Alias, settings: Settings): boolean {
  const other = /^(?:nntp|pop3|smtp|submit|service=(?!imap))/;
  if (folder.flags.some((flag) => other.test(flag))) return false;
  try {
    const found = lookupAlias(settings, {
      host: folder.host,
      user: userOf(folder),
      port: undefined,
      options: new Map(),
    });
    return found.kind === 'managed' && found.alias.name === name;
  } catch {
    return false;
  }
}

function wrong(text: string, hint: string): Finding {
  return { mark: 'failed', check: 'pinerc', ms: undefined, text, hint };
}

function examineProgram(entries: readonly PinercEntry[], programPath: string, file: string): Finding[] {
  const right = `write: rsh-path=${programPath}`;
  const entry = findSetting(entries, 'rsh-path');
  if (entry === undefined || entry.value === '') {
    return [wrong(`${file} sets no rsh-path: Alpine would open TCP port 143 and ask for a password`, right)];
  }
  const place = `${file}:${entry.line}: rsh-path`;
  const path = entry.value.replace(/^"(.*)"$/, '$1');
  if (!isAbsolute(path)) {
    return [wrong(`${place} is not an absolute path, so that Alpine does not use it`, right)];
  }
  if (isUnsafeProgramPath(path)) {
    return [wrong(`${place} holds a blank, a quote or a $, which Alpine takes apart`, right)];
  }
  if (!isExecutable(path)) {
    return [wrong(`${place} is no program that can be run, so that Alpine does not use it`, right)];
  }
  const command = findSetting(entries, 'rsh-command')?.value ?? '';
  const ssh = findSetting(entries, 'ssh-path')?.value ?? '';
  return [
    ...(listOwnPrograms(programPath).includes(realpathSync(path))
      ? []
      : [warned('pinerc', `${place} is not this pine-rsh (${programPath})`, right)]),
    ...(command === '' || /%s.*%s.*\/etc\/r%sd/.test(command)
      ? []
      : [warned('pinerc', `${file} sets an rsh-command of its own`, 'write: rsh-command=')]),
    ...(ssh === '' || ssh === '""'
      ? []
      : [wrong(`${file} sets ssh-path, which Alpine tries before rsh-path`, 'write: ssh-path=')]),
  ];
}

/** The launcher, and what it starts: both are this pine-rsh. */
function listOwnPrograms(programPath: string): string[] {
  const launcher = realpathOf(programPath);
  const dist = join(dirname(dirname(launcher)), 'dist');
  return [launcher, ...['pine-rsh', 'pine-rsh.mjs'].map((name) => realpathOf(join(dist, name)))];
}

/** Timeouts in seconds. Alpine's own: 15 for rsh, 60 for a question whether to go on waiting. */
function examineTimes(entries: readonly PinercEntry[], file: string): Finding[] {
  const findings: Finding[] = [];
  const open = findSetting(entries, 'rsh-open-timeout');
  const seconds = Number(open?.value === '' ? undefined : open?.value);
  if (open !== undefined && seconds === 0) {
    findings.push(
      wrong(`${file}:${open.line}: rsh-open-timeout=0 switches rsh off`, 'write: rsh-open-timeout=15'),
    );
  } else if (open !== undefined && seconds < RSH_OPEN_MIN_SECONDS) {
    const text = `${file}:${open.line}: rsh-open-timeout is less than Alpine takes`;
    findings.push(warned('pinerc', text, 'write: rsh-open-timeout=15'));
  }
  const query = findSetting(entries, 'tcp-query-timeout');
  const deadline = OPEN_DEADLINE_MS / 1000;
  if (query !== undefined && query.value !== '' && Number(query.value) <= deadline) {
    const text = `${file}:${query.line}: tcp-query-timeout=${query.value}: Alpine would offer to give up before pine-rsh does`;
    findings.push(warned('pinerc', text, 'write: tcp-query-timeout=60'));
  }
  return findings;
}

/** With one of these Alpine opens TCP or TLS and never runs rsh. */
const BYPASSES = /^(?:ssl|tls|starttls|tls1(?:_\d)?|tls-sslv23|norsh|anonymous)$/;

function examineFolder({ host, port, flags, entry }: RemoteFolder, file: string): Finding[] {
  const place = `${file}:${entry.line}: {${host}...} in ${entry.name}`;
  const findings: Finding[] = [];
  if (port !== undefined) {
    findings.push(wrong(`${place} has a port: Alpine never runs rsh for it`, `remove :${port}`));
  }
  for (const flag of flags.filter((each) => BYPASSES.test(each))) {
    findings.push(wrong(`${place} has /${flag}: Alpine never runs rsh for it`, `remove /${flag}`));
  }
  if (flags.some((flag) => /^try(?:ssl|alt|sslfirst)/.test(flag))) {
    findings.push(
      warned('pinerc', `${place} has /tryssl: Alpine tries port 993 before rsh`, 'remove /tryssl'),
    );
  }
  if (!flags.includes('secure')) {
    const text = `${place} lacks /secure: should pine-rsh be missing, Alpine would send a password in the clear`;
    findings.push(warned('pinerc', text, `write: {${host}/secure/...}`));
  }
  return findings;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function realpathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
