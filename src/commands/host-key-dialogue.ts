/**
 * Asks a person whether the keys that a host has shown are its own, and writes down what he answers; for `trust` and
 * `connect`.
 */
import { existsSync } from 'node:fs';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { displayWidth, padText, wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { readKnownHosts } from '../transport/host-key.ts';
import {
  compareHostKeys,
  type HostKeyComparison,
  type ShownKey,
  showKey,
} from '../transport/host-key-comparison.ts';
import { findRevocation, type HostNames, nameHost } from '../transport/known-hosts.ts';
import { replaceHostKeys } from '../transport/known-hosts-editor.ts';
import { recordHostKeys } from '../transport/known-hosts-writer.ts';
import { type Output, paint, printLines } from './output.ts';
import { formatCount } from './quantity.ts';
import { type Ask, beginQuestion } from './terminal-question.ts';

export interface DialogueOptions {
  readonly settings: Settings;
  readonly output: Output;
  /** `SHA256:...` of the one key to trust without a question. */
  readonly fingerprint: string | undefined;
  readonly ask: Ask;
  readonly signal: AbortSignal;
}

/** Keys that a person trusts, not written down yet. */
export interface HostKeyDecision {
  /** The keys to write, in wire format; none where the host is known already. */
  readonly fresh: readonly Buffer[];
  /** Writes them down and says so. @throws {Failure} `file-unusable`, `file-untrusted` */
  readonly record: () => void;
}

const KNOWN: HostKeyDecision = { fresh: [], record: () => {} };

type Answer = 'no' | readonly ShownKey[];

/**
 * Compares, shows, asks and records.
 *
 * @param alias with what ssh_config adds to it
 * @param blobs the host's keys in wire format, at least one, each proven to be its own
 * @returns whether a connection will accept the host
 * @throws {Failure} `host-key-revoked`, `host-key-pin`, `host-key-not-shown`; `file-unusable`, `file-untrusted`
 */
export async function trustHostKeys(
  alias: Alias,
  blobs: readonly Buffer[],
  options: DialogueOptions,
): Promise<boolean> {
  const decision = await decideHostKeys(alias, blobs, options);
  decision?.record();
  return decision !== undefined;
}

/** `trustHostKeys` without writing anything; undefined if the person does not trust them. */
export async function decideHostKeys(
  alias: Alias,
  blobs: readonly Buffer[],
  options: DialogueOptions,
): Promise<HostKeyDecision | undefined> {
  const { settings, output, fingerprint } = options;
  const host = nameHost(alias.hostname, alias.port)[0];
  const names = nameHost(alias.hostname, alias.port, alias.hostKeyAlias);
  const files = readKnownHosts(alias, { settings });
  const shown = blobs.map(showKey);
  if (alias.hostKeyFingerprint !== undefined) {
    const pinned = findPinned(host, alias.hostKeyFingerprint, shown);
    const place = findRevocation(files, names, pinned.blob);
    if (place !== undefined) throw new Failure('host-key-revoked', { host, place });
    say(output, `HOST_KEY_FINGERPRINT allows the ${pinned.type} key of ${host}; no other file counts`);
    return KNOWN;
  }
  const wanted = fingerprint === undefined ? shown : [findShown(host, fingerprint, shown)];
  const comparison = compareHostKeys(
    host,
    names,
    files,
    blobs,
    wanted.map(({ blob }) => blob),
  );
  if (comparison.kind === 'known') {
    say(output, `the key of ${host} is known: ${comparison.place}`);
    return KNOWN;
  }
  const file = findFileToWrite(alias);
  if (fingerprint === undefined) printKeys(host, shown, comparison, output);
  const answer = fingerprint === undefined ? await askForTrust(shown, comparison, options) : wanted;
  if (answer === 'no') {
    say(output, 'nothing was recorded');
    return undefined;
  }
  return {
    fresh: answer.map(({ blob }) => blob),
    record() {
      record(file, names, comparison, answer, settings.uid);
      printRecorded(file, comparison, answer, output);
    },
  };
}

function findPinned(host: string, pin: string, shown: readonly ShownKey[]): ShownKey {
  const pinned = shown.find((key) => key.fingerprint === pin);
  if (pinned !== undefined) return pinned;
  throw new Failure('host-key-pin', { host, fingerprint: listFingerprints(shown) });
}

function findShown(host: string, fingerprint: string, shown: readonly ShownKey[]): ShownKey {
  const key = shown.find((each) => each.fingerprint === fingerprint);
  if (key !== undefined) return key;
  throw new Failure('host-key-not-shown', { host, fingerprint, shown: listFingerprints(shown) });
}

function listFingerprints(shown: readonly ShownKey[]): string {
  return shown.map(({ fingerprint }) => fingerprint).join(', ');
}

/** The first one, as for accept-new. What people name when nothing shall be kept is no place for a key. */
function findFileToWrite({ knownHosts: [file] }: Alias): string {
  if (file !== undefined && file !== '/dev/null') return file;
  const why = 'no key can be kept there';
  throw new Failure('file-unusable', {
    file: file ?? 'KNOWN_HOSTS',
    why,
    remedy: 'name a file in KNOWN_HOSTS',
  });
}

function printKeys(
  host: string,
  shown: readonly ShownKey[],
  comparison: HostKeyComparison,
  output: Output,
): void {
  if (comparison.kind !== 'changed') {
    say(output, `${host} is not known yet; it has shown these keys:`);
    printLines(output, formatNewKeys(shown, output));
    say(output, 'compare one of them with what the administrator of the host tells you');
    return;
  }
  const warning = wrapText(escapeForTerminal(`the keys of ${host} have changed:`), output.columns);
  printLines(
    output,
    warning.map((line) => paint(output, 'red', line)),
  );
  printLines(output, formatChanges(shown, comparison, output));
  say(output, 'somebody may stand between you and the host: ask its administrator before you go on');
}

/** Fingerprints are never broken: they are compared, and copied. Where they do not fit they begin a line. */
function formatNewKeys(shown: readonly ShownKey[], output: Output): string[] {
  const width = Math.max(...shown.map(({ type }) => type.length));
  const rows = shown.map(({ type, fingerprint }) => `  ${padText(type, width)} ${fingerprint}`);
  if (rows.every((row) => displayWidth(row) <= output.columns)) return rows;
  return shown.flatMap(({ type, fingerprint }) => [`  ${type}`, fingerprint]);
}

/** Old and new keys of a type below each other, so that they can be compared letter by letter. */
function formatChanges(
  shown: readonly ShownKey[],
  { stale, known }: Extract<HostKeyComparison, { kind: 'changed' }>,
  output: Output,
): string[] {
  const types = [...new Set([...shown, ...stale].map(({ type }) => type))];
  return types.flatMap((type) => {
    const now = shown.filter((key) => key.type === type);
    const old = stale.filter((key) => key.type === type);
    const same = now.some(({ blob }) => known.some((key) => key.equals(blob)));
    return [
      `  ${escapeForTerminal(type)}`,
      ...old.flatMap(({ fingerprint, place }) => [
        `    old ${fingerprint}`,
        ...wrapText(escapeForTerminal(place), output.columns - PLACE_INDENT).map(
          (line) => ' '.repeat(PLACE_INDENT) + line,
        ),
      ]),
      ...(same ? ['    old the same'] : old.length === 0 ? ['    old none'] : []),
      ...now.map(({ fingerprint }) => `    new ${fingerprint}`),
      ...(now.length === 0 ? ['    new none'] : []),
    ];
  });
}

/** Where fingerprints begin. */
const PLACE_INDENT = 8;

/** As ssh asks: the whole word, or the fingerprint, which trusts that key alone. */
async function askForTrust(
  shown: readonly ShownKey[],
  comparison: HostKeyComparison,
  { output, ask, signal }: DialogueOptions,
): Promise<Answer> {
  let question = comparison.kind === 'changed' ? 'replace them' : 'trust them';
  for (;;) {
    const last = beginQuestion(`${question} (yes/no/fingerprint)?`, output);
    const typed = (await ask(last, { echo: true, signal }))?.trim();
    if (typed === undefined || typed.toLowerCase() === 'no') return 'no';
    if (typed.toLowerCase() === 'yes') return shown;
    const key = shown.find(({ fingerprint }) => fingerprint === typed.replace(/=+$/, ''));
    if (key !== undefined) return [key];
    question = typed.startsWith('SHA256:') ? 'it has shown no such key' : 'please type the whole word';
  }
}

function record(
  file: string,
  names: HostNames,
  comparison: HostKeyComparison,
  keys: readonly ShownKey[],
  uid: number,
): void {
  const fresh = keys.map(({ blob }) => blob);
  if (comparison.kind === 'changed' && existsSync(file)) {
    // Only what was shown: a key that was added since may be right.
    const stale = comparison.stale.map(({ blob }) => blob);
    replaceHostKeys(file, names, { stale, fresh }, uid);
    return;
  }
  if (recordHostKeys(file, names, fresh, uid)) return;
  const why = 'another program has just written a key of this host';
  throw new Failure('file-unusable', { file, why, remedy: 'try again' });
}

function printRecorded(
  file: string,
  comparison: HostKeyComparison,
  keys: readonly ShownKey[],
  output: Output,
): void {
  const stale = comparison.kind === 'changed' ? comparison.stale : [];
  const here = stale.filter((key) => key.file === file);
  const recorded = `recorded ${formatCount(keys.length, 'key')} in ${file}`;
  say(
    output,
    here.length === 0
      ? recorded
      : `${recorded} in place of ${here.length}; the file as it was is kept as ${file}.old`,
  );
  for (const { place } of stale.filter((key) => key.file !== file)) {
    say(output, `the old key in ${place} was left there: it does no harm`);
  }
}

function say(output: Output, text: string): void {
  printLines(output, wrapText(escapeForTerminal(text), output.columns));
}
