/**
 * Bytes under every kind of cipher that ssh2 frames in its own way, through key exchanges on the way: packets are built
 * in memory that is used again, which no cipher may notice.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { endBrokers } from '../broker/sharing.ts';
import { BUILDS } from '../helpers/builds.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { openTempHome } from '../helpers/temp-home.ts';

/** One with its own tag, one that hides lengths, and both orders of MAC and encryption (OpenSSH PROTOCOL, 1.5, 1.6). */
const CIPHERS = [
  { CIPHERS: 'aes128-gcm@openssh.com' },
  { CIPHERS: 'aes256-gcm@openssh.com' },
  { CIPHERS: 'aes256-ctr', MACS: 'hmac-sha2-256-etm@openssh.com' },
  { CIPHERS: 'aes128-ctr', MACS: 'hmac-sha2-512' },
];

/** Bun has no such cipher. */
const NODE_CIPHERS = [{ CIPHERS: 'chacha20-poly1305@openssh.com' }];

const BYTES = 9_000_001;

for (const build of BUILDS) {
  describe(`Bytes under a cipher (${build.name})`, { skip: requirePrograms('sshd') || build.skip }, () => {
    for (const keys of build.name === 'standalone' ? CIPHERS : [...CIPHERS, ...NODE_CIPHERS]) {
      for (const SHARE of ['no', 'yes']) {
        test(`${Object.values(keys).join(' and ')}, SHARE=${SHARE}: come back as they went`, async (t) => {
          const server = await openRealSshd(t, {
            config: ['RekeyLimit 2M', 'Ciphers +aes128-ctr', 'MACs +hmac-sha2-512'],
          });
          const home = openTempHome(t);
          endBrokers(t, home);
          home.writeAlias('work', { ...server.aliasKeys, ...keys, SHARE });
          const input = randomBytes(BYTES);
          const { stdout, stderr, code } = await runProgram(build.rshPath, ['work', 'cat'], {
            env: home.env,
            input,
          });
          assert.deepEqual([code, stderr.toString()], [0, ''], home.log());
          assert.ok(stdout.equals(input));
        });
      }
    }
  });
}
