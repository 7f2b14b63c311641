/** OpenSSH's own key files that ssh-keygen would not write, and those that nobody here can open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOpensshKey, unlockOpensshKey, whyNotUnlockable } from '../../src/transport/openssh-key.ts';
import { encodeStrings, encodeUint32 } from '../../src/transport/ssh-wire.ts';

/** PROTOCOL.key of OpenSSH. */
function keyFile(cipher: string, kdf: string, count = 1): string {
  const body = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    encodeStrings(cipher, kdf, Buffer.concat([encodeStrings('salt'), encodeUint32(1)])),
    encodeUint32(count),
    encodeStrings('public', 'secret'),
  ]);
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${body.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

test('a file that holds more than one key, or none, is not taken apart', () => {
  assert.equal(parseOpensshKey(keyFile('aes256-ctr', 'bcrypt', 2)), undefined);
  assert.equal(parseOpensshKey(keyFile('aes256-ctr', 'bcrypt', 0)), undefined);
  assert.equal(
    parseOpensshKey('-----BEGIN OPENSSH PRIVATE KEY-----\neA==\n-----END OPENSSH PRIVATE KEY-----\n'),
    undefined,
  );
});

for (const [cipher, kdf, why] of [
  ['aes256-ctr', 'bcrypt', undefined],
  ['aes256-ctr', 'argon2', 'unknown key derivation argon2'],
  ['chacha20-poly1305@openssh.com', 'bcrypt', 'unknown cipher chacha20-poly1305@openssh.com'],
  ['constructor', 'bcrypt', 'unknown cipher constructor'],
] as const) {
  test(`a key of ${cipher} with ${kdf} ${why === undefined ? 'can be' : 'is not'} unlocked`, async () => {
    const key = parseOpensshKey(keyFile(cipher, kdf));
    assert.ok(key !== undefined);
    assert.equal(whyNotUnlockable(key), why);
    const unlocking = unlockOpensshKey(key, Buffer.from('x'));
    if (why === undefined) assert.equal(await unlocking, undefined);
    else await assert.rejects(unlocking, TypeError);
  });
}
