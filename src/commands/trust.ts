/**
 * `pine-rshctl trust ALIAS`: the host's keys, for a person to compare, and into known_hosts once he has.
 */
import { parseFingerprint } from '../alias/value.ts';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { declareCommand } from './command.ts';
import { fetchAndTrust } from './fetch-and-trust.ts';
import { exitStatus, withInterrupt } from './interrupt.ts';
import type { Output } from './output.ts';
import { type Ask, askOnTerminal } from './terminal-question.ts';

export const trustCommand = declareCommand({
  name: 'trust',
  summary: "check a host's keys and record them",
  operands: { alias: { kind: 'required', summary: 'an alias, or a gateway as messages call it' } },
  options: {
    fingerprint: {
      kind: 'text',
      summary: 'record the key with this fingerprint, SHA256:..., without a question',
    },
  },
  examples: [
    ['work', 'the first time, and when a key has changed'],
    ['work --fingerprint SHA256:...', 'with what the administrator told you, for scripts'],
  ],
  run: async ({ settings, output }, args) => await runTrust(settings, args, output, askOnTerminal(output)),
});

export interface TrustOptions {
  readonly alias: string;
  readonly fingerprint: string | undefined;
}

/**
 * Returns 0 if the host is trusted, 1 if the person did not want to.
 *
 * @throws {Failure} `usage`, what is wrong with the alias, what keeps us from reaching the host, what is wrong with its
 *   keys (`host-key-dialogue.ts`)
 */
export async function runTrust(
  settings: Settings,
  options: TrustOptions,
  output: Output,
  ask: Ask,
): Promise<number> {
  const fingerprint = parseFingerprintOption(options.fingerprint);
  if (fingerprint === undefined && !output.interactive) {
    throw new Failure('usage', { problem: 'trust asks on a terminal; without one it needs --fingerprint' });
  }
  return await withInterrupt(output, async (signal) => {
    try {
      return (await fetchAndTrust(options.alias, { settings, output, fingerprint, ask, signal })) ? 0 : 1;
    } catch (thrown) {
      if (signal.aborted) return exitStatus(signal);
      throw thrown;
    }
  });
}

/** @throws {Failure} `usage` */
export function parseFingerprintOption(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const parsed = parseFingerprint(text, '');
  if ('value' in parsed) return parsed.value;
  const what = 'problem' in parsed ? parsed.problem : `is ${parsed.wants}`;
  throw new Failure('usage', { problem: `--fingerprint ${what}` });
}
