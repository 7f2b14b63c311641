/** What tests of host keys are made of: keys, entries, policies, and seeds that are printed. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { HostKeyPolicy } from '../../src/transport/host-key.ts';
import { caseCount } from '../helpers/cases.ts';

export type FakeKeyType = 'ssh-ed25519' | 'ssh-rsa' | 'ecdsa-sha2-nistp256';

/** Wire format of RFC 4251 section 5: every field with its length before it. */
export function encodeFields(...fields: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    fields.flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(field.length);
      return [length, Buffer.from(field as string)];
    }),
  );
}

/** A key nobody has the private half of; the same for the same label. */
export function fakeKey(type: FakeKeyType, label: string): Buffer {
  const noise = createHash('sha512').update(label).digest();
  if (type === 'ssh-ed25519') return encodeFields(type, noise.subarray(0, 32));
  if (type === 'ssh-rsa')
    return encodeFields(type, '\x01\x00\x01', Buffer.concat([noise, noise, noise, noise]));
  return encodeFields(type, 'nistp256', Buffer.concat([Buffer.from([4]), noise]));
}

/** The two words of a key in known_hosts. */
export function keyWords(blob: Buffer): string {
  const type = blob.toString('latin1', 4, 4 + blob.readUInt32BE(0));
  return `${type} ${blob.toString('base64')}`;
}

/** A name as HashKnownHosts writes it. */
export function hashedName(name: string): string {
  const salt = randomBytes(20);
  const hash = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${hash}`;
}

/** The policy of an alias for mail.example.org, with what a test changes. */
export function makePolicy(changes: Partial<HostKeyPolicy> = {}): HostKeyPolicy {
  return {
    name: 'work',
    hostname: 'mail.example.org',
    port: 22,
    knownHosts: [],
    strictHostKeyChecking: 'yes',
    hostKeyAlias: undefined,
    hostKeyFingerprint: undefined,
    ...changes,
  };
}

/**
 * Seed and number of cases of a random comparison, both printed. PINE_RSH_TEST_SEED repeats one,
 * PINE_RSH_TEST_CASES makes it longer or shorter.
 */
export function randomCases(
  test: { diagnostic(message: string): void },
  usual: number,
): { readonly seed: number; readonly numRuns: number } {
  const seed = Number(process.env['PINE_RSH_TEST_SEED'] ?? randomBytes(4).readInt32BE());
  const numRuns = caseCount(usual);
  test.diagnostic(`seed ${seed}, ${numRuns} cases`);
  return { seed, numRuns };
}
